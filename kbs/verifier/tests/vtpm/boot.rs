//! Step 12.

use crate::support::{accepted, appraise, refused_spoiled, refused_under, valid};
use sealpod_evidence::reference_values::BootReference;
use sealpod_testkit::Bundle;
use sealpod_testkit::logs::BootEvent;
use sealpod_testkit::logs::boot::{EV_EFI_ACTION, EV_PLATFORM_CONFIG_FLAGS};
use sealpod_testkit::tpm::{Digests, alg};
use sealpod_verifier::Check;
use std::collections::BTreeMap;

/// That this boot is refused under the valid bundle's Reference Values.
#[track_caller]
fn not_accepted(bundle: &Bundle) -> sealpod_verifier::VerifyError {
    refused_spoiled(&bundle.seal(), Check::BootReference)
}

fn without_events(dangerous_unmeasured_acpi: bool) -> BootReference {
    BootReference { description: "direct".into(), events: BTreeMap::new(), dangerous_unmeasured_acpi }
}

#[test]
fn a_boot_whose_acpi_tables_no_event_covers_has_to_be_accepted_by_name() {
    // The host gives the kernel tables of its own; this firmware measured them...
    let mut tampered = valid();
    let tables =
        tampered.boot_log.events.iter_mut().rfind(|event| event.pcr == 1 && event.data == b"ACPI DATA");
    tables.unwrap().digests = Digests::of(b"tables that rewrite the kernel");
    not_accepted(&tampered);

    // ...and this one did not, so that nothing could differ.
    let mut bundle = valid();
    bundle.boot_log.events.retain(|event| event.data != b"ACPI DATA");
    let mut reference = bundle.reference();
    refused_under(&bundle.seal(), &reference, Check::UnmeasuredAcpi);
    // A sender may call any event what it likes. The Reference Value knows what was measured.
    let mut renamed = bundle.clone();
    let event = renamed.boot_log.events.iter_mut().find(|event| event.pcr == 1).unwrap();
    (event.event_type, event.data) = (EV_PLATFORM_CONFIG_FLAGS, b"ACPI DATA".to_vec());
    refused_under(&renamed.seal(), &reference, Check::UnmeasuredAcpi);

    let strict = reference.boot[0].clone();
    reference.boot[0].dangerous_unmeasured_acpi = true;
    let result = appraise(&bundle.seal(), &reference).unwrap();
    assert_eq!(result.claims()["acpi_measured"], false);
    reference.boot.insert(0, strict);
    appraise(&bundle.seal(), &reference).unwrap();
}

#[test]
fn a_log_that_does_not_replay_is_refused() {
    let mut sealed = valid().seal();
    sealed.tpm.pcrs.extend(4, &Digests::of(b"something that the log hides"));
    sealed.requote();
    let error = refused_spoiled(&sealed, Check::BootLogReplay);
    assert!(error.expected.starts_with("PCR 4 = "), "{error}");

    let bundle = valid();
    let mut sealed = bundle.seal();
    sealed.additional.tpm.boot_log.0.clear();
    sealed.rebind();
    refused_spoiled(&sealed, Check::BootLogReplay);
}

#[test]
fn a_log_that_does_not_parse_is_refused() {
    let mut sealed = valid().seal();
    sealed.additional.tpm.boot_log.0.pop();
    sealed.rebind();
    refused_spoiled(&sealed, Check::BootLogSyntax);
}

#[test]
fn a_log_without_digests_of_the_quoted_bank_is_refused() {
    let mut bundle = valid();
    bundle.boot_log.algorithms = vec![alg::SHA1];
    refused_spoiled(&bundle.seal(), Check::BootLogReplay);
}

#[test]
fn another_kernel_is_refused_by_name() {
    let mut bundle = valid();
    let kernel = bundle.boot_log.events.iter_mut().rfind(|event| event.pcr == 4).unwrap();
    kernel.digests = Digests::of(b"another kernel");
    let position = bundle.boot_log.events.iter().filter(|event| event.pcr == 4).count() - 1;
    let error = not_accepted(&bundle);
    assert!(
        error.expected.contains(&format!("PCR 4, event {position}: EV_EFI_BOOT_SERVICES_APPLICATION")),
        "{error}"
    );
}

#[test]
fn events_added_left_out_or_in_another_order_are_refused() {
    let mut added = valid();
    added.boot_log.events.push(BootEvent::of_data(5, EV_EFI_ACTION, b"one more"));
    assert!(not_accepted(&added).expected.ends_with("no further event"));

    let mut left_out = valid();
    let at = left_out.boot_log.events.iter().rposition(|event| event.pcr == 9).unwrap();
    left_out.boot_log.events.remove(at);
    assert_eq!(not_accepted(&left_out).found, "no further event");

    let mut swapped = valid();
    let of_9: Vec<_> =
        (0..).zip(&swapped.boot_log.events).filter(|(_, e)| e.pcr == 9).map(|(at, _)| at).collect();
    swapped.boot_log.events.swap(of_9[0], of_9[1]);
    not_accepted(&swapped);
}

#[test]
fn a_pcr_that_no_reference_lists_must_not_have_been_extended() {
    let mut bundle = valid();
    bundle.boot_log.events.push(BootEvent::of_data(8, EV_EFI_ACTION, b"a boot loader's"));
    let error = not_accepted(&bundle);
    assert!(error.expected.contains("PCR 8, event 0"), "{error}");
    // Where the owner lists it, initdata and boot aggregate are computed on top of it.
    accepted(&bundle);
}

#[test]
fn one_of_several_boots_is_enough() {
    let bundle = valid();
    let mut reference = bundle.reference();
    let other = without_events(false);
    reference.boot.insert(0, other);
    appraise(&bundle.seal(), &reference).unwrap();
    reference.boot.clear();
    refused_under(&bundle.seal(), &reference, Check::BootReference);
}

#[test]
fn a_boot_without_a_log_needs_a_reference_without_events() {
    let mut bundle = valid();
    bundle.boot_log.events.clear();
    let mut sealed = bundle.seal();
    sealed.additional.tpm.boot_log.0.clear();
    sealed.rebind();
    refused_spoiled(&sealed, Check::BootReference);
    let mut reference = bundle.reference();
    reference.boot = vec![without_events(true)];
    appraise(&sealed, &reference).unwrap();
}

#[test]
fn pcr_8_is_this_initdata_and_nothing_else() {
    let mut sealed = valid().seal();
    sealed.tpm.pcrs.extend(8, &Digests::of(b"initdata of somebody else"));
    sealed.requote();
    refused_spoiled(&sealed, Check::InitdataPcr);
    // And a bundle whose boot loader extended what the agent should have.
    let mut bundle = valid();
    let digest = bundle.initdata().digest().0;
    let mut event = BootEvent::of_data(8, EV_EFI_ACTION, b"");
    event.digests.sha256 = digest;
    bundle.boot_log.events.push(event);
    let mut sealed = bundle.seal();
    sealed.tpm.pcrs.sha256[8] = valid().seal().tpm.pcrs.sha256[8];
    sealed.requote();
    refused_under(&sealed, &bundle.reference(), Check::InitdataPcr);
}
