//! Logs of real kernels, group by group as the vectors' manifest has them. Spoiled logs are in tests/vtpm/ima.rs.

use super::*;
use crate::reference::FileKey;
use crate::testing::vector;
use sealpod_evidence::ima::{TextLog, detect};
use sealpod_evidence::reference_values::{ImaBuffer, ReferenceDocument, VERSION};

fn replayed(log: &Log<'_>, bank: Bank) -> BankReplay {
    let mut replay = BankReplay::new(bank);
    replay.run(log).unwrap();
    replay
}

/// PCR 10 in a file of `PCR-10: AA BB ...` or of `10 : AA...`, of a bank.
fn pcr_10(name: &str) -> Option<String> {
    let pcrs = String::from_utf8(vector(&format!("ima/linux-7.2-evm-sig/{name}"))?).unwrap();
    let line = pcrs.lines().find_map(|line| line.strip_prefix("PCR-10: ")).unwrap();
    Some(line.replace(' ', "").to_lowercase())
}

#[test]
fn a_kernels_logs_in_either_form_and_bank_replay_to_both_pcrs() {
    let (Some(sha1), Some(sha256)) = (pcr_10("pcrs-sha1"), pcr_10("pcrs-sha256")) else { return };
    for (name, bank) in [("sha1", Bank::Sha1), ("sha256", Bank::Sha256)] {
        let bytes = vector(&format!("ima/linux-7.2-evm-sig/linux72_evmsig_binary_{name}.bin")).unwrap();
        let log = Log::new(&bytes, bank, MAX_ENTRIES);
        assert_eq!(hex::encode(replayed(&log, Bank::Sha1).pcr()), sha1, "{name}");
        let replay = replayed(&log, Bank::Sha256);
        assert_eq!((hex::encode(replay.pcr()), replay.index, replay.violations), (sha256.clone(), 10, 2));
        // And as the quick path of an appraisal does it.
        let mut quick = ImaReplay::default();
        log.entries().for_each(|entry| quick.advance(&entry.unwrap(), bank).unwrap());
        assert_eq!((hex::encode(quick.pcr), quick.index), (sha256.clone(), 10));
    }
    let text = TextLog::parse(&vector("ima/linux-7.2-evm-sig/linux72_evmsig_ascii.log").unwrap()).unwrap();
    assert_eq!(hex::encode(replayed(&text.log(MAX_ENTRIES), Bank::Sha256).pcr()), sha256);
}

#[test]
fn one_boot_has_its_own_pcr_in_each_of_four_banks() {
    let Some(known) = vector("ima/kgoldman__ibmtss/imakvtpcr10.txt") else { return };
    let known = String::from_utf8(known).unwrap().to_lowercase();
    let known: String = known.split_whitespace().collect();
    for of_log in Bank::ALL {
        let bytes = vector(&format!("ima/kgoldman__ibmtss/{}.log", of_log.name())).unwrap();
        assert_eq!(detect(&bytes), Some((of_log, sealpod_evidence::ima::ByteOrder::Little)));
        for bank in Bank::ALL {
            // From any bank's log the PCR of any bank.
            let replay = replayed(&Log::new(&bytes, of_log, MAX_ENTRIES), bank);
            assert_eq!((replay.index, replay.violations), (362, 0));
            assert!(known.contains(&hex::encode(replay.pcr())), "{} from {}", bank.name(), of_log.name());
            assert_eq!(bank == Bank::Sha1, replay.pcr() == replay.padded_pcr());
        }
    }
}

#[test]
fn every_template_of_a_test_log_recomputes_and_one_entry_is_a_violation() {
    let Some(bytes) = vector("ima/kgoldman__ibmtss/imatest.log") else { return };
    let replay = replayed(&Log::new(&bytes, Bank::Sha1, MAX_ENTRIES), Bank::Sha1);
    assert_eq!((replay.index, replay.violations), (17, 1));
}

#[test]
fn a_servers_log_in_both_forms() {
    let Some(bytes) = vector("ima/immune-gmbh__guard-oss/h12ssl.binary_measurements") else { return };
    let log = Log::new(&bytes, Bank::Sha1, MAX_ENTRIES);
    let replay = replayed(&log, Bank::Sha1);
    assert_eq!((replay.index, replay.violations), (2365, 2));
    let ascii = vector("ima/immune-gmbh__guard-oss/h12ssl.ascii_measurements").unwrap();
    let text = TextLog::parse(&ascii).unwrap();
    // The text was taken later.
    let replay = replayed(&text.log(MAX_ENTRIES), Bank::Sha1);
    assert_eq!((replay.index, replay.violations), (2380, 2));
    assert!(text.bytes().starts_with(&bytes));
    // The last byte is part of the last entry's data.
    let mut spoiled = bytes;
    *spoiled.last_mut().unwrap() ^= 1;
    let error = BankReplay::new(Bank::Sha1).run(&Log::new(&spoiled, Bank::Sha1, MAX_ENTRIES)).unwrap_err();
    assert_eq!(error.check, Check::ImaTemplateDigest);
}

/// A text log of Keylime's.
fn keylime(name: &str) -> Option<TextLog> {
    Some(TextLog::parse(&vector(&format!("ima/keylime__keylime/{name}"))?).unwrap())
}

#[test]
fn small_logs_recompute_where_their_hash_is_known_and_are_refused_by_name_where_not() {
    for hash in ["sha1", "sha256", "sha384", "sha512"] {
        let Some(log) = keylime(&format!("ima-log-{hash}")) else { return };
        assert_eq!(log.bank(), Bank::Sha1);
        assert_eq!(replayed(&log.log(10), Bank::Sha1).index, 2, "{hash}");
    }
    for (name, found) in [("sm3_256", "sm3_256:"), ("unknown", "unknown:")] {
        let log = keylime(&format!("ima-log-{name}")).unwrap();
        let entry = log.log(10).entries().last().unwrap().unwrap();
        let error = entry.fields().unwrap_err().to_string();
        assert!(error.ends_with(&format!("digest prefix {found:?} is not known")), "{error}");
    }
    for (name, entries) in [("MEASUREMENTS", 3), ("SIGNATURES", 2), ("KEYRINGS", 1)] {
        let log = keylime(&format!("test_ima_verification.{name}.ascii")).unwrap();
        assert_eq!(replayed(&log.log(10), Bank::Sha1).index, entries, "{name}");
    }
    // Its digest is that of the signature before it was spoiled.
    let bad = keylime("test_ima_verification.BAD_SIGNATURES.ascii").unwrap();
    let error = BankReplay::new(Bank::Sha1).run(&bad.log(10)).unwrap_err();
    assert_eq!(error.check, Check::ImaTemplateDigest);
}

#[test]
fn file_signatures_of_a_capture_verify_with_the_key_that_made_them() {
    let Some(log) = keylime("test_ima_verification.SIGNATURES.ascii") else { return };
    let pem = String::from_utf8(vector("ima/keylime__keylime/rsa2048pub.pem").unwrap()).unwrap();
    let key = FileKey::from_text(&pem).unwrap();
    let entries: Vec<_> = log.log(10).entries().map(|entry| entry.unwrap().fields().unwrap()).collect();
    let parsed = entries.iter().map(|fields| FileSignature::parse(fields.signature.unwrap()).unwrap());
    let [rsa, ecdsa] = parsed.collect::<Vec<_>>().try_into().unwrap();
    let digests: Vec<_> = entries.iter().map(|fields| fields.digest.unwrap().value).collect();
    assert!(key.is(rsa.key_id) && rsa.verifies(&key, digests[0]));
    assert!(!rsa.verifies(&key, digests[1]));
    assert!(!key.is(ecdsa.key_id) && !ecdsa.verifies(&key, digests[1]));

    let bad = keylime("test_ima_verification.BAD_SIGNATURES.ascii").unwrap();
    let entry = bad.log(10).entries().next().unwrap().unwrap();
    let error = FileSignature::parse(entry.fields().unwrap().signature.unwrap()).unwrap_err();
    assert_eq!(error, SignatureError::Length { expected: 72, found: 0x4800 });
}

#[test]
fn a_captured_signature_with_any_byte_changed_does_not_verify() {
    let Some(log) = keylime("test_ima_verification.SIGNATURES.ascii") else { return };
    let pem = String::from_utf8(vector("ima/keylime__keylime/rsa2048pub.pem").unwrap()).unwrap();
    let key = FileKey::from_text(&pem).unwrap();
    let entry = log.log(10).entries().next().unwrap().unwrap();
    let fields = entry.fields().unwrap();
    let (signature, digest) = (fields.signature.unwrap(), fields.digest.unwrap().value);
    for at in 0..signature.len() {
        let mut spoiled = signature.to_vec();
        spoiled[at] ^= 1;
        let good = FileSignature::parse(&spoiled).is_ok_and(|signature| {
            signature.signed == Signed::File && key.is(signature.key_id) && signature.verifies(&key, digest)
        });
        assert!(!good, "byte {at}");
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

/// An entry of the SHA-256 bank with these fields, and its true digest.
fn entry(template: &str, fields: &[&[u8]]) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes(), bytes].concat();
    let data: Vec<u8> = fields.iter().flat_map(|field| sized(field)).collect();
    let digest = crate::hash::sha256(&data);
    [&10_u32.to_le_bytes(), digest.as_slice(), &sized(template.as_bytes()), &sized(&data)].concat()
}

fn tagged(prefix: &str, digest: &[u8]) -> Vec<u8> {
    [prefix.as_bytes(), b"\0", digest].concat()
}

/// What is said of a first entry with this digest where the PCRs of a bank are these.
fn aggregate(digest: &[u8], bank: HashAlgorithm, pcrs: [&[u8]; 10]) -> Result<AggregateForm, VerifyError> {
    let bytes = entry("ima-sig", &[digest, b"boot_aggregate\0", b""]);
    let entry = Log::new(&bytes, Bank::Sha256, 1).entries().next().unwrap().unwrap();
    boot_aggregate(&entry, |of| (of == bank).then_some(pcrs))
}

#[test]
fn linux_computes_the_boot_aggregate_over_pcr_0_to_9() {
    let digest = tagged("sha256:", &hex::decode(AGGREGATE).unwrap());
    let mut pcrs = BOOTED.map(|value| hex::decode(value).unwrap());
    let view = |pcrs: &[Vec<u8>; 10]| aggregate(&digest, Bank::Sha256, pcrs.each_ref().map(Vec::as_slice));
    assert_eq!(view(&pcrs), Ok(AggregateForm::Pcr0To9(Bank::Sha256)));
    pcrs[9] = vec![1; 32];
    assert_eq!(view(&pcrs).unwrap_err().check, Check::BootAggregate);
}

#[test]
fn a_boot_aggregate_is_over_its_own_bank_in_one_of_two_forms() {
    let hash = |bank, pcrs: &[Vec<u8>]| {
        let digest = aws_lc_rs::digest::digest(algorithm(bank), &pcrs.concat());
        tagged(&format!("{}:", bank.name()), digest.as_ref())
    };
    for bank in HashAlgorithm::ALL {
        let pcrs: [_; 10] = std::array::from_fn(|at| vec![at as u8 + 1; bank.digest_len()]);
        let slices = pcrs.each_ref().map(Vec::as_slice);
        let of = |count: usize| aggregate(&hash(bank, &pcrs[..count]), bank, slices);
        assert_eq!(of(8), Ok(AggregateForm::Pcr0To7(bank)));
        if bank == Bank::Sha1 {
            assert_eq!(of(10).unwrap_err().check, Check::BootAggregate);
        } else {
            assert_eq!(of(10), Ok(AggregateForm::Pcr0To9(bank)));
        }
        for spoiled in [9, 7] {
            assert_eq!(of(spoiled).unwrap_err().check, Check::BootAggregate);
        }
        let zeros = tagged(&format!("{}:", bank.name()), &vec![0; bank.digest_len()]);
        assert!(aggregate(&zeros, bank, slices).unwrap_err().found.contains("no TPM"));
        // The PCRs of another bank do not help.
        let other = if bank == Bank::Sha256 { Bank::Sha1 } else { Bank::Sha256 };
        let error = aggregate(&hash(bank, &pcrs[..8]), other, slices).unwrap_err();
        assert_eq!(error.check, Check::BootAggregate);
    }
}

#[test]
fn the_form_of_a_tpm_1_2_is_refused_by_name() {
    let pcrs: [&[u8]; 10] = [&[7; 20]; 10];
    let digest = aws_lc_rs::digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &pcrs[..8].concat());
    let mut bytes = [10_u32.to_le_bytes().as_slice(), &[7; 32], &3_u32.to_le_bytes(), b"ima"].concat();
    bytes.extend(digest.as_ref());
    bytes.extend([14_u32.to_le_bytes().as_slice(), b"boot_aggregate"].concat());
    let entry = Log::new(&bytes, Bank::Sha256, 1).entries().next().unwrap().unwrap();
    let error = boot_aggregate(&entry, |_| Some(pcrs)).unwrap_err();
    assert!(error.check == Check::BootAggregate && error.found.contains("TPM 1.2"), "{error}");
}

#[test]
fn a_replay_goes_on_where_it_stopped() {
    let Some(bytes) = vector("ima/immune-gmbh__guard-oss/h12ssl.binary_measurements") else { return };
    let whole = Log::new(&bytes, Bank::Sha1, MAX_ENTRIES);
    let ends = replayed(&whole, Bank::Sha384);
    // Cheap numbers without pattern, so that each run splits at the same places.
    let mut seed = 7_u32;
    for _ in 0..20 {
        let mut replay = BankReplay::new(Bank::Sha384);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let log = Log::new(rest, Bank::Sha1, MAX_ENTRIES).starting_at(replay.index);
            let mut entries = log.entries();
            for entry in entries.by_ref().take(1 + (seed >> 22) as usize) {
                let entry = entry.unwrap();
                assert_eq!(entry.index, replay.index);
                replay.advance(&entry, Bank::Sha1).unwrap();
            }
            rest = &rest[entries.offset()..];
        }
        assert_eq!(replay, ends);
    }
}

/// What is said of one entry where no file is known.
fn judged(template: &str, fields: &[&[u8]]) -> Result<(), VerifyError> {
    let buffer = |name: &str, of: &[u8]| ImaBuffer {
        name: name.to_owned(),
        sha256: HexArray(crate::hash::sha256(of)),
        description: String::new(),
    };
    let document = ReferenceDocument {
        version: VERSION,
        ima_buffers: vec![
            buffer("dm_table_load", b"table"),
            buffer(".ima", b"key"),
            buffer("kexec-cmdline", b"quiet"),
        ],
        ..ReferenceDocument::default()
    };
    let reference = ReferenceValues::from_documents(&[document]).unwrap();
    let bytes = entry(template, fields);
    let entry = Log::new(&bytes, Bank::Sha256, 1).starting_at(1).entries().next().unwrap().unwrap();
    let (policy, boot_pcrs) = (sealpod_testkit::Bundle::valid().policy, [[0; 32]; 10]);
    let evidence = ImaEvidence {
        log: &bytes,
        bank: Bank::Sha256,
        pcr: [0; 32],
        boot_pcrs: &boot_pcrs,
        policy: &policy,
        reference: &reference,
    };
    let mut pass = Pass::new(None, &evidence, &Saved::default());
    pass.entry(&entry).unwrap();
    pass.refused.map_or(Ok(()), Err)
}

#[test]
fn what_is_no_file_with_a_digest_cannot_be_judged() {
    let sha256 = tagged("sha256:", &[1; 32]);
    let cases: [(&str, &[&[u8]], &str); 6] = [
        ("d-ng|n-ng", &[&sha256, b"/a\0"], "\"d-ng|n-ng\""),
        ("d-ng", &[&sha256], "\"d-ng\""),
        ("ima-ng", &[&sha256, b"\0"], "no name"),
        ("ima-ng", &[&tagged("sha1:", &[1; 20]), b"/a\0"], "another digest, of /a"),
        ("ima-modsig", &[&tagged("sha1:", &[1; 20]), b"/a\0", b"", b"", b""], "another digest, of /a"),
        ("n-ng", &[b"/a\0"], "\"n-ng\""),
    ];
    for (template, fields, found) in cases {
        let error = judged(template, fields).unwrap_err();
        assert_eq!(error.check, Check::UnexpectedMeasurement, "{error}");
        assert_eq!(error.found, found);
    }
    // SM3 is a digest that the parser does not know.
    let error = judged("ima-ng", &[&tagged("sm3:", &[1; 32]), b"/a\0"]).unwrap_err();
    assert_eq!(error.check, Check::UnexpectedMeasurement, "{error}");
}

#[test]
fn a_buffer_is_what_its_digest_says_and_a_reference_value() {
    let of = |content: &[u8]| tagged("sha256:", &crate::hash::sha256(content));
    let check = |name: &[u8], digest: &[u8], buffer: &[u8]| {
        judged("ima-buf", &[digest, name, buffer]).map_err(|error| error.check)
    };
    assert_eq!(check(b"dm_table_load\0", &of(b"table"), b"table"), Ok(()));
    assert_eq!(check(b".ima\0", &of(b"key"), b"key"), Ok(()));
    let refused = Err(Check::MeasuredBuffer);
    assert_eq!(check(b"dm_table_load\0", &of(b"another"), b"another"), refused);
    assert_eq!(check(b".builtin_trusted_keys\0", &of(b"key"), b"key"), refused);
    assert_eq!(check(b".ima\0", &of(b"table"), b"table"), refused);
    // Known by digest, with other bytes beside it.
    assert_eq!(check(b".ima\0", &of(b"key"), b"kez"), refused);
    assert_eq!(check(b".ima\0", &tagged("sha1:", &[1; 20]), b"key"), refused);
    // Of another kernel: not even where the owner lists it.
    for name in [&b"kexec-cmdline\0"[..], b"kexec_load\0", b"kexec_execute\0", b"boot_aggregate\0"] {
        assert_eq!(check(name, &of(b"quiet"), b"quiet"), Err(Check::KexecCarryOver));
    }
    let carried = judged("ima-ng", &[&of(b"x"), b"boot_aggregate\0"]).unwrap_err();
    assert_eq!((carried.check, &carried.found[..24]), (Check::KexecCarryOver, "a second boot_aggregate:"));
}

#[test]
fn a_captured_key_is_a_reference_value_by_its_keyring_and_digest() {
    let Some(log) = keylime("test_ima_verification.KEYRINGS.ascii") else { return };
    let entry = log.log(10).entries().next().unwrap().unwrap();
    let fields = entry.fields().unwrap();
    let buffer = |name: &str| ImaBuffer {
        name: name.to_owned(),
        sha256: HexArray(fields.digest.unwrap().value.try_into().unwrap()),
        description: "a distribution's key".to_owned(),
    };
    for (name, taken) in [(".ima", true), (".evm", false)] {
        let document = ReferenceDocument {
            version: VERSION,
            ima_buffers: vec![buffer(name)],
            ..ReferenceDocument::default()
        };
        let reference = ReferenceValues::from_documents(&[document]).unwrap();
        assert_eq!(buffer::judge(&entry, &fields, b".ima", &reference).is_ok(), taken, "{name}");
    }
}
