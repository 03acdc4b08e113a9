//! Step 3: certificates.

use crate::world::{World, root};
use sealpod_testkit::Bundle;
use sealpod_testkit::keys::{Key, Scheme};
use sealpod_testkit::pki::{self, Ca, Certificate, CertificateTable, Guid};
use sealpod_verifier::{Check, Endorsements, SnpRoot};
use std::sync::Arc;

fn table(kind: Guid, certificate: &Certificate) -> World {
    World::with_certificates(&CertificateTable::vcek().with(kind, certificate.to_der()))
}

#[test]
fn both_kinds_of_chain_are_taken() {
    World::valid().accepted();
    World::of(Bundle::with_vlek()).accepted();
}

#[test]
fn certificates_may_come_from_the_broker() {
    let mut world = World::with_certificates(&CertificateTable(vec![]));
    world.refused(Check::ChainIncomplete);
    let der = [
        pki::foreign_ark_der(),
        pki::ark_der(),
        pki::asvk_der(),
        pki::ask_der(),
        pki::vlek_der(),
        pki::vcek_der(),
    ];
    for held in 3..=der.len() {
        world.endorsements.set_certificates(der[..held].iter().map(|der| der.to_vec()).collect());
        world.endorsements.add_certificate(b"not a certificate".to_vec());
        if held < der.len() {
            world.refused(Check::ChainIncomplete);
        }
    }
    world.accepted();
    // What is known is not kept twice.
    let count = world.endorsements.certificates().len();
    world.endorsements.add_certificate(pki::vcek_der().to_vec());
    world.endorsements.add_certificate(pki::ask_der().to_vec());
    assert_eq!(world.endorsements.certificates().len(), count);
    // The right leaf is found among those of other chips.
    let mut other = Certificate::vcek();
    other.vek.as_mut().unwrap().hardware_id = Some(vec![1; 64]);
    let given = world.endorsements.certificates().to_vec();
    world.endorsements.set_certificates([vec![other.to_der()], given].concat());
    world.accepted();
}

#[test]
fn of_two_leaves_for_one_chip_the_one_that_is_valid_is_taken() {
    let mut world = World::with_certificates(&CertificateTable(vec![]));
    let expired = Certificate { not_after: pki::NOW - 1, ..Certificate::vcek() }.to_der();
    for der in [pki::ark_der(), pki::ask_der(), &expired] {
        world.endorsements.add_certificate(der.to_vec());
    }
    world.refused(Check::CertificateValidity);
    world.endorsements.add_certificate(pki::vcek_der().to_vec());
    world.accepted();
}

#[test]
fn only_a_pinned_root_is_trusted() {
    let mut world = World::valid();
    world.endorsements.set_snp_roots(vec![root(Key::ForeignArk)]);
    world.refused(Check::TrustRoot);
    world.endorsements.set_snp_roots(Vec::new());
    world.refused(Check::TrustRoot);
    world.endorsements.set_snp_roots(sealpod_verifier::Endorsements::builtin_snp_roots());
    world.refused(Check::TrustRoot);
    let table = CertificateTable::vcek().with(Guid::ARK, pki::foreign_ark_der().to_vec());
    World::with_certificates(&table).refused(Check::TrustRoot);
}

#[test]
fn a_root_is_trusted_for_its_product_only() {
    let mut world = World::valid();
    let milan = SnpRoot { product: sealpod_evidence::snp::report::Product::Milan, ..root(Key::Ark) };
    world.endorsements.set_snp_roots(vec![milan]);
    world.refused(Check::TrustRoot);
}

#[test]
fn every_certificate_of_the_chain_must_be_there() {
    for missing in [Guid::VCEK, Guid::ASK, Guid::ARK] {
        let mut table = CertificateTable::vcek();
        table.0.retain(|entry| entry.0 != missing);
        World::with_certificates(&table).refused(Check::ChainIncomplete);
    }
}

#[test]
fn certificates_must_be_well_formed() {
    let trailing = [pki::vcek_der(), &[0]].concat();
    for der in [vec![0x30], trailing] {
        let table = CertificateTable::vcek().with(Guid::VCEK, der);
        World::with_certificates(&table).refused(Check::CertificateSyntax);
    }
    let table = CertificateTable::vcek().with(Guid::ASK, vec![0x30, 0]);
    World::with_certificates(&table).refused(Check::CertificateSyntax);
}

#[test]
fn only_amds_signature_algorithm_is_taken() {
    for scheme in [Scheme::PssSha256, Scheme::Pkcs1Sha256, Scheme::Pkcs1Sha384] {
        table(Guid::VCEK, &Certificate { scheme, ..Certificate::vcek() }).refused(Check::CertificateSyntax);
        table(Guid::ASK, &Certificate { scheme, ..Certificate::ask() }).refused(Check::CertificateSyntax);
    }
}

#[test]
fn unknown_critical_and_repeated_extensions_are_refused() {
    let with = |extra| Certificate { extra, ..Certificate::vcek() };
    table(Guid::VCEK, &with(vec![("1.2.3.4", false, vec![5, 0])])).accepted();
    table(Guid::VCEK, &with(vec![("1.2.3.4", true, vec![5, 0])])).refused(Check::CertificateSyntax);
    table(Guid::VCEK, &with(vec![("1.3.6.1.4.1.3704.1.3.8", false, vec![2, 1, 99])]))
        .refused(Check::CertificateSyntax);
}

#[test]
fn each_certificate_is_signed_by_the_next() {
    table(Guid::VCEK, &Certificate { signed_by: Key::Asvk, ..Certificate::vcek() })
        .refused(Check::CertificateSignature);
    table(Guid::VCEK, &Certificate { signed_by: Key::Ark, ..Certificate::vcek() })
        .refused(Check::CertificateSignature);
    table(Guid::ASK, &Certificate { signed_by: Key::ForeignArk, ..Certificate::ask() })
        .refused(Check::CertificateSignature);
    table(Guid::ARK, &Certificate { signed_by: Key::ForeignArk, ..Certificate::ark() })
        .refused(Check::CertificateSignature);
    let mut der = pki::vcek_der().to_vec();
    *der.last_mut().unwrap() ^= 1;
    World::with_certificates(&CertificateTable::vcek().with(Guid::VCEK, der))
        .refused(Check::CertificateSignature);
}

#[test]
fn names_are_amds() {
    let vcek = |subject: &str, issuer: &str| {
        table(
            Guid::VCEK,
            &Certificate { subject: subject.into(), issuer: issuer.into(), ..Certificate::vcek() },
        )
    };
    vcek("SEV-VCEK-Genoa", "SEV-Genoa").refused(Check::CertificateName);
    vcek("ARK-Genoa", "SEV-Genoa").refused(Check::CertificateName);
    vcek("SEV-VCEK", "SEV-Rome").refused(Check::CertificateName);
    vcek("SEV-VCEK", "ARK-Genoa").refused(Check::CertificateName);
    vcek("SEV-VCEK", "SEV-VLEK-Genoa").refused(Check::CertificateName);
    vcek("SEV-VLEK", "SEV-Genoa").refused(Check::CertificateName);
    // AMD's names, but not those of one chain.
    vcek("SEV-VCEK", "SEV-Milan").refused(Check::ChainIncomplete);
    table(Guid::ASK, &Certificate { issuer: "ARK-Milan".into(), ..Certificate::ask() })
        .refused(Check::CertificateName);
    table(Guid::ASK, &Certificate { issuer: "SEV-Genoa".into(), ..Certificate::ask() })
        .refused(Check::CertificateName);
}

#[test]
fn authorities_are_authorities() {
    let spoil = |certificate: Certificate, spoil: fn(&mut Ca)| {
        let mut ca = certificate.ca.unwrap();
        spoil(&mut ca);
        Certificate { ca: Some(ca), ..certificate }
    };
    for spoil_ca in [|ca: &mut Ca| ca.is_ca = false, |ca: &mut Ca| ca.sign_certificates = false] {
        table(Guid::ASK, &spoil(Certificate::ask(), spoil_ca)).refused(Check::CertificateAuthority);
        table(Guid::ARK, &spoil(Certificate::ark(), spoil_ca)).refused(Check::CertificateAuthority);
    }
    table(Guid::ARK, &spoil(Certificate::ark(), |ca| ca.path_length = Some(0)))
        .refused(Check::CertificateAuthority);
    table(Guid::ASK, &Certificate { ca: None, ..Certificate::ask() }).refused(Check::CertificateAuthority);
}

#[test]
fn a_leaf_is_no_authority() {
    let ca = Certificate::ask().ca;
    table(Guid::VCEK, &Certificate { ca, ..Certificate::vcek() }).refused(Check::CertificateAuthority);
    table(Guid::VCEK, &Certificate { key: Key::Asvk, ..Certificate::vcek() })
        .refused(Check::CertificateAuthority);
}

#[test]
fn each_certificate_is_valid_now() {
    let kinds =
        [(Guid::ARK, Certificate::ark()), (Guid::ASK, Certificate::ask()), (Guid::VCEK, Certificate::vcek())];
    for (kind, certificate) in kinds {
        table(kind, &Certificate { not_after: pki::NOW - 1, ..certificate.clone() })
            .refused(Check::CertificateValidity);
        table(kind, &Certificate { not_before: pki::NOW + 1, ..certificate.clone() })
            .refused(Check::CertificateValidity);
        table(kind, &Certificate { not_before: pki::NOW, not_after: pki::NOW, ..certificate }).accepted();
    }
}

#[test]
fn a_remembered_key_skips_the_chain_but_not_its_time() {
    let not_after = pki::NOW + 10;
    let mut world = table(Guid::ASK, &Certificate { not_after, ..Certificate::ask() });
    let key = Arc::clone(world.accepted().snp_key().unwrap());
    assert!(!world.endorsements.remembers(&key));
    world.endorsements.remember(key);
    // Without any of the chain: only a remembered key can pass.
    world.attestation.tee_evidence.primary_evidence["certificates"] = {
        let table = CertificateTable(vec![(Guid::VCEK, pki::vcek_der().to_vec())]);
        serde_json::to_value(sealpod_evidence::bytes::Base64(table.to_bytes())).unwrap()
    };
    assert!(world.endorsements.remembers(world.accepted().snp_key().unwrap()));
    (world.now, world.challenge.expires) = (not_after, not_after + 60);
    world.accepted();
    world.now = not_after + 1;
    world.refused(Check::ChainIncomplete);
    world.now = pki::NOW;
    world.policy.require_crl = true;
    world.refused(Check::ChainIncomplete);
}

#[test]
fn a_remembered_key_does_not_vouch_for_another_report() {
    let mut world = World::spoiled(|sealed| {
        sealed.report_key = Key::ForeignVcek;
        sealed.resign();
    });
    let key = Arc::clone(World::valid().accepted().snp_key().unwrap());
    world.endorsements.remember(key);
    world.refused(Check::ReportSignature);
}

#[test]
fn a_remembered_key_does_not_outlive_what_it_was_verified_under() {
    let remembered = || {
        let mut world = World::valid();
        let key = Arc::clone(world.accepted().snp_key().unwrap());
        world.endorsements.remember(key);
        world
    };
    type Change = fn(&mut Endorsements);
    let changes: [(Change, Check); 3] = [
        (|given| given.set_snp_roots(Vec::new()), Check::TrustRoot),
        (|given| given.add_crl(b"not a list".to_vec()), Check::RevocationList),
        (|given| given.set_crls(vec![b"not a list".to_vec()]), Check::RevocationList),
    ];
    for (change, check) in changes {
        let mut world = remembered();
        change(&mut world.endorsements);
        world.refused(check);
    }
    let changes: [Change; 2] =
        [|given| given.add_snp_root(root(Key::ForeignArk)), |given| given.set_certificates(Vec::new())];
    for change in changes {
        let mut world = remembered();
        change(&mut world.endorsements);
        assert!(!world.endorsements.remembers(world.accepted().snp_key().unwrap()));
    }
    // One more certificate takes no ground away: a fleet's keys come one by one.
    let mut world = remembered();
    world.endorsements.add_certificate(pki::vlek_der().to_vec());
    assert!(world.endorsements.remembers(world.accepted().snp_key().unwrap()));
}
