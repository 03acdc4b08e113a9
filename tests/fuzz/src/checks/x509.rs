//! Certificates, revocation lists, and files that hold them.

use super::NOW;
use crate::heap::within;
use sealpod_evidence::pem;
use sealpod_testkit::pki;
use sealpod_verifier::x509::{Algorithm, Certificate, Curve, KeyKind, Profile, SubjectKey, crl};
use sealpod_verifier::{Endorsements, snp, tdx};

pub static ANY: Profile = Profile {
    source: "fuzzing",
    algorithms: &[
        Algorithm::RsaPssSha384,
        Algorithm::RsaPkcs1Sha256,
        Algorithm::RsaPkcs1Sha384,
        Algorithm::RsaPkcs1Sha512,
        Algorithm::EcdsaP256Sha256,
        Algorithm::EcdsaP384Sha384,
    ],
    authority_keys: &[
        KeyKind::Rsa(2048),
        KeyKind::Rsa(4096),
        KeyKind::Ec(Curve::P256),
        KeyKind::Ec(Curve::P384),
    ],
    leaf_keys: &[KeyKind::Rsa(2048), KeyKind::Rsa(4096), KeyKind::Ec(Curve::P256), KeyKind::Ec(Curve::P384)],
    critical: &[],
};

/// The DER library makes a growing list of each sequence, so elements of two bytes cost this much each; certificates are at most 64 KiB.
const FACTOR: usize = 256;

/// DER as a certificate and as a list, under profiles that take any algorithm and under AMD's and Intel's; PEM as a bundle.
pub fn certificates(data: &[u8]) {
    let fixed = 256 << 10;
    if let Ok(certificate) = within(data.len(), FACTOR, fixed, || Certificate::parse(data, &ANY)) {
        assert_eq!(certificate.der(), data);
        let key =
            SubjectKey::from_spki(&certificate.spki()).expect("the key of a certificate that was taken");
        assert_eq!((key.kind(), key.bytes()), (certificate.key().kind(), certificate.key().bytes()));
        let _ = (certificate.require_authority(1), certificate.require_leaf(), certificate.may_sign_lists());
        let (from, to) = certificate.window();
        assert_eq!(certificate.validity(NOW).is_ok(), (from..=to).contains(&NOW));
        let _ = certificate.is_signed_by(&certificate);
    }
    let ark = Certificate::parse(pki::ark_der(), &ANY).expect("the test root");
    let ask = Certificate::parse(pki::ask_der(), &ANY).expect("the test authority");
    let _ = within(data.len(), FACTOR, fixed, || crl::check(&[data.to_vec()], &ark, &[&ask], true, NOW));
    let _ = snp::is_leaf(data);
    let mut endorsements = Endorsements::new(Endorsements::builtin_snp_roots());
    endorsements.add_certificate(data.to_vec());
    endorsements.add_crl(data.to_vec());
    let _ = snp::endorse_leaf(data, &[pki::ask_der(), pki::ark_der()], &endorsements, false, NOW);
    if let Ok(chain) = within(data.len(), FACTOR, fixed, || tdx::read_certificates(data)) {
        let _ = tdx::pck(&chain, &tdx::builtin_roots(), &[], false, NOW);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = pem::decode_all(text, "CERTIFICATE");
    }
}
