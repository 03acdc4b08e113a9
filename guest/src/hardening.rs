//! Kernel doors that nobody in this machine needs once it is up; closed before anything of the owner's or the
//! host's choosing runs.

use crate::files::{self, FileError};
use std::path::Path;

/// Written in this order. Each one either cannot be taken back until the next boot, or needs powers that no
/// container has (kernel documentation, `admin-guide/sysctl`, `admin-guide/LSM`, *Kernel Lockdown*).
const SETTINGS: &[(&str, &str)] = &[
    // No more kernel code: all modules of the image are in.
    ("/proc/sys/kernel/modules_disabled", "1"),
    ("/proc/sys/kernel/kexec_load_disabled", "1"),
    ("/sys/kernel/security/lockdown", "integrity"),
    // The widest ways into the kernel for a process without powers.
    ("/proc/sys/user/max_user_namespaces", "0"),
    ("/proc/sys/kernel/io_uring_disabled", "2"),
    ("/proc/sys/kernel/unprivileged_bpf_disabled", "1"),
    ("/proc/sys/vm/unprivileged_userfaultfd", "0"),
    // Files without a name, on a tmpfs inside the kernel: like any tmpfs they can be exchanged after they were measured,
    // so none may be executed.
    ("/proc/sys/vm/memfd_noexec", "2"),
    // What the kernel tells about itself.
    ("/proc/sys/kernel/dmesg_restrict", "1"),
    ("/proc/sys/kernel/kptr_restrict", "2"),
    // The kernel's messages can hold names that a container chose, and the console is the host's to read. Only a panic is
    // printed from here on; refusals are written to the console by PID 1 itself.
    ("/proc/sys/kernel/printk", "1 1 1 1"),
    // Keys that the host presses.
    ("/proc/sys/kernel/sysrq", "0"),
    // Whoever takes the memory is killed, and never PID 1.
    ("/proc/self/oom_score_adj", "-1000"),
];

/// Have the kernel wait for RCU grace periods at once rather than at its leisure, which takes some ticks each: changing the IMA
/// policy, patching the kernel's text and starting a container wait for many (kernel documentation, ABI/testing/sysfs-kernel-rcu).
pub fn expedite() -> Result<(), FileError> {
    set(Path::new("/sys/kernel/rcu_expedited"), "1")
}

/// Close them. A kernel that lacks a feature lacks its setting, and that is as good; a setting that is there and
/// refuses is an error.
pub fn apply() -> Result<(), FileError> {
    SETTINGS.iter().try_for_each(|(path, value)| set(Path::new(path), value))
}

fn set(path: &Path, value: &str) -> Result<(), FileError> {
    match files::write(path, value.as_bytes()) {
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_setting_is_no_error_and_a_refusing_one_is() {
        let dir = tempfile::tempdir().unwrap();
        assert!(set(&dir.path().join("none"), "1").is_ok());
        let error = set(dir.path(), "1").unwrap_err();
        assert_eq!(error.errno(), Some(libc::EISDIR));
        let path = dir.path().join("some");
        std::fs::write(&path, "0").unwrap();
        set(&path, "1").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"1");
    }
}
