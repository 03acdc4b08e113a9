//! TDX under the paravisor, where it differs from SNP.

use crate::world::World;
use sealpod_evidence::rcar::protocol::Tee;
use sealpod_testkit::azure::TdReportFields;
use sealpod_testkit::tdx::{Key, TdFields};
use sealpod_testkit::tpm::Digests;
use sealpod_testkit::{AzureBundle, AzureSealed};
use sealpod_verifier::{BindingLevel, Check, TrustTier};

#[test]
fn a_pod_under_the_paravisor_is_accepted_whatever_the_version_of_the_wire() {
    for (wire, quote) in [(0, 4), (1, 4), (2, 4), (2, 5)] {
        let mut bundle = AzureBundle { wire, ..AzureBundle::tdx() };
        bundle.quote.version = quote;
        let result = World::of(&bundle).accepted();
        assert_eq!((result.tee(), result.binding_level()), (Tee::AzTdxVtpm, BindingLevel::Paravisor));
        assert_eq!(result.trust_vector().status(), TrustTier::Affirming);
        let claims = &result.claims()["az-tdx-vtpm"];
        assert_eq!(claims["quote"]["body"]["mr_td"], hex::encode(bundle.td.mrtd));
        assert_eq!(claims["hcl"]["description"], "test paravisor");
        assert_eq!(claims["tpm"]["pcr08"].as_str().unwrap().len(), 64);
    }
}

#[test]
fn the_platform_is_endorsed_as_for_every_td() {
    let mut world = World::spoiled_tdx(|_| {});
    world.endorsements = Default::default();
    assert_eq!(world.verify().unwrap_err().check.step(), 3);
    World::spoiled_tdx(|s| s.td_quote.truncate(100)).refused(Check::PrimaryEvidence);
    World::spoiled_tdx(|s| s.td_quote[200] ^= 1).refused(Check::ReportSignature);
    World::spoiled_tdx(|s| {
        s.quote.attestation_key = Key::Pck;
        s.resign_td();
    })
    .refused(Check::QeReportData);
    let td = |spoil: fn(&mut TdReportFields)| {
        World::spoiled_tdx(|s| {
            spoil(&mut s.td);
            s.requote_td();
        })
    };
    td(|td| td.tee_tcb_svn[0] = 0).refused(Check::TdxModule);
    td(|td| td.attributes[0] |= 1).refused(Check::DebugAllowed);
}

#[test]
fn the_quote_was_made_from_the_td_report() {
    // Fields that no earlier step looks at; all of them: `azure::tests`.
    let fields: [fn(&mut TdFields); 4] = [
        |td| td.mr_config_id[0] ^= 1,
        |td| td.mr_owner[0] ^= 1,
        |td| td.mr_owner_config[0] ^= 1,
        |td| td.report_data[0] ^= 1,
    ];
    for field in fields {
        World::spoiled_tdx(|s| {
            field(&mut s.quote.td);
            s.resign_td();
        })
        .refused(Check::TdReport);
    }
}

#[test]
fn a_td_report_hangs_together_and_is_of_a_known_paravisor() {
    // A byte of TDINFO, whose digest then is another.
    World::spoiled_tdx(|s| {
        let mut bytes = s.td.to_bytes();
        bytes[512 + 16] ^= 1;
        s.hardware = Some(bytes);
    })
    .refused(Check::TdReport);
    let td = |spoil: fn(&mut TdReportFields)| {
        World::spoiled_tdx(|s| {
            spoil(&mut s.td);
            s.requote_td();
        })
    };
    td(|td| td.mrtd[0] ^= 1).refused(Check::LaunchDigest);
    for index in 0..4 {
        World::spoiled_tdx(|s| {
            s.td.rtmr[index][0] = 1;
            s.requote_td();
        })
        .refused(Check::LaunchDigest);
    }
    let mut world = World::spoiled_tdx(|_| {});
    world.reference.azure_paravisors.clear();
    world.refused(Check::LaunchDigest);
    let mut world = World::spoiled_tdx(|_| {});
    world.reference.initdata.clear();
    world.refused(Check::InitdataReference);
}

#[test]
fn the_quote_covers_the_runtime_data_and_nothing_else() {
    World::spoiled_tdx(|s| s.runtime_bytes.push(b' ')).refused(Check::RuntimeData);
    World::spoiled_tdx(|s| {
        s.td.report_data[32] = 1;
        s.requote_td();
    })
    .refused(Check::RuntimeData);
    let mut world = World::spoiled_tdx(|_| {});
    world.policy.minimum_binding_level = BindingLevel::Svsm;
    world.refused(Check::BindingLevel);
}

#[test]
fn the_vtpm_is_looked_at_as_under_snp() {
    let spoiled = |spoil: fn(&mut AzureSealed)| World::spoiled_tdx(spoil);
    spoiled(|s| {
        s.runtime.user_data = None;
        s.rewrite_runtime();
    })
    .refused(Check::RuntimeUserData);
    spoiled(|s| {
        s.attest.extra_data[0] ^= 1;
        s.resign_quote();
    })
    .refused(Check::QuoteNonce);
    spoiled(|s| s.pcrs[0][0] ^= 1).refused(Check::QuotePcrDigest);
    spoiled(|s| s.signature[0] ^= 1).refused(Check::QuoteSignature);
    spoiled(|s| {
        s.tpm.pcrs.extend(8, &Digests::of(b"more"));
        s.requote();
    })
    .refused(Check::InitdataPcr);
    spoiled(|s| {
        s.tpm.pcrs.extend(10, &Digests::of(b"more"));
        s.requote();
    })
    .refused(Check::ImaReplay);
}
