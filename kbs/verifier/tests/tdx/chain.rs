//! Step 3: certificates and revocation lists.

use crate::world::World;
use sealpod_testkit::pki::NOW;
use sealpod_testkit::tdx::{Certified, IntelCertificate, IntelCrl, Key};
use sealpod_verifier::{Check, Endorsements};

/// The valid pod, with this chain in its quote.
fn chain(change: impl FnOnce(&mut Vec<IntelCertificate>)) -> World {
    let mut certificates =
        vec![IntelCertificate::pck(), IntelCertificate::pck_ca(), IntelCertificate::root()];
    change(&mut certificates);
    World::made(|bundle| bundle.quote.certified = Certified::Chain(certificates))
}

fn each() -> [usize; 3] {
    [0, 1, 2]
}

#[test]
fn certificates_may_come_in_any_order() {
    chain(|chain| chain.reverse()).accepted();
    chain(|chain| chain.swap(0, 1)).accepted();
}

#[test]
fn every_certificate_of_the_chain_must_be_there_once() {
    for missing in each() {
        chain(|chain| drop(chain.remove(missing))).refused(Check::ChainIncomplete);
    }
    for twice in each() {
        chain(|chain| chain.push(chain[twice].clone())).refused(Check::CertificateName);
    }
    for kind in [1, 2, 3, 4, 7] {
        let world = World::made(|bundle| bundle.quote.certified = Certified::Other(kind, vec![1; 404]));
        world.refused(Check::ChainIncomplete);
    }
}

#[test]
fn a_chain_is_pem_and_nothing_else() {
    for bad in [&b"no PEM"[..], b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----"] {
        let world = World::made(|bundle| bundle.quote.certified = Certified::Other(5, bad.to_vec()));
        world.refused(Check::CertificateSyntax);
    }
}

#[test]
fn only_a_root_that_is_pinned_is_trusted() {
    let mut world = World::valid();
    world.endorsements = Endorsements::default();
    world.refused(Check::TrustRoot);
    let foreign =
        IntelCertificate { key: Key::ForeignRoot, signed_by: Key::ForeignRoot, ..IntelCertificate::root() };
    chain(|chain| chain[2] = foreign).refused(Check::TrustRoot);
}

#[test]
fn each_certificate_is_signed_by_the_next() {
    for (index, signed_by) in [(0, Key::Root), (1, Key::PckCa), (2, Key::ForeignRoot)] {
        chain(|chain| chain[index].signed_by = signed_by).refused(Check::CertificateSignature);
    }
}

#[test]
fn names_are_intels() {
    chain(|chain| chain[0].issuer = "Intel SGX Root CA".to_owned()).refused(Check::CertificateName);
    chain(|chain| chain[0].issuer = "Somebody".to_owned()).refused(Check::CertificateName);
    chain(|chain| chain[1].issuer = "Intel SGX PCK Platform CA".to_owned()).refused(Check::CertificateName);
    // Under another name it is not there.
    for index in each() {
        chain(|chain| chain[index].subject = "Somebody".to_owned()).refused(Check::ChainIncomplete);
        chain(|chain| chain[index].organization = "Somebody".to_owned()).refused(Check::ChainIncomplete);
    }
}

#[test]
fn authorities_are_authorities_and_a_leaf_is_none() {
    for index in [1, 2] {
        chain(|chain| chain[index].ca.is_ca = false).refused(Check::CertificateAuthority);
        chain(|chain| chain[index].ca.sign_certificates = false).refused(Check::CertificateAuthority);
    }
    chain(|chain| chain[2].ca.path_length = Some(0)).refused(Check::CertificateAuthority);
    chain(|chain| chain[0].ca.is_ca = true).refused(Check::CertificateAuthority);
    chain(|chain| chain[0].ca.sign_certificates = true).refused(Check::CertificateAuthority);
}

#[test]
fn each_certificate_is_valid_now() {
    for index in each() {
        chain(|chain| chain[index].not_after = NOW).accepted();
        chain(|chain| chain[index].not_before = NOW).accepted();
        chain(|chain| chain[index].not_after = NOW - 1).refused(Check::CertificateValidity);
        chain(|chain| chain[index].not_before = NOW + 1).refused(Check::CertificateValidity);
    }
}

#[test]
fn a_pck_names_its_platform() {
    let sgx = |change: fn(&mut sealpod_testkit::tdx::SgxExtensions)| {
        chain(|chain| change(chain[0].sgx.as_mut().unwrap())).refused(Check::PckExtensions);
    };
    sgx(|sgx| sgx.fmspc.push(0));
    sgx(|sgx| sgx.pce_id.clear());
    sgx(|sgx| sgx.ppid.truncate(15));
    sgx(|sgx| sgx.components.truncate(15));
    sgx(|sgx| sgx.components[0] = 256);
    chain(|chain| chain[0].sgx = None).refused(Check::PckExtensions);
}

/// The valid pod, whose collateral has these lists.
fn lists(root: IntelCrl, pck: IntelCrl) -> World {
    World::made(|bundle| {
        bundle.collateral.root_crl = root;
        bundle.collateral.pck_crl = pck;
    })
}

#[test]
fn lists_are_in_force_in_both_directions_of_time() {
    for spoil in
        [|crl: &mut IntelCrl| crl.next_update = NOW - 1, |crl: &mut IntelCrl| crl.this_update = NOW + 1]
    {
        let (mut root, mut pck) = (IntelCrl::root(), IntelCrl::pck());
        spoil(&mut root);
        spoil(&mut pck);
        lists(root, IntelCrl::pck()).refused(Check::RevocationList);
        lists(IntelCrl::root(), pck).refused(Check::RevocationList);
    }
    let edge = |crl: IntelCrl| IntelCrl { this_update: NOW, next_update: NOW, ..crl };
    lists(edge(IntelCrl::root()), edge(IntelCrl::pck())).accepted();
}

#[test]
fn the_issuer_signed_the_list() {
    let root = IntelCrl { signed_by: Key::PckCa, ..IntelCrl::root() };
    lists(root, IntelCrl::pck()).refused(Check::RevocationList);
    let pck = IntelCrl { signed_by: Key::Root, ..IntelCrl::pck() };
    lists(IntelCrl::root(), pck).refused(Check::RevocationList);
    // The root's list in the place of both leaves the PCK without one.
    let missing = IntelCrl { issuer: "Intel SGX Somebody".to_owned(), ..IntelCrl::root() };
    lists(missing, IntelCrl::pck()).refused(Check::RevocationList);
}

#[test]
fn what_is_revoked_is_refused() {
    let revoking = |certificate: IntelCertificate| vec![certificate.serial];
    let root = IntelCrl { revoked: revoking(IntelCertificate::pck_ca()), ..IntelCrl::root() };
    lists(root, IntelCrl::pck()).refused(Check::CertificateRevoked);
    let root = IntelCrl { revoked: revoking(IntelCertificate::tcb_signing()), ..IntelCrl::root() };
    lists(root, IntelCrl::pck()).refused(Check::CertificateRevoked);
    let pck = IntelCrl { revoked: revoking(IntelCertificate::pck()), ..IntelCrl::pck() };
    lists(IntelCrl::root(), pck).refused(Check::CertificateRevoked);
}

#[test]
fn an_authority_without_the_right_to_sign_lists_is_refused() {
    for index in [1, 2] {
        chain(|chain| chain[index].ca.sign_crls = false).refused(Check::RevocationList);
    }
}
