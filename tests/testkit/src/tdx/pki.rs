//! Certificates and revocation lists in Intel's shape ("SGX PCK Certificate and CRL Profile Specification" 1.5), every field open
//! to be spoiled.

use super::{COMPONENTS, FMSPC, Key, PCE_ID, PCE_SVN};
use crate::hash::sha1;
use crate::pki::{NOT_AFTER, NOT_BEFORE};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use const_oid::{AssociatedOid as _, ObjectIdentifier};
use der::asn1::{BitString, GeneralizedTime, OctetString, Uint, UtcTime};
use der::{Decode as _, Encode as _};
use std::sync::OnceLock;
use std::time::Duration;
use x509_cert::certificate::{TbsCertificate, Version};
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, CrlNumber, KeyUsage, KeyUsages};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// DER content of 1.2.840.113741.1.13.1.
const SGX_EXTENSIONS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01];

/// A certificate before it is signed. Start from one of the constructors and spoil a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntelCertificate {
    /// Common name of the subject.
    pub subject: String,
    /// Common name of the issuer.
    pub issuer: String,
    /// Organization of both.
    pub organization: String,
    /// Serial number, big-endian.
    pub serial: Vec<u8>,
    /// Seconds since 1970.
    pub not_before: u64,
    /// Seconds since 1970.
    pub not_after: u64,
    /// The key that is certified.
    pub key: Key,
    /// The key that signs.
    pub signed_by: Key,
    /// What the basic constraints and the key usage say.
    pub ca: IntelCa,
    /// Present in a PCK certificate.
    pub sgx: Option<SgxExtensions>,
}

/// What makes a certificate an authority's, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntelCa {
    /// The flag in the basic constraints.
    pub is_ca: bool,
    /// How many authorities may follow.
    pub path_length: Option<u8>,
    /// Whether certificates may be signed.
    pub sign_certificates: bool,
    /// Whether revocation lists may be signed.
    pub sign_crls: bool,
}

impl IntelCa {
    const LEAF: Self = Self { is_ca: false, path_length: None, sign_certificates: false, sign_crls: false };

    fn over(path_length: u8) -> Self {
        Self { is_ca: true, path_length: Some(path_length), sign_certificates: true, sign_crls: true }
    }
}

/// The platform that a PCK certificate names (section 1.3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SgxExtensions {
    /// FMSPC.
    pub fmspc: Vec<u8>,
    /// PCEID.
    pub pce_id: Vec<u8>,
    /// PPID.
    pub ppid: Vec<u8>,
    /// Security versions.
    pub components: Vec<u16>,
    /// PCESVN.
    pub pce_svn: u16,
}

impl IntelCertificate {
    /// The root, signed by itself.
    pub fn root() -> Self {
        Self {
            subject: "Intel SGX Root CA".to_owned(),
            issuer: "Intel SGX Root CA".to_owned(),
            organization: "Intel Corporation".to_owned(),
            serial: vec![1],
            not_before: NOT_BEFORE,
            not_after: NOT_AFTER,
            key: Key::Root,
            signed_by: Key::Root,
            ca: IntelCa::over(1),
            sgx: None,
        }
    }

    /// The authority for platforms.
    pub fn pck_ca() -> Self {
        Self {
            subject: "Intel SGX PCK Platform CA".to_owned(),
            serial: vec![2],
            key: Key::PckCa,
            ca: IntelCa::over(0),
            ..Self::root()
        }
    }

    /// The platform.
    pub fn pck() -> Self {
        let sgx = SgxExtensions {
            fmspc: FMSPC.to_vec(),
            pce_id: PCE_ID.to_vec(),
            ppid: vec![0x2f; 16],
            components: COMPONENTS.map(u16::from).to_vec(),
            pce_svn: PCE_SVN,
        };
        Self {
            subject: "Intel SGX PCK Certificate".to_owned(),
            issuer: "Intel SGX PCK Platform CA".to_owned(),
            serial: vec![3],
            key: Key::Pck,
            signed_by: Key::PckCa,
            ca: IntelCa::LEAF,
            sgx: Some(sgx),
            ..Self::root()
        }
    }

    /// The signer of TCB Info and enclave identities.
    pub fn tcb_signing() -> Self {
        Self {
            subject: "Intel SGX TCB Signing".to_owned(),
            serial: vec![4],
            key: Key::TcbSigning,
            ca: IntelCa::LEAF,
            ..Self::root()
        }
    }

    /// Sign and encode. The root as Intel has it is signed once, so that chains carry the same bytes, as real ones do.
    pub fn to_der(&self) -> Vec<u8> {
        static ROOT: OnceLock<Vec<u8>> = OnceLock::new();
        if *self == Self::root() { ROOT.get_or_init(|| self.sign()).clone() } else { self.sign() }
    }

    fn sign(&self) -> Vec<u8> {
        let tbs = TbsCertificate {
            version: Version::V3,
            serial_number: SerialNumber::new(&self.serial).expect("serial number"),
            signature: algorithm(),
            issuer: name(&self.issuer, &self.organization),
            validity: Validity { not_before: time(self.not_before), not_after: time(self.not_after) },
            subject: name(&self.subject, &self.organization),
            subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(&self.key.spki()).expect("key"),
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(self.extensions()),
        };
        let signature = self.signed_by.sign_der(&tbs.to_der().expect("certificate"));
        x509_cert::Certificate {
            tbs_certificate: tbs,
            signature_algorithm: algorithm(),
            signature: BitString::from_bytes(&signature).expect("signature"),
        }
        .to_der()
        .expect("certificate")
    }

    fn extensions(&self) -> Vec<Extension> {
        let mut usage = vec![KeyUsages::DigitalSignature];
        usage.extend(self.ca.sign_certificates.then_some(KeyUsages::KeyCertSign));
        usage.extend(self.ca.sign_crls.then_some(KeyUsages::CRLSign));
        let usage = KeyUsage(usage.into_iter().fold(Default::default(), |set, one| set | one));
        let constraints = BasicConstraints { ca: self.ca.is_ca, path_len_constraint: self.ca.path_length };
        let mut out = vec![
            extension(KeyUsage::OID, true, &usage.to_der().expect("key usage")),
            extension(BasicConstraints::OID, true, &constraints.to_der().expect("basic constraints")),
        ];
        out.extend(self.sgx.iter().map(|sgx| {
            extension(ObjectIdentifier::from_bytes(SGX_EXTENSIONS).expect("oid"), false, &sgx.to_der())
        }));
        out
    }
}

impl SgxExtensions {
    fn to_der(&self) -> Vec<u8> {
        let mut tcb = Vec::new();
        for (arc, svn) in (1..).zip(&self.components) {
            tcb.extend(entry(&[2, arc], svn.to_der().expect("integer")));
        }
        tcb.extend(entry(&[2, 17], self.pce_svn.to_der().expect("integer")));
        // CPUSVN: in these certificates the components again.
        let cpu_svn: Vec<u8> = self.components.iter().map(|svn| *svn as u8).collect();
        tcb.extend(entry(&[2, 18], octets(&cpu_svn)));
        let fields = [
            entry(&[1], octets(&self.ppid)),
            entry(&[2], tlv(0x30, &tcb)),
            entry(&[3], octets(&self.pce_id)),
            entry(&[4], octets(&self.fmspc)),
            entry(&[5], tlv(0x0a, &[1])),
        ];
        tlv(0x30, &fields.concat())
    }
}

/// `SEQUENCE { SGX_EXTENSIONS.arcs, value }`.
fn entry(arcs: &[u8], value: Vec<u8>) -> Vec<u8> {
    let oid = tlv(0x06, &[SGX_EXTENSIONS, arcs].concat());
    tlv(0x30, &[oid, value].concat())
}

fn octets(bytes: &[u8]) -> Vec<u8> {
    tlv(0x04, bytes)
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = match content.len() {
        short @ 0..0x80 => vec![short as u8],
        long => vec![0x82, (long >> 8) as u8, long as u8],
    };
    // Lengths of 128 to 255 take one byte in DER.
    let length =
        if (0x80..0x100).contains(&content.len()) { vec![0x81, content.len() as u8] } else { length };
    [vec![tag], length, content.to_vec()].concat()
}

/// A revocation list before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntelCrl {
    /// Common name of the issuer.
    pub issuer: String,
    /// The key that signs.
    pub signed_by: Key,
    /// Seconds since 1970.
    pub this_update: u64,
    /// Seconds since 1970.
    pub next_update: u64,
    /// Serial numbers, big-endian.
    pub revoked: Vec<Vec<u8>>,
}

impl IntelCrl {
    /// The root's, with nothing on it.
    pub fn root() -> Self {
        Self {
            issuer: "Intel SGX Root CA".to_owned(),
            signed_by: Key::Root,
            this_update: NOT_BEFORE,
            next_update: NOT_AFTER,
            revoked: Vec::new(),
        }
    }

    /// The PCK authority's, with another platform on it.
    pub fn pck() -> Self {
        Self {
            issuer: "Intel SGX PCK Platform CA".to_owned(),
            signed_by: Key::PckCa,
            revoked: vec![vec![99]],
            ..Self::root()
        }
    }

    /// RFC 5280, sections 5.2.1 and 5.2.3.
    fn extensions(&self) -> Vec<Extension> {
        let key = OctetString::new(sha1(&self.signed_by.point())).expect("key identifier");
        let key = AuthorityKeyIdentifier { key_identifier: Some(key), ..Default::default() };
        let number = CrlNumber(Uint::new(&[1]).expect("number"));
        vec![
            extension(CrlNumber::OID, false, &number.to_der().expect("number")),
            extension(AuthorityKeyIdentifier::OID, false, &key.to_der().expect("key identifier")),
        ]
    }

    /// Sign and encode.
    pub fn to_der(&self) -> Vec<u8> {
        let revoked = self.revoked.iter().map(|serial| RevokedCert {
            serial_number: SerialNumber::new(serial).expect("serial number"),
            revocation_date: time(self.this_update),
            crl_entry_extensions: None,
        });
        let tbs = TbsCertList {
            version: Version::V2,
            signature: algorithm(),
            issuer: name(&self.issuer, "Intel Corporation"),
            this_update: time(self.this_update),
            next_update: Some(time(self.next_update)),
            revoked_certificates: (!self.revoked.is_empty()).then(|| revoked.collect()),
            crl_extensions: Some(self.extensions()),
        };
        let signature = self.signed_by.sign_der(&tbs.to_der().expect("list"));
        CertificateList {
            tbs_cert_list: tbs,
            signature_algorithm: algorithm(),
            signature: BitString::from_bytes(&signature).expect("signature"),
        }
        .to_der()
        .expect("list")
    }
}

/// Certificates in PEM, one after the other.
pub fn pem(certificates: &[IntelCertificate]) -> String {
    let block = |certificate: &IntelCertificate| {
        let text = STANDARD.encode(certificate.to_der());
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    };
    certificates.iter().map(block).collect()
}

fn extension(extn_id: ObjectIdentifier, critical: bool, value: &[u8]) -> Extension {
    Extension { extn_id, critical, extn_value: OctetString::new(value).expect("extension") }
}

fn name(common_name: &str, organization: &str) -> Name {
    // RFC 4514 writes the last part first.
    format!("C=US,ST=CA,L=Santa Clara,O={organization},CN={common_name}").parse().expect("name")
}

fn algorithm() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None }
}

/// UTCTime up to 2049, as RFC 5280, section 4.1.2.5 demands.
fn time(seconds: u64) -> Time {
    let since_1970 = Duration::from_secs(seconds);
    match UtcTime::from_unix_duration(since_1970) {
        Ok(time) => Time::UtcTime(time),
        Err(_) => Time::GeneralTime(GeneralizedTime::from_unix_duration(since_1970).expect("time")),
    }
}
