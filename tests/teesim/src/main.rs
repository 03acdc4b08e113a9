//! `teesim`: a simulated SEV-SNP platform, the processor's signing key and the SVSM, behind the kernel's own ABI.
//!
//! For tests. It proves nothing: its keys are published, and a broker believes them only after
//! `dangerous_trust_test_root`. The launch digest is really computed from the files that are booted, and everything behind
//! the report (firmware, kernel, IMA, TPM) is real.

#![deny(unsafe_code)]

mod command_line;
mod cpio;
mod digest;
mod guest;
mod keys;
mod platform;
mod processor;
mod qemu;
mod signer;
mod wire;

use anyhow::{Context as _, Result, bail};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

const HELP: &str = "\
A simulated AMD SEV-SNP platform for tests.

Usage:
  teesim qemu QEMU-ARGUMENT...      stand in for QEMU: takes an SNP command line, runs the machine under
                                    TCG without SNP, and answers for its processor and its SVSM
  teesim platform DIRECTORY --image-dir IMAGE [--firmware direct|ovmf]
                                    write DIRECTORY/qemu (stands in for QEMU), DIRECTORY/image (IMAGE with the
                                    guest half) and DIRECTORY/root.der (the root that a broker must trust)
  teesim cpio -o FILE [--with-libraries]
                                    write the initrd part that puts the guest half in as /init;
                                    append it to a guest image's initrd
  teesim init [ARGUMENT...]         the guest half; what /init runs (PID 1)
  teesim serve DIRECTORY            the guest half's server of DIRECTORY/tsm/report; started by init

Environment of `teesim qemu`:
  TEESIM_QEMU       the QEMU to run [qemu-system-x86_64]
  TEESIM_FIRMWARE   direct: QEMU's kernel loader; ovmf: OVMF with measured boot [direct]
  TEESIM_OVMF_CODE  for ovmf [/usr/share/OVMF/OVMF_CODE_4M.fd]
  TEESIM_OVMF_VARS  for ovmf; never written to [/usr/share/OVMF/OVMF_VARS_4M.fd]
  TEESIM_TCB        report this TCB instead of the certificate's: bootloader.tee.snp.microcode
  TEESIM_MEMORY_FILE  write the peak resident memory of the guest's PID 1 there, in KiB, at each report
  TEESIM_SVSM_EK    file with the TPMT_PUBLIC of another TPM: the SVSM vouches for that one

Examples:
  teesim platform sim --image-dir out/image
  sealpod run --qemu sim/qemu --image-dir sim/image --platform snp --accel tcg ...
";

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    // The kernel starts /init with whatever words of its command line it does not know.
    if std::process::id() == 1 {
        return first_process(&arguments);
    }
    let command = if arguments.is_empty() { OsString::new() } else { arguments.remove(0) };
    let ended = match command.to_str() {
        Some("qemu") => qemu::run(&arguments),
        Some("platform") => write_platform(&arguments),
        Some("cpio") => write_cpio(&arguments),
        Some("serve") => serve(&arguments),
        Some("init") => guest::init(&arguments).map(|()| 0),
        Some("-h" | "--help" | "help") => {
            print!("{HELP}");
            Ok(0)
        }
        Some("-V" | "--version") => {
            println!("teesim {}", env!("CARGO_PKG_VERSION"));
            Ok(0)
        }
        _ => Err(anyhow::anyhow!("unknown command {command:?}; see `teesim --help`")),
    };
    match ended {
        Ok(code) => ExitCode::from(code.clamp(0, 255) as u8),
        Err(error) => {
            eprintln!("teesim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn first_process(arguments: &[OsString]) -> ExitCode {
    if let Err(error) = guest::init(arguments) {
        eprintln!("teesim: {error:#}");
    }
    guest::power_off();
    ExitCode::FAILURE
}

fn serve(arguments: &[OsString]) -> Result<i32> {
    let [directory] = arguments else { bail!("serve takes one directory") };
    guest::serve(Path::new(directory))?;
    Ok(0)
}

fn write_platform(arguments: &[OsString]) -> Result<i32> {
    let words: Vec<_> = arguments.iter().map(|a| a.to_string_lossy()).collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let (directory, image, firmware) = match words.as_slice() {
        [directory, "--image-dir", image] => (directory, image, "direct"),
        [directory, "--image-dir", image, "--firmware", firmware] => (directory, image, *firmware),
        _ => bail!("platform takes `DIRECTORY --image-dir IMAGE` and perhaps `--firmware direct|ovmf`"),
    };
    let directory = Path::new(directory);
    std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    platform::write(directory, Path::new(image), firmware)?;
    Ok(0)
}

fn write_cpio(arguments: &[OsString]) -> Result<i32> {
    let words: Vec<_> = arguments.iter().map(|a| a.to_string_lossy()).collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let (file, with_libraries) = match words.as_slice() {
        ["-o", file] => (file, false),
        ["-o", file, "--with-libraries"] | ["--with-libraries", "-o", file] => (file, true),
        _ => bail!("cpio takes `-o FILE` and perhaps `--with-libraries`"),
    };
    let archive = cpio::archive(with_libraries)?;
    std::fs::write(file, archive).with_context(|| format!("cannot write {file}"))?;
    Ok(0)
}
