//! Step 16.

use crate::world::World;
use sealpod_evidence::rcar::protocol::Tee;
use sealpod_testkit::tdx::{FMSPC, TdxBundle};
use sealpod_verifier::TrustTier;

#[test]
fn evidence_that_holds_is_affirmed() {
    let result = World::valid().accepted();
    assert_eq!(result.tee(), Tee::Tdx);
    assert_eq!(result.status(), TrustTier::Affirming);
    assert_eq!((result.report_id(), result.snp_key().is_some()), (None, false));
    assert_eq!(result.uncovered_ima_entries(), 0);
}

#[test]
fn claims_are_where_policies_look_for_them() {
    let bundle = TdxBundle::valid_v5();
    let result = World::of(bundle.clone()).accepted();
    let (claims, quote) = (result.claims(), bundle.seal().quote.td);
    let body = &claims["tdx"]["quote"]["body"];
    assert_eq!(body["mr_td"], hex::encode(quote.mr_td));
    assert_eq!(body["rtmr_3"], hex::encode(quote.rtmr[3]));
    assert_eq!(body["td_attributes"], "0000001000000000");
    assert_eq!(body["mr_servicetd"], "00".repeat(48));
    assert_eq!(claims["tdx"]["td_attributes"]["debug"], false);
    assert_eq!(claims["tdx"]["tcb_status"], "UpToDate");
    assert_eq!(claims["tdx"]["fmspc"], hex::encode(FMSPC));
    assert_eq!(claims["tdx"]["pck_ca"], "platform");
    assert_eq!(claims["tdx"]["tcb_evaluation_data_number"], 17);
    assert_eq!(claims["init_data"], hex::encode(quote.mr_config_id));
    assert_eq!(claims["report_data"], hex::encode(quote.report_data));
    assert_eq!(claims["binding_level"], "guest-kernel");
    assert_eq!(claims["boot"], "test TD");
    assert_eq!(claims["ima"]["uncovered"], 0);
}

#[test]
fn a_machine_that_measures_no_acpi_tables_is_taken_by_name() {
    let mut world = World::valid();
    assert_eq!(world.accepted().claims()["acpi_measured"], true);
    world.reference.tdx_measurements[0].dangerous_unmeasured_acpi = true;
    assert_eq!(world.accepted().claims()["acpi_measured"], false);
}
