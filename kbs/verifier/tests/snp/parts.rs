//! Step 1.

use crate::world::World;
use sealpod_evidence::bytes::Base64;
use sealpod_testkit::{Bundle, Sealed};
use sealpod_verifier::{Check, MAX_ADDITIONAL_LEN};
use serde_json::json;

#[track_caller]
fn additional(spoil: impl FnOnce(&mut Sealed), check: Check) {
    World::spoiled(|sealed| {
        spoil(sealed);
        sealed.rebind();
    })
    .refused(check);
}

#[track_caller]
fn text(spoil: impl FnOnce(&str) -> String, check: Check) -> String {
    let world = World::spoiled(|sealed| {
        sealed.additional_text = spoil(&sealed.additional_text);
        sealed.rebind_text();
    });
    world.refused(check).found
}

#[test]
fn every_part_has_a_budget() {
    let over = |kib: usize| Base64(vec![0; (kib << 10) + 1]);
    additional(|s| s.additional.tpm.boot_log = over(128), Check::Budget);
    additional(|s| s.additional.tpm.ima_log.data = over(8 << 10), Check::Budget);
    additional(|s| s.additional.tpm.workload_log = over(256), Check::Budget);
    additional(|s| s.additional.tpm.activated_credential = Base64(vec![0; 65]), Check::Budget);
    additional(|s| s.additional.tpm.ek_public = over(4), Check::Budget);
    additional(|s| s.additional.tpm.svsm.as_mut().unwrap().manifest = over(4), Check::Budget);
    text(|_| " ".repeat(MAX_ADDITIONAL_LEN + 1), Check::Budget);
    World::spoiled(|s| s.certificates = over(64).0).refused(Check::Budget);
    World::spoiled(|s| s.initdata = Some("#".repeat((256 << 10) + 1))).refused(Check::Budget);
}

#[test]
fn the_primary_evidence_is_a_report_and_a_table_and_nothing_else() {
    let mut world = World::valid();
    for value in
        [json!(null), json!({}), json!({"report": "", "certificates": "", "more": ""}), json!("AAAA")]
    {
        world.attestation.tee_evidence.primary_evidence = value;
        world.refused(Check::PrimaryEvidence);
    }
    World::spoiled(|s| s.report_bytes.truncate(1183)).refused(Check::PrimaryEvidence);
    World::spoiled(|s| s.report_bytes.push(0)).refused(Check::PrimaryEvidence);
    World::spoiled(|s| {
        s.report.cpuid = [0x17, 0, 0];
        s.resign();
    })
    .refused(Check::PrimaryEvidence);
}

#[test]
fn versions_that_are_not_known_are_refused() {
    for version in [1, 6] {
        World::spoiled(|s| {
            s.report.version = version;
            s.resign();
        })
        .refused(Check::EvidenceVersion);
    }
    additional(|s| s.additional.tpm.version = 2, Check::EvidenceVersion);
}

#[test]
fn a_certificate_table_that_does_not_parse_is_refused() {
    World::spoiled(|s| s.certificates.truncate(30)).refused(Check::CertificateTable);
    World::spoiled(|s| s.certificates.push(1)).refused(Check::CertificateTable);
}

#[test]
fn additional_evidence_is_there_once_and_whole() {
    assert_eq!(text(|_| String::new(), Check::AdditionalEvidence), "none");
    text(|_| "{}".to_owned(), Check::AdditionalEvidence);
    text(|good| format!("{good} x"), Check::AdditionalEvidence);
    text(|good| good.replacen("{\"tpm\"", "{\"more\":1,\"tpm\"", 1), Check::AdditionalEvidence);
    text(|good| good.replacen("\"version\":1", "\"version\":1,\"more\":1", 1), Check::AdditionalEvidence);
    text(|good| good.replacen("\"version\":1,", "", 1), Check::AdditionalEvidence);
    let found = text(
        |good| good.replacen("\"version\":1", "\"version\":1,\"version\":1", 1),
        Check::AdditionalEvidence,
    );
    assert!(found.contains("twice"), "{found}");
}

#[test]
fn a_pcr_may_not_be_given_twice() {
    let zeros = "0".repeat(64);
    let twice = format!("\"sha256\":{{\"0\":\"{zeros}\",");
    let found = text(|good| good.replacen("\"sha256\":{", &twice, 1), Check::AdditionalEvidence);
    assert!(found.contains("twice"), "{found}");
}

#[test]
fn tpm_structures_parse_to_the_last_byte() {
    additional(|s| s.additional.tpm.ek_public.0.push(0), Check::TpmStructure);
    additional(|s| s.additional.tpm.ak_public.0.truncate(7), Check::TpmStructure);
    additional(|s| s.additional.tpm.quote.signature.0.push(0), Check::TpmStructure);
    additional(|s| s.additional.tpm.quote.message.0.push(0), Check::TpmStructure);
}

#[test]
fn pcr_values_are_exactly_those_quoted() {
    fn bank(sealed: &mut Sealed) -> &mut std::collections::BTreeMap<u8, String> {
        sealed.additional.tpm.pcrs.get_mut("sha256").unwrap()
    }
    additional(|s| drop(bank(s).remove(&13)), Check::PcrValues);
    additional(|s| drop(bank(s).insert(11, "00".repeat(32))), Check::PcrValues);
    additional(|s| drop(bank(s).insert(0, "00".repeat(31))), Check::PcrValues);
    additional(|s| drop(bank(s).insert(0, "AA".repeat(32))), Check::PcrValues);
    additional(|s| drop(s.additional.tpm.pcrs.insert("sha1".into(), Default::default())), Check::PcrValues);
    additional(|s| s.additional.tpm.pcrs.clear(), Check::PcrValues);
}

#[test]
fn the_ima_log_starts_at_its_first_entry_in_a_known_bank() {
    additional(|s| s.additional.tpm.ima_log.first_index = 1, Check::ImaLogStart);
    additional(|s| s.additional.tpm.ima_log.bank = "sha384".into(), Check::ImaLogSyntax);
}

#[test]
fn a_workload_log_that_does_not_parse_is_refused() {
    additional(|s| s.additional.tpm.workload_log.0.push(0), Check::WorkloadLogSyntax);
}

#[test]
fn initdata_is_sent_as_toml() {
    World::spoiled(|s| s.initdata = None).refused(Check::InitdataSyntax);
    World::spoiled(|s| s.initdata = Some("version = 1".into())).refused(Check::InitdataSyntax);
    let mut world = World::of(Bundle::valid());
    world.attestation.init_data.as_mut().unwrap().format = "json".into();
    world.refused(Check::InitdataSyntax);
}

#[test]
fn a_malformed_svsm_report_is_refused() {
    additional(|s| s.additional.tpm.svsm.as_mut().unwrap().report.0.truncate(100), Check::SvsmReport);
}
