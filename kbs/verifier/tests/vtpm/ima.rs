//! Steps 13 and 14.

use crate::support::{accepted, activate, appraise, refused, refused_spoiled, refused_under, valid};
use sealpod_evidence::bytes::HexArray;
use sealpod_testkit::logs::{Bank, ImaEntry, Template};
use sealpod_testkit::tpm::Digests;
use sealpod_testkit::{Bundle, Sealed};
use sealpod_verifier::Check;

const FOREIGN: [u8; 32] = [0xee; 32];

/// Valid evidence whose IMA log has this entry at its end.
fn with(entry: ImaEntry) -> Bundle {
    let mut bundle = valid();
    bundle.ima_log.entries.push(entry);
    bundle
}

/// Where in the log's bytes the first entry ends: PCR, digest of 32 bytes, name, data.
fn first_entry(log: &[u8]) -> usize {
    let word = |at: usize| u32::from_le_bytes(log[at..at + 4].try_into().unwrap()) as usize;
    let name_end = 40 + word(36);
    name_end + 4 + word(name_end)
}

/// Change the log's bytes, and nothing that was quoted.
fn rewritten(mut sealed: Sealed, change: impl FnOnce(&mut Vec<u8>)) -> Sealed {
    change(&mut sealed.additional.tpm.ima_log.data.0);
    sealed.rebind();
    sealed
}

#[test]
fn logs_of_both_banks_and_all_templates_are_taken() {
    for bank in [Bank::Sha1, Bank::Sha256] {
        for template in [Template::ImaNg, Template::ImaSig, Template::EvmSig] {
            let mut bundle = valid();
            bundle.ima_log.bank = bank;
            bundle.ima_log.entries.iter_mut().for_each(|entry| entry.template = template);
            assert_eq!(accepted(&bundle).uncovered_ima_entries(), 0);
        }
    }
}

#[test]
fn entries_after_the_quote_are_counted_and_are_no_evidence() {
    let mut bundle = with(ImaEntry::file("/bin/app", FOREIGN));
    bundle.ima_log.entries.push(ImaEntry::violation("/bin/app"));
    bundle.ima_log.after_quote = 2;
    assert_eq!(accepted(&bundle).uncovered_ima_entries(), 2);
    bundle.ima_log.after_quote = 1;
    refused(&bundle, Check::ForeignFile);
}

#[test]
fn the_log_must_begin_with_this_boots_aggregate() {
    let sealed = rewritten(valid().seal(), |log| {
        log.drain(..first_entry(log));
    });
    refused_spoiled(&sealed, Check::BootAggregate);

    // Another boot's log, with the PCR 10 that it replays to.
    let mut other = valid();
    other.boot_log.events.iter_mut().for_each(|event| event.digests = Digests::of(b"another"));
    let other = other.seal();
    let mut sealed = valid().seal();
    sealed.additional.tpm.ima_log = other.additional.tpm.ima_log;
    sealed.tpm.pcrs.sha256[10] = other.tpm.pcrs.sha256[10];
    sealed.requote();
    let error = refused_spoiled(&sealed, Check::BootAggregate);
    assert!(error.found.starts_with("boot_aggregate sha256:"), "{error}");
}

#[test]
fn a_kernel_that_had_no_tpm_is_refused() {
    let mut sealed = valid().seal();
    sealed.tpm.pcrs.sha256[10] = [0; 32];
    sealed.requote();
    let error = refused_spoiled(&sealed, Check::BootAggregate);
    assert!(error.found.contains("no TPM"), "{error}");
    let sealed = rewritten(sealed, Vec::clear);
    refused_spoiled(&sealed, Check::BootAggregate);
}

#[test]
fn a_digest_that_is_not_of_its_data_is_refused() {
    for bank in [Bank::Sha1, Bank::Sha256] {
        let mut bundle = valid();
        bundle.ima_log.bank = bank;
        bundle.ima_log.entries[1].digests = Some(Digests::of(b"something else"));
        let error = refused(&bundle, Check::ImaTemplateDigest);
        assert!(error.expected.starts_with("IMA entry 2 "), "{error}");
    }
}

#[test]
fn an_entry_removed_from_the_log_or_moved_is_found_by_the_replay() {
    let sealed = rewritten(valid().seal(), |log| {
        let first = first_entry(log);
        let second = first + first_entry(&log[first..]);
        log.drain(first..second);
    });
    refused_spoiled(&sealed, Check::ImaReplay);

    let sealed = rewritten(valid().seal(), |log| {
        let first = first_entry(log);
        let second = first_entry(&log[first..]);
        log[first..].rotate_left(second);
    });
    refused_spoiled(&sealed, Check::ImaReplay);
}

#[test]
fn what_the_tpm_saw_and_the_log_does_not_say_is_found_by_the_replay() {
    let mut sealed = valid().seal();
    sealed.tpm.pcrs.extend(10, &Digests::of(b"executed, not logged"));
    sealed.requote();
    refused_spoiled(&sealed, Check::ImaReplay);
}

#[test]
fn a_foreign_file_in_a_log_that_does_not_replay_is_a_matter_of_the_replay() {
    let mut sealed = with(ImaEntry::file("/bin/app", FOREIGN)).seal();
    sealed.tpm.pcrs.extend(10, &Digests::of(b"executed, not logged"));
    sealed.requote();
    refused_spoiled(&sealed, Check::ImaReplay);
}

#[test]
fn an_entry_in_another_pcr_is_refused() {
    let entry = ImaEntry { pcr: 11, ..ImaEntry::file("/bin/app", FOREIGN) };
    let mut bundle = with(entry);
    bundle.ima_log.entries.push(bundle.ima_log.entries[0].clone());
    refused(&bundle, Check::ImaReplay);
}

#[test]
fn a_cut_log_and_an_unknown_template_are_refused() {
    let sealed = rewritten(valid().seal(), |log| log.truncate(log.len() - 1));
    refused_spoiled(&sealed, Check::ImaLogSyntax);
    let sealed = rewritten(valid().seal(), |log| {
        let first = first_entry(log);
        log[first + 40] ^= 0x20;
    });
    refused_spoiled(&sealed, Check::UnexpectedMeasurement);
}

#[test]
fn a_violation_is_refused_unless_the_owner_lists_its_path() {
    for bank in [Bank::Sha1, Bank::Sha256] {
        let mut bundle = with(ImaEntry::violation("/var/log/my app"));
        bundle.ima_log.bank = bank;
        let error = refused(&bundle, Check::ImaViolation);
        assert!(error.found.contains("/var/log/my app"), "{error}");
        let mut reference = bundle.reference();
        reference.dangerous_allow_ima_violations = vec!["/var/log/other".to_owned()];
        refused_under(&bundle.seal(), &reference, Check::ImaViolation);
        // The kernel writes spaces as underscores.
        let mut bundle = with(ImaEntry::violation("/var/log/my_app"));
        bundle.ima_log.bank = bank;
        reference.dangerous_allow_ima_violations = vec!["/var/log/my app".to_owned()];
        appraise(&bundle.seal(), &reference).unwrap();
    }
}

#[test]
fn a_file_of_no_image_is_refused_with_its_path_and_digest() {
    let error = refused(&with(ImaEntry::file("/tmp/miner", FOREIGN)), Check::ForeignFile);
    assert_eq!(error.found, format!("/tmp/miner sha256:{}", HexArray(FOREIGN)));
    assert_eq!(error.expected, "a file of the guest image or of the 1 image(s) of this pod");
}

#[test]
fn a_changed_file_is_refused_with_the_digest_known_at_that_path() {
    let bundle = with(ImaEntry::file("/bin/app", FOREIGN));
    let known = HexArray(bundle.image_files["/bin/app"]);
    let error = refused(&bundle, Check::ForeignFile);
    assert!(error.expected.starts_with(&format!("sha256:{known} at this path in sha256:a5a5")), "{error}");
}

#[test]
fn a_known_file_at_another_path_is_refused() {
    let digest = valid().image_files["/bin/app"];
    let error = refused(&with(ImaEntry::file("/tmp/app", digest)), Check::ForeignFile);
    assert!(error.expected.starts_with("this content only at /bin/app in sha256:a5a5"), "{error}");
}

#[test]
fn a_file_that_no_path_leads_to_must_be_the_guest_images() {
    let (guest, image) = (valid().guest_files["/usr/bin/crun"], valid().image_files["/bin/app"]);
    accepted(&with(ImaEntry::file("memfd:crun_cloned", guest)));
    refused(&with(ImaEntry::file("memfd:app", image)), Check::ForeignFile);
    refused(&with(ImaEntry::file("memfd:app", FOREIGN)), Check::ForeignFile);
    // Nor does the name of the first entry help a later one.
    refused(&with(ImaEntry::file("boot_aggregate", FOREIGN)), Check::ForeignFile);
}

#[test]
fn files_of_an_image_that_no_rule_names_are_foreign() {
    let bundle = valid();
    let mut reference = bundle.reference();
    let mut other = reference.files.last().unwrap().clone();
    other.image = Some(format!("sha256:{}", "b6".repeat(32)).parse().unwrap());
    other.files = [("/bin/other".to_owned(), vec![HexArray(FOREIGN)])].into();
    reference.files.push(other);
    let sealed = with(ImaEntry::file("/bin/other", FOREIGN)).seal();
    refused_under(&sealed, &reference, Check::ForeignFile);
}

#[test]
fn without_reference_values_for_the_files_nothing_is_accepted() {
    let bundle = valid();
    for kept in [0, 1] {
        let mut reference = bundle.reference();
        reference.files = vec![reference.files[kept].clone()];
        refused_under(&bundle.seal(), &reference, Check::FileReference);
    }
    // Also where no file of the image was run.
    let mut idle = valid();
    idle.ima_log.entries.truncate(1);
    idle.policy.containers[0].spec.image = format!("sha256:{}", "b6".repeat(32)).parse().unwrap();
    idle.workload.clear();
    activate(&mut idle);
    let mut reference = idle.reference();
    reference.files.retain(|set| set.image.is_none());
    refused_under(&idle.seal(), &reference, Check::FileReference);
}
