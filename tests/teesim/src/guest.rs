//! The guest half: PID 1 before sealpod's own, and the process that serves the report directory.

mod attributes;
mod ek;
mod fs;
mod port;

use crate::wire::{Answer, Request};
use anyhow::{Context as _, Result, bail};
use attributes::{Blobs, Platform, Question};
use fuser::{Config, MountOption, Session};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use port::Port;
use sealpod_evidence::bytes::{Base64, HexArray};
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where configfs belongs.
const CONFIGFS: &str = "/sys/kernel/config";
/// Where sealpod's guest images keep their modules.
const MODULES: &str = "/usr/lib/sealpod/modules";
/// What runs after us, as PID 1.
const NEXT: &str = "/usr/bin/sealpod-guest";
/// What the serving process says when the directory can be used.
const READY: &str = "ready";

/// Act as PID 1: put the report directory in place, then become sealpod-guest. Returns only on failure.
pub fn init(arguments: &[OsString]) -> Result<()> {
    mount_basics()?;
    make_configfs_mount_point()?;
    start_server()?;
    let error = Command::new(NEXT).args(arguments).exec();
    Err(error).with_context(|| format!("cannot execute {NEXT}"))
}

/// A failed simulator must not look like a machine without a TEE: say why and switch off.
pub fn power_off() {
    nix::unistd::sync();
    // On success this does not return; a failure leaves PID 1 to exit, which makes the kernel panic.
    let _ = nix::sys::reboot::reboot(nix::sys::reboot::RebootMode::RB_POWER_OFF);
}

/// Serve the report directory until the machine ends.
pub fn serve(mount_point: &Path) -> Result<()> {
    nix::unistd::setsid().context("cannot leave the session")?;
    let platform = SignerPort::boot()?;
    let mut config = Config::default();
    let options = [
        MountOption::FSName("configfs".into()),
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoExec,
    ];
    config.mount_options.extend(options);
    let session = Session::new(fs::TsmFs::new(platform), mount_point, &config)
        .with_context(|| format!("cannot mount the report directory on {}", mount_point.display()))?;
    let mut out = std::io::stdout();
    writeln!(out, "{READY}").and_then(|()| out.flush()).context("cannot report readiness")?;
    session.run().context("the report directory failed")
}

fn mount_basics() -> Result<()> {
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    for (fs_type, path, flags) in
        [("proc", "/proc", quiet), ("sysfs", "/sys", quiet), ("devtmpfs", "/dev", MsFlags::MS_NOSUID)]
    {
        std::fs::create_dir_all(path).with_context(|| format!("cannot make {path}"))?;
        match mount(Some(fs_type), path, Some(fs_type), flags, None::<&str>) {
            Ok(()) | Err(Errno::EBUSY) => {}
            Err(error) => return Err(error).with_context(|| format!("cannot mount {path}")),
        }
    }
    Ok(())
}

/// sysfs has the directory only once configfs is registered, and configfs is a module.
fn make_configfs_mount_point() -> Result<()> {
    if Path::new(CONFIGFS).is_dir() {
        return Ok(());
    }
    let module = find_configfs(Path::new(MODULES))
        .with_context(|| format!("no {CONFIGFS}, and no *configfs.ko in {MODULES} to make it"))?;
    let file = std::fs::File::open(&module).with_context(|| format!("cannot open {}", module.display()))?;
    match nix::kmod::finit_module(&file, c"", nix::kmod::ModuleInitFlags::empty()) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(error) => {
            return Err(error).with_context(|| format!("the kernel refused {}", module.display()));
        }
    }
    if Path::new(CONFIGFS).is_dir() {
        return Ok(());
    }
    bail!("{} is loaded, but there is no {CONFIGFS}", module.display())
}

fn find_configfs(directory: &Path) -> Option<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| path.file_name().is_some_and(|n| n.to_string_lossy().ends_with("configfs.ko")));
    found.sort();
    found.into_iter().next()
}

/// A process of its own serves the directory: PID 1 is about to become another program.
fn start_server() -> Result<()> {
    let mut child = Command::new("/proc/self/exe")
        .args(["serve", CONFIGFS])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the report server")?;
    let stdout = child.stdout.take().context("the report server has no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).context("cannot hear the report server")?;
    if line.trim_end() == READY {
        return Ok(());
    }
    bail!("the report server ended before it was ready; its own message is above")
}

/// The platform at the other end of the port.
struct SignerPort {
    /// Given up after the first failure.
    port: Option<Port>,
    vmpl: u32,
    svsm: bool,
}

impl SignerPort {
    fn boot() -> Result<Self> {
        let mut port = Port::open()?;
        let ek_public = ek::read()?.map(Base64);
        match port.ask(&Request::Boot { ek_public })? {
            Answer::Booted { vmpl, svsm } => Ok(Self { port: Some(port), vmpl, svsm }),
            other => bail!("the signer answered the boot message with {other:?}"),
        }
    }
}

impl Platform for SignerPort {
    fn vmpl(&self) -> u32 {
        self.vmpl
    }

    fn svsm(&self) -> bool {
        self.svsm
    }

    fn answer(&mut self, question: &Question) -> Result<Blobs, Errno> {
        // The kernel's SNP driver takes 64 bytes and no fewer.
        let data: [u8; 64] = question.inblob.as_slice().try_into().map_err(|_| Errno::EINVAL)?;
        let request = match question.service_provider.as_deref() {
            None => Request::Report { vmpl: question.privlevel, report_data: HexArray(data) },
            Some("svsm") => Request::Service {
                guid: question.service_guid.clone(),
                manifest_version: question.service_manifest_version,
                nonce: HexArray(data),
            },
            Some(_) => return Err(Errno::EINVAL),
        };
        let Some(port) = &mut self.port else {
            return Err(Errno::EIO);
        };
        let noted = peak_memory_of_agent().map(|peak_kib| port.ask(&Request::Memory { peak_kib }));
        if let Some(Err(error)) = noted {
            eprintln!("teesim: the agent's memory was not noted: {error}");
        }
        match port.ask(&request) {
            Ok(Answer::Report { report, certificates, manifest }) => {
                Ok(Blobs { report: report.0, certificates: certificates.0, manifest: manifest.0 })
            }
            Ok(Answer::Refused { reason }) => {
                eprintln!("teesim: the signer refused: {reason}");
                Err(Errno::EINVAL)
            }
            failed => {
                eprintln!("teesim: no report: {failed:?}");
                // Question and answer may be out of step from here on.
                self.port = None;
                Err(Errno::EIO)
            }
        }
    }
}

/// Peak resident memory of PID 1 in KiB (proc(5), `VmHWM`).
fn peak_memory_of_agent() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/1/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}
