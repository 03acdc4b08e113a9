use super::*;
use crate::testing::vector;
use crate::tpm::HashAlg;
use base64::Engine as _;
use serde_json::Value;

/// The data of a header event.
fn spec_id(algorithms: &[(u16, u16)], vendor: &[u8]) -> Vec<u8> {
    let mut spec = b"Spec ID Event03\0".to_vec();
    spec.extend([0, 0, 0, 0, 0, 2, 105, 2]);
    spec.extend((algorithms.len() as u32).to_le_bytes());
    for (algorithm, size) in algorithms {
        spec.extend(algorithm.to_le_bytes());
        spec.extend(size.to_le_bytes());
    }
    spec.push(vendor.len() as u8);
    spec.extend(vendor);
    spec
}

fn header(register: u32, spec: &[u8]) -> Vec<u8> {
    let mut log = register.to_le_bytes().to_vec();
    log.extend(EV_NO_ACTION.to_le_bytes());
    log.extend([0; 20]);
    log.extend((spec.len() as u32).to_le_bytes());
    log.extend(spec);
    log
}

fn event(pcr: u32, event_type: u32, digests: &[(u16, &[u8])], data: &[u8]) -> Vec<u8> {
    let mut event = pcr.to_le_bytes().to_vec();
    event.extend(event_type.to_le_bytes());
    event.extend((digests.len() as u32).to_le_bytes());
    for (algorithm, digest) in digests {
        event.extend(algorithm.to_le_bytes());
        event.extend(*digest);
    }
    event.extend((data.len() as u32).to_le_bytes());
    event.extend(data);
    event
}

const TWO: [(u16, u16); 2] = [(ALG_SHA1, 20), (ALG_SHA256, 32)];
const BOTH: [(u16, &[u8]); 2] = [(ALG_SHA1, &[1; 20]), (ALG_SHA256, &[2; 32])];

fn log(events: &[Vec<u8>]) -> Vec<u8> {
    [header(0, &spec_id(&TWO, b"hi")), events.concat()].concat()
}

fn separator(pcr: u32) -> Vec<u8> {
    event(pcr, EV_SEPARATOR, &BOTH, &[0; 4])
}

fn locality(data: &[u8]) -> Vec<u8> {
    event(0, EV_NO_ACTION, &BOTH, &[b"StartupLocality\0", data].concat())
}

fn error(bytes: &[u8]) -> BootLogError {
    BootLog::parse(bytes).map(|log| log.event_count()).unwrap_err()
}

#[test]
fn events_are_what_was_written() {
    let bytes = log(&[locality(&[3]), separator(7), event(23, EV_IPL, &[BOTH[1], BOTH[0]], b"x")]);
    let parsed = BootLog::parse(&bytes).unwrap();
    assert_eq!((parsed.event_count(), parsed.unused(), parsed.startup_locality()), (3, 0, 3));
    assert_eq!((parsed.spec().vendor_info, parsed.spec().errata), (&b"hi"[..], 105));
    let events: Vec<_> = parsed.events().collect();
    let seen: Vec<_> = events.iter().map(|e| (e.pcr, e.event_type, e.data, e.is_extended())).collect();
    assert_eq!(seen[1..], [(7, EV_SEPARATOR, &[0; 4][..], true), (23, EV_IPL, b"x", true)]);
    assert!(!seen[0].3);
    // In the table's order or not.
    for event in &events {
        assert_eq!(event.digests.get(ALG_SHA1), Some(&[1; 20][..]));
        assert_eq!(event.digests.get(ALG_SHA256), Some(&[2; 32][..]));
        assert_eq!(event.digests.get(ALG_SHA384), None);
        assert_eq!(event.digests.iter().count(), 2);
    }
    assert_eq!(
        bytes[events[1].offset..],
        [separator(7), event(23, EV_IPL, &[BOTH[1], BOTH[0]], b"x")].concat()
    );
}

#[test]
fn replay_starts_at_the_locality_and_leaves_unextended_events_out() {
    use sha2::{Digest as _, Sha256};
    let bytes = log(&[locality(&[3]), separator(0), separator(7), event(7, EV_NO_ACTION, &BOTH, b"")]);
    let registers = BootLog::parse(&bytes).unwrap().replay_sha256().unwrap();
    let mut start = [0; 32];
    assert_eq!(registers[7], <[u8; 32]>::from(Sha256::digest([start, [2; 32]].concat())));
    start[31] = 3;
    assert_eq!(registers[0], <[u8; 32]>::from(Sha256::digest([start, [2; 32]].concat())));
    assert_eq!(registers[1], [0; 32]);
}

#[test]
fn replay_refuses_a_bank_that_does_not_cover_every_event() {
    let bytes = log(&[separator(0), event(1, EV_SEPARATOR, &BOTH[1..], b"")]);
    let parsed = BootLog::parse(&bytes).unwrap();
    assert!(parsed.replay_sha256().is_ok());
    let offset = bytes.len() - separator(0).len() + 4 + 22;
    assert_eq!(parsed.replay_sha1(), Err(BootLogError::NoDigest { offset, expected: ALG_SHA1 }));
    assert_eq!(parsed.replay_sha384(), Err(BootLogError::NoBank { expected: ALG_SHA384 }));
}

#[test]
fn a_cut_is_an_error_at_every_length_but_those_of_whole_events() {
    let whole = log(&[locality(&[0]), separator(0), separator(1)]);
    let start = log(&[]).len();
    let ends = [start, start + locality(&[0]).len(), whole.len() - separator(1).len(), whole.len()];
    for len in 0..=whole.len() {
        let parsed = BootLog::parse(&whole[..len]);
        assert_eq!(parsed.is_ok(), ends.contains(&len), "{len}");
        assert!(ends.contains(&len) || matches!(parsed, Err(BootLogError::Cut(_))), "{len}");
    }
}

#[test]
fn header_defects_have_their_own_errors() {
    let spoiled = |at: usize, value: u8| {
        let mut bytes = log(&[separator(0)]);
        bytes[at] = value;
        error(&bytes)
    };
    let field = |field, found| BootLogError::HeaderField { field, found };
    assert_eq!(spoiled(0, 1), BootLogError::HeaderEvent { event_type: 3, register: 1 });
    assert_eq!(spoiled(4, 4), BootLogError::HeaderEvent { event_type: 4, register: 0 });
    assert_eq!(spoiled(8, 4), BootLogError::HeaderEvent { event_type: 3, register: 0 });
    assert_eq!(spoiled(46, b'2'), BootLogError::Legacy { found: 3 });
    assert_eq!(spoiled(48, 2), field("platformClass", 2));
    assert_eq!(spoiled(52, 1), field("specVersion", 0x201));
    assert_eq!(spoiled(53, 3), field("specVersion", 0x300));
    assert_eq!(spoiled(55, 3), field("uintnSize", 3));
    assert_eq!(spoiled(56, 0), field("numberOfAlgorithms", 0));
    assert_eq!(spoiled(56, 9), field("numberOfAlgorithms", 9));
    let algorithm = |algorithm, found| BootLogError::HeaderAlgorithm { algorithm, found };
    assert_eq!(spoiled(62, 32), algorithm(ALG_SHA1, 32));
    assert_eq!(spoiled(64, 4), algorithm(ALG_SHA1, 32));
    assert_eq!(spoiled(64, 99), {
        // An algorithm that is not known may have any size; then the event's digest is not in the table.
        BootLogError::DigestAlgorithm { offset: log(&[]).len(), found: ALG_SHA256 }
    });
    assert!(matches!(spoiled(68, 3), BootLogError::HeaderLength(ReadError::Truncated { .. })));
    assert!(matches!(spoiled(68, 1), BootLogError::HeaderLength(ReadError::Trailing { .. })));
}

#[test]
fn event_defects_have_their_own_errors() {
    let offset = log(&[]).len();
    let one = |event: Vec<u8>| error(&log(&[event]));
    let count = |found| BootLogError::DigestCount { offset, expected: 2, found };
    assert_eq!(one(event(0, EV_IPL, &[], b"")), count(0));
    assert_eq!(one(event(0, EV_IPL, &[BOTH[0], BOTH[1], BOTH[0]], b"")), count(3));
    let algorithm = |found| BootLogError::DigestAlgorithm { offset, found };
    assert_eq!(one(event(0, EV_IPL, &[BOTH[0], BOTH[0]], b"")), algorithm(ALG_SHA1));
    assert_eq!(one(event(0, EV_IPL, &[(ALG_SHA384, &[0; 48])], b"")), algorithm(ALG_SHA384));
    assert_eq!(one(separator(24)), BootLogError::Register { offset, expected: 23, found: 24 });
    // What is extended nowhere needs no register.
    assert!(BootLog::parse(&log(&[event(u32::MAX, EV_NO_ACTION, &BOTH, b"")])).is_ok());
    assert_eq!(error(&vec![0; MAX_LEN + 1]), BootLogError::TooLong { expected: MAX_LEN, found: MAX_LEN + 1 });
    let many = log(&vec![separator(1); MAX_EVENTS as usize]);
    assert!(BootLog::parse(&many).is_ok());
    let more = [many, separator(1)].concat();
    assert_eq!(error(&more), BootLogError::TooManyEvents { expected: MAX_EVENTS });
}

#[test]
fn the_startup_locality_is_said_once_and_first() {
    let offset = log(&[]).len();
    let misplaced = |offset, found| BootLogError::StartupLocality { offset, found };
    assert_eq!(error(&log(&[locality(&[1])])), misplaced(offset, 1));
    assert_eq!(error(&log(&[locality(&[])])), misplaced(offset, 0));
    assert_eq!(error(&log(&[locality(&[3, 0])])), misplaced(offset, 0));
    let second = offset + locality(&[0]).len();
    assert_eq!(error(&log(&[locality(&[3]), locality(&[3])])), misplaced(second, 3));
    let second = offset + separator(0).len();
    assert_eq!(error(&log(&[separator(0), locality(&[3])])), misplaced(second, 3));
    assert!(BootLog::parse(&log(&[separator(1), locality(&[3])])).is_ok());
}

/// An event in the SHA-1-only form.
fn sha1_event(pcr: u32, event_type: u32, data: &[u8]) -> Vec<u8> {
    let mut event = [pcr.to_le_bytes(), event_type.to_le_bytes()].concat();
    event.extend([1; 20]);
    event.extend((data.len() as u32).to_le_bytes());
    event.extend(data);
    event
}

#[test]
fn the_form_of_tpm_1_2_has_sha_1_digests_and_no_header() {
    use sha1::{Digest as _, Sha1};
    let bytes =
        [sha1_event(0, EV_NO_ACTION, b"Spec ID Event00\0"), sha1_event(4, EV_SEPARATOR, &[0; 4])].concat();
    assert_eq!(error(&bytes), BootLogError::Legacy { found: EV_NO_ACTION });
    let log = BootLog::parse_any(&bytes).unwrap();
    assert_eq!((log.layout(), log.event_count(), log.startup_locality()), (Layout::TpmSha1, 2, 0));
    let event = log.events().last().unwrap();
    assert_eq!((event.pcr, event.data, event.digests.iter().count()), (4, &[0; 4][..], 1));
    assert_eq!(event.digests.get(ALG_SHA1), Some(&[1; 20][..]));
    let value = <[u8; 20]>::from(Sha1::digest([[0; 20], [1; 20]].concat()));
    assert_eq!(log.replay_sha1().unwrap()[4], value);
    assert_eq!(log.registers(HashAlg::Sha1).unwrap()[4], Register::Value(value.to_vec()));
    assert_eq!(log.registers(HashAlg::Sha1).unwrap()[0], Register::Untouched);
    assert_eq!(log.replay_sha256(), Err(BootLogError::NoBank { expected: ALG_SHA256 }));
    for len in 1..bytes.len() {
        assert_eq!(
            BootLog::parse_any(&bytes[..len]).is_ok(),
            len == sha1_event(0, 3, &[0; 16]).len(),
            "{len}"
        );
    }
    // What only crypto agile logs have.
    let misplaced = BootLogError::StartupLocality { offset: 0, found: 3 };
    let locality = sha1_event(0, EV_NO_ACTION, b"StartupLocality\0\x03");
    assert_eq!(BootLog::parse_any(&locality).unwrap_err(), misplaced);
    let register = BootLogError::Register { offset: 0, expected: 23, found: 24 };
    assert_eq!(BootLog::parse_any(&sha1_event(24, EV_SEPARATOR, b"")).unwrap_err(), register);
}

#[test]
fn text_is_base64_or_refused_as_what_it_is() {
    let bytes = log(&[separator(0)]);
    assert_eq!(binary(&bytes).unwrap(), bytes);
    let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
    let lines: Vec<u8> = text.as_bytes().chunks(76).flat_map(|line| [line, b"\n"].concat()).collect();
    assert_eq!(binary(&lines).unwrap(), bytes);
    assert_eq!(binary(&lines[..lines.len() - 3]).unwrap_err(), BootLogError::Base64);
    assert_eq!(binary(b"bogus\n").unwrap_err(), BootLogError::Base64);
    let tpm12 = br#" {"Static": {"TPMVersion": 1, "EKPem": "x"}, "Log": {}}"#;
    assert_eq!(binary(tpm12).unwrap_err(), BootLogError::Tpm12 { found: 1 });
    for other in [&b"{"[..], b"{}", br#"{"Static": {"TPMVersion": 2}}"#] {
        assert_eq!(binary(other).unwrap_err(), BootLogError::Json);
    }
    assert_eq!(binary(b"").unwrap(), b"".as_slice());
}

#[test]
fn a_register_is_known_where_all_its_events_have_the_banks_digest() {
    let bytes = log(&[separator(0), event(1, EV_SEPARATOR, &BOTH[1..], b""), separator(1)]);
    let parsed = BootLog::parse(&bytes).unwrap();
    let registers = parsed.registers(HashAlg::Sha1).unwrap();
    let offset = parsed.events().nth(1).unwrap().offset;
    assert!(matches!(registers[0], Register::Value(_)));
    assert_eq!(registers[1], Register::Unknown { offset });
    assert_eq!(registers[2], Register::Untouched);
    let sha256 = parsed.registers(HashAlg::Sha256).unwrap();
    for (register, value) in sha256.iter().zip(parsed.replay_sha256().unwrap()).take(2) {
        assert_eq!(register, &Register::Value(value.to_vec()));
    }
    for absent in [HashAlg::Sha384, HashAlg::Sm3_256] {
        assert_eq!(parsed.registers(absent), Err(BootLogError::NoBank { expected: absent.id() }));
    }
}

#[test]
fn padding_is_for_areas_only_and_of_one_kind() {
    let exact = log(&[separator(0)]);
    for byte in [0x00, 0xff] {
        for len in [1, 16, 100] {
            let padded = [exact.clone(), vec![byte; len]].concat();
            assert!(BootLog::parse(&padded).is_err());
            let parsed = BootLog::parse_area(&padded).unwrap();
            assert_eq!((parsed.event_count(), parsed.unused()), (1, len));
            let mut dirty = padded.clone();
            *dirty.last_mut().unwrap() ^= 0x55;
            assert!(BootLog::parse_area(&dirty).is_err());
        }
    }
}

#[test]
fn a_ccel_names_measurement_registers() {
    let ccel = |register, pcr| [header(register, &spec_id(&TWO, b"")), separator(pcr)].concat();
    let bytes = ccel(1, 4);
    assert_eq!(BootLog::parse_ccel(&bytes).unwrap().events().next().unwrap().pcr, 4);
    let offset = bytes.len() - separator(4).len();
    for found in [0, 5] {
        let expected = BootLogError::Register { offset, expected: 4, found };
        assert_eq!(BootLog::parse_ccel(&ccel(0, found)).unwrap_err(), expected);
    }
    assert!(matches!(BootLog::parse_ccel(&ccel(2, 1)), Err(BootLogError::HeaderEvent { register: 2, .. })));
}

#[test]
fn event_types_have_the_profiles_names() {
    assert_eq!(event_type_name(EV_SEPARATOR), "EV_SEPARATOR");
    assert_eq!(event_type_name(0x8000_00e0), "EV_EFI_VARIABLE_AUTHORITY");
    assert_eq!(event_type_name(0x8000_0bad), "0x80000bad");
    assert_eq!(event_type_name(0x63), "0x00000063");
}

/// The manifest's items in `folder` that are logs with a known replay.
fn captures(folder: &str) -> Vec<(String, Vec<u8>, Value)> {
    let Some(manifest) = vector("manifest.json") else { return Vec::new() };
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let items = manifest["items"].as_array().unwrap().iter();
    let logs = items.filter(|item| {
        item["path"].as_str().unwrap().starts_with(folder) && item["key_facts"]["replayed_pcrs"].is_object()
    });
    let read = |item: &Value| {
        let path = item["path"].as_str().unwrap().to_owned();
        let mut bytes = vector(&path)?;
        if path.ends_with(".b64") {
            bytes.retain(|b| !b.is_ascii_whitespace());
            bytes = base64::engine::general_purpose::STANDARD.decode(&bytes).unwrap();
        }
        Some((path, bytes, item["key_facts"].clone()))
    };
    logs.filter_map(read).collect()
}

fn agrees<const N: usize>(
    path: &str,
    expected: &Value,
    replayed: Result<[[u8; N]; REGISTERS], BootLogError>,
) -> usize {
    let Some(expected) = expected.as_object() else {
        assert!(matches!(replayed, Err(BootLogError::NoBank { .. })), "{path}");
        return 0;
    };
    if expected.is_empty() || matches!(replayed, Err(BootLogError::NoDigest { .. })) {
        return 0;
    }
    let replayed = replayed.unwrap();
    for (index, value) in expected {
        let found = hex::encode(replayed[index.parse::<usize>().unwrap()]);
        assert_eq!(&found, value.as_str().unwrap(), "{path}, register {index}");
    }
    1
}

#[test]
fn real_logs_replay_as_independent_code_does() {
    let mut banks = 0;
    let captures = captures("tcg2-eventlog/");
    for (path, bytes, facts) in &captures {
        if path.ends_with("short_no_action_eventlog") {
            let misplaced = BootLogError::StartupLocality { offset: 0, found: 3 };
            assert_eq!(BootLog::parse_any(bytes).unwrap_err(), misplaced);
            continue;
        }
        let legacy = ["debian-10.bin", "ebs_event_missing_eventlog"].iter().any(|name| path.ends_with(name));
        if legacy {
            assert!(matches!(error(bytes), BootLogError::Legacy { .. }), "{path}");
        }
        let log = BootLog::parse_any(bytes).unwrap_or_else(|e| panic!("{path}: {e}"));
        // The manifest does not count the closing events of Windows, which belong to no register.
        let count = log.events().filter(|event| event.pcr != u32::MAX).count();
        assert_eq!(count as u64, facts["events"].as_u64().unwrap(), "{path}");
        let expected = &facts["replayed_pcrs"];
        banks += agrees(path, &expected["sha1"], log.replay_sha1());
        banks += agrees(path, &expected["sha256"], log.replay_sha256());
        banks += agrees(path, &expected["sha384"], log.replay_sha384());
        banks += agrees(path, &expected["sha512"], log.replay_sha512());
        assert_eq!(log.layout(), if legacy { Layout::TpmSha1 } else { Layout::Tpm });
    }
    assert!(captures.is_empty() || banks > 40, "{banks}");
}

#[test]
fn real_ccels_replay_as_independent_code_does() {
    let captures = captures("ccel/");
    let mut banks = 0;
    for (path, bytes, facts) in &captures {
        let log = BootLog::parse_ccel(bytes).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(u64::from(log.event_count()), facts["events"].as_u64().unwrap(), "{path}");
        if log.unused() > 0 {
            assert!(BootLog::parse(bytes).is_err(), "{path}");
        }
        banks += agrees(path, &facts["replayed_pcrs"]["sha384"], log.replay_sha384());
    }
    assert!(captures.is_empty() || banks == 7, "{banks}");
}

#[test]
fn windows_logs_lack_sha1_digests_and_say_so() {
    for path in [
        "tcg2-eventlog/kgoldman__ibmtss/dell1.log",
        "tcg2-eventlog/kgoldman__ibmtss/p511.log",
        "tcg2-eventlog/immune-gmbh__guard-oss/supermicro-WBCL-OSLOAD-quoted.log",
    ] {
        let Some(bytes) = vector(path) else { return };
        let log = BootLog::parse(&bytes).unwrap();
        assert!(log.replay_sha256().is_ok(), "{path}");
        assert!(matches!(log.replay_sha1(), Err(BootLogError::NoDigest { .. })), "{path}");
        // Firmware's registers are known all the same, and Windows' are not.
        let registers = log.registers(HashAlg::Sha1).unwrap();
        assert!(registers[..5].iter().all(|register| matches!(register, Register::Value(_))), "{path}");
        assert!(
            registers[11..15].iter().all(|register| matches!(register, Register::Unknown { .. })),
            "{path}"
        );
    }
}

#[test]
fn cuts_and_flips_of_a_real_log_never_panic() {
    let Some(bytes) = vector("tcg2-eventlog/google__go-attestation/crypto_agile_eventlog") else { return };
    let whole = BootLog::parse(&bytes).unwrap().event_count();
    let mut good = 0;
    for len in 0..bytes.len() {
        good += BootLog::parse(&bytes[..len]).map_or(0, |log| {
            assert_eq!(log.events().count(), log.event_count() as usize);
            1
        });
    }
    // One for each number of whole events.
    assert_eq!(good, whole);
    let mut flipped = bytes.clone();
    for at in 0..bytes.len() {
        flipped[at] ^= 0xff;
        if let Ok(log) = BootLog::parse(&flipped) {
            assert_eq!(log.events().count(), log.event_count() as usize);
        }
        flipped[at] ^= 0xff;
    }
}
