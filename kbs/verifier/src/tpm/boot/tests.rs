//! Logs of real machines. Spoiled boots are in tests/vtpm/boot.rs.

use super::*;
use crate::testing::vector;
use std::collections::BTreeMap;

/// The Reference Value that takes exactly these events.
fn reference(events: &Events<'_>) -> BootReference {
    let known = |seen: &Seen<'_>| BootEvent {
        event_type: event_type_name(seen.event.event_type).into_owned(),
        sha256: seen.sha256,
        description: text(seen.event.data),
        acpi: seen.event.says_acpi_data(),
    };
    let events = (0..).zip(events).map(|(pcr, list)| (pcr, list.iter().map(known).collect()));
    let events = events.collect::<BTreeMap<_, _>>();
    BootReference { description: "this machine".into(), events, dangerous_unmeasured_acpi: true }
}

#[test]
fn a_real_log_is_its_own_reference_and_no_other() {
    let Some(bytes) = vector("tcg2-eventlog/google__go-tpm-tools/arch-linux-workstation.bin") else { return };
    let log = BootLog::parse(&bytes).unwrap();
    let (events, pcrs) = replay(&log).unwrap();
    // As replayed by an independent program, see the vectors' manifest.
    assert_eq!(hex::encode(pcrs[0]), "758b773d94feabf52ef5a4c00a7ad2c80d8d6e6d9d58756150be9bc973da9087");
    let own = reference(&events);
    assert!(accepted(&events, std::slice::from_ref(&own)).is_ok());

    let mut far = own.clone();
    far.description = "far".into();
    far.events.values_mut().for_each(Vec::clear);
    let mut near = own.clone();
    near.description = "near".into();
    let last = near.events.get_mut(&7).unwrap().pop().unwrap();
    let position = near.events[&7].len();
    let error = accepted(&events, &[far, near]).unwrap_err();
    assert_eq!(error.check, Check::BootReference);
    assert_eq!(error.expected, format!("\"near\": PCR 7, event {position}: no further event"));
    assert!(error.found.starts_with(&format!("{} {}", last.event_type, last.sha256)), "{error}");
    assert_eq!(accepted(&events, &[]).unwrap_err().check, Check::BootReference);
}
