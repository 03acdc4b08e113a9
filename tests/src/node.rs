//! An ordinary Linux node in QEMU: ext4 disk, busybox as its user space, swtpm, Linux IMA, the real agent.
//!
//! The disk is laid out as a Kubernetes worker that kubeadm made. A test gives a shell script that changes things and asks for
//! rounds; it gets the evidence of each.

mod disk;
mod initramfs;

use crate::process::{Programs, run, text, workspace_root};
use anyhow::{Context as _, Result, bail};
use sealpod_evidence::node::NodeEvidence;
use sealpod_evidence::node::request::MeasureRequest;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A boot under TCG takes ten seconds; on a busy machine ten times as long.
const PATIENCE: Duration = Duration::from_secs(300);

/// A disk has whole sectors; what follows the script is zero, which the node drops.
const SECTOR: usize = 512;

/// A node: its disk and its TPM, which outlive a boot.
#[derive(Debug)]
pub struct Node {
    directory: tempfile::TempDir,
    initrd: PathBuf,
    kernel: PathBuf,
}

/// What one boot gave.
#[derive(Debug)]
pub struct Boot {
    /// Evidence of each round, in order.
    pub rounds: Vec<NodeEvidence>,
    /// What the script and the kernel printed.
    pub console: String,
}

impl Node {
    /// Make the disk and an empty TPM.
    ///
    /// # Errors
    ///
    /// A program, library or kernel module that is not there.
    pub fn create(request: &MeasureRequest) -> Result<Self> {
        let programs = Programs::locate()?;
        let directory = tempfile::Builder::new().prefix("sealpod-node-").tempdir()?;
        let node = Self {
            initrd: directory.path().join("initrd"),
            kernel: crate::world::guest_image_directory().join("vmlinuz"),
            directory,
        };
        let modules =
            initramfs::kernel_modules(&workspace_root().join("out/cache/packages"), node.directory.path())?;
        std::fs::write(&node.initrd, initramfs::archive(&modules, &node.path("cpio"))?)?;
        disk::make(&programs.path("sealpod-guest"), request, &node.path("root"), &node.path("disk"))?;
        std::fs::create_dir(node.path("tpm"))?;
        Ok(node)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Boot, run the script, power off. In the script, `round NONCE` makes a round, and `answer` answers
    /// `/run/challenge.json`; it ends at the first command that fails.
    ///
    /// # Errors
    ///
    /// A machine that does not come to the script's end.
    pub fn boot(&self, script: &str) -> Result<Boot> {
        self.boot_with(script, "")
    }

    /// The same with more words on the kernel's command line.
    ///
    /// # Errors
    ///
    /// As [`Node::boot`].
    pub fn boot_with(&self, script: &str, command_line: &str) -> Result<Boot> {
        let evidence = self.path("evidence");
        let mut padded = format!("{script}\n").into_bytes();
        padded.resize(padded.len().next_multiple_of(SECTOR), 0);
        std::fs::write(self.path("script"), padded)?;
        std::fs::write(&evidence, "")?;
        let tpm = self.start_tpm()?;
        let mut qemu = self.qemu(&evidence, command_line);
        let output = run(&mut qemu, PATIENCE);
        end(tpm);
        let output = output?;
        let console = text(&output);
        if !console.contains("script: done") {
            bail!("the node's script did not come to its end:\n{console}");
        }
        let lines = std::fs::read_to_string(&evidence)?;
        let rounds: Result<Vec<NodeEvidence>, _> = lines.lines().map(serde_json::from_str).collect();
        Ok(Boot { rounds: rounds.context("evidence that does not parse")?, console })
    }

    fn start_tpm(&self) -> Result<Child> {
        let socket = self.path("swtpm.sock");
        let _ = std::fs::remove_file(&socket);
        let child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--tpmstate"])
            .arg(format!("dir={}", self.path("tpm").display()))
            .arg("--ctrl")
            .arg(format!("type=unixio,path={}", socket.display()))
            .args(["--terminate"])
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start swtpm")?;
        let deadline = Instant::now() + Duration::from_secs(20);
        while !socket.exists() {
            if Instant::now() > deadline {
                end(child);
                bail!("swtpm made no socket");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(child)
    }

    fn qemu(&self, evidence: &Path, command_line: &str) -> Command {
        let mut qemu = Command::new("qemu-system-x86_64");
        let file = |path: PathBuf| path.display().to_string();
        qemu.args([
            "-machine",
            "q35",
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max",
            "-m",
            "1024",
            "-smp",
            "2",
        ])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"])
        .args(["-kernel", &file(self.kernel.clone()), "-initrd", &file(self.initrd.clone())])
        .args(["-append", &format!("console=ttyS0 quiet loglevel=3 panic=-1 ima_hash=sha256 {command_line}")])
        .args(["-chardev", &format!("socket,id=tpm,path={}", file(self.path("swtpm.sock")))])
        .args(["-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm"])
        .args(["-drive", &format!("file={},format=raw,if=none,id=disk", file(self.path("disk")))])
        .args(["-device", "virtio-blk-pci,drive=disk", "-device", "virtio-serial-pci"])
        .args(["-chardev", &format!("file,id=out,path={}", evidence.display())])
        .args(["-device", "virtserialport,chardev=out,name=out"])
        .args([
            "-drive",
            &format!("file={},format=raw,if=none,id=script,readonly=on", file(self.path("script"))),
        ])
        .args(["-device", "virtio-blk-pci,drive=script"]);
        qemu
    }
}

/// swtpm ends with its last client; if there never was one, it is told to.
fn end(child: Child) {
    drop(crate::process::Server::new(child));
}
