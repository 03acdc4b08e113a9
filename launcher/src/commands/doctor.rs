//! `sealpod doctor`: can this machine start sealed pods, and what is missing.

use crate::cli::{DoctorArgs, PlatformArg};
use crate::guest_image::GuestImage;
use crate::{accel, host};
use anyhow::Result;
use serde::Serialize;
use std::path::Path;

/// First QEMU with sev-snp-guest, and first with IGVM and tdx-guest.
const SNP_QEMU: (u32, u32) = (9, 1);
const TDX_QEMU: (u32, u32) = (10, 1);

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// Works, but less well or not for everything.
    Limited,
    Missing,
}

#[derive(Serialize)]
struct Check {
    name: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

/// Exit code 1 when no pod can be started at all.
pub async fn doctor(args: &DoctorArgs) -> Result<u8> {
    let version = qemu_version(&args.qemu);
    let checks = vec![
        qemu(version),
        program("swtpm", "swtpm", "apt-get install swtpm"),
        firmware("OVMF for plain machines", host::OVMF_CODE, "apt-get install ovmf"),
        firmware(
            "OVMF for SNP",
            host::OVMF_AMDSEV,
            "apt-get install ovmf-amdsev (Debian sid), or use --ovmf",
        ),
        firmware("OVMF for TDX", host::OVMF_TDX, "apt-get install ovmf-inteltdx (Debian sid), or use --ovmf"),
        kvm(args).await?,
        platform(version),
    ];
    let broken = checks.iter().any(|check| matches!(check.verdict, Verdict::Missing));
    if args.json {
        println!("{}", serde_json::to_string_pretty(&checks)?);
    } else {
        for check in &checks {
            let mark = match check.verdict {
                Verdict::Ok => "ok     ",
                Verdict::Limited => "limited",
                Verdict::Missing => "MISSING",
            };
            println!("{mark}  {}: {}", check.name, check.found);
            if let Some(fix) = &check.fix {
                println!("         fix: {fix}");
            }
        }
    }
    Ok(u8::from(broken))
}

fn qemu(version: Option<(u32, u32)>) -> Check {
    let (verdict, found, fix) = match version {
        Some((major, minor)) => (Verdict::Ok, format!("version {major}.{minor}"), None),
        None => (
            Verdict::Missing,
            "does not start".to_owned(),
            Some("apt-get install qemu-system-x86".to_owned()),
        ),
    };
    Check { name: "QEMU", verdict, found, fix }
}

fn program(name: &'static str, program: &str, fix: &str) -> Check {
    match host::find_program(Path::new(program)) {
        Some(path) => Check { name, verdict: Verdict::Ok, found: path.display().to_string(), fix: None },
        None => Check {
            name,
            verdict: Verdict::Missing,
            found: "not in PATH".to_owned(),
            fix: Some(fix.to_owned()),
        },
    }
}

fn firmware(name: &'static str, path: &str, fix: &str) -> Check {
    if Path::new(path).is_file() {
        return Check { name, verdict: Verdict::Ok, found: path.to_owned(), fix: None };
    }
    Check {
        name,
        verdict: Verdict::Limited,
        found: format!("{path} is not there"),
        fix: Some(fix.to_owned()),
    }
}

async fn kvm(args: &DoctorArgs) -> Result<Check> {
    let check = |verdict, found: String, fix: Option<&str>| Check {
        name: "KVM",
        verdict,
        found,
        fix: fix.map(str::to_owned),
    };
    let Some(dir) = &args.image_dir else {
        return Ok(match File::options_rw("/dev/kvm") {
            Ok(()) => check(
                Verdict::Limited,
                "/dev/kvm opens; that it boots anything is not proved".to_owned(),
                Some("sealpod doctor --image-dir DIR boots the guest's kernel"),
            ),
            Err(error) => check(
                Verdict::Limited,
                format!("/dev/kvm: {error}; machines will be emulated"),
                Some("enable virtualisation in the firmware, `modprobe kvm_amd` or `modprobe kvm_intel`"),
            ),
        });
    };
    Ok(match accel::probe(&args.qemu, &GuestImage::load(dir)?.kernel).await? {
        None => check(Verdict::Ok, "boots the guest's kernel".to_owned(), None),
        Some(problem) => check(
            Verdict::Limited,
            format!("{problem}; machines will be emulated"),
            Some("use a machine with working (nested) virtualisation"),
        ),
    })
}

/// Opening is all that is tried.
struct File;

impl File {
    fn options_rw(path: &str) -> std::io::Result<()> {
        std::fs::File::options().read(true).write(true).open(path).map(drop)
    }
}

fn platform(version: Option<(u32, u32)>) -> Check {
    let name = "confidential computing";
    let (found, needs) = match host::platform() {
        PlatformArg::Snp | PlatformArg::SnpSvsm => ("AMD SEV-SNP", SNP_QEMU),
        PlatformArg::Tdx => ("Intel TDX", TDX_QEMU),
        PlatformArg::Auto | PlatformArg::Plain => {
            let flags = cpu_flags();
            let found = if flags.is_empty() {
                "none: no SNP or TDX here; pods run, but get no secrets".to_owned()
            } else {
                format!("the processor says {flags}, but KVM has not enabled it")
            };
            let fix = (!flags.is_empty()).then(|| {
                "enable SNP/TDX in the firmware; boot the host with kvm_amd.sev_snp=1 or kvm_intel.tdx=1"
                    .to_owned()
            });
            return Check { name, verdict: Verdict::Limited, found, fix };
        }
    };
    if version.is_some_and(|version| version >= needs) {
        return Check { name, verdict: Verdict::Ok, found: found.to_owned(), fix: None };
    }
    let fix = format!(
        "QEMU {}.{} or later is needed: apt-get install -t bookworm-backports qemu-system-x86, or a newer release",
        needs.0, needs.1
    );
    Check {
        name,
        verdict: Verdict::Limited,
        found: format!("{found}, but this QEMU is too old"),
        fix: Some(fix),
    }
}

fn cpu_flags() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = text.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let wanted = |flag: &&str| matches!(*flag, "sev_snp" | "tdx_host_platform" | "sev_es");
    flags.split_whitespace().filter(wanted).collect::<Vec<_>>().join(" ")
}

/// From "QEMU emulator version 7.2.19 (…)".
fn qemu_version(qemu: &Path) -> Option<(u32, u32)> {
    let output = std::process::Command::new(qemu).arg("--version").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split_once("version ")?.1.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qemus_version_is_read_from_its_own_words() {
        assert_eq!(parse_version("QEMU emulator version 10.1.2 (Debian 1:10)"), Some((10, 1)));
        assert_eq!(parse_version("something else"), None);
    }
}
