//! The IMA policy: what the kernel must measure before it may be executed, mapped or loaded.

use crate::files::{self, FileError};
use std::path::Path;

/// The rules. `evm-sig` entries carry owner, group and mode beside the digest (kernel documentation,
/// *IMA template management mechanism*); `KEXEC_CMDLINE` has a buffer template of its own.
pub const RULES: &str = "\
measure func=BPRM_CHECK template=evm-sig
measure func=MMAP_CHECK mask=MAY_EXEC template=evm-sig
measure func=MODULE_CHECK template=evm-sig
measure func=FIRMWARE_CHECK template=evm-sig
measure func=KEXEC_KERNEL_CHECK template=evm-sig
measure func=KEXEC_INITRAMFS_CHECK template=evm-sig
measure func=POLICY_CHECK template=evm-sig
measure func=KEXEC_CMDLINE
";

/// Where the policy is written to.
const POLICY: &str = "/sys/kernel/security/ima/policy";
/// The file handed to the kernel by name.
const FILE: &str = "/run/sealpod-ima-policy";

/// Why the policy is not in force.
#[derive(Debug, thiserror::Error)]
pub enum ImaPolicyError {
    /// The kernel has no IMA, or securityfs is missing.
    #[error("this kernel has no IMA: {POLICY} does not exist")]
    NoIma,
    /// The kernel refused it.
    #[error("the kernel did not take the IMA policy: {0}")]
    Refused(#[from] FileError),
}

/// Put [`RULES`] in force. The policy is write-once: whatever tries again is refused by the kernel.
///
/// The kernel is given the *name* of a file, so that an earlier policy with a `POLICY_CHECK` rule would measure it. The text is
/// part of this binary, which the launch measurement of the initrd covers.
pub fn load() -> Result<(), ImaPolicyError> {
    load_rules(RULES)
}

/// Put these rules in force, as [`load`] does.
pub fn load_rules(rules: &str) -> Result<(), ImaPolicyError> {
    let policy = Path::new(POLICY);
    if !policy.exists() {
        return Err(ImaPolicyError::NoIma);
    }
    std::fs::write(FILE, rules).map_err(|e| FileError::io("write", FILE, e))?;
    files::write(policy, FILE.as_bytes())?;
    std::fs::remove_file(FILE).map_err(|e| FileError::io("remove", FILE, e))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_executed_mapped_or_loaded_is_measured() {
        for function in ["BPRM_CHECK", "MMAP_CHECK", "MODULE_CHECK", "FIRMWARE_CHECK", "KEXEC_KERNEL_CHECK"] {
            assert!(RULES.contains(&format!("measure func={function} ")), "{function}");
        }
        assert!(!RULES.contains("dont_measure"));
    }
}
