//! Stand in for QEMU on an SNP host: emulate the machine, and be its processor.

use crate::command_line::{self, Boot};
use crate::digest::launch_digest;
use crate::processor::Processor;
use crate::signer;
use crate::wire::PORT;
use anyhow::{Context as _, Result, bail};
use aws_lc_rs::rand;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, getppid};
use std::ffi::OsString;
use std::os::unix::net::UnixListener;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command};

/// Signals that are passed on to QEMU.
const FORWARDED: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];

/// What the environment asks for.
#[derive(Debug)]
struct Settings {
    qemu: OsString,
    boot: Boot,
    tcb: Option<[u8; 8]>,
    foreign_ek: Option<Vec<u8>>,
    memory_file: Option<PathBuf>,
}

/// Run the machine that `arguments` describe; gives the exit code to end with.
pub fn run(arguments: &[OsString]) -> Result<i32> {
    let settings = Settings::from_environment(|name| std::env::var_os(name))?;
    let arguments: Vec<String> = arguments
        .iter()
        .map(|a| a.to_str().map(str::to_owned).with_context(|| format!("argument {a:?} is not UTF-8")))
        .collect::<Result<_>>()?;
    if is_inquiry(&arguments) {
        return Err(Command::new(&settings.qemu).args(&arguments).exec()).context("cannot start QEMU");
    }
    let translated = command_line::translate(&arguments, &settings.boot)?;
    let launch = &translated.launch;
    let mut processor = Processor::new(launch_digest(launch)?, launch.host_data, launch.policy, random()?);
    processor.tcb = settings.tcb.unwrap_or(processor.tcb);
    processor.foreign_ek = settings.foreign_ek;
    processor.memory_file = settings.memory_file;

    // Blocked in every thread, so that none is lost between QEMU's start and the loop below.
    let signals = watched();
    signals.thread_block().context("cannot block signals")?;
    let directory = tempfile::Builder::new().prefix("teesim-").tempdir().context("no temporary directory")?;
    let socket = directory.path().join("signer");
    let listener = UnixListener::bind(&socket).context("cannot listen for the machine")?;
    let mut command = Command::new(&settings.qemu);
    command.args(&translated.arguments).args(port_arguments(&socket)?);
    let child = spawn(command)?;
    std::thread::spawn(move || {
        let served = listener.accept().map(|(mut stream, _)| {
            // QEMU has opened all that is in there.
            drop(directory);
            signer::serve(&mut stream, &mut processor)
        });
        match served {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("teesim: the signer stops: {error}"),
            Err(error) => eprintln!("teesim: the machine's signer port was not connected: {error}"),
        }
    });
    supervise(child, &signals)
}

/// Version and capability questions are QEMU's to answer.
fn is_inquiry(arguments: &[String]) -> bool {
    match arguments {
        [only] => matches!(only.trim_start_matches('-'), "version" | "help" | "h"),
        [.., last] => last == "help",
        [] => false,
    }
}

impl Settings {
    fn from_environment(get: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let path =
            |name: &str, default: &str| get(name).map_or_else(|| PathBuf::from(default), PathBuf::from);
        let firmware = get("TEESIM_FIRMWARE").unwrap_or_else(|| "direct".into());
        let boot = match firmware.to_str() {
            Some("direct") => Boot::Direct,
            Some("ovmf") => Boot::Ovmf {
                code: path("TEESIM_OVMF_CODE", "/usr/share/OVMF/OVMF_CODE_4M.fd"),
                vars: path("TEESIM_OVMF_VARS", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
            },
            _ => bail!("TEESIM_FIRMWARE is {firmware:?}; it may be `direct` or `ovmf`"),
        };
        let tcb = match get("TEESIM_TCB") {
            None => None,
            Some(text) => Some(tcb(&text.to_string_lossy()).with_context(|| {
                format!("TEESIM_TCB is {text:?}; it is `bootloader.tee.snp.microcode`, each at most 255")
            })?),
        };
        let foreign_ek = match get("TEESIM_SVSM_EK") {
            None => None,
            Some(path) => {
                Some(std::fs::read(&path).with_context(|| format!("cannot read TEESIM_SVSM_EK {path:?}"))?)
            }
        };
        Ok(Self {
            qemu: get("TEESIM_QEMU").unwrap_or_else(|| "qemu-system-x86_64".into()),
            boot,
            tcb,
            foreign_ek,
            memory_file: get("TEESIM_MEMORY_FILE").map(PathBuf::from),
        })
    }
}

/// TCB_VERSION of Milan and Genoa (AMD 56860, table 4).
fn tcb(text: &str) -> Option<[u8; 8]> {
    let parts: Vec<u8> = text.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [bootloader, tee, snp, microcode] = parts.try_into().ok()?;
    Some([bootloader, tee, 0, 0, 0, 0, snp, microcode])
}

fn random() -> Result<[u8; 32]> {
    let mut out = [0; 32];
    rand::fill(&mut out).map_err(|_| anyhow::anyhow!("no randomness for the report id"))?;
    Ok(out)
}

/// A port of its own on a bus of its own, beside whatever the launcher gave the machine.
fn port_arguments(socket: &std::path::Path) -> Result<Vec<String>> {
    let socket = socket.to_str().context("the temporary directory's path is not UTF-8")?.replace(',', ",,");
    let arguments = [
        "-device".to_owned(),
        "virtio-serial-pci,id=teesim-bus".to_owned(),
        "-chardev".to_owned(),
        format!("socket,id=teesim,path={socket},server=off"),
        "-device".to_owned(),
        format!("virtserialport,bus=teesim-bus.0,chardev=teesim,name={PORT}"),
    ];
    Ok(arguments.into())
}

fn watched() -> SigSet {
    let mut set: SigSet = FORWARDED.into_iter().collect();
    set.add(Signal::SIGCHLD);
    set
}

#[allow(unsafe_code)]
fn spawn(mut command: Command) -> Result<Child> {
    let parent = nix::unistd::getpid();
    // SAFETY: between fork and exec only async-signal-safe system calls are made: sigprocmask, prctl, getppid.
    unsafe {
        command.pre_exec(move || {
            watched().thread_unblock()?;
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            // The parent may have died before the line above.
            if getppid() == parent { Ok(()) } else { Err(std::io::ErrorKind::BrokenPipe.into()) }
        });
    }
    let program = command.get_program().to_owned();
    command.spawn().with_context(|| format!("cannot start {program:?}; set TEESIM_QEMU to QEMU's path"))
}

/// Pass signals on until QEMU has ended.
fn supervise(mut child: Child, signals: &SigSet) -> Result<i32> {
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for QEMU")? {
            return Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()));
        }
        match next_signal(signals).context("cannot wait for signals")? {
            None | Some(Signal::SIGCHLD) => {}
            Some(signal) => {
                // Not reaped yet, so the number is still QEMU's; an error means that it has just ended.
                let _ = kill(Pid::from_raw(child.id() as i32), signal);
            }
        }
    }
}

/// The next of these signals, or none within a second: the kernel drops a SIGCHLD that a thread of this process does not block.
#[allow(unsafe_code)]
fn next_signal(signals: &SigSet) -> std::io::Result<Option<Signal>> {
    let timeout = libc::timespec { tv_sec: 1, tv_nsec: 0 };
    // SAFETY: set and timeout are live for the call, and no siginfo is asked for.
    let number = unsafe { libc::sigtimedwait(signals.as_ref(), std::ptr::null_mut(), &raw const timeout) };
    if number >= 0 {
        return Ok(Some(Signal::try_from(number)?));
    }
    let error = std::io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EINTR) => Ok(None),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings> {
        Settings::from_environment(|name| {
            pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_environment_is_checked() {
        assert_eq!(settings(&[]).unwrap().boot, Boot::Direct);
        let ovmf = settings(&[("TEESIM_FIRMWARE", "ovmf"), ("TEESIM_OVMF_CODE", "/c")]).unwrap();
        let expected = Boot::Ovmf { code: "/c".into(), vars: "/usr/share/OVMF/OVMF_VARS_4M.fd".into() };
        assert_eq!(ovmf.boot, expected);
        assert_eq!(settings(&[("TEESIM_TCB", "3.0.10.20")]).unwrap().tcb, Some([3, 0, 0, 0, 0, 0, 10, 20]));
        for bad in [
            ("TEESIM_FIRMWARE", "bios"),
            ("TEESIM_TCB", "3.0.10"),
            ("TEESIM_TCB", "3.0.10.256"),
            ("TEESIM_SVSM_EK", "/nonexistent/ek"),
        ] {
            let error = settings(&[bad]).unwrap_err().to_string();
            assert!(error.contains(bad.0), "{error}");
        }
    }

    fn shell(script: &str) -> Child {
        watched().thread_block().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        spawn(command).unwrap()
    }

    #[test]
    fn the_exit_code_is_qemus() {
        assert_eq!(supervise(shell("exit 7"), &watched()).unwrap(), 7);
        assert_eq!(supervise(shell("kill -KILL $$"), &watched()).unwrap(), 128 + 9);
    }

    #[test]
    fn questions_about_qemu_are_told_from_machines() {
        let inquiry = |words: &[&str]| is_inquiry(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert!(inquiry(&["--version"]));
        assert!(inquiry(&["-machine", "help"]));
        assert!(!inquiry(&["-machine", "q35"]));
        assert!(!inquiry(&[]));
    }

    #[test]
    fn the_port_is_on_its_own_bus() {
        let text = port_arguments("/t,1/signer".as_ref()).unwrap().join(" ");
        assert!(text.contains("socket,id=teesim,path=/t,,1/signer,server=off"), "{text}");
        assert!(text.contains("bus=teesim-bus.0"), "{text}");
    }
}
