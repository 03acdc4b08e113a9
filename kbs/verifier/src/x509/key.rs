//! The keys that certificates are issued for.

use super::signed::{Algorithm, text};
use crate::signature::{PublicKey, Scheme};
use crate::{Check, VerifyError};
use const_oid::ObjectIdentifier;
use der::asn1::UintRef;
use der::{Decode as _, Reader as _, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const PRIME256V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// An elliptic curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
}

impl Curve {
    /// Bytes of an uncompressed point.
    fn point_len(self) -> usize {
        match self {
            Self::P256 => 65,
            Self::P384 => 97,
        }
    }
}

/// A kind of key that a profile takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with a modulus of exactly so many bits.
    Rsa(usize),
    /// On a curve.
    Ec(Curve),
}

/// A subject's public key, of a known kind. Not yet known to be a sound one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectKey {
    kind: KeyKind,
    /// `RSAPublicKey`, or an uncompressed point.
    bytes: Vec<u8>,
}

impl SubjectKey {
    /// Takes one DER SubjectPublicKeyInfo, with nothing left over.
    ///
    /// # Errors
    ///
    /// [`Check::CertificateSyntax`].
    pub fn from_spki(der: &[u8]) -> Result<Self, VerifyError> {
        let spki =
            super::lengths::check(der).and_then(|()| SubjectPublicKeyInfoOwned::from_der(der).map_err(text));
        let key = spki.and_then(|spki| Self::new(&spki));
        key.map_err(|found| {
            VerifyError::new(Check::CertificateSyntax, "an RSA, P-256 or P-384 SubjectPublicKeyInfo", found)
        })
    }

    pub(super) fn new(spki: &SubjectPublicKeyInfoOwned) -> Result<Self, String> {
        let bytes = spki.subject_public_key.as_bytes().ok_or("a key that is not whole bytes")?;
        let kind = match spki.algorithm.oid {
            RSA_ENCRYPTION => KeyKind::Rsa(rsa_bits(bytes).map_err(text)?),
            EC_PUBLIC_KEY => {
                let oid = spki.algorithm.parameters.as_ref().and_then(|any| any.decode_as().ok());
                let curve = match oid {
                    Some(PRIME256V1) => Some(Curve::P256),
                    Some(SECP384R1) => Some(Curve::P384),
                    _ => None,
                };
                let curve = curve
                    .filter(|curve| bytes.len() == curve.point_len())
                    .ok_or_else(|| format!("an elliptic curve key of {} bytes on {oid:?}", bytes.len()))?;
                KeyKind::Ec(curve)
            }
            other => return Err(format!("a key of algorithm {other}")),
        };
        Ok(Self { kind, bytes: bytes.to_vec() })
    }

    /// What kind of key it is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// A DER `RSAPublicKey`, or an uncompressed point.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Ready to verify in `scheme`; `None` where it is no sound key of that scheme.
    pub(crate) fn for_scheme(&self, scheme: Scheme) -> Option<PublicKey> {
        PublicKey::new(scheme, &self.bytes)
    }

    /// Whether `signature` over `message` is this key's, in the form that certificates have signatures in.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let fits = match algorithm {
            Algorithm::RsaPssSha384
            | Algorithm::RsaPkcs1Sha256
            | Algorithm::RsaPkcs1Sha384
            | Algorithm::RsaPkcs1Sha512 => matches!(self.kind, KeyKind::Rsa(_)),
            Algorithm::EcdsaP256Sha256 => self.kind == KeyKind::Ec(Curve::P256),
            Algorithm::EcdsaP384Sha384 => self.kind == KeyKind::Ec(Curve::P384),
        };
        fits && self.for_scheme(algorithm.scheme()).is_some_and(|key| key.verifies(message, signature))
    }
}

/// Bits of the modulus of a DER `RSAPublicKey`.
fn rsa_bits(bytes: &[u8]) -> der::Result<usize> {
    let mut reader = SliceReader::new(bytes)?;
    let modulus = reader.sequence(|inner| {
        let modulus = UintRef::decode(inner)?;
        UintRef::decode(inner)?;
        Ok(modulus)
    })?;
    reader.finish(())?;
    let unused = modulus.as_bytes().first().map_or(0, |byte| byte.leading_zeros() as usize);
    Ok((modulus.as_bytes().len() * 8).saturating_sub(unused))
}
