//! Steps 4 and 5: the quoting enclave, Intel's verdict, and the signature.

use crate::world::World;
use sealpod_testkit::tdx::{
    COMPONENTS, Key, PCE_SVN, QE_SVN, TEE_TCB_SVN, TdxBundle, enclave_level, module_identity, tcb_level,
};
use sealpod_verifier::Check;
use sealpod_verifier::tdx::TcbStatus;
use serde_json::json;

#[test]
fn the_platform_signed_the_quoting_enclaves_report() {
    World::made(|bundle| bundle.quote.qe_signed_by = Key::PckCa).refused(Check::QeReportSignature);
    World::spoiled(|sealed| {
        // The quoting enclave's ISVSVN.
        let at = 48 + 584 + 4 + 128 + 6 + 258;
        sealed.quote_bytes[at] ^= 1;
    })
    .refused(Check::QeReportSignature);
}

#[test]
fn the_quoting_enclave_binds_the_attestation_key() {
    World::made(|bundle| bundle.quote.bound_key = Key::Pck).refused(Check::QeReportData);
    World::made(|bundle| bundle.quote.attestation_key = Key::Pck).refused(Check::QeReportData);
    let mut data = [0; 64];
    data[63] = 1;
    World::made(|bundle| bundle.quote.qe.report_data = Some(data)).refused(Check::QeReportData);
    World::spoiled(|sealed| {
        let at = 48 + 584 + 4 + 128 + 6 + 384 + 64 + 2;
        sealed.quote_bytes[at] ^= 1;
    })
    .refused(Check::QeReportData);
    World::made(|bundle| bundle.quote.authentication_data.clear()).accepted();
}

#[test]
fn the_quoting_enclave_is_intels() {
    World::made(|bundle| bundle.quote.qe.mr_signer[0] ^= 1).refused(Check::QeIdentity);
    World::made(|bundle| bundle.quote.qe.isv_prod_id += 1).refused(Check::QeIdentity);
    World::made(|bundle| bundle.quote.qe.misc_select = 1).refused(Check::QeIdentity);
    World::made(|bundle| bundle.quote.qe.attributes[0] |= 2).refused(Check::QeIdentity);
    World::made(|bundle| bundle.quote.qe.attributes[1] ^= 1).refused(Check::QeIdentity);
    // Outside of the masks.
    World::made(|bundle| bundle.quote.qe.attributes[8] ^= 1).accepted();
    World::made(|bundle| bundle.quote.qe.attributes[0] ^= 4).accepted();
    // A debug enclave is none, whatever the mask.
    World::made(|bundle| {
        bundle.quote.qe.attributes[0] |= 2;
        bundle.collateral.qe_identity["attributesMask"] = json!("00".repeat(16));
    })
    .refused(Check::QeIdentity);
}

#[test]
fn collateral_is_of_the_platforms_kind() {
    World::made(|bundle| bundle.collateral.tcb_info["pceId"] = json!("0001")).refused(Check::Fmspc);
    World::made(|bundle| bundle.collateral.qe_identity["id"] = json!("QE")).refused(Check::Fmspc);
}

#[test]
fn the_quoting_enclave_has_a_level() {
    World::made(|bundle| bundle.quote.qe.isv_svn = QE_SVN + 1).accepted();
    World::made(|bundle| bundle.quote.qe.isv_svn = QE_SVN - 1).refused(Check::TcbStatus);
    World::made(|bundle| bundle.quote.qe.isv_svn = QE_SVN - 2).refused(Check::QeTcbLevel);
}

/// The valid pod, on a platform of these levels.
fn levels(levels: serde_json::Value) -> World {
    World::made(|bundle| bundle.collateral.tcb_info["tcbLevels"] = levels)
}

#[test]
fn a_platform_has_the_highest_level_that_it_reaches() {
    let level = |status| tcb_level(COMPONENTS, PCE_SVN, TEE_TCB_SVN, status, &[]);
    levels(json!([level("UpToDate")])).accepted();
    let (mut sgx, mut tdx) = (COMPONENTS, TEE_TCB_SVN);
    sgx[15] += 1;
    let higher = tcb_level(sgx, PCE_SVN, TEE_TCB_SVN, "UpToDate", &[]);
    levels(json!([higher])).refused(Check::TcbLevel);
    let higher = tcb_level(COMPONENTS, PCE_SVN + 1, TEE_TCB_SVN, "UpToDate", &[]);
    levels(json!([higher])).refused(Check::TcbLevel);
    tdx[2] += 1;
    let higher = tcb_level(COMPONENTS, PCE_SVN, tdx, "UpToDate", &[]);
    levels(json!([higher])).refused(Check::TcbLevel);
    // In whatever order they come.
    let mut lower = COMPONENTS;
    lower[0] -= 1;
    let lower = tcb_level(lower, PCE_SVN, TEE_TCB_SVN, "OutOfDate", &[]);
    levels(json!([lower, level("UpToDate")])).accepted();
    levels(json!([])).refused(Check::TcbLevel);
}

#[test]
fn the_first_two_tdx_components_are_the_modules_own_from_version_1_on() {
    let mut least = TEE_TCB_SVN;
    (least[0], least[1]) = (99, 99);
    levels(json!([tcb_level(COMPONENTS, PCE_SVN, least, "UpToDate", &[])])).accepted();
    let early = |bundle: &mut TdxBundle| bundle.quote.td.tee_tcb_svn[1] = 0;
    World::made(|bundle| {
        early(bundle);
        bundle.collateral.tcb_info["tcbLevels"] =
            json!([tcb_level(COMPONENTS, PCE_SVN, least, "UpToDate", &[])]);
    })
    .refused(Check::TcbLevel);
    World::made(|bundle| {
        early(bundle);
        let mut least = TEE_TCB_SVN;
        least[1] = 0;
        bundle.collateral.tcb_info["tcbLevels"] =
            json!([tcb_level(COMPONENTS, PCE_SVN, least, "UpToDate", &[])]);
    })
    .accepted();
}

#[test]
fn the_tdx_module_is_intels() {
    World::made(|bundle| bundle.quote.td.mr_signer_seam[0] = 1).refused(Check::TdxModule);
    World::made(|bundle| bundle.quote.td.seam_attributes[0] = 1).refused(Check::TdxModule);
    World::made(|bundle| bundle.quote.td.tee_tcb_svn[1] = 9).refused(Check::TdxModule);
    World::made(|bundle| bundle.quote.td.tee_tcb_svn[0] -= 1).refused(Check::TcbStatus);
    World::made(|bundle| bundle.quote.td.tee_tcb_svn[0] -= 2).refused(Check::TdxModule);
    // An early module has no levels of its own, but a signer.
    let early = |spoil: fn(&mut TdxBundle)| {
        World::made(|bundle| {
            bundle.quote.td.tee_tcb_svn[1] = 0;
            let mut least = TEE_TCB_SVN;
            least[1] = 0;
            bundle.collateral.tcb_info["tcbLevels"] =
                json!([tcb_level(COMPONENTS, PCE_SVN, least, "UpToDate", &[])]);
            spoil(bundle);
        })
    };
    early(|_| {}).accepted();
    early(|bundle| bundle.quote.td.mr_signer_seam[47] = 1).refused(Check::TdxModule);
    early(|bundle| bundle.collateral.tcb_info["tdxModule"] = json!(null)).refused(Check::TdxModule);
}

#[test]
fn a_td_of_1_5_has_a_level_at_launch_and_now() {
    let td15 = |spoil: fn(&mut TdxBundle)| {
        let mut bundle = TdxBundle::valid_v5();
        spoil(&mut bundle);
        World::of(bundle)
    };
    td15(|bundle| bundle.quote.td.tee_tcb_svn2[2] = 0).refused(Check::TcbLevel);
    td15(|bundle| bundle.quote.td.tee_tcb_svn2[0] = 0).refused(Check::TdxModule);
    td15(|bundle| bundle.quote.td.tee_tcb_svn2[0] += 1).accepted();
    // Launched with an old module that has been updated since.
    let mut world = td15(|bundle| bundle.quote.td.tee_tcb_svn[0] -= 1);
    let error = world.refused(Check::TcbStatus);
    assert!(error.found.contains("TDRelaunchAdvised"), "{error}");
    world.policy.tdx.accepted_tcb_statuses.insert(TcbStatus::TdRelaunchAdvised);
    world.policy.tdx.accepted_advisories.insert("INTEL-SA-00002".to_owned());
    let result = world.accepted();
    assert_eq!(result.claims()["tdx"]["tcb_status"], "TDRelaunchAdvised");
    // An update to something worse is worse.
    let error = td15(|bundle| bundle.quote.td.tee_tcb_svn2[0] -= 1).refused(Check::TcbStatus);
    assert!(error.found.contains("OutOfDate"), "{error}");
}

#[test]
fn the_owner_names_statuses_and_advisories() {
    let mut world = levels(json!([tcb_level(
        COMPONENTS,
        PCE_SVN,
        TEE_TCB_SVN,
        "SWHardeningNeeded",
        &["INTEL-SA-00615", "INTEL-SA-00616"]
    )]));
    world.refused(Check::TcbStatus);
    let policy = &mut world.policy.tdx;
    policy.accepted_tcb_statuses.insert(TcbStatus::SwHardeningNeeded);
    policy.accepted_advisories.insert("INTEL-SA-00615".to_owned());
    let error = world.refused(Check::TcbAdvisory);
    assert!(error.found.contains("INTEL-SA-00616"), "{error}");
    world.policy.tdx.accepted_advisories.insert("INTEL-SA-00616".to_owned());
    world.accepted();
    world.policy.tdx.accepted_tcb_statuses.clear();
    world.refused(Check::TcbStatus);
}

#[test]
fn a_revoked_part_is_never_taken() {
    let all = |world: &mut World| {
        let statuses = ["UpToDate", "Revoked", "OutOfDate"];
        let policy = &mut world.policy.tdx;
        policy.accepted_tcb_statuses =
            statuses.map(|status| serde_json::from_value(json!(status)).unwrap()).into();
    };
    let module = |bundle: &mut TdxBundle| {
        bundle.collateral.tcb_info["tdxModuleIdentities"] =
            json!([module_identity("TDX_01", &[enclave_level(0, "Revoked", &[])])]);
    };
    let platform = |bundle: &mut TdxBundle| {
        bundle.collateral.tcb_info["tcbLevels"][0]["tcbStatus"] = json!("Revoked");
    };
    let qe = |bundle: &mut TdxBundle| {
        bundle.collateral.qe_identity["tcbLevels"] = json!([enclave_level(0, "Revoked", &[])]);
    };
    for part in [module, platform, qe] {
        let mut world = World::made(part);
        all(&mut world);
        world.refused(Check::TcbStatus);
    }
}

#[test]
fn an_outdated_part_makes_the_whole_outdated() {
    let mut world = World::made(|bundle| bundle.quote.qe.isv_svn = QE_SVN - 1);
    let error = world.refused(Check::TcbStatus);
    assert!(error.found.contains("OutOfDate") && error.found.contains("INTEL-SA-00003"), "{error}");
    world.policy.tdx.accepted_tcb_statuses.insert(TcbStatus::OutOfDate);
    world.policy.tdx.accepted_advisories.insert("INTEL-SA-00003".to_owned());
    world.accepted();
}

#[test]
fn the_attestation_key_signed_header_and_body() {
    for at in [28, 47, 48, 184, 300, 567] {
        World::spoiled(|sealed| sealed.quote_bytes[at] ^= 1).refused(match at {
            // TEE_TCB_SVN is looked at before the signature.
            48 => Check::TcbStatus,
            _ => Check::ReportSignature,
        });
    }
    // R and S.
    for at in [636, 636 + 63] {
        World::spoiled(|sealed| sealed.quote_bytes[at] ^= 1).refused(Check::ReportSignature);
    }
}
