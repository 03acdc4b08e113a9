//! Step 1.

use crate::world::World;
use sealpod_evidence::rcar::protocol::Tee;
use sealpod_testkit::{AzureBundle, AzureSealed};
use sealpod_verifier::{Check, parse_body};
use serde_json::{Value, json};

fn primary(wire: u8, spoil: impl FnOnce(&mut Value)) -> World {
    let mut world = World::of(&AzureBundle { wire, ..AzureBundle::snp() });
    spoil(&mut world.attestation.tee_evidence.primary_evidence);
    world
}

#[test]
fn evidence_of_every_version_gets_through_the_door() {
    for wire in 0..=2 {
        for bundle in [AzureBundle::snp(), AzureBundle::tdx()] {
            let sealed = AzureBundle { wire, ..bundle }.seal();
            let body = serde_json::to_string(&sealed.attestation()).unwrap();
            let read = parse_body(body.as_bytes()).unwrap();
            let (sent, read) = (sealed.attestation().tee_evidence, read.tee_evidence);
            assert_eq!(read.primary_evidence, sent.primary_evidence);
        }
    }
}

#[test]
fn an_array_outside_of_the_tees_own_evidence_is_still_refused() {
    let body = serde_json::to_value(World::valid().attestation).unwrap();
    let mut arrays = body.clone();
    arrays["runtime-data"]["more"] = json!([1]);
    let error = parse_body(arrays.to_string().as_bytes()).unwrap_err();
    assert_eq!(error.check, Check::Body);
    let mut arrays = body;
    arrays["tee-evidence"]["primary_evidence"]["tpm_quote"]["pcrs"] = json!(vec![0; 20_000]);
    let error = parse_body(arrays.to_string().as_bytes()).unwrap_err();
    assert_eq!(error.check, Check::Budget);
}

#[test]
fn the_primary_evidence_has_its_members_and_no_others() {
    for wire in 0..=2 {
        primary(wire, |value| value["more"] = json!(1)).refused(Check::PrimaryEvidence);
        primary(wire, |value| value["vcek"] = json!(1)).refused(Check::PrimaryEvidence);
        primary(wire, |value| *value = json!({})).refused(Check::PrimaryEvidence);
    }
    primary(2, |value| value["version"] = json!(3)).refused(Check::EvidenceVersion);
    primary(2, |value| value["vcek"] = json!("A".repeat(20_000))).refused(Check::Budget);
    primary(1, |value| value["tpm_quote"]["pcrs"][0] = json!("00")).refused(Check::PcrValues);
    primary(1, |value| drop(value["tpm_quote"]["pcrs"].as_array_mut().unwrap().pop()))
        .refused(Check::PcrValues);
    primary(1, |value| value["tpm_quote"]["signature"] = json!("")).refused(Check::TpmStructure);
    primary(1, |value| value["tpm_quote"]["message"] = json!("00")).refused(Check::TpmStructure);
}

#[test]
fn the_hcl_report_is_well_formed() {
    let hcl = |spoil: fn(&mut AzureSealed)| World::spoiled(spoil);
    hcl(|s| s.hcl.signature = *b"HCLB").refused(Check::PrimaryEvidence);
    hcl(|s| s.hcl.version = 3).refused(Check::PrimaryEvidence);
    hcl(|s| s.hcl.report_size = Some(1)).refused(Check::PrimaryEvidence);
    hcl(|s| s.hcl.request_type = 1).refused(Check::PrimaryEvidence);
    hcl(|s| s.hcl.data_version = 3).refused(Check::PrimaryEvidence);
    hcl(|s| s.hcl.report_type = 1).refused(Check::PrimaryEvidence);
    hcl(|s| s.hcl.hash_type = 4).refused(Check::PrimaryEvidence);
    hcl(|s| s.runtime_bytes = b"{}".to_vec()).refused(Check::PrimaryEvidence);
    hcl(|s| s.runtime_bytes = vec![b' '; 9000]).refused(Check::Budget);
    // The SNP report in it has its own errors.
    hcl(|s| {
        s.report.version = 6;
        s.resign();
    })
    .refused(Check::EvidenceVersion);
    hcl(|s| {
        s.report.patches = vec![(0x4C, 1)];
        s.resign();
    })
    .refused(Check::ReservedBytes);
    hcl(|s| {
        s.attest.magic ^= 1;
        s.resign_quote();
    })
    .refused(Check::QuoteType);
}

#[test]
fn one_tees_report_is_no_evidence_of_the_other() {
    // A TDREPORT under the members of an SNP guest.
    let tdx = AzureBundle::tdx().seal();
    let mut sealed = AzureBundle::snp().seal();
    sealed.hcl.report_type = 4;
    sealed.report_bytes = tdx.td.to_bytes();
    World::with(&sealed, AzureBundle::snp().reference()).refused(Check::PrimaryEvidence);
    World::spoiled_tdx(|s| {
        s.hcl.report_type = 2;
        s.report_bytes = AzureBundle::snp().seal().report_bytes;
        s.hardware = Some(s.report_bytes.clone());
    })
    .refused(Check::PrimaryEvidence);
    // The challenge decides which evidence is looked for.
    let mut world = World::valid();
    world.challenge.tee = Tee::AzTdxVtpm;
    world.refused(Check::PrimaryEvidence);
    world.challenge.tee = Tee::Snp;
    world.refused(Check::AdditionalEvidence);
}

#[test]
fn the_logs_are_there_once_and_whole() {
    let text = |spoil: fn(&str) -> String| {
        World::spoiled(|s| {
            s.additional_text = spoil(&s.additional_text);
            s.rebind_text();
        })
    };
    text(|_| String::new()).refused(Check::AdditionalEvidence);
    text(|good| good.replacen("\"version\":1", "\"version\":1,\"more\":1", 1))
        .refused(Check::AdditionalEvidence);
    text(|good| good.replacen("\"version\":1,", "", 1)).refused(Check::AdditionalEvidence);
    text(|good| good.replacen("\"version\":1", "\"version\":2", 1)).refused(Check::EvidenceVersion);
    // A quote of the sender's choice beside the one in the primary evidence.
    text(|good| good.replacen("{\"version\"", "{\"quote\":{},\"version\"", 1))
        .refused(Check::AdditionalEvidence);
    World::spoiled(|s| {
        s.additional.tpm.boot_log.0 = vec![0; (128 << 10) + 1];
        s.rebind();
    })
    .refused(Check::Budget);
    World::spoiled(|s| {
        s.additional.tpm.ima_log.first_index = 1;
        s.rebind();
    })
    .refused(Check::ImaLogStart);
    World::spoiled(|s| s.initdata = None).refused(Check::InitdataSyntax);
}
