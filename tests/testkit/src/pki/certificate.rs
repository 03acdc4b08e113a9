//! Certificates in AMD's shape (AMD 57230, sections 1.4 and 3.1), every field open to be spoiled.

use crate::hash::sha1;
use crate::keys::{Key, Scheme};
use crate::pki::{CHIP_ID, CSP, NOT_AFTER, NOT_BEFORE, PRODUCT, TCB};
use const_oid::{AssociatedOid as _, ObjectIdentifier};
use der::asn1::{BitString, GeneralizedTime, Ia5StringRef, OctetString, UtcTime};
use der::{Any, Decode as _, Encode as _};
use sealpod_evidence::reference_values::SnpTcb;
use std::time::Duration;
use x509_cert::certificate::{TbsCertificate, Version};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, KeyUsage, KeyUsages, SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

/// A certificate before it is signed. Start from one of the constructors and spoil a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Common name of the subject.
    pub subject: String,
    /// Common name of the issuer.
    pub issuer: String,
    /// Serial number, big-endian. AMD's VCEKs all have 0.
    pub serial: Vec<u8>,
    /// Seconds since 1970.
    pub not_before: u64,
    /// Seconds since 1970.
    pub not_after: u64,
    /// The key that is certified.
    pub key: Key,
    /// The key that signs.
    pub signed_by: Key,
    /// How it signs.
    pub scheme: Scheme,
    /// Present in a certification authority's certificate.
    pub ca: Option<Ca>,
    /// Present in a VCEK's or VLEK's certificate.
    pub vek: Option<VekExtensions>,
    /// Further extensions: object identifier, critical, content of the value.
    pub extra: Vec<(&'static str, bool, Vec<u8>)>,
}

/// What makes a certificate an authority's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ca {
    /// The flag in the basic constraints.
    pub is_ca: bool,
    /// How many authorities may follow.
    pub path_length: Option<u8>,
    /// Whether certificates may be signed; in the key usage.
    pub sign_certificates: bool,
    /// Whether revocation lists may be signed; in the key usage.
    pub sign_crls: bool,
}

/// The extensions under 1.3.6.1.4.1.3704.1 (AMD 57230, tables 8 and 10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VekExtensions {
    /// `.1`, structVersion.
    pub version: u8,
    /// `.2`, productName.
    pub product: String,
    /// `.3.x`, the security versions.
    pub tcb: SnpTcb,
    /// `.4`, hwID; in a VCEK only. Raw bytes, no ASN.1 inside.
    pub hardware_id: Option<Vec<u8>>,
    /// `.5`, cspID; in a VLEK only.
    pub csp: Option<String>,
}

impl Certificate {
    /// The root, signed by itself.
    pub fn ark() -> Self {
        Self {
            subject: format!("ARK-{PRODUCT}"),
            issuer: format!("ARK-{PRODUCT}"),
            serial: vec![2, 0, 0],
            not_before: NOT_BEFORE,
            not_after: NOT_AFTER,
            key: Key::Ark,
            signed_by: Key::Ark,
            scheme: Scheme::PssSha384,
            ca: Some(Ca { is_ca: true, path_length: None, sign_certificates: true, sign_crls: true }),
            vek: None,
            extra: Vec::new(),
        }
    }

    /// The authority for VCEKs, signed by the root.
    pub fn ask() -> Self {
        Self {
            subject: format!("SEV-{PRODUCT}"),
            serial: vec![2, 0, 2],
            key: Key::Ask,
            ca: Some(Ca { is_ca: true, path_length: Some(0), sign_certificates: true, sign_crls: false }),
            ..Self::ark()
        }
    }

    /// The authority for VLEKs, signed by the root.
    pub fn asvk() -> Self {
        Self { subject: format!("SEV-VLEK-{PRODUCT}"), serial: vec![2, 1, 1], key: Key::Asvk, ..Self::ask() }
    }

    /// The chip's certificate.
    pub fn vcek() -> Self {
        let extensions = VekExtensions {
            version: 1,
            product: PRODUCT.to_owned(),
            tcb: TCB,
            hardware_id: Some(CHIP_ID.to_vec()),
            csp: None,
        };
        Self {
            subject: "SEV-VCEK".to_owned(),
            issuer: format!("SEV-{PRODUCT}"),
            serial: vec![0],
            key: Key::Vcek,
            signed_by: Key::Ask,
            ca: None,
            vek: Some(extensions),
            ..Self::ark()
        }
    }

    /// The provider's certificate.
    pub fn vlek() -> Self {
        let extensions =
            Self::vcek().vek.map(|vek| VekExtensions { hardware_id: None, csp: Some(CSP.to_owned()), ..vek });
        Self {
            subject: "SEV-VLEK".to_owned(),
            issuer: format!("SEV-VLEK-{PRODUCT}"),
            key: Key::Vlek,
            signed_by: Key::Asvk,
            vek: extensions,
            ..Self::vcek()
        }
    }

    /// Sign and encode.
    pub fn to_der(&self) -> Vec<u8> {
        let signature = algorithm(self.scheme);
        let tbs = TbsCertificate {
            version: Version::V3,
            serial_number: SerialNumber::new(&self.serial).expect("serial number"),
            signature: signature.clone(),
            issuer: name(&self.issuer),
            validity: Validity { not_before: time(self.not_before), not_after: time(self.not_after) },
            subject: name(&self.subject),
            subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(&self.key.spki())
                .expect("public key"),
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(self.extensions()),
        };
        let signed = self.signed_by.sign(self.scheme, &tbs.to_der().expect("certificate"));
        let signature_value = BitString::from_bytes(&signed).expect("signature");
        let certificate = x509_cert::Certificate {
            tbs_certificate: tbs,
            signature_algorithm: signature,
            signature: signature_value,
        };
        certificate.to_der().expect("certificate")
    }

    fn extensions(&self) -> Vec<Extension> {
        let mut out = Vec::new();
        if let Some(ca) = &self.ca {
            out.extend(ca.extensions(self.key, self.signed_by));
        }
        if let Some(vek) = &self.vek {
            out.extend(vek.extensions());
        }
        out.extend(
            self.extra
                .iter()
                .map(|(oid, critical, value)| extension(ObjectIdentifier::new_unwrap(oid), *critical, value)),
        );
        out
    }
}

impl Ca {
    fn extensions(&self, key: Key, signed_by: Key) -> Vec<Extension> {
        let mut usage = Vec::new();
        usage.extend(self.sign_certificates.then_some(KeyUsages::KeyCertSign));
        usage.extend(self.sign_crls.then_some(KeyUsages::CRLSign));
        let usage = KeyUsage(usage.into_iter().fold(Default::default(), |set, one| set | one));
        let constraints = BasicConstraints { ca: self.is_ca, path_len_constraint: self.path_length };
        let mut out = vec![
            extension(KeyUsage::OID, true, &usage.to_der().expect("key usage")),
            extension(SubjectKeyIdentifier::OID, false, &{
                SubjectKeyIdentifier(key_identifier(key)).to_der().expect("key identifier")
            }),
            extension(BasicConstraints::OID, true, &constraints.to_der().expect("basic constraints")),
        ];
        if signed_by != key {
            out.push(authority_key_identifier(signed_by));
        }
        out
    }
}

impl VekExtensions {
    fn extensions(&self) -> Vec<Extension> {
        // The order of AMD's certificates: the reserved versions 4 to 7 stand before the SNP firmware's.
        let mut out = vec![
            vek_extension("1", integer(self.version)),
            vek_extension("2", Ia5StringRef::new(&self.product).and_then(|s| s.to_der()).expect("product")),
        ];
        let (tcb, mut spl) = (&self.tcb, Vec::new());
        spl.extend([
            ("3.1", tcb.bootloader),
            ("3.2", tcb.tee),
            ("3.4", 0),
            ("3.5", 0),
            ("3.6", 0),
            ("3.7", 0),
        ]);
        spl.extend([("3.3", tcb.snp), ("3.8", tcb.microcode)]);
        spl.extend(tcb.fmc.map(|fmc| ("3.9", fmc)));
        out.extend(spl.into_iter().map(|(arc, value)| vek_extension(arc, integer(value))));
        out.extend(self.hardware_id.iter().map(|id| vek_extension("4", id.clone())));
        out.extend(self.csp.iter().map(|csp| {
            vek_extension("5", Ia5StringRef::new(csp).and_then(|s| s.to_der()).expect("provider"))
        }));
        out
    }
}

fn vek_extension(arc: &str, value: Vec<u8>) -> Extension {
    let oid = ObjectIdentifier::new(&format!("1.3.6.1.4.1.3704.1.{arc}")).expect("object identifier");
    extension(oid, false, &value)
}

fn integer(value: u8) -> Vec<u8> {
    value.to_der().expect("integer")
}

fn extension(extn_id: ObjectIdentifier, critical: bool, value: &[u8]) -> Extension {
    Extension { extn_id, critical, extn_value: OctetString::new(value).expect("extension") }
}

fn key_identifier(key: Key) -> OctetString {
    let spki = SubjectPublicKeyInfoOwned::from_der(&key.spki()).expect("public key");
    OctetString::new(sha1(spki.subject_public_key.raw_bytes())).expect("key identifier")
}

pub(super) fn authority_key_identifier(key: Key) -> Extension {
    let identifier =
        AuthorityKeyIdentifier { key_identifier: Some(key_identifier(key)), ..Default::default() };
    extension(AuthorityKeyIdentifier::OID, false, &identifier.to_der().expect("key identifier"))
}

/// The distinguished name that AMD gives everything, with this common name.
pub(super) fn name(common_name: &str) -> Name {
    // RFC 4514 writes the last part first.
    format!("CN={common_name},O=Advanced Micro Devices,ST=CA,L=Santa Clara,C=US,OU=Engineering")
        .parse()
        .expect("name")
}

/// UTCTime up to 2049, as RFC 5280, section 4.1.2.5 demands.
pub(super) fn time(seconds: u64) -> Time {
    let since_1970 = Duration::from_secs(seconds);
    match UtcTime::from_unix_duration(since_1970) {
        Ok(time) => Time::UtcTime(time),
        Err(_) => Time::GeneralTime(GeneralizedTime::from_unix_duration(since_1970).expect("time")),
    }
}

/// AlgorithmIdentifier, with the parameters that RFC 4055, section 3.1 gives RSASSA-PSS.
pub(super) fn algorithm(scheme: Scheme) -> AlgorithmIdentifierOwned {
    const PSS: &str = "1.2.840.113549.1.1.10";
    const SHA256: &str = "300d06096086480165030402010500";
    const SHA384: &str = "300d06096086480165030402020500";
    const SHA512: &str = "300d06096086480165030402030500";
    // SEQUENCE { [0] hash, [1] mgf1 with hash, [2] salt length, [3] 1 }
    let pss = |hash: &str, salt: &str| {
        format!("3039a00f{hash}a11c301a06092a864886f70d010108{hash}a2030201{salt}a303020101")
    };
    let (oid, parameters) = match scheme {
        Scheme::PssSha384 => (PSS, Some(pss(SHA384, "30"))),
        Scheme::PssSha256 => (PSS, Some(pss(SHA256, "20"))),
        Scheme::PssSha512 => (PSS, Some(pss(SHA512, "40"))),
        Scheme::Pkcs1Sha256 => ("1.2.840.113549.1.1.11", Some("0500".to_owned())),
        Scheme::Pkcs1Sha384 => ("1.2.840.113549.1.1.12", Some("0500".to_owned())),
        Scheme::Pkcs1Sha512 => ("1.2.840.113549.1.1.13", Some("0500".to_owned())),
        Scheme::Ecdsa => panic!("AMD's authorities have RSA keys"),
    };
    let parameters =
        parameters.map(|text| Any::from_der(&hex::decode(text).expect("parameters")).expect("parameters"));
    AlgorithmIdentifierOwned { oid: ObjectIdentifier::new_unwrap(oid), parameters }
}
