//! Steps 13 and 14.

use crate::support::{accepted, activate, appraise, refused, refused_spoiled, refused_under, valid};
use sealpod_evidence::bytes::HexArray;
use sealpod_testkit::logs::{Bank, ImaEntry, ImaLog, Template};
use sealpod_testkit::tpm::Digests;
use sealpod_testkit::{Bundle, Sealed};
use sealpod_verifier::Check;

const FOREIGN: [u8; 32] = [0xee; 32];

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Digests::of(bytes).sha256
}

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
fn logs_of_all_banks_and_templates_are_taken() {
    for bank in [Bank::Sha1, Bank::Sha256, Bank::Sha384, Bank::Sha512] {
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
fn an_older_kernels_boot_aggregate_is_over_pcr_0_to_7() {
    let with_aggregate = |count: usize| {
        let mut sealed = valid().seal();
        let mut boot_pcrs = sealed.tpm.pcrs.sha256;
        // The agent extended PCR 8 after IMA started.
        boot_pcrs[8] = [0; 32];
        let digest = sha256(boot_pcrs[..count].as_flattened());
        let first = ImaEntry { template: Template::ImaNg, ..ImaEntry::file("boot_aggregate", digest) };
        let mut entries = valid().ima_log.entries;
        entries.insert(0, first);
        let log = ImaLog { entries, ..ImaLog::default() };
        sealed.tpm.pcrs.sha256[10] = [0; 32];
        log.replay(&mut sealed.tpm.pcrs);
        sealed.additional.tpm.ima_log = log.to_evidence();
        sealed.requote();
        sealed
    };
    for count in [8, 10] {
        appraise(&with_aggregate(count), &valid().reference()).unwrap();
    }
    for count in [7, 9] {
        refused_spoiled(&with_aggregate(count), Check::BootAggregate);
    }
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
fn violations_are_refused_but_for_as_many_as_the_owner_takes() {
    for bank in [Bank::Sha1, Bank::Sha256] {
        let mut bundle = with(ImaEntry::violation("/var/log/app"));
        bundle.ima_log.bank = bank;
        let error = refused(&bundle, Check::ImaViolation);
        assert!(error.found.contains("/var/log/app"), "{error}");
        let mut reference = bundle.reference();
        reference.dangerous_allow_ima_violations_up_to = 1;
        let result = appraise(&bundle.seal(), &reference).unwrap();
        assert_eq!(result.claims()["ima"]["violations"], 1);
        bundle.ima_log.entries.insert(0, ImaEntry::violation("/var/log/app"));
        refused_under(&bundle.seal(), &reference, Check::ImaViolation);
        // What came after the quote is not counted.
        bundle.ima_log.entries.push(ImaEntry::violation("/var/log/app"));
        bundle.ima_log.after_quote = 1;
        reference.dangerous_allow_ima_violations_up_to = 2;
        appraise(&bundle.seal(), &reference).unwrap();
    }
}

#[test]
fn the_name_of_a_violation_is_the_senders_word_and_helps_nobody() {
    // The kernel logged one of crun; the sender writes another name, and PCR 10 is the same.
    let bundle = with(ImaEntry::violation("/usr/bin/crun"));
    let renamed = with(ImaEntry::violation("/var/log/ok"));
    assert_eq!(bundle.seal().tpm.pcrs.sha256[10], renamed.seal().tpm.pcrs.sha256[10]);
    refused(&renamed, Check::ImaViolation);
    // The kernel logs violations in its default template.
    let odd = with(ImaEntry { template: Template::EvmSig, ..ImaEntry::violation("/var/log/ok") });
    let mut reference = odd.reference();
    reference.dangerous_allow_ima_violations_up_to = 1;
    refused_under(&odd.seal(), &reference, Check::UnexpectedMeasurement);
}

/// Little-endian length and bytes, as template data and the log around it have them.
pub fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

/// Valid evidence with one more entry that the kernel logged, which the sender calls `template`.
pub fn labelled(template: &str, data: &[u8]) -> Sealed {
    let mut sealed = valid().seal();
    let digests = Digests::of(data);
    let log = &mut sealed.additional.tpm.ima_log.data.0;
    log.extend(10_u32.to_le_bytes());
    log.extend(digests.sha256);
    log.extend([sized(template.as_bytes()), sized(data)].concat());
    sealed.tpm.pcrs.extend(10, &digests);
    sealed.requote();
    sealed
}

/// An `evm-sig` entry of a foreign program whose protected attribute holds what would be crun's digest.
fn miner() -> Vec<u8> {
    let tagged = |digest: [u8; 32]| [b"sha256:\0".as_slice(), &digest].concat();
    let crun = tagged(valid().guest_files["/usr/bin/crun"]);
    let fields: [&[u8]; 9] = [
        &tagged(FOREIGN),
        b"/tmp/miner\0",
        b"",
        b"/usr/bin/crun\0",
        &(crun.len() as u32).to_le_bytes(),
        &crun,
        &[0; 4],
        &[0; 4],
        &0o100_755_u16.to_le_bytes(),
    ];
    fields.iter().flat_map(|field| sized(field)).collect()
}

#[test]
fn an_entry_cannot_be_relabelled() {
    let data = miner();
    refused_spoiled(&labelled("evm-sig", &data), Check::ForeignFile);
    // Formats that the sender spells out: another field becomes digest or name, or none is a name.
    for format in [
        "sig|modsig|evmsig|n-ng|xattrlengths|d-ng|iuid|igid|imode",
        "sig|modsig|evmsig|xattrnames|xattrlengths|d-ng|iuid|igid|imode",
        "d-ng|n-ng|evmsig|xattrnames|xattrlengths|xattrvalues|iuid|igid|imode",
    ] {
        let error = refused_spoiled(&labelled(format, &data), Check::UnexpectedMeasurement);
        assert_eq!(error.found, format!("{format:?}"));
    }
    // Templates of the kernel's: each takes exactly as many fields as it has.
    for template in ["ima-ng", "ima-sig", "ima-ngv2", "ima-sigv2", "ima-buf", "ima-modsig"] {
        refused_spoiled(&labelled(template, &data), Check::UnexpectedMeasurement);
    }
}

#[test]
fn no_template_that_is_taken_can_be_mistaken_for_another() {
    let (digest, path) = (valid().guest_files["/usr/bin/crun"], b"/usr/bin/crun\0");
    let plain = [b"sha256:\0".as_slice(), &digest].concat();
    let typed = [b"ima:".as_slice(), &plain].concat();
    let evm: [&[u8]; 9] = [&plain, path, b"", b"", b"", b"", &[0; 4], &[0; 4], &[0xed, 0x81]];
    let entries: [(&str, &[&[u8]]); 5] = [
        ("ima-ng", &[&plain, path]),
        ("ima-ngv2", &[&typed, path]),
        ("ima-sig", &[&plain, path, b""]),
        ("ima-sigv2", &[&typed, path, b""]),
        ("evm-sig", &evm),
    ];
    for (of, fields) in entries {
        let data: Vec<u8> = fields.iter().flat_map(|field| sized(field)).collect();
        for (template, _) in entries {
            let sealed = labelled(template, &data);
            if template == of {
                appraise(&sealed, &valid().reference()).unwrap();
            } else {
                refused_spoiled(&sealed, Check::UnexpectedMeasurement);
            }
        }
    }
}

#[test]
fn a_measured_buffer_called_a_file_is_no_known_file() {
    let digest = [b"sha256:\0".as_slice(), &sha256(b"quiet")].concat();
    for (name, check) in
        [(&b"kexec-cmdline\0"[..], Check::KexecCarryOver), (b"dm_table_load\0", Check::MeasuredBuffer)]
    {
        let data: Vec<u8> = [&digest, name, b"quiet"].iter().flat_map(|field| sized(field)).collect();
        refused_spoiled(&labelled("ima-buf", &data), check);
        refused_spoiled(&labelled("ima-sig", &data), Check::ForeignFile);
    }
    // And a file called a buffer would need a signature with the digest of the file.
    let (digest, path) = (valid().guest_files["/usr/bin/crun"], b"/usr/bin/crun\0");
    let data: [&[u8]; 3] = [&[b"sha256:\0".as_slice(), &digest].concat(), path, b""];
    let data: Vec<u8> = data.iter().flat_map(|field| sized(field)).collect();
    refused_spoiled(&labelled("ima-buf", &data), Check::MeasuredBuffer);
}

#[test]
fn an_entry_without_a_name_is_refused() {
    refused(&with(ImaEntry::file("", valid().guest_files["/usr/bin/crun"])), Check::UnexpectedMeasurement);
}

#[test]
fn the_first_entry_is_in_a_template_of_the_kernels_own() {
    // The same data, in a format that the sender spells out.
    let sealed = rewritten(valid().seal(), |log| {
        let name = log.windows(6).position(|window| window == b"ima-ng").unwrap();
        log.splice(name - 4..name + 6, sized(b"d-ng|n-ng"));
    });
    refused_spoiled(&sealed, Check::UnexpectedMeasurement);
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
fn files_that_no_path_leads_to_are_foreign_whatever_their_content() {
    let bundle = valid();
    let crun = bundle.guest_files["/usr/bin/crun"];
    for (name, digest) in [
        ("memfd:crun_cloned:/proc/self/exe", crun),
        ("memfd:app", bundle.image_files["/bin/app"]),
        ("crun", crun),
    ] {
        refused(&with(ImaEntry::file(name, digest)), Check::ForeignFile);
    }
    // Nor does the name of the first entry help a later one.
    refused(&with(ImaEntry::file("boot_aggregate", FOREIGN)), Check::KexecCarryOver);
}

#[test]
fn an_image_does_not_speak_for_the_paths_of_the_guests_programs() {
    let program = |path: &str| {
        let mut bundle = with(ImaEntry::file(path, FOREIGN));
        bundle.image_files.insert(path.to_owned(), FOREIGN);
        bundle
    };
    let bundle = program("/usr/bin/crun");
    let error = refused(&bundle, Check::ForeignFile);
    let known = HexArray(bundle.guest_files["/usr/bin/crun"]);
    assert_eq!(error.expected, format!("sha256:{known} at this path in the guest image"));
    // Distributions have their libraries at the same paths, in whatever version.
    accepted(&program("/usr/lib/x86_64-linux-gnu/libc.so.6"));
    accepted(&program("/usr/bin/another"));
}

#[test]
fn a_container_runs_no_set_id_files() {
    let of = |path: &str, digest, mode| with(ImaEntry { mode, ..ImaEntry::file(path, digest) });
    let (guest, image) = (valid().guest_files["/usr/bin/crun"], valid().image_files["/bin/app"]);
    for mode in [0o104_755, 0o102_755, 0o106_711] {
        refused(&of("/bin/app", image, mode), Check::SetIdFile);
        accepted(&of("/usr/bin/crun", guest, mode));
    }
    accepted(&of("/bin/app", image, 0o101_755));
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
