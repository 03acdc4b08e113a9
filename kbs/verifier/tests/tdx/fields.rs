//! Steps 6 to 8: what the quote says of the TD.

use crate::world::World;
use sealpod_testkit::tdx::{TdxBundle, TdxSealed};
use sealpod_verifier::Check;

fn attributes(attributes: u64) -> World {
    World::made(|bundle| bundle.quote.td.td_attributes = attributes)
}

const SEPT_VE_DISABLE: u64 = 1 << 28;

#[test]
fn the_quote_is_of_a_td() {
    World::made(|bundle| bundle.quote.tee = 0).refused(Check::Collateral);
    // Even with collateral for SGX.
    let mut bundle = TdxBundle::valid();
    bundle.quote.tee = 0;
    let info = &mut bundle.collateral.tcb_info;
    info["id"] = "SGX".into();
    for level in info["tcbLevels"].as_array_mut().unwrap() {
        level["tcb"].as_object_mut().unwrap().remove("tdxtcbcomponents");
    }
    bundle.collateral.qe_identity["id"] = "QE".into();
    World::of(bundle).refused(Check::TeeType);
}

#[test]
fn reserved_attributes_are_zero() {
    for bit in [1, 3, 7, 8, 15, 23, 26, 32, 61] {
        let mut world = attributes(SEPT_VE_DISABLE | 1 << bit);
        world.policy.dangerous_accept_debug = true;
        world.refused(Check::TdAttributes);
    }
    for bit in [16, 27, 30, 31, 62, 63] {
        attributes(SEPT_VE_DISABLE | 1 << bit).accepted();
    }
}

#[test]
fn a_td_that_the_host_can_look_into_is_refused() {
    for bit in [0, 4, 5, 6] {
        let mut world = attributes(SEPT_VE_DISABLE | 1 << bit);
        world.refused(Check::DebugAllowed);
        world.policy.dangerous_accept_debug = true;
        let result = world.accepted();
        assert_eq!(result.trust_vector().runtime_opaque, Some(96));
    }
}

#[test]
fn exceptions_by_taking_memory_away_are_refused() {
    let mut world = attributes(0);
    world.refused(Check::TdAttributes);
    world.policy.tdx.dangerous_accept_ept_exceptions = true;
    world.accepted();
}

#[test]
fn service_tds_are_refused() {
    let mut bundle = TdxBundle::valid_v5();
    bundle.quote.td.mr_service_td[47] = 1;
    let service = World::of(bundle);
    for (mut world, check) in [
        (service, Check::ServiceTd),
        (attributes(SEPT_VE_DISABLE | 1 << 17), Check::ServiceTd),
        (attributes(SEPT_VE_DISABLE | 1 << 29), Check::MigrationAllowed),
    ] {
        world.refused(check);
        world.policy.tdx.dangerous_accept_service_td = true;
        world.accepted();
    }
}

#[test]
fn the_quote_binds_nonce_key_and_additional_evidence() {
    World::spoiled(|sealed| {
        sealed.quote.td.report_data[0] ^= 1;
        sealed.resign();
    })
    .refused(Check::ReportData);
    World::spoiled(|sealed| {
        sealed.quote.td.report_data[63] ^= 1;
        sealed.resign();
    })
    .refused(Check::ReportData);
    World::spoiled(|sealed| sealed.additional_text.push(' ')).refused(Check::ReportData);
}

fn resigned(spoil: impl FnOnce(&mut TdxSealed)) -> World {
    World::spoiled(|sealed| {
        spoil(sealed);
        sealed.resign();
    })
}

#[test]
fn every_measurement_is_a_reference_value() {
    resigned(|sealed| sealed.quote.td.mr_td[0] ^= 1).refused(Check::LaunchDigest);
    for rtmr in 0..3 {
        let error = resigned(|sealed| sealed.quote.td.rtmr[rtmr][47] ^= 1).refused(Check::LaunchDigest);
        assert!(error.expected.starts_with(&format!("RTMR{rtmr} ")), "{error}");
    }
    let mut world = resigned(|sealed| sealed.quote.td.mr_seam[0] ^= 1);
    world.refused(Check::LaunchDigest);
    world.reference.tdx_measurements[0].mr_seam = None;
    world.accepted();
    world.reference.tdx_measurements.clear();
    world.refused(Check::LaunchDigest);
}

#[test]
fn the_host_bound_this_initdata() {
    resigned(|sealed| sealed.quote.td.mr_config_id[0] ^= 1).refused(Check::HostData);
    resigned(|sealed| sealed.quote.td.mr_config_id = [0; 48]).refused(Check::HostData);
    // SHA-256 with zeros behind it is the same promise.
    let bundle = TdxBundle::valid();
    let mut sha256 = [0; 48];
    sha256[..32].copy_from_slice(&bundle.initdata().digest().0);
    resigned(|sealed| sealed.quote.td.mr_config_id = sha256).accepted();
    sha256[47] = 1;
    resigned(|sealed| sealed.quote.td.mr_config_id = sha256).refused(Check::HostData);
    World::spoiled(|sealed| sealed.initdata.as_mut().unwrap().push('\n')).refused(Check::HostData);
    let mut world = World::valid();
    world.reference.initdata.clear();
    world.refused(Check::InitdataReference);
}
