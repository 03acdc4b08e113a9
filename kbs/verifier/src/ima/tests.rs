//! Logs of real kernels. Spoiled logs are in tests/vtpm/ima.rs.

use super::*;
use crate::testing::vector;

fn replayed(bytes: &[u8], bank: Bank) -> ImaReplay {
    let mut replay = ImaReplay::default();
    for entry in Log::new(bytes, bank, MAX_ENTRIES).entries() {
        replay.advance(&entry.unwrap(), bank).unwrap();
    }
    replay
}

#[test]
fn logs_of_both_banks_replay_to_the_sha_256_pcr() {
    let Some(pcrs) = vector("ima/linux-7.2-evm-sig/pcrs-sha256") else { return };
    let pcrs = String::from_utf8(pcrs).unwrap();
    let line = pcrs.lines().find_map(|line| line.strip_prefix("PCR-10: ")).unwrap();
    let quoted = line.replace(' ', "").to_lowercase();
    for (name, bank) in [("sha1", Bank::Sha1), ("sha256", Bank::Sha256)] {
        let path = format!("ima/linux-7.2-evm-sig/linux72_evmsig_binary_{name}.bin");
        let Some(log) = vector(&path) else { return };
        let replay = replayed(&log, bank);
        assert_eq!(hex::encode(replay.pcr), quoted, "{name}");
    }
}

/// SHA-256 PCRs 0 to 9 of a guest with Debian's kernel 6.12.117 that QEMU's SeaBIOS booted with a swtpm.
const BOOTED: [&str; 10] = [
    "e21b703ee69c77476bccb43ec0336a9a1b2914b378944f7b00a10214ca8fea93",
    "85af72fcfeedb1db195fbf081e0cc9cb43b1efca9d98396710a2c7a3ce34fa80",
    "355bcf2212dec850df460564d19d59a658cc5808972574d611dea6481e3ba306",
    "e21b703ee69c77476bccb43ec0336a9a1b2914b378944f7b00a10214ca8fea93",
    "1eb9aa21337cc1fa31ce5f56900d7bf59b9dda366823095aed06544caa2557ca",
    "e21b703ee69c77476bccb43ec0336a9a1b2914b378944f7b00a10214ca8fea93",
    "e21b703ee69c77476bccb43ec0336a9a1b2914b378944f7b00a10214ca8fea93",
    "e21b703ee69c77476bccb43ec0336a9a1b2914b378944f7b00a10214ca8fea93",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
];
/// And what that kernel logged.
const AGGREGATE: &str = "cff70bd4500c26af1eb1d1fc49d119b2c249f0e98b9f9deab12da6f5610eeff6";

#[test]
fn linux_computes_the_boot_aggregate_over_pcr_0_to_9() {
    let digest = [b"sha256:\0".as_slice(), &hex::decode(AGGREGATE).unwrap()].concat();
    let bytes = entry("ima-sig", &[&digest, b"boot_aggregate\0", b""]);
    let entry = Log::new(&bytes, Bank::Sha256, 1).entries().next().unwrap().unwrap();
    let mut pcrs = BOOTED.map(|value| value.parse::<HexArray<32>>().unwrap().0);
    assert_eq!(boot_aggregate(&entry, &pcrs), Ok(()));
    pcrs[9] = [1; 32];
    assert_eq!(boot_aggregate(&entry, &pcrs).unwrap_err().check, Check::BootAggregate);
}

#[test]
fn every_template_digest_of_a_real_log_is_recomputed() {
    let Some(bytes) = vector("ima/immune-gmbh__guard-oss/h12ssl.binary_measurements") else { return };
    assert_eq!(replayed(&bytes, Bank::Sha1).index, 2365);
    // The last byte is part of the last entry's data.
    let mut spoiled = bytes;
    *spoiled.last_mut().unwrap() ^= 1;
    let last = Log::new(&spoiled, Bank::Sha1, MAX_ENTRIES).entries().last().unwrap().unwrap();
    let error = ImaReplay::default().advance(&last, Bank::Sha1).unwrap_err();
    assert_eq!(error.check, Check::ImaTemplateDigest);
}

#[test]
fn a_replay_goes_on_where_it_stopped() {
    let Some(bytes) = vector("ima/linux-7.2-evm-sig/linux72_evmsig_binary_sha256.bin") else { return };
    let whole = replayed(&bytes, Bank::Sha256);
    let mut entries = Log::new(&bytes, Bank::Sha256, MAX_ENTRIES).entries();
    let mut replay = ImaReplay::default();
    for entry in entries.by_ref().take(3) {
        replay.advance(&entry.unwrap(), Bank::Sha256).unwrap();
    }
    let rest = Log::new(&bytes[entries.offset()..], Bank::Sha256, MAX_ENTRIES).starting_at(replay.index);
    for entry in rest.entries() {
        replay.advance(&entry.unwrap(), Bank::Sha256).unwrap();
    }
    assert_eq!(replay, whole);
}

/// An entry of the SHA-256 bank with these fields, and its true digest.
fn entry(template: &str, fields: &[&[u8]]) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes(), bytes].concat();
    let data: Vec<u8> = fields.iter().flat_map(|field| sized(field)).collect();
    let digest = crate::hash::sha256(&data);
    [&10_u32.to_le_bytes(), digest.as_slice(), &sized(template.as_bytes()), &sized(&data)].concat()
}

/// What is said of one entry where no file is known.
fn judged(template: &str, fields: &[&[u8]]) -> VerifyError {
    let bytes = entry(template, fields);
    let entry = Log::new(&bytes, Bank::Sha256, 1).starting_at(1).entries().next().unwrap().unwrap();
    let reference = ReferenceValues::default();
    let mut pass = Pass::new(None, &reference);
    pass.entry(&entry, Bank::Sha256, &[[0; 32]; 10]).unwrap();
    pass.refused.expect("a refusal")
}

#[test]
fn what_is_no_file_with_a_sha_256_digest_cannot_be_judged() {
    let sha256 = [b"sha256:\0".as_slice(), &[1; 32]].concat();
    let cases: [(&str, &[&[u8]], &str); 9] = [
        ("ima-buf", &[&sha256, b"kexec-cmdline\0", b"quiet"], "\"ima-buf\""),
        ("ima-modsig", &[&sha256, b"/a\0", b"", b"", b""], "\"ima-modsig\""),
        ("d-ng|n-ng", &[&sha256, b"/a\0"], "\"d-ng|n-ng\""),
        ("d-ng", &[&sha256], "\"d-ng\""),
        ("ima-ng", &[&sha256, b"\0"], "no name"),
        ("ima-ngv2", &[&[b"verity:", sha256.as_slice()].concat(), b"/a\0"], "an fs-verity digest, of /a"),
        ("ima-ng", &[&[b"sha1:\0".as_slice(), &[1; 20]].concat(), b"/a\0"], "another digest, of /a"),
        ("ima-ng", &[&[b"sha512:\0".as_slice(), &[1; 64]].concat(), b"/a\0"], "another digest, of /a"),
        ("n-ng", &[b"/a\0"], "\"n-ng\""),
    ];
    for (template, fields, found) in cases {
        let error = judged(template, fields);
        assert_eq!(error.check, Check::UnexpectedMeasurement, "{error}");
        assert_eq!(error.found, found);
    }
    // SM3 is a digest that the parser does not know.
    let error = judged("ima-ng", &[&[b"sm3:\0".as_slice(), &[1; 32]].concat(), b"/a\0"]);
    assert_eq!(error.check, Check::UnexpectedMeasurement, "{error}");
}
