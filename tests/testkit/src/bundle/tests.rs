use super::*;
use crate::hash::{sha1, sha256};
use crate::logs::{Bank, ima, workload};
use crate::tpm::{AkKind, Attest};
use sealpod_evidence::binding::{quote_nonce, report_data, svsm_nonce, svsm_report_data};
use sealpod_evidence::ima::{HashAlgorithm, Log};
use sealpod_evidence::rcar::{PCR_IMA, PCR_WORKLOAD, SnpEvidence};
use sealpod_evidence::snp::report::Report;
use sealpod_evidence::tcg2::BootLog as ParsedBootLog;
use sealpod_evidence::tpm;

/// The values that the evidence claims to be quoted.
fn claimed(sealed: &Sealed, pcr: u8) -> [u8; 32] {
    let text = &sealed.additional.tpm.pcrs["sha256"][&pcr];
    text.parse::<HexArray<32>>().unwrap().0
}

fn primary(sealed: &Sealed) -> Report {
    let evidence = sealed.attestation().tee_evidence.primary_evidence;
    let snp: SnpEvidence = serde_json::from_value(evidence).unwrap();
    Report::parse(&snp.report.0).unwrap()
}

fn is_bound(sealed: &Sealed) -> bool {
    let sent = sealed.attestation();
    let key = serde_json::to_value(&sent.runtime_data.tee_pubkey).unwrap();
    let expected =
        report_data(&sent.runtime_data.nonce, &key, &sent.tee_evidence.additional_evidence).unwrap();
    primary(sealed).report_data() == expected
}

fn extend(pcr: [u8; 32], digest: &[u8]) -> [u8; 32] {
    sha256(&[pcr.as_slice(), digest].concat())
}

#[test]
fn the_primary_report_binds_key_nonce_text_and_initdata() {
    let bundle = Bundle::valid();
    let sealed = bundle.seal();
    assert!(is_bound(&sealed));
    let body = sealed.attestation().init_data.unwrap().body;
    assert_eq!(primary(&sealed).host_data(), sha256(body.as_bytes()));
    assert_eq!(Initdata::parse(&body).unwrap().policy(), &bundle.policy);
    let text: AdditionalEvidence = serde_json::from_str(&sealed.additional_text).unwrap();
    assert_eq!(text, sealed.additional);
}

#[test]
fn the_svsm_vouches_for_the_endorsement_key_of_the_same_guest() {
    let sealed = Bundle::valid().seal();
    let svsm = sealed.additional.tpm.svsm.as_ref().unwrap();
    let report = Report::parse(&svsm.report.0).unwrap();
    assert_eq!(svsm.manifest, sealed.additional.tpm.ek_public);
    let block = svsm_nonce(&sealed.nonce, &sealed.tee_pubkey_json()).unwrap();
    assert_eq!(report.report_data(), svsm_report_data(&block, &svsm.manifest.0));
    assert_eq!((report.vmpl(), primary(&sealed).vmpl()), (0, 2));
    assert_eq!(report.report_id(), primary(&sealed).report_id());
    assert_eq!(report.host_data(), primary(&sealed).host_data());
}

#[test]
fn the_quote_covers_exactly_the_claimed_values() {
    for kind in AkKind::ALL {
        let sealed = Bundle { tpm: Tpm::new(kind), ..Bundle::valid() }.seal();
        let quote = &sealed.additional.tpm.quote;
        let attest = tpm::Attest::parse(&quote.message.0).unwrap();
        let signature = tpm::Signature::parse(&quote.signature.0).unwrap();
        let ak = tpm::Public::parse(&sealed.additional.tpm.ak_public.0).unwrap();
        let ek = tpm::Public::parse(&sealed.additional.tpm.ek_public.0).unwrap();
        assert_eq!(ak.name().as_bytes(), sealed.tpm.ak_name());
        assert_eq!(ek.name().as_bytes(), sealed.tpm.ek_name());
        assert_eq!(attest.extra_data, quote_nonce(&sealed.nonce, &sealed.tee_pubkey_json()).unwrap());
        assert_eq!(attest.selections.len(), 1);
        assert!(attest.selections[0].pcrs().eq(QUOTED_PCRS));
        let values: Vec<_> = QUOTED_PCRS.iter().map(|pcr| claimed(&sealed, *pcr)).collect();
        let expected = signature.hash().digest(&[values.as_flattened()]).unwrap();
        assert_eq!(attest.pcr_digest, expected);
    }
}

#[test]
fn the_boot_log_replays_and_is_its_own_reference() {
    for startup_locality in [None, Some(3)] {
        let mut bundle = Bundle::valid();
        bundle.boot_log.startup_locality = startup_locality;
        let sealed = bundle.seal();
        let log = ParsedBootLog::parse(&sealed.additional.tpm.boot_log.0).unwrap();
        let replayed = log.replay_sha256().unwrap();
        for pcr in (0..8).chain([9]) {
            assert_eq!(replayed[usize::from(pcr)], claimed(&sealed, pcr), "PCR {pcr}");
        }
        assert_eq!(log.startup_locality(), startup_locality.unwrap_or(0));
        let sha1 = log.replay_sha1().unwrap();
        assert_eq!(sha1[7], sealed.tpm.pcrs.sha1[7]);
        let reference = bundle.reference().boot.remove(0);
        assert!(reference.events.keys().copied().eq((0..8).chain([9])));
        assert_eq!(reference.events.values().map(Vec::len).sum::<usize>(), bundle.boot_log.events.len());
    }
}

#[test]
fn pcr_8_is_initdata_alone() {
    let bundle = Bundle::valid();
    assert_eq!(claimed(&bundle.seal(), PCR_INITDATA), extend([0; 32], &bundle.initdata().digest().0));
}

#[test]
fn the_ima_log_replays_in_every_bank_and_template() {
    for (bank, parsed_as) in [(Bank::Sha256, HashAlgorithm::Sha256), (Bank::Sha1, HashAlgorithm::Sha1)] {
        let mut bundle = Bundle::valid();
        bundle.ima_log.bank = bank;
        for template in [ima::Template::ImaNg, ima::Template::ImaSig, ima::Template::EvmSig] {
            bundle.ima_log.entries.push(ImaEntry { template, ..ImaEntry::file(template.name(), [3; 32]) });
        }
        bundle.ima_log.entries.push(ImaEntry::violation("/var/open"));
        let sealed = bundle.seal();
        let sent = &sealed.additional.tpm.ima_log;
        let mut pcr = [0; 32];
        let mut count = 0;
        for entry in Log::new(&sent.data.0, parsed_as, 1000).entries() {
            let entry = entry.unwrap();
            let name = entry.fields().unwrap().name.unwrap().to_vec();
            let mut data = Vec::new();
            entry.hash_parts(|part| data.extend(part));
            let digest = if bank == Bank::Sha1 { sha1(&data).to_vec() } else { sha256(&data).to_vec() };
            assert_eq!(entry.is_violation(), name == b"/var/open");
            assert!(entry.is_violation() || entry.template_digest == digest);
            let extended = if entry.is_violation() { [0xff; 32] } else { sha256(&data) };
            pcr = extend(pcr, &extended);
            assert_eq!(entry.is_boot_aggregate(), entry.index == 0);
            count += 1;
        }
        assert_eq!(count, bundle.ima_log.entries.len() + 1);
        assert_eq!(pcr, claimed(&sealed, PCR_IMA));
    }
}

#[test]
fn entries_after_the_quote_are_sent_but_not_covered() {
    let all = Bundle::valid().seal();
    let mut bundle = Bundle::valid();
    bundle.ima_log.after_quote = 1;
    let lagging = bundle.seal();
    assert_eq!(all.additional.tpm.ima_log, lagging.additional.tpm.ima_log);
    assert_ne!(claimed(&all, PCR_IMA), claimed(&lagging, PCR_IMA));
}

#[test]
fn the_workload_log_replays() {
    let sealed = Bundle::valid().seal();
    let records = cel::parse(&sealed.additional.tpm.workload_log.0).unwrap();
    assert_eq!(records, workload::records(&[Bundle::valid().policy.containers[0].spec.clone()]));
    assert_eq!(extend([0; 32], &records[0].content_digest()), claimed(&sealed, PCR_WORKLOAD));
}

#[test]
fn every_measured_file_is_a_reference_value() {
    let bundle = Bundle::with_ima_entries(100);
    assert_eq!(bundle.ima_log.entries.len(), 99);
    let reference = bundle.reference();
    let known = |entry: &ImaEntry| {
        let digests = reference.files.iter().find_map(|set| set.files.get(&entry.path));
        digests.is_some_and(|digests| digests.contains(&HexArray(entry.digest)))
    };
    assert!(bundle.ima_log.entries.iter().all(known));
    let log = bundle.seal().additional.tpm.ima_log.data.0;
    assert_eq!(Log::new(&log, HashAlgorithm::Sha256, 100).entries().filter(Result::is_ok).count(), 100);
}

#[test]
fn one_inner_thing_can_be_spoiled_under_valid_bindings() {
    let valid = Bundle::valid().seal();

    let mut sealed = valid.clone();
    sealed.additional.tpm.activated_credential = Base64(vec![1; 32]);
    assert!(is_bound(&sealed), "nothing changes before rebinding");
    sealed.rebind();
    assert!(is_bound(&sealed) && sealed.additional_text != valid.additional_text);

    let mut sealed = valid.clone();
    sealed.attest = Attest { magic: 0, ..sealed.attest };
    sealed.resign_quote();
    assert!(is_bound(&sealed) && tpm::Attest::parse(&sealed.additional.tpm.quote.message.0).is_err());

    let mut sealed = valid.clone();
    sealed.tpm.pcrs.extend(4, &Digests::of(b"more"));
    sealed.requote();
    assert!(is_bound(&sealed) && claimed(&sealed, 4) != claimed(&valid, 4));
    assert_eq!(sealed.attest.extra_data, valid.attest.extra_data);

    let mut sealed = valid.clone();
    sealed.revouch(Tpm::foreign().ek_public());
    let svsm = sealed.additional.tpm.svsm.clone().unwrap();
    let block = svsm_nonce(&sealed.nonce, &sealed.tee_pubkey_json()).unwrap();
    let report = Report::parse(&svsm.report.0).unwrap();
    assert_eq!(report.report_data(), svsm_report_data(&block, &svsm.manifest.0));
    assert!(is_bound(&sealed) && svsm.manifest != sealed.additional.tpm.ek_public);

    let mut sealed = valid;
    sealed.report.report_data = [0; 64];
    sealed.resign();
    assert!(!is_bound(&sealed));
}

#[test]
fn a_bundle_without_svsm_has_no_word_of_one() {
    let sealed = Bundle { svsm: false, ..Bundle::valid() }.seal();
    assert!(sealed.additional.tpm.svsm.is_none() && !sealed.additional_text.contains("svsm"));
}

#[test]
fn the_vlek_bundle_says_so() {
    let report = primary(&Bundle::with_vlek().seal());
    assert_eq!(report.key_info().0 >> 2 & 7, 1);
}
