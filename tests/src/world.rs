//! Everything one run of the system needs: guest image, reference boot, Reference Values, broker, secret.

use crate::broker::Broker;
use crate::oci_fixture::write_busybox_layout;
use crate::process::{Programs, run, succeed, workspace_root};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// Path of the secret at the broker.
pub const RESOURCE: &str = "default/demo/greeting";
/// The secret itself.
pub const SECRET: &str = "the launch code is 0000";
/// Where the secret appears in the container.
pub const SECRET_PATH: &str = "/run/secrets/greeting";

/// A guest under TCG takes seconds; on a busy machine it may take ten times as long.
const GUEST: Duration = Duration::from_secs(300);
const SHORT: Duration = Duration::from_secs(60);

/// How the guest is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// Kernel started by QEMU's own loader: quick, and the boot log says nothing of the kernel.
    Direct,
    /// OVMF with measured boot.
    Ovmf,
}

impl Firmware {
    fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Ovmf => "ovmf",
        }
    }
}

/// The prepared system.
#[derive(Debug)]
pub struct World {
    programs: Programs,
    directory: tempfile::TempDir,
    firmware: Firmware,
    broker: Broker,
}

/// One pod to run.
#[derive(Debug)]
pub struct Pod<'a> {
    /// Name, unique within the world.
    pub name: &'a str,
    /// Argument vector of the container.
    pub args: &'a [&'a str],
    /// More arguments for `sealpod run`.
    pub run_options: &'a [&'a str],
    /// Environment of the simulated platform.
    pub platform: &'a [(&'a str, &'a Path)],
}

impl World {
    /// Prepare everything; `say` is told each phase as it begins.
    pub fn prepare(firmware: Firmware, say: &mut dyn FnMut(&str)) -> Result<Self> {
        let programs = Programs::locate()?;
        let directory = tempfile::Builder::new().prefix("sealpod-world-").tempdir()?;
        let at = |name: &str| directory.path().join(name);
        say("making the container image and the test initrd");
        write_busybox_layout(&at("layout"))?;
        let platform = at("platform").display().to_string();
        let image_directory = guest_image_directory().display().to_string();
        let arguments =
            ["platform", &platform, "--image-dir", &image_directory, "--firmware", firmware.name()];
        succeed(programs.command("teesim").args(arguments), SHORT)?;
        say("starting the broker");
        std::fs::create_dir(at("broker"))?;
        let broker = Broker::start(&programs, &at("broker"))?;
        std::fs::write(at("secret"), SECRET)?;
        broker.admin(&["secret", "set", RESOURCE, "--file", &at("secret").display().to_string()])?;
        let world = Self { programs, firmware, broker, directory };
        say("starting the guest once, to record its firmware's boot log");
        world.record_boot_log()?;
        say("computing the Reference Values");
        world.register_reference_values()?;
        Ok(world)
    }

    /// The broker.
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// A path in the world's own directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Run a pod to its end.
    pub fn run(&self, pod: &Pod<'_>) -> Result<Output> {
        run(&mut self.pod(pod)?, GUEST)
    }

    /// Write the pod's initdata and tell the broker to expect it; gives the command that runs the pod.
    pub fn pod(&self, pod: &Pod<'_>) -> Result<Command> {
        let initdata = self.path(&format!("{}.toml", pod.name));
        let mut generate = self.programs.command("sealpod");
        generate.args(["policy", "generate", "--allow-output"]);
        let secret = format!("greeting=kbs:///{RESOURCE}:{SECRET_PATH}");
        self.add_broker(&mut generate);
        generate
            .args(["--secret", &secret])
            .arg("--output")
            .arg(&initdata)
            .arg(self.path("layout"))
            .arg("--")
            .args(pod.args);
        succeed(&mut generate, SHORT)?;
        let reference = self.path(&format!("{}.json", pod.name));
        let mut describe = self.programs.command("sealpod-images");
        describe.arg("reference-values").arg("--initdata").arg(&initdata).arg("-o").arg(&reference);
        succeed(&mut describe, SHORT)?;
        self.broker.admin(&["reference", "add", &reference.display().to_string()])?;

        let mut command = self.sealpod(&["run"]);
        self.add_machine(&mut command);
        command.args(["--name", pod.name]).arg("--policy").arg(&initdata).args(pod.run_options);
        for (name, value) in pod.platform {
            command.env(name, value);
        }
        command.arg(self.path("layout")).arg("--").args(pod.args);
        Ok(command)
    }

    /// A `sealpod` command on this world's state directory.
    pub fn sealpod(&self, arguments: &[&str]) -> Command {
        let mut command = self.programs.command("sealpod");
        command.arg("--state-dir").arg(self.path("state")).args(arguments);
        command
    }

    fn add_broker(&self, command: &mut Command) {
        command.args(["--kbs", &self.broker.url()]).arg("--kbs-ca").arg(self.broker.ca());
    }

    fn add_machine(&self, command: &mut Command) {
        command
            .args(["--platform", "snp", "--accel", "tcg", "--firmware", self.firmware.name()])
            .arg("--qemu")
            .arg(self.path("platform/qemu"))
            .arg("--image-dir")
            .arg(self.path("platform/image"))
            .args(["--kbs-connect", self.broker.address()]);
    }

    fn record_boot_log(&self) -> Result<()> {
        let mut command = self.sealpod(&["boot-log"]);
        self.add_machine(&mut command);
        succeed(command.arg("--output").arg(self.path("boot.bin")), GUEST)?;
        Ok(())
    }

    fn register_reference_values(&self) -> Result<()> {
        let guest = self.path("guest-reference.json");
        succeed(
            self.programs
                .command("sealpod-images")
                // The simulator plays an SVSM with its guest at VMPL 2; these firmwares do not measure ACPI tables.
                .args(["reference-values", "--guest-vmpl", "2", "--dangerous-unmeasured-acpi"])
                .args(["--firmware", self.firmware.name(), "--boot-log"])
                .arg(self.path("boot.bin"))
                .arg("--image-dir")
                .arg(self.path("platform/image"))
                .arg("-o")
                .arg(&guest),
            SHORT,
        )?;
        let container = self.path("container-reference.json");
        succeed(
            self.programs
                .command("sealpod-images")
                .args(["reference-values", "--oci"])
                .arg(self.path("layout"))
                .arg("-o")
                .arg(&container),
            SHORT,
        )?;
        let firmware = self.path("tcb-reference.json");
        let tcb = sealpod_testkit::pki::TCB;
        let least = format!("genoa={}.{}.{}.{}", tcb.bootloader, tcb.tee, tcb.snp, tcb.microcode);
        let mut describe = self.programs.command("sealpod-images");
        describe.args(["reference-values", "--snp-minimum-tcb", &least, "-o"]).arg(&firmware);
        succeed(&mut describe, SHORT)?;
        let paths = [&guest, &container, &firmware].map(|path| path.display().to_string());
        self.broker.admin(&["reference", "add", &paths[0], &paths[1], &paths[2]])?;
        Ok(())
    }
}

/// Where `scripts/setup` put the guest image.
pub fn guest_image_directory() -> PathBuf {
    std::env::var_os("SEALPOD_IMAGE").map_or_else(|| workspace_root().join("out/image"), PathBuf::from)
}
