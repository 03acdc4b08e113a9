//! Logs of real machines, each with the verdict that the vectors' manifest expects, and logs with one thing spoiled.

use super::*;
use crate::testing::vector;
use sealpod_evidence::tcg2::{BootLogError, Register, binary};
use sealpod_testkit::logs::BootEvent;
use sealpod_testkit::logs::boot::{EV_EFI_PLATFORM_FIRMWARE_BLOB, EV_EVENT_TAG};
use serde_json::Value;

/// The manifest's boot logs: path, bytes, item.
fn captures() -> Vec<(String, Vec<u8>, Value)> {
    let Some(manifest) = vector("manifest.json") else { return Vec::new() };
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let items = manifest["items"].as_array().unwrap().iter();
    let logs = items.filter(|item| {
        let path = item["path"].as_str().unwrap();
        let expected = item["expected"].as_str().unwrap();
        let folder = path.starts_with("tcg2-eventlog/") || path.starts_with("ccel/");
        folder
            && item["what"] != "TDX quote matching ccel_data (8000 B padded)"
            && (!expected.starts_with("component") || path.ends_with("OSLOAD-quoted.log"))
    });
    logs.filter_map(|item| {
        let path = item["path"].as_str().unwrap().to_owned();
        Some((path.clone(), vector(&path)?, item.clone()))
    })
    .collect()
}

#[test]
fn every_captured_log_gets_its_verdict() {
    let captures = captures();
    let mut verdicts = std::collections::BTreeMap::<_, u32>::new();
    for (path, bytes, item) in &captures {
        let expected = item["expected"].as_str().unwrap();
        let bytes = binary(bytes);
        let log = bytes.as_deref().map_err(Clone::clone).and_then(|bytes| {
            if path.starts_with("ccel/") { BootLog::parse_ccel(bytes) } else { BootLog::parse_any(bytes) }
        });
        let verdict = log.as_ref().map(|log| boot_rules(log));
        let kind = expected.split([':', ';', ',']).next().unwrap();
        *verdicts.entry(kind.to_owned()).or_default() += 1;
        match expected {
            "malformed: reject" => assert!(verdict.is_err(), "{path}"),
            "reject: TPM 1.2" => {
                assert_eq!(verdict.unwrap_err(), &BootLogError::Tpm12 { found: 1 }, "{path}");
            }
            "duplicate separator: semantic reject" => {
                assert_eq!(verdict.unwrap().unwrap_err().check, Check::BootSeparatorTwice, "{path}");
            }
            "replays, but ExitBootServices event missing: semantic reject" => {
                assert_eq!(verdict.unwrap().unwrap_err().check, Check::ExitBootServices, "{path}");
            }
            _ => {
                let stage = verdict.unwrap_or_else(|error| panic!("{path}: {error}"));
                let stage = stage.unwrap_or_else(|error| panic!("{path}: {error}"));
                replays(path, &log.unwrap(), &item["key_facts"]);
                let partial = path.contains("tpm2-tools/event.bin") || path.contains("event-uefi");
                assert_eq!(stage == BootStage::Firmware, partial, "{path}");
            }
        }
    }
    assert!(captures.is_empty() || captures.len() == 41, "{}: {verdicts:?}", captures.len());
}

/// Registers of every bank are those that independent code computed.
fn replays(path: &str, log: &BootLog<'_>, facts: &Value) {
    let Some(banks) = facts["replayed_pcrs"].as_object() else { return };
    for (name, expected) in banks {
        let Some(expected) = expected.as_object() else { continue };
        let Ok(found) = log.registers(HashAlg::from_name(name).unwrap()) else {
            assert!(expected.is_empty(), "{path}: {name}");
            continue;
        };
        for (index, register) in found.iter().enumerate() {
            let expected = expected.get(&index.to_string());
            match register {
                Register::Value(value) => {
                    assert_eq!(expected.unwrap(), &Value::from(hex::encode(value)), "{path}: {name} {index}");
                }
                Register::Untouched => assert_eq!(expected, None, "{path}: {name} {index}"),
                Register::Unknown { .. } => {}
            }
        }
    }
}

#[test]
fn a_quote_beside_its_log_is_compared_register_by_register() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    for (name, differs) in [("good-1", None), ("failed-1", Some(0))] {
        let path = format!("tpm-quote/immune-gmbh__guard-oss/{name}.quote-eventlog.json");
        let Some(bytes) = vector(&path) else { return };
        let evidence: Value = serde_json::from_slice(&bytes).unwrap();
        let decode = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
        let bytes = decode(&evidence["event_log"]["data"]);
        let log = BootLog::parse(&bytes).unwrap();
        boot_rules(&log).unwrap();
        let replayed = log.replay_sha256().unwrap();
        let quoted = |at: usize| decode(&evidence["pcrs"][at.to_string()]);
        assert_eq!((0..8).find(|at| quoted(*at) != replayed[*at]), differs, "{name}");
    }
}

/// A valid log with its events changed.
fn spoiled(change: impl FnOnce(&mut Vec<BootEvent>)) -> Result<BootStage, VerifyError> {
    let mut log = sealpod_testkit::logs::BootLog::default();
    change(&mut log.events);
    let bytes = log.to_bytes();
    boot_rules(&BootLog::parse(&bytes).unwrap())
}

#[track_caller]
fn refused(check: Check, change: impl FnOnce(&mut Vec<BootEvent>)) -> VerifyError {
    let error = spoiled(change).unwrap_err();
    assert_eq!(error.check, check, "{error}");
    error
}

/// Where the first event of a register and type is.
fn at(events: &[BootEvent], pcr: u32, event_type: u32) -> usize {
    events.iter().position(|event| (event.pcr, event.event_type) == (pcr, event_type)).unwrap()
}

#[test]
fn the_log_that_tests_start_from_keeps_every_rule() {
    assert_eq!(spoiled(|_| {}), Ok(BootStage::OperatingSystem));
    assert_eq!(spoiled(Vec::clear), Ok(BootStage::Firmware));
}

#[test]
fn each_register_has_one_separator_or_none_has() {
    for pcr in 0..8 {
        refused(Check::BootSeparator, |events| {
            events.remove(at(events, pcr, EV_SEPARATOR));
        });
        refused(Check::BootSeparatorTwice, |events| events.push(BootEvent::separator(pcr)));
    }
    let ended = spoiled(|events| events.retain(|event| event.event_type != EV_SEPARATOR && event.pcr < 4));
    assert_eq!(ended, Ok(BootStage::Firmware));
    // Others than firmware's may be as they like.
    spoiled(|events| events.extend([BootEvent::separator(12), BootEvent::separator(12)])).unwrap();
}

#[test]
fn a_separator_says_that_all_is_well_and_extends_that() {
    let separator = |data: &[u8]| {
        let event = BootEvent::of_data(2, EV_SEPARATOR, data);
        move |events: &mut Vec<BootEvent>| {
            let at = at(events, 2, EV_SEPARATOR);
            events[at] = event;
        }
    };
    spoiled(separator(&[0xff; 4])).unwrap();
    for data in [&[1, 0, 0, 0][..], &[0; 3], &[0; 5], b"", b"WBCL"] {
        refused(Check::BootSeparator, separator(data));
    }
    refused(Check::BootEventData, |events| {
        let at = at(events, 2, EV_SEPARATOR);
        events[at].digests.sha256[0] ^= 1;
    });
    refused(Check::BootEventData, |events| {
        let at = at(events, 2, EV_SEPARATOR);
        events[at].digests.sha1[0] ^= 1;
    });
}

#[test]
fn firmware_that_is_done_measures_no_more() {
    let late = |event: BootEvent| move |events: &mut Vec<BootEvent>| events.push(event);
    let blob = |pcr| BootEvent::new(pcr, EV_EFI_PLATFORM_FIRMWARE_BLOB, b"late", b"late");
    for pcr in [0, 3] {
        refused(Check::BootEventOrder, late(blob(pcr)));
    }
    for pcr in [1, 2, 6] {
        spoiled(late(blob(pcr))).unwrap();
    }
    for name in ["SecureBoot", "PK", "KEK", "db", "dbx"] {
        refused(Check::BootEventOrder, late(BootEvent::variable(name, &[1])));
    }
    spoiled(late(BootEvent::variable("MokListTrusted", &[1]))).unwrap();
    // What is too short for a name is none.
    spoiled(late(BootEvent::of_data(7, EV_EFI_VARIABLE_DRIVER_CONFIG, &[0xff; 33]))).unwrap();
}

#[test]
fn exit_boot_services_succeeds_in_the_end_and_nothing_is_started_after_it() {
    let action = |text: &[u8]| BootEvent::of_data(5, EV_EFI_ACTION, text);
    let without_result = |events: &mut Vec<BootEvent>| events.retain(|event| event.data != EXITED);
    refused(Check::ExitBootServices, without_result);
    let failed = |events: &mut Vec<BootEvent>| {
        without_result(events);
        events.push(action(EXIT_FAILED));
    };
    assert_eq!(spoiled(failed), Ok(BootStage::Loader));
    let again = |events: &mut Vec<BootEvent>| {
        failed(events);
        events.extend([action(EXIT), action(EXITED)]);
    };
    assert_eq!(spoiled(again), Ok(BootStage::OperatingSystem));
    refused(Check::ExitBootServices, |events| events.retain(|event| event.data != EXIT));
    refused(Check::BootEventData, |events| {
        events.iter_mut().rfind(|event| event.data == EXITED).unwrap().digests.sha256[0] ^= 1;
    });
    refused(Check::BootEventOrder, |events| {
        events.push(BootEvent::new(4, EV_EFI_BOOT_SERVICES_APPLICATION, b"late", &[0; 32]));
    });
}

#[test]
fn a_log_does_not_stop_behind_the_program_that_firmware_called() {
    let stopped = |events: &mut Vec<BootEvent>| {
        events.truncate(at(events, 4, EV_EFI_BOOT_SERVICES_APPLICATION) + 1);
    };
    refused(Check::ExitBootServices, stopped);
    // The program measured something: an image that it started, or what is the operating system's.
    for (pcr, event_type) in [(4, EV_EFI_BOOT_SERVICES_APPLICATION), (9, EV_EVENT_TAG)] {
        let more = spoiled(|events| {
            stopped(events);
            events.push(BootEvent::new(pcr, event_type, b"more", &[0; 32]));
        });
        assert_eq!(more, Ok(BootStage::Loader));
    }
    // Firmware that measures none of its actions does not measure this one either.
    let silent = spoiled(|events| {
        stopped(events);
        events.retain(|event| event.event_type != EV_EFI_ACTION);
    });
    assert_eq!(silent, Ok(BootStage::Loader));
}
