//! Step 3: revocation lists.

use crate::world::World;
use sealpod_testkit::keys::{Key, Scheme};
use sealpod_testkit::pki::{self, Certificate, Crl};
use sealpod_verifier::Check;

fn lists(lists: &[Crl], require_crl: bool) -> World {
    let mut world = World::valid();
    world.endorsements.set_crls(lists.iter().map(Crl::to_der).collect());
    world.policy.require_crl = require_crl;
    world
}

#[test]
fn a_list_is_needed_only_where_the_owner_says_so() {
    lists(&[], false).accepted();
    lists(&[], true).refused(Check::RevocationList);
    lists(&[Crl::default()], true).accepted();
}

#[test]
fn revoked_authorities_are_refused() {
    for revoked in [Certificate::ask(), Certificate::ark()] {
        lists(&[Crl::revoking(&revoked)], false).refused(Check::CertificateRevoked);
        lists(&[Crl::default(), Crl::revoking(&revoked)], true).refused(Check::CertificateRevoked);
        // What was revoked once stays revoked, however old the list.
        let old = Crl { next_update: Some(pki::NOW - 1), ..Crl::revoking(&revoked) };
        lists(&[Crl::default(), old], true).refused(Check::CertificateRevoked);
    }
    lists(&[Crl::revoking(&Certificate::asvk())], true).accepted();
}

#[test]
fn where_there_are_lists_one_is_current() {
    let old = Crl { next_update: Some(pki::NOW - 1), ..Crl::default() };
    let future = Crl { this_update: pki::NOW + 1, ..Crl::default() };
    lists(std::slice::from_ref(&old), false).refused(Check::RevocationList);
    lists(std::slice::from_ref(&future), false).refused(Check::RevocationList);
    lists(&[old, future, Crl::default()], true).accepted();
    lists(&[Crl { next_update: None, ..Crl::default() }], false).refused(Check::RevocationList);
}

#[test]
fn the_root_signed_the_list() {
    for signed_by in [Key::ForeignArk, Key::Ask] {
        lists(&[Crl { signed_by, ..Crl::default() }], false).refused(Check::RevocationList);
    }
    lists(&[Crl { scheme: Scheme::PssSha256, ..Crl::default() }], false).refused(Check::RevocationList);
    let mut world = lists(&[Crl::default()], false);
    world.endorsements.set_crls(vec![[Crl::default().to_der(), vec![0]].concat()]);
    world.refused(Check::RevocationList);
}

#[test]
fn a_list_of_another_root_is_passed_over() {
    let other =
        Crl { issuer: "ARK-Milan".into(), revoked: vec![Certificate::ask().serial], ..Crl::default() };
    lists(std::slice::from_ref(&other), false).accepted();
    lists(&[other], true).refused(Check::RevocationList);
}

#[test]
fn a_root_without_the_right_to_sign_lists_is_refused() {
    let mut certificate = Certificate::ark();
    certificate.ca.as_mut().unwrap().sign_crls = false;
    let table = pki::CertificateTable::vcek().with(pki::Guid::ARK, certificate.to_der());
    let mut world = World::with_certificates(&table);
    world.accepted();
    world.endorsements.set_crls(vec![Crl::default().to_der()]);
    world.refused(Check::RevocationList);
}
