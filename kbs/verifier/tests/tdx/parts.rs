//! Steps 1 and 2.

use crate::world::World;
use sealpod_evidence::rcar::protocol::Tee;
use sealpod_testkit::tdx::TdxBundle;
use sealpod_verifier::Check;
use serde_json::json;

#[test]
fn valid_evidence_of_both_versions_is_accepted() {
    World::valid().accepted();
    World::of(TdxBundle::valid_v5()).accepted();
    World::made(|bundle| bundle.quote.padding = vec![0; 3000]).accepted();
}

#[test]
fn the_primary_evidence_is_a_quote_and_a_boot_log_and_nothing_else() {
    let sent = |value| {
        let mut world = World::valid();
        world.attestation.tee_evidence.primary_evidence = value;
        world.refused(Check::PrimaryEvidence);
    };
    sent(json!([]));
    sent(json!({}));
    sent(json!({ "quote": "", "cc_eventlog": "" }));
    sent(json!({ "quote": "AAAA", "cc_eventlog": "", "aa_eventlog": "" }));
    World::made(|bundle| bundle.quote.padding = vec![0, 1]).refused(Check::PrimaryEvidence);
    World::made(|bundle| bundle.quote.tee = 0x82).refused(Check::PrimaryEvidence);
    World::spoiled(|sealed| sealed.quote_bytes.truncate(4000)).refused(Check::PrimaryEvidence);
    World::spoiled(|sealed| sealed.quote_bytes[12] ^= 1).refused(Check::PrimaryEvidence);
}

#[test]
fn versions_and_algorithms_that_are_not_known_are_refused() {
    World::spoiled(|sealed| sealed.quote_bytes[0] = 6).refused(Check::EvidenceVersion);
    World::spoiled(|sealed| sealed.quote_bytes[2] = 3).refused(Check::SignatureAlgorithm);
    World::spoiled(|sealed| sealed.quote_bytes[8] = 1).refused(Check::ReservedBytes);
    World::spoiled(|sealed| {
        sealed.logs().version = 2;
        sealed.rebind();
    })
    .refused(Check::EvidenceVersion);
}

#[test]
fn every_part_has_a_budget() {
    World::made(|bundle| bundle.quote.padding = vec![0; 32 << 10]).refused(Check::Budget);
    World::spoiled(|sealed| sealed.ccel.resize((1 << 20) + 1, 0xff)).refused(Check::Budget);
    World::spoiled(|sealed| {
        sealed.logs().workload_log.0 = vec![0; (256 << 10) + 1];
        sealed.rebind();
    })
    .refused(Check::Budget);
}

#[test]
fn additional_evidence_is_logs_or_a_tpms_word() {
    World::spoiled(|sealed| {
        sealed.additional.logs = None;
        sealed.rebind();
    })
    .refused(Check::AdditionalEvidence);
    let tpm = TdxBundle { tpm: true, ..TdxBundle::valid() }.seal().additional.tpm;
    World::spoiled(|sealed| {
        sealed.additional.tpm = tpm;
        sealed.rebind();
    })
    .refused(Check::AdditionalEvidence);
    let svsm = sealpod_testkit::Bundle::valid().seal().additional.tpm;
    World::spoiled(|sealed| {
        sealed.additional.logs = None;
        sealed.additional.tpm = Some(svsm);
        sealed.rebind();
    })
    .refused(Check::AdditionalEvidence);
    World::spoiled(|sealed| {
        sealed.additional_text.clear();
        sealed.rebind_text();
    })
    .refused(Check::AdditionalEvidence);
}

#[test]
fn the_challenge_is_this_one_for_a_td() {
    let mut world = World::valid();
    world.challenge.expires = world.now;
    world.refused(Check::ChallengeExpired);
    let mut world = World::valid();
    world.challenge.nonce = "other".to_owned();
    world.refused(Check::ChallengeNonce);
    let mut world = World::valid();
    world.challenge.tee = Tee::Sgx;
    world.refused(Check::ChallengeTee);
    let mut world = World::valid();
    world.challenge.tee = Tee::Snp;
    assert!(world.verify().is_err());
}
