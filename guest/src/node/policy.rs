//! The measurement policy of a node.

/// Group id of a round's process, and only of it: `S\xeal` in digits. It keeps the log to what rounds read, where every file of
/// every container is on an overlay too. Whoever else takes it on adds entries and hides nothing.
pub const MEASURE_GID: u32 = 24_225;

/// overlayfs (Linux, `magic.h`).
const OVERLAYFS: &str = "0x794c7630";

/// Rules that every node needs, whatever its profiles.
///
/// What is executed, mapped and loaded is measured with owner and mode, except from file systems that are made by the kernel;
/// and whatever a round reads through its overlays.
///
/// `by_group` asks for the round's own group, which kernels know from 5.16 on; before that, root's reads stand for it, and the
/// log of a node with many containers is longer.
pub fn rules(by_group: bool) -> String {
    let reader = if by_group { format!("egid={MEASURE_GID}") } else { "euid=0".to_owned() };
    let kernels_own = [
        "0x9fa0",
        "0x62656572",
        "0x64626720",
        "0x73636673",
        "0x27e0eb",
        "0x63677270",
        "0x6e736673",
        "0x1cd1",
    ];
    let mut rules: Vec<String> =
        kernels_own.iter().map(|magic| format!("dont_measure fsmagic={magic}")).collect();
    rules.push(format!(
        "measure func=FILE_CHECK mask=^MAY_READ fsmagic={OVERLAYFS} {reader} template=evm-sig"
    ));
    for function in [
        "BPRM_CHECK",
        "MODULE_CHECK",
        "FIRMWARE_CHECK",
        "KEXEC_KERNEL_CHECK",
        "KEXEC_INITRAMFS_CHECK",
        "POLICY_CHECK",
    ] {
        rules.push(format!("measure func={function} template=evm-sig"));
    }
    rules.push("measure func=MMAP_CHECK mask=MAY_EXEC template=evm-sig".to_owned());
    rules.push("measure func=KEXEC_CMDLINE".to_owned());
    rules.join("\n") + "\n"
}

/// Whether this kernel release knows `egid=` in a rule (Linux 5.16).
pub fn knows_groups(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or_default());
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) >= (5, 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_libraries_modules_and_the_rounds_own_reads_are_measured() {
        let rules = rules(true);
        for function in ["BPRM_CHECK", "MMAP_CHECK", "MODULE_CHECK", "KEXEC_KERNEL_CHECK", "POLICY_CHECK"] {
            assert!(rules.contains(&format!("measure func={function} ")), "{function}");
        }
        assert!(rules.contains("FILE_CHECK mask=^MAY_READ fsmagic=0x794c7630 egid=24225 template=evm-sig"));
        assert!(super::rules(false).contains("fsmagic=0x794c7630 euid=0 template=evm-sig"));
    }

    #[test]
    fn a_kernel_is_known_by_its_release() {
        for (release, knows) in [
            ("5.15.0-91-generic", false),
            ("5.16.0", true),
            ("6.12.9+deb13-cloud-amd64", true),
            ("4.19", false),
        ] {
            assert_eq!(knows_groups(release), knows, "{release}");
        }
    }
}
