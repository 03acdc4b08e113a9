use super::*;
use sealpod_testkit::keys::{Key, Scheme};
use sealpod_testkit::pki::{self, Ca, Certificate as Made};
use sealpod_testkit::tpm::{AkKind, EkProfile, PublicArea, Tpm};

fn ek() -> Public {
    Public::parse(&Tpm::default().ek_public()).unwrap()
}

fn verify(
    leaf: &Made,
    given: &[Made],
    roots: &[Made],
    ek: &Public,
    now: UnixTime,
) -> Result<EkCertificate, Check> {
    let der = |list: &[Made]| list.iter().map(Made::to_der).collect::<Vec<_>>();
    certificate(&leaf.to_der(), &der(given), &der(roots), ek, now).map_err(|error| error.check)
}

/// The valid chain with another leaf.
fn leaf(leaf: &Made) -> Result<EkCertificate, Check> {
    verify(leaf, &[EkProfile::authority()], &[EkProfile::root()], &ek(), pki::NOW)
}

/// The valid chain with another authority.
fn authority(authority: Made) -> Result<EkCertificate, Check> {
    verify(&EkProfile::default().certificate(), &[authority], &[EkProfile::root()], &ek(), pki::NOW)
}

fn valid() -> Made {
    EkProfile::default().certificate()
}

#[test]
fn a_vendors_certificate_names_its_tpm() {
    let found = leaf(&valid()).unwrap();
    assert_eq!((found.manufacturer.as_str(), found.model.as_str()), ("id:53454144", "test TPM"));
    assert_eq!((found.version.as_str(), found.window), ("id:00010002", (pki::NOT_BEFORE, pki::NOT_AFTER)));
    // Certificates of other vendors may lie beside them, in any order; an authority may itself be the root.
    let given = [Made::vcek(), EkProfile::root(), EkProfile::authority()];
    assert!(verify(&valid(), &given, &[Made::ark(), EkProfile::root()], &ek(), pki::NOW).is_ok());
    assert!(verify(&valid(), &[], &[EkProfile::authority()], &ek(), pki::NOW).is_ok());
}

#[test]
fn the_chain_ends_in_a_root_that_was_given() {
    let incomplete = Err(Check::ChainIncomplete);
    assert_eq!(verify(&valid(), &[EkProfile::authority()], &[], &ek(), pki::NOW), incomplete);
    assert_eq!(verify(&valid(), &[], &[EkProfile::root()], &ek(), pki::NOW), incomplete);
    // A root beside the authority is not yet believed.
    let given = [EkProfile::authority(), EkProfile::root()];
    assert_eq!(verify(&valid(), &given, &[Made::ark()], &ek(), pki::NOW), incomplete);
    let foreign = Made { key: Key::ForeignArk, signed_by: Key::ForeignArk, ..EkProfile::root() };
    assert_eq!(verify(&valid(), &[EkProfile::authority()], &[foreign], &ek(), pki::NOW), incomplete);
    assert_eq!(leaf(&Made { signed_by: Key::Asvk, ..valid() }), incomplete);
    assert_eq!(leaf(&Made { issuer: "another".to_owned(), ..valid() }), incomplete);
}

#[test]
fn authorities_are_authorities_and_the_leaf_is_none() {
    let refused = Err(Check::CertificateAuthority);
    let ca = |change: fn(&mut Ca)| {
        let mut made = EkProfile::authority();
        change(made.ca.as_mut().unwrap());
        authority(made)
    };
    assert_eq!(ca(|ca| ca.is_ca = false), refused);
    assert_eq!(ca(|ca| ca.sign_certificates = false), refused);
    assert_eq!(authority(Made { ca: None, ..EkProfile::authority() }), refused);
    assert_eq!(leaf(&Made { ca: EkProfile::root().ca, ..valid() }), refused);
    // One authority more than the path length of the upper one allows.
    let upper = Made { ca: EkProfile::authority().ca, ..EkProfile::root() };
    let given = [EkProfile::authority()];
    assert_eq!(verify(&valid(), &given, &[upper], &ek(), pki::NOW), refused);
}

#[test]
fn a_chain_does_not_go_round_in_circles() {
    let (a, b) = ("A".to_owned(), "B".to_owned());
    let ca = Some(Ca { is_ca: true, path_length: None, sign_certificates: true, sign_crls: false });
    let made = |subject: &String, issuer: &String| Made {
        subject: subject.clone(),
        issuer: issuer.clone(),
        key: Key::Ask,
        signed_by: Key::Ask,
        ca,
        ..EkProfile::root()
    };
    let leaf = Made { issuer: a.clone(), ..valid() };
    let given = [made(&a, &b), made(&b, &a)];
    assert_eq!(verify(&leaf, &given, &[EkProfile::root()], &ek(), pki::NOW), Err(Check::ChainIncomplete));
}

#[test]
fn each_certificate_is_valid_now() {
    let refused = Err(Check::CertificateValidity);
    assert_eq!(leaf(&Made { not_after: pki::NOW - 1, ..valid() }), refused);
    assert_eq!(authority(Made { not_before: pki::NOW + 1, ..EkProfile::authority() }), refused);
    let root = Made { not_after: pki::NOW - 1, ..EkProfile::root() };
    assert_eq!(verify(&valid(), &[EkProfile::authority()], &[root], &ek(), pki::NOW), refused);
}

#[test]
fn the_certificate_is_for_an_endorsement_key_of_a_named_tpm() {
    let refused = Err(Check::EkCertificate);
    let profile = |change: fn(&mut EkProfile)| {
        let mut profile = EkProfile::default();
        change(&mut profile);
        leaf(&profile.certificate())
    };
    assert_eq!(profile(|profile| profile.usages = vec![3]), refused);
    assert!(profile(|profile| profile.usages = vec![3, 1]).is_ok());
    for missing in 0..3 {
        let mut profile = EkProfile::default();
        profile.attributes.remove(missing);
        assert_eq!(leaf(&profile.certificate()), refused);
    }
    assert_eq!(profile(|profile| profile.attributes.push((1, "id:494e5443".to_owned()))), refused);
    let without = |oid| {
        let mut made = valid();
        made.extra.retain(|(id, ..)| *id != oid);
        leaf(&made)
    };
    assert_eq!((without("2.5.29.17"), without("2.5.29.37")), (refused.clone(), refused));
    let mut made = valid();
    made.extra.push(("1.2.3.4", true, vec![5, 0]));
    assert_eq!(leaf(&made), Err(Check::CertificateSyntax));
    assert_eq!(leaf(&Made { scheme: Scheme::PssSha256, ..valid() }), Err(Check::CertificateSyntax));
}

#[test]
fn the_certificate_is_this_keys() {
    let others = [Tpm::foreign().ek_public(), PublicArea::ak(AkKind::EcdsaP256).to_bytes()];
    for other in others {
        let other = Public::parse(&other).unwrap();
        let found = verify(&valid(), &[EkProfile::authority()], &[EkProfile::root()], &other, pki::NOW);
        assert_eq!(found, Err(Check::EkCertificateKey));
    }
    // Keys on curves are compared too.
    let area = Public::parse(&PublicArea::ak(AkKind::EcdsaP256).to_bytes()).unwrap();
    let made = Made { key: Key::AkP256, ..valid() };
    assert!(verify(&made, &[EkProfile::authority()], &[EkProfile::root()], &area, pki::NOW).is_ok());
}
