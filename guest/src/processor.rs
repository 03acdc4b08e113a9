//! What the processor says about itself: whether this machine's memory is the host's to read.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// One processor's part of it is 2 KiB, and the first one says all.
const MAX_CPUINFO: u64 = 16 * 1024;
/// Flags of guests under SEV-SNP and TDX (arch/x86/include/asm/cpufeatures.h).
const FLAGS: [&str; 2] = ["sev_snp", "tdx_guest"];
/// There only in an SNP guest, whose flag the kernel may clear: the VMPL (kernel documentation,
/// ABI/testing/sysfs-devices-system-cpu), and the device that the report driver is for (arch/x86/coco/sev/core.c).
const SNP_DIRECTORIES: [&str; 2] = ["/sys/devices/system/cpu/sev", "/sys/bus/platform/devices/sev-guest"];

/// The sign by which the kernel knows that it is a confidential guest, if it has one.
///
/// The host can hide it, and then the machine is an ordinary one that gets no secret. It cannot gain by faking it.
pub fn confidential() -> Option<&'static str> {
    if let Some(found) = SNP_DIRECTORIES.into_iter().find(|path| Path::new(path).is_dir()) {
        return Some(found);
    }
    let mut text = Vec::new();
    File::open("/proc/cpuinfo").ok()?.take(MAX_CPUINFO).read_to_end(&mut text).ok()?;
    flag(&String::from_utf8_lossy(&text))
}

fn flag(cpuinfo: &str) -> Option<&'static str> {
    let line =
        cpuinfo.lines().find(|line| line.split(':').next().is_some_and(|name| name.trim() == "flags"))?;
    FLAGS.into_iter().find(|flag| line.split_whitespace().any(|word| word == *flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_whole_words_of_the_flags_line() {
        let cpuinfo =
            |flags: &str| format!("model name\t: tdx_guest\nflags\t\t: fpu {flags} sse\nbugs\t: sev_snp\n");
        assert_eq!(flag(&cpuinfo("sev_snp")), Some("sev_snp"));
        assert_eq!(flag(&cpuinfo("tdx_guest")), Some("tdx_guest"));
        assert_eq!(flag(&cpuinfo("sev sev_es sev_snp_x")), None);
        assert_eq!(flag(""), None);
    }
}
