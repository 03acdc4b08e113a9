//! Step 16.

use crate::world::World;
use sealpod_testkit::{Bundle, pki};
use sealpod_verifier::{BindingLevel, TrustTier};
use serde_json::json;

#[test]
fn claims_are_where_policies_look_for_them() {
    let bundle = Bundle::valid();
    let result = World::valid().accepted();
    let claims = result.claims();
    let snp = &claims["snp"];
    assert_eq!(snp["measurement"], hex::encode(bundle.report.measurement));
    assert_eq!(snp["chip_id"], hex::encode(pki::CHIP_ID));
    assert_eq!(snp["report_id"], hex::encode(bundle.report.report_id));
    assert_eq!((&snp["policy_debug_allowed"], &snp["policy_smt_allowed"]), (&json!(false), &json!(true)));
    assert_eq!((&snp["reported_tcb_bootloader"], &snp["reported_tcb_microcode"]), (&json!(3), &json!(20)));
    assert_eq!(
        (&snp["vmpl"], &snp["product"], &snp["signing_key"]),
        (&json!(2), &json!("genoa"), &json!("vcek"))
    );
    assert!(snp.get("reported_tcb_fmc").is_none() && snp.get("csp_id").is_none());
    assert_eq!(claims["init_data"], bundle.initdata().digest().to_string());
    assert_eq!(claims["initdata"]["description"], "test policy");
    assert_eq!(claims["binding_level"], "svsm");
    assert_eq!(claims["acpi_measured"], true);
    assert_eq!(claims["boot"], bundle.boot_log.reference().description);
    assert_eq!(claims["containers"][0]["args"], json!(["/bin/app", "--serve"]));
    assert_eq!(claims["ima"], json!({"entries": 6, "uncovered": 0, "violations": 0}));
    assert_eq!(claims["tpm"]["pcrs"].as_object().unwrap().len(), 12);
}

#[test]
fn the_provider_of_a_vlek_is_claimed() {
    let result = World::of(Bundle::with_vlek()).accepted();
    assert_eq!(result.claims()["snp"]["csp_id"], pki::CSP);
}

#[test]
fn the_result_names_guest_and_key() {
    let result = World::valid().accepted();
    assert_eq!(result.report_id(), Some(&[0x1d; 32]));
    assert_eq!(result.tee_pubkey()["crv"], "P-256");
    assert_eq!(result.uncovered_ima_entries(), 0);
    assert_eq!(result.tee().to_string(), "snp");
}

#[test]
fn evidence_that_holds_is_affirmed_and_a_host_vtpm_never_is() {
    let result = World::valid().accepted();
    assert_eq!(result.status(), TrustTier::Affirming);
    assert_eq!(result.trust_vector().storage_opaque, None);

    let mut bundle = Bundle { svsm: false, ..Bundle::valid() };
    bundle.report.vmpl = 0;
    let mut world = World::of(bundle);
    world.policy.minimum_binding_level = BindingLevel::Host;
    world.policy.dangerous_accept_host_vtpm = true;
    let result = world.accepted();
    assert_eq!(result.trust_vector().instance_identity, Some(97));
    assert_eq!(result.status(), TrustTier::Contraindicated);
}
