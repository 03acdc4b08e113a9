//! Step 3: TCB Info and the quoting enclave's identity; and what is remembered of a platform.

use crate::world::World;
use sealpod_testkit::pki::NOW;
use sealpod_testkit::tdx::{Collateral, IntelCertificate, Key, TdxBundle};
use sealpod_verifier::{Check, tdx};
use serde_json::{Value, json};

fn made(change: impl FnOnce(&mut Collateral)) -> World {
    World::made(|bundle| change(&mut bundle.collateral))
}

#[test]
fn intels_signing_key_signed_both_documents() {
    made(|collateral| collateral.tcb_info_key = Key::Pck).refused(Check::CollateralSignature);
    made(|collateral| collateral.qe_identity_key = Key::Pck).refused(Check::CollateralSignature);
}

#[test]
fn the_signing_key_is_intels() {
    let signer =
        |change: fn(&mut IntelCertificate)| made(|collateral| change(&mut collateral.signing_chain[0]));
    signer(|signer| signer.signed_by = Key::PckCa).refused(Check::CertificateSignature);
    signer(|signer| signer.issuer = "Intel SGX PCK Platform CA".to_owned()).refused(Check::CertificateName);
    signer(|signer| signer.not_after = NOW - 1).refused(Check::CertificateValidity);
    signer(|signer| signer.ca.is_ca = true).refused(Check::CertificateAuthority);
    signer(|signer| signer.subject = "Intel SGX PCK Certificate".to_owned()).refused(Check::ChainIncomplete);
    made(|collateral| drop(collateral.signing_chain.pop())).refused(Check::ChainIncomplete);
    made(|collateral| {
        let foreign = Key::ForeignRoot;
        collateral.signing_chain[0].signed_by = foreign;
        collateral.signing_chain[1] =
            IntelCertificate { key: foreign, signed_by: foreign, ..IntelCertificate::root() };
    })
    .refused(Check::TrustRoot);
}

/// That the PCK chain has shown a root to be good says nothing of another certificate of the same key.
#[test]
fn the_root_of_the_signing_chain_is_verified_too() {
    let root =
        |change: fn(&mut IntelCertificate)| made(|collateral| change(&mut collateral.signing_chain[1]));
    root(|root| root.not_after = NOW).accepted();
    root(|root| root.signed_by = Key::ForeignRoot).refused(Check::CertificateSignature);
    root(|root| root.issuer = "Somebody".to_owned()).refused(Check::CertificateName);
    root(|root| root.not_after = NOW - 1).refused(Check::CertificateValidity);
    root(|root| root.ca.is_ca = false).refused(Check::CertificateAuthority);
    root(|root| root.ca.sign_crls = false).refused(Check::RevocationList);
    // Revoked under its other serial number only.
    made(|collateral| {
        collateral.signing_chain[1].serial = vec![0x55; 8];
        collateral.root_crl.revoked = vec![vec![0x55; 8]];
    })
    .refused(Check::CertificateRevoked);
}

#[test]
fn documents_hold_from_their_issue_to_their_next_update() {
    // 2026-06-01T00:00:00Z.
    let (now, before, after) = ("2026-06-01T00:00:00Z", "2026-05-31T23:59:59Z", "2026-06-01T00:00:01Z");
    let both: [fn(&mut Collateral) -> &mut Value; 2] = [|c| &mut c.tcb_info, |c| &mut c.qe_identity];
    for document in both {
        let dated = |issue: &str, next: &str| {
            made(|collateral| {
                let document = document(collateral);
                document["issueDate"] = json!(issue);
                document["nextUpdate"] = json!(next);
            })
        };
        dated(now, now).accepted();
        dated(after, after).refused(Check::CollateralValidity);
        dated(before, before).refused(Check::CollateralValidity);
    }
}

#[test]
fn there_is_collateral_for_the_platform() {
    made(|collateral| collateral.tcb_info["fmspc"] = json!("000000000000")).refused(Check::Collateral);
    made(|collateral| collateral.pck_crl.issuer = "Intel SGX PCK Processor CA".to_owned())
        .refused(Check::Collateral);
    let mut world = World::valid();
    world.endorsements = Default::default();
    world.endorsements.tdx_mut().dangerous_trust_root(sealpod_testkit::tdx::root_digest());
    world.refused(Check::Collateral);
}

#[test]
fn documents_of_another_version_or_form_are_no_collateral() {
    let refused = |change: fn(&mut Collateral)| {
        let mut collateral = Collateral::valid();
        change(&mut collateral);
        assert_eq!(tdx::Collateral::from_json(&collateral.to_json()).unwrap_err().check, Check::Collateral);
    };
    refused(|collateral| collateral.tcb_info["version"] = json!(4));
    refused(|collateral| collateral.tcb_info["tcbType"] = json!(1));
    refused(|collateral| collateral.tcb_info["issueDate"] = json!("yesterday"));
    refused(|collateral| collateral.tcb_info["fmspc"] = json!("00"));
    refused(|collateral| collateral.tcb_info["tcbLevels"][0]["tcb"]["sgxtcbcomponents"] = json!([]));
    refused(|collateral| collateral.tcb_info["tcbLevels"][0]["tcbStatus"] = json!("Fine"));
    refused(|collateral| collateral.tcb_info["tcbLevels"][0]["tcb"]["tdxtcbcomponents"] = Value::Null);
    refused(|collateral| collateral.tcb_info["tcbLevels"] = json!(vec![json!({}); 1]));
    refused(|collateral| collateral.qe_identity["version"] = json!(1));
    refused(|collateral| collateral.qe_identity["mrsigner"] = json!(7));
    refused(|collateral| collateral.pck_crl.issuer = "Somebody".to_owned());
    for bad in [&b""[..], b"[]", b"{}"] {
        assert_eq!(tdx::Collateral::from_json(bad).unwrap_err().check, Check::Collateral);
    }
    let long = vec![b' '; tdx::MAX_COLLATERAL + 1];
    assert_eq!(tdx::Collateral::from_json(&long).unwrap_err().check, Check::Budget);
}

#[test]
fn a_key_twice_is_no_document() {
    let text = String::from_utf8(Collateral::valid().to_json()).unwrap();
    let twice = text.replacen("\\\"tcbType\\\":0", "\\\"tcbType\\\":0,\\\"tcbType\\\":0", 1);
    assert_ne!(text, twice);
    assert_eq!(tdx::Collateral::from_json(twice.as_bytes()).unwrap_err().check, Check::Collateral);
}

#[test]
fn a_platform_is_remembered_until_what_it_rests_on_changes() {
    let mut world = World::valid();
    let platform = world.accepted().tdx_platform().unwrap().clone();
    assert!(!world.endorsements.tdx().remembers(&platform));
    world.endorsements.tdx_mut().remember(platform.clone());
    assert!(world.endorsements.tdx().remembers(&platform));
    world.accepted();
    // It is held against each appraisal's time...
    world.now = platform.window().1 + 1;
    world.challenge.expires = world.now + 1;
    world.refused(Check::CollateralValidity);
    // ...and gone with other collateral.
    world.now = NOW;
    let mut collateral = Collateral::valid();
    collateral.tcb_info_key = Key::Pck;
    let collateral = tdx::Collateral::from_json(&collateral.to_json()).unwrap();
    world.endorsements.tdx_mut().set_collateral(collateral);
    assert!(!world.endorsements.tdx().remembers(&platform));
    world.refused(Check::CollateralSignature);
}

#[test]
fn a_remembered_platform_does_not_vouch_for_another_quote() {
    let mut bundle = TdxBundle::valid();
    bundle.quote.qe_signed_by = Key::PckCa;
    let mut spoiled = World::of(bundle);
    let platform = World::valid().accepted().tdx_platform().unwrap().clone();
    spoiled.endorsements.tdx_mut().remember(platform);
    spoiled.refused(Check::QeReportSignature);
}
