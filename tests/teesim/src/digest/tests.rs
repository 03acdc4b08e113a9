use super::*;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Published answer of the `sev` crate's own test (tests/measurement.rs, `test_snp_ovmf_hash_full_snp_only`).
const KNOWN: &str =
    "6d287813eb5222d770f75005c664e34c204f385ce832cc2ce7d0d6f354454362f390ef83a92046c042e706363b4b08fa";

fn guid(text: &str) -> [u8; 16] {
    let mut bytes: [u8; 16] = hex::decode(text.replace('-', "")).unwrap().try_into().unwrap();
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

/// The least that can be measured: OVMF's table of GUIDs and SEV metadata with one section, the kernel hashes.
fn firmware() -> Vec<u8> {
    let mut out = b"ASEV".to_vec();
    for word in [28u32, 1, 1, 0x0080_0000, 0x1000, 0x10] {
        out.extend(word.to_le_bytes());
    }
    let mut table = Vec::new();
    for (value, name) in [
        (4096u32, "dc886566-984a-4798-a75e-5585a7bf67cc"),
        (0x0080_b004, "00f771de-1a7e-4fcb-890e-68c77e2fb44e"),
        (0x0080_0c00, "7255371f-3a3b-4b04-927b-1da6efa8d454"),
    ] {
        table.extend(value.to_le_bytes());
        table.extend(22u16.to_le_bytes());
        table.extend(guid(name));
    }
    table.extend((table.len() as u16 + 18).to_le_bytes());
    table.extend(guid("96b582de-1fb2-45f7-baea-a366c55a082d"));
    out.resize(4096 - 32 - table.len(), 0);
    out.extend(table);
    out.resize(4096, 0);
    out
}

fn launch(directory: &Path) -> Launch {
    for (name, content) in [("fw", firmware().as_slice()), ("kernel", b"kernel"), ("initrd", b"initrd")] {
        fs::write(directory.join(name), content).unwrap();
    }
    Launch {
        firmware: directory.join("fw"),
        kernel: directory.join("kernel"),
        initrd: Some(directory.join("initrd")),
        append: Some("quiet".to_owned()),
        vcpus: 1,
        cpu: "EPYC-v4".to_owned(),
        policy: 0x30000,
        host_data: [0; 32],
    }
}

#[test]
fn everything_that_is_booted_changes_the_digest() {
    let directory = tempfile::tempdir().unwrap();
    let launch = launch(directory.path());
    let mut digests = BTreeSet::from([launch_digest(&launch).unwrap()]);
    assert!(!digests.insert(launch_digest(&launch).unwrap()), "the same machine has the same digest");

    assert!(
        digests.insert(launch_digest(&Launch { append: Some("quiet x".into()), ..launch.clone() }).unwrap())
    );
    assert!(digests.insert(launch_digest(&Launch { append: None, ..launch.clone() }).unwrap()));
    assert!(digests.insert(launch_digest(&Launch { vcpus: 2, ..launch.clone() }).unwrap()));
    assert!(digests.insert(launch_digest(&Launch { cpu: "EPYC-Milan".into(), ..launch.clone() }).unwrap()));
    assert!(digests.insert(launch_digest(&Launch { initrd: None, ..launch.clone() }).unwrap()));
    for name in ["initrd", "kernel", "fw"] {
        let path = directory.path().join(name);
        let mut content = fs::read(&path).unwrap();
        *content.last_mut().unwrap() ^= 1;
        fs::write(&path, content).unwrap();
        assert!(digests.insert(launch_digest(&launch).unwrap()), "{name}");
    }
}

#[test]
fn what_is_not_measured_at_launch_does_not_change_the_digest() {
    let directory = tempfile::tempdir().unwrap();
    let launch = launch(directory.path());
    let other = Launch { host_data: [7; 32], policy: 0xb0000, ..launch.clone() };
    assert_eq!(launch_digest(&launch).unwrap(), launch_digest(&other).unwrap());
}

#[test]
fn files_that_are_no_sev_firmware_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut launch = launch(directory.path());
    for content in [&[][..], &[0; 40], &[0; 4096]] {
        fs::write(&launch.firmware, content).unwrap();
        assert!(launch_digest(&launch).is_err());
    }
    launch.firmware = directory.path().join("none");
    assert!(launch_digest(&launch).is_err());
}

#[test]
fn vcpu_models_without_snp_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let launch = Launch { cpu: "max".to_owned(), ..launch(directory.path()) };
    assert!(format!("{:#}", launch_digest(&launch).unwrap_err()).contains("max"));
}

#[test]
fn the_published_answer_is_met() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let vectors = std::env::var_os("SEALPOD_VECTORS").map_or(default, PathBuf::from);
    let firmware = vectors.join("launch-digest/virtee__sev/ovmf_AmdSev_suffix.bin");
    if !firmware.exists() {
        eprintln!("skipped: no {} (set SEALPOD_VECTORS)", firmware.display());
        return;
    }
    let launch = Launch {
        firmware,
        kernel: "/dev/null".into(),
        initrd: Some("/dev/null".into()),
        append: Some("console=ttyS0 loglevel=7".to_owned()),
        vcpus: 1,
        cpu: "EPYC-v4".to_owned(),
        policy: 0x30000,
        host_data: [0; 32],
    };
    assert_eq!(hex::encode(launch_digest(&launch).unwrap()), KNOWN);
}
