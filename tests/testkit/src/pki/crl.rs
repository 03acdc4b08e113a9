//! Revocation lists in AMD's shape (AMD 57230, section 2.4; RFC 5280, section 5).

use super::certificate::{algorithm, authority_key_identifier, name, time};
use crate::keys::{Key, Scheme};
use crate::pki::{NOT_AFTER, NOT_BEFORE, PRODUCT};
use const_oid::AssociatedOid as _;
use der::Encode as _;
use der::asn1::{BitString, OctetString, Uint};
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::CrlNumber;
use x509_cert::serial_number::SerialNumber;

/// A revocation list before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crl {
    /// Common name of the issuer.
    pub issuer: String,
    /// The key that signs.
    pub signed_by: Key,
    /// How it signs.
    pub scheme: Scheme,
    /// Seconds since 1970.
    pub this_update: u64,
    /// Seconds since 1970.
    pub next_update: Option<u64>,
    /// Serial numbers, big-endian.
    pub revoked: Vec<Vec<u8>>,
}

impl Default for Crl {
    /// The root's list, with nothing on it.
    fn default() -> Self {
        Self {
            issuer: format!("ARK-{PRODUCT}"),
            signed_by: Key::Ark,
            scheme: Scheme::PssSha384,
            this_update: NOT_BEFORE,
            next_update: Some(NOT_AFTER),
            revoked: Vec::new(),
        }
    }
}

impl Crl {
    /// The root's list with one certificate on it.
    pub fn revoking(certificate: &super::Certificate) -> Self {
        Self { revoked: vec![certificate.serial.clone()], ..Self::default() }
    }

    /// Sign and encode.
    pub fn to_der(&self) -> Vec<u8> {
        let revoked: Vec<RevokedCert> = self
            .revoked
            .iter()
            .map(|serial| RevokedCert {
                serial_number: SerialNumber::new(serial).expect("serial number"),
                revocation_date: time(self.this_update),
                crl_entry_extensions: None,
            })
            .collect();
        let number = CrlNumber(Uint::new(&[1]).expect("number"));
        let number = Extension {
            extn_id: CrlNumber::OID,
            critical: false,
            extn_value: OctetString::new(number.to_der().expect("number")).expect("number"),
        };
        let tbs = TbsCertList {
            version: x509_cert::Version::V2,
            signature: algorithm(self.scheme),
            issuer: name(&self.issuer),
            this_update: time(self.this_update),
            next_update: self.next_update.map(time),
            revoked_certificates: (!revoked.is_empty()).then_some(revoked),
            crl_extensions: Some(vec![authority_key_identifier(self.signed_by), number]),
        };
        let signature = self.signed_by.sign(self.scheme, &tbs.to_der().expect("list"));
        CertificateList {
            tbs_cert_list: tbs,
            signature_algorithm: algorithm(self.scheme),
            signature: BitString::from_bytes(&signature).expect("signature"),
        }
        .to_der()
        .expect("list")
    }
}
