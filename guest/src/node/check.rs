//! What this machine offers, what is missing, and the exact parameter or command that adds it.

use super::policy;
use crate::files;
use sealpod_evidence::ima::{Bank, Log};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// How much of the IMA log is looked at: the first entry is in its first hundred bytes.
const LOG_HEAD: usize = 4096;

/// One thing that a node needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is looked at.
    pub name: &'static str,
    /// Whether it is as it must be.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// What to do, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// The places that are looked at, so that a test can offer others.
#[derive(Debug, Clone)]
pub struct Places {
    /// `/dev/tpmrm0`
    pub tpm: PathBuf,
    /// `/sys/kernel/security`
    pub securityfs: PathBuf,
    /// `/proc`
    pub proc: PathBuf,
    /// `/run/sealpod`
    pub run: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        let path = PathBuf::from;
        Self {
            tpm: path(crate::tpm::DEVICE),
            securityfs: path("/sys/kernel/security"),
            proc: path("/proc"),
            run: path("/run/sealpod"),
        }
    }
}

/// Looks at everything; the order is that in which things are mended.
pub fn all(places: &Places) -> Vec<Finding> {
    vec![tpm(places), kernel(places), ima(places), bound(places), policy_free(places), overlay(places)]
}

fn finding(name: &'static str, ok: bool, found: impl Into<String>, fix: &str) -> Finding {
    Finding { name, ok, found: found.into(), fix: (!ok).then(|| fix.to_owned()) }
}

fn tpm(places: &Places) -> Finding {
    let there = places.tpm.exists();
    let found = if there { "present" } else { "no device" };
    let fix = "turn the TPM on in the firmware's set-up, or give the virtual machine a vTPM (QEMU: -device tpm-crb with swtpm)";
    finding("tpm", there, format!("{}: {found}", places.tpm.display()), fix)
}

/// `evm-sig`, which carries owner and mode, is in kernels from 5.14 on.
fn kernel(places: &Places) -> Finding {
    let release = files::read_text(&places.proc.join("sys/kernel/osrelease")).unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or_default());
    let new = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) >= (5, 14);
    finding(
        "kernel",
        new,
        format!("Linux {release}"),
        "install a kernel of 5.14 or later (Ubuntu 20.04: apt-get install linux-generic-hwe-20.04; Debian: a backports kernel)",
    )
}

fn ima(places: &Places) -> Finding {
    let log = places.securityfs.join("ima/binary_runtime_measurements");
    let there = log.exists();
    let found = if there { "measuring" } else { "off" };
    let fix = "mount securityfs (mount -t securityfs none /sys/kernel/security); if that is done, boot a kernel with CONFIG_IMA=y";
    finding("ima", there, found, fix)
}

/// IMA binds the TPM once, at late_initcall: a driver that comes later leaves an aggregate of zeros, and no PCR ever moves.
fn bound(places: &Places) -> Finding {
    let fix = "build the TPM's driver into the kernel (CONFIG_TCG_TIS=y, CONFIG_TCG_CRB=y) or boot a distribution kernel that has it; a module is loaded too late for IMA";
    let found = match aggregate(&places.securityfs.join("ima/binary_runtime_measurements")) {
        Some(true) => return finding("ima-tpm", true, "bound at boot", fix),
        Some(false) => "boot_aggregate is zero: IMA had no TPM",
        None => "no first entry to be read",
    };
    finding("ima-tpm", false, found, fix)
}

/// Whether the first entry's digest is of something; `None` where there is no such entry.
fn aggregate(path: &Path) -> Option<bool> {
    use std::io::Read as _;
    let mut head = Vec::new();
    std::fs::File::open(path).ok()?.take(LOG_HEAD as u64).read_to_end(&mut head).ok()?;
    let log = Log::new(&head, Bank::Sha1, 1);
    let first = log.entries().next()?.ok()?;
    let fields = first.fields().ok()?;
    let digest = fields.digest.as_ref()?;
    first.is_boot_aggregate().then(|| digest.value.iter().any(|byte| *byte != 0))
}

/// The custom policy is written once after boot; where it cannot be written, somebody has.
fn policy_free(places: &Places) -> Finding {
    // Most kernels do not give a policy back, so that ours is in force is remembered where a reboot forgets it too.
    let ours = places.run.join("ima-policy").exists();
    let (ok, found) = match (places.securityfs.join("ima/policy").exists(), ours) {
        (_, true) => (true, "ours is in force"),
        (true, false) => (true, "free to be set"),
        (false, false) => (false, "taken: the kernel accepts no other until the next boot"),
    };
    let fix = "install the service so that it sets the policy first at boot: sealpod-guest node install, then reboot; remove other writers of /sys/kernel/security/ima/policy and /etc/ima/ima-policy";
    finding("ima-policy", ok, found, fix)
}

fn overlay(places: &Places) -> Finding {
    let table = std::fs::read_to_string(places.proc.join("filesystems")).unwrap_or_default();
    let there = table.lines().any(|line| line.split_ascii_whitespace().last() == Some("overlay"));
    let found = if there { "available" } else { "not loaded" };
    finding("overlayfs", there, found, "modprobe overlay && echo overlay >/etc/modules-load.d/sealpod.conf")
}

/// The rules for this kernel.
pub fn rules(places: &Places) -> String {
    let release = files::read_text(&places.proc.join("sys/kernel/osrelease")).unwrap_or_default();
    policy::rules(policy::knows_groups(&release))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(release: &str, aggregate: u8) -> (tempfile::TempDir, Places) {
        let dir = tempfile::tempdir().unwrap();
        let places = Places {
            tpm: dir.path().join("tpmrm0"),
            securityfs: dir.path().join("security"),
            proc: dir.path().join("proc"),
            run: dir.path().join("run"),
        };
        std::fs::create_dir_all(places.securityfs.join("ima")).unwrap();
        std::fs::create_dir_all(places.proc.join("sys/kernel")).unwrap();
        std::fs::write(&places.tpm, "").unwrap();
        std::fs::write(places.proc.join("sys/kernel/osrelease"), format!("{release}\n")).unwrap();
        std::fs::write(places.proc.join("filesystems"), "nodev\tproc\nnodev\toverlay\n").unwrap();
        std::fs::write(places.securityfs.join("ima/policy"), "").unwrap();
        std::fs::write(places.securityfs.join("ima/binary_runtime_measurements"), entry(aggregate)).unwrap();
        (dir, places)
    }

    /// One `ima-ng` entry: pcr, digest, name, data (kernel documentation, *IMA template*).
    fn entry(fill: u8) -> Vec<u8> {
        let mut data = Vec::new();
        for field in [[&b"sha256:\0"[..], &[fill; 32]].concat(), b"boot_aggregate\0".to_vec()] {
            data.extend((field.len() as u32).to_le_bytes());
            data.extend(field);
        }
        let mut out = 10_u32.to_le_bytes().to_vec();
        out.extend([1; 20]);
        out.extend(6_u32.to_le_bytes());
        out.extend(b"ima-ng");
        out.extend((data.len() as u32).to_le_bytes());
        out.extend(data);
        out
    }

    fn failing(places: &Places) -> Vec<&'static str> {
        all(places).into_iter().filter(|finding| !finding.ok).map(|finding| finding.name).collect()
    }

    #[test]
    fn a_machine_that_has_everything_lacks_nothing() {
        let (_dir, places) = machine("6.1.0-18-amd64", 7);
        assert_eq!(failing(&places), Vec::<&str>::new());
        assert!(rules(&places).contains("egid="));
        std::fs::remove_file(places.securityfs.join("ima/policy")).unwrap();
        assert_eq!(failing(&places), ["ima-policy"], "somebody else's");
        std::fs::create_dir(&places.run).unwrap();
        std::fs::write(places.run.join("ima-policy"), "").unwrap();
        assert_eq!(failing(&places), Vec::<&str>::new(), "ours");
    }

    #[test]
    fn each_thing_that_is_missing_is_named_with_its_remedy() {
        type Spoil = fn(&Places);
        let cases: &[(&str, Spoil)] = &[
            ("tpm", |places| std::fs::remove_file(&places.tpm).unwrap()),
            ("ima-policy", |places| std::fs::remove_file(places.securityfs.join("ima/policy")).unwrap()),
            ("overlayfs", |places| std::fs::write(places.proc.join("filesystems"), "nodev\tproc\n").unwrap()),
        ];
        for (name, spoil) in cases {
            let (_dir, places) = machine("6.1.0", 7);
            spoil(&places);
            assert_eq!(failing(&places), [*name]);
        }
        let (_dir, places) = machine("5.4.0-100-generic", 7);
        assert_eq!(failing(&places), ["kernel"]);
        let (_dir, places) = machine("6.1.0", 0);
        assert_eq!(failing(&places), ["ima-tpm"]);
        assert!(all(&places).iter().filter(|finding| !finding.ok).all(|finding| finding.fix.is_some()));
        std::fs::remove_dir_all(places.securityfs.join("ima")).unwrap();
        assert_eq!(failing(&places), ["ima", "ima-tpm", "ima-policy"]);
    }
}
