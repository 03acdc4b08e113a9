//! Steps 2 to 16 for SNP under the paravisor.

use crate::world::World;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::rcar::protocol::Tee;
use sealpod_evidence::reference_values::ParavisorTee;
use sealpod_testkit::keys::Key;
use sealpod_testkit::tpm::{AkKind, Digests, Selection, alg};
use sealpod_testkit::{AzureBundle, AzureSealed, pki};
use sealpod_verifier::{BindingLevel, Check, TrustTier};

#[test]
fn a_pod_under_the_paravisor_is_accepted_whatever_the_version_of_the_wire() {
    for wire in 0..=2 {
        for (version, data_version) in [(1, 1), (2, 1), (2, 2)] {
            let mut bundle = AzureBundle { wire, ..AzureBundle::snp() };
            (bundle.hcl.version, bundle.hcl.data_version) = (version, data_version);
            let result = World::of(&bundle).accepted();
            assert_eq!((result.tee(), result.binding_level()), (Tee::AzSnpVtpm, BindingLevel::Paravisor));
            assert_eq!(result.trust_vector().status(), TrustTier::Affirming);
        }
    }
}

#[test]
fn claims_are_where_policies_for_the_protocol_look_for_them() {
    let bundle = AzureBundle::snp();
    let (sealed, result) = (bundle.seal(), World::of(&bundle).accepted());
    let claims = result.claims();
    let azure = &claims["az-snp-vtpm"];
    assert_eq!(azure["measurement"], hex::encode(bundle.pod.report.measurement));
    assert_eq!(azure["tpm"]["pcr08"], hex::encode(sealed.tpm.pcrs.sha256[8]));
    assert_eq!(azure["tpm"]["pcr23"], "00".repeat(32));
    assert_eq!(azure["hcl"]["secure_boot"], true);
    assert_eq!(azure["hcl"]["description"], "test paravisor");
    assert_eq!(claims["binding_level"], "paravisor");
    assert_eq!(claims["init_data"], bundle.pod.initdata().digest().to_string());
    assert_eq!(claims["report_data"], hex::encode(&sealed.attest.extra_data));
    assert_eq!(claims["containers"].as_array().unwrap().len(), 1);
}

#[test]
fn the_challenge_is_the_one_given_out() {
    let mut world = World::valid();
    world.now = world.challenge.expires;
    world.refused(Check::ChallengeExpired);
    World::spoiled(|s| {
        s.nonce = "bm90IGdpdmVu".into();
        s.rebind_text();
    })
    .refused(Check::ChallengeNonce);
}

#[test]
fn the_chips_key_is_endorsed_as_for_every_snp_guest() {
    let mut world = World::valid();
    world.endorsements.set_certificates(vec![pki::ark_der().to_vec()]);
    world.refused(Check::ChainIncomplete);
    World::spoiled(|s| s.vcek = pki::ask_der().to_vec()).refused(Check::CertificateName);
    World::spoiled(|s| *s.vcek.last_mut().unwrap() ^= 1).refused(Check::CertificateSignature);
    let mut world = World::valid();
    world.now = pki::NOT_AFTER + 1;
    world.challenge.expires = world.now + 1;
    world.refused(Check::CertificateValidity);
    let mut world = World::valid();
    world.policy.require_crl = true;
    world.refused(Check::RevocationList);
}

#[test]
fn a_chip_key_that_was_verified_before_is_known_again() {
    let mut world = World::valid();
    let key = world.accepted().snp_key().unwrap().clone();
    world.endorsements.set_certificates(Vec::new());
    world.endorsements.remember(key);
    world.accepted();
}

#[test]
fn certificate_and_report_agree() {
    let report = |spoil: fn(&mut AzureSealed)| {
        World::spoiled(|s| {
            spoil(s);
            s.resign();
        })
    };
    report(|s| s.report.reported_tcb[0] += 1).refused(Check::CertificateTcb);
    report(|s| s.report.chip_id[0] ^= 1).refused(Check::CertificateHardwareId);
    report(|s| s.report_key = Key::ForeignVcek).refused(Check::ReportSignature);
    World::spoiled(|s| s.report_bytes[0x90] ^= 1).refused(Check::ReportSignature);
}

#[test]
fn report_fields_are_checked_and_the_paravisor_asked_for_the_report() {
    let report = |spoil: fn(&mut AzureSealed)| {
        World::spoiled(|s| {
            spoil(s);
            s.resign();
        })
    };
    for vmpl in [1, 2, 3, u32::MAX] {
        World::spoiled(|s| {
            s.report.vmpl = vmpl;
            s.resign();
        })
        .refused(Check::Vmpl);
    }
    report(|s| s.report.policy |= 1 << 19).refused(Check::DebugAllowed);
    report(|s| s.report.policy |= 1 << 18).refused(Check::MigrationAllowed);
    report(|s| s.report.launch_tcb[0] -= 1).refused(Check::MinimumTcb);
    report(|s| s.report.committed_tcb[7] += 1).refused(Check::TcbOrder);
}

#[test]
fn the_paravisors_report_names_the_challenge_unless_the_owner_takes_an_old_one() {
    let runtime = |user_data: Option<Vec<u8>>| {
        World::spoiled(|s| {
            s.runtime.user_data = user_data;
            s.rewrite_runtime();
        })
    };
    let mut longer = AzureBundle::snp().seal().attest.extra_data;
    longer.resize(63, 0);
    longer.push(1);
    runtime(Some(longer.clone())).refused(Check::RuntimeUserData);
    runtime(Some(vec![1; 64])).refused(Check::RuntimeUserData);
    for unused in [None, Some(vec![0; 64])] {
        let mut world = runtime(unused);
        world.refused(Check::RuntimeUserData);
        world.policy.dangerous_accept_stale_paravisor_report = true;
        world.accepted();
    }
    // Data that is used must still be right.
    for wrong in [longer, vec![1; 64]] {
        let mut world = runtime(Some(wrong));
        world.policy.dangerous_accept_stale_paravisor_report = true;
        world.refused(Check::RuntimeUserData);
    }
}

#[test]
fn the_wires_version_makes_nothing_weaker() {
    // The version in which nothing is promised, with user data that is wrong, missing, or of another challenge.
    for wire in 0..=2 {
        let bundle = AzureBundle { wire, ..AzureBundle::snp() };
        let mut sealed = bundle.seal();
        sealed.runtime.user_data = None;
        sealed.rewrite_runtime();
        World::with(&sealed, bundle.reference()).refused(Check::RuntimeUserData);
        let mut sealed = bundle.seal();
        sealed.attest.extra_data = b"challenge".to_vec();
        sealed.resign_quote();
        World::with(&sealed, bundle.reference()).refused(Check::QuoteNonce);
    }
}

#[test]
fn only_a_launch_of_a_known_paravisor_speaks_for_a_vtpm() {
    World::spoiled(|s| {
        s.report.measurement[0] ^= 1;
        s.resign();
    })
    .refused(Check::LaunchDigest);
    // A launch that is known, but not as a paravisor: whoever is root in it can write runtime data.
    let mut world = World::valid();
    world.reference.azure_paravisors.clear();
    world.reference.snp_measurements = AzureBundle::snp().pod.reference().snp_measurements;
    world.refused(Check::LaunchDigest);
    // A paravisor of the other TEE with the same digest.
    let mut world = World::valid();
    world.reference.azure_paravisors[0].tee = ParavisorTee::Tdx;
    world.refused(Check::LaunchDigest);
    let mut world = World::valid();
    world.reference.initdata.clear();
    world.refused(Check::InitdataReference);
    let mut world = World::valid();
    world.policy.id_block_authors = vec![HexArray([1; 48])];
    world.refused(Check::IdBlockAuthor);
}

#[test]
fn the_report_covers_the_runtime_data_and_nothing_else() {
    // Another runtime data, well formed, with the same keys.
    World::spoiled(|s| s.runtime_bytes.push(b' ')).refused(Check::RuntimeData);
    // Report data that goes on after the digest.
    World::spoiled(|s| {
        s.report.report_data[63] = 1;
        s.resign();
    })
    .refused(Check::RuntimeData);
    // The header is covered by nothing, so its hash is not the sender's to choose.
    for hash_type in [2, 3] {
        World::spoiled(|s| s.hcl.hash_type = hash_type).refused(Check::RuntimeData);
    }
    let mut world = World::valid();
    world.policy.minimum_binding_level = BindingLevel::Svsm;
    world.refused(Check::BindingLevel);
}

#[test]
fn the_quote_answers_the_whole_evidence() {
    for change in [
        |data: &mut Vec<u8>| data[0] ^= 1,
        |data: &mut Vec<u8>| data.resize(64, 0),
        |data: &mut Vec<u8>| data.truncate(47),
        |data: &mut Vec<u8>| data.clear(),
    ] {
        World::spoiled(|s| {
            change(&mut s.attest.extra_data);
            s.resign_quote();
        })
        .refused(Check::QuoteNonce);
    }
    // Logs exchanged after the quote was made: their text is part of what it answers, and of the user data.
    World::spoiled(|s| s.additional_text.push(' ')).refused(Check::RuntimeUserData);
    let mut world = World::spoiled(|s| {
        s.runtime.user_data = None;
        s.rewrite_runtime();
        s.additional_text.push(' ');
    });
    world.policy.dangerous_accept_stale_paravisor_report = true;
    world.refused(Check::QuoteNonce);
}

#[test]
fn the_quote_is_of_all_pcrs_and_over_the_values_sent() {
    let all: Vec<u8> = (0..24).collect();
    let lists = [
        vec![Selection::of(alg::SHA256, &all[..23])],
        vec![Selection::of(alg::SHA1, &all)],
        vec![Selection::of(alg::SHA256, &all), Selection::of(alg::SHA1, &all)],
        vec![Selection { hash: alg::SHA256, bits: vec![0xff; 4] }],
        vec![],
    ];
    for selections in lists {
        World::spoiled(|s| {
            s.attest.selections = selections;
            s.resign_quote();
        })
        .refused(Check::QuoteSelection);
    }
    for pcr in [0, 8, 10, 23] {
        World::spoiled(|s| s.pcrs[pcr][0] ^= 1).refused(Check::QuotePcrDigest);
    }
    World::spoiled(|s| s.pcrs.swap(11, 17)).refused(Check::QuotePcrDigest);
}

#[test]
fn the_quote_is_signed_by_the_key_in_the_runtime_data_and_no_other() {
    World::spoiled(|s| {
        s.quote_key = Key::ForeignEk;
        s.resign_quote();
    })
    .refused(Check::QuoteSignature);
    // Another key in the runtime data, which the report then no longer covers.
    World::spoiled(|s| {
        s.quote_key = Key::ForeignEk;
        s.resign_quote();
        s.runtime.ak = Key::ForeignEk;
        s.runtime_bytes = s.runtime.to_bytes();
    })
    .refused(Check::RuntimeData);
    // The endorsement key is in the runtime data too, and signs nothing.
    World::spoiled(|s| {
        s.quote_key = Key::Ek;
        s.resign_quote();
    })
    .refused(Check::QuoteSignature);
    // Another scheme of the same key.
    World::spoiled(|s| s.signature = Key::AkRsa.sign(AkKind::RsapssSha256.scheme(), &s.message))
        .refused(Check::QuoteSignature);
    // The clock is bound by nothing but the signature.
    World::spoiled(|s| {
        s.attest.clock += 1;
        s.message = s.attest.to_bytes();
    })
    .refused(Check::QuoteSignature);
}

#[test]
fn logs_replay_to_the_quote_as_for_every_guest() {
    let extended = |pcr: usize| {
        World::spoiled(|s| {
            s.tpm.pcrs.extend(pcr, &Digests::of(b"unlogged"));
            s.requote();
        })
    };
    for pcr in [0, 4, 7, 9] {
        extended(pcr).refused(Check::BootLogReplay);
    }
    extended(8).refused(Check::InitdataPcr);
    extended(10).refused(Check::ImaReplay);
    extended(13).refused(Check::WorkloadReplay);
    // PCRs that no log speaks of are claims, and no more.
    extended(14).accepted();
    let mut world = World::valid();
    world.reference.boot.clear();
    world.refused(Check::BootReference);
    let mut world = World::valid();
    world.reference.files.truncate(1);
    world.refused(Check::FileReference);
}

#[test]
fn a_container_that_initdata_does_not_allow_is_refused() {
    let mut bundle = AzureBundle::snp();
    let mut spec = bundle.pod.policy.containers[0].spec.clone();
    spec.args.push("--more".to_owned());
    bundle.pod.workload = sealpod_testkit::logs::workload::records(&[spec]);
    World::of(&bundle).refused(Check::WorkloadNotAllowed);
}
