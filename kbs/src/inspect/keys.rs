//! TPM keys and signatures in the forms that tools store them.

use crate::der::rsa_spki;
use sealpod_evidence::tpm::{self, HashAlg, Public, Signature};
use sealpod_verifier::VerifyError;
use sealpod_verifier::tpm::quote as verifier;
use x509_cert::der::asn1::UintRef;
use x509_cert::der::{Decode as _, Encode as _, Reader as _, SliceReader};

/// An attestation key.
#[derive(Debug, Clone)]
pub(super) enum Key {
    /// A TPM's public area, which also says what the key may do.
    Public(Box<Public>),
    /// SubjectPublicKeyInfo, DER.
    Spki(Vec<u8>),
    /// The key that other evidence vouches for, with how that names it.
    Named(tpm::PublicKey, &'static str),
}

impl Key {
    /// Reads `TPMT_PUBLIC`, `TPM2B_PUBLIC`, SubjectPublicKeyInfo, `RSAPublicKey` or a certificate.
    ///
    /// # Errors
    ///
    /// Why the bytes are none of them.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.first() == Some(&0x30) {
            return spki(bytes)
                .map(Self::Spki)
                .ok_or_else(|| "DER that is neither a public key nor a certificate".to_owned());
        }
        let direct = Public::parse(bytes);
        let inner = bytes.get(2..).filter(|_| direct.is_err()).map(Public::parse);
        match (direct, inner) {
            (Ok(public), _) | (Err(_), Some(Ok(public))) => Ok(Self::Public(Box::new(public))),
            (Err(error), _) => Err(error.to_string()),
        }
    }

    /// Whether `signature` over `message` is the key's.
    ///
    /// # Errors
    ///
    /// The verifier's refusal.
    pub(super) fn verify(&self, signature: &Signature, message: &[u8]) -> Result<(), VerifyError> {
        match self {
            Self::Public(public) => verifier::signature(public, signature, message),
            Self::Spki(spki) => verifier::signature_by_spki(spki, signature, message),
            Self::Named(key, name) => verifier::signature_by_key(key, signature, message, name),
        }
    }

    /// In words.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Public(public) => {
                let key = match public.key() {
                    tpm::PublicKey::Rsa { bits, .. } => format!("RSA-{bits}"),
                    tpm::PublicKey::Ecc { curve, .. } => format!("ECC {curve:?}"),
                };
                format!("{key}, scheme {:?}, name {}", public.scheme(), public.name())
            }
            Self::Spki(der) => {
                let digest = HashAlg::Sha256.digest(&[der]).unwrap_or_default();
                format!("public key with SHA-256 {}", hex::encode(digest))
            }
            Self::Named(_, name) => (*name).to_owned(),
        }
    }
}

fn spki(der: &[u8]) -> Option<Vec<u8>> {
    if let Ok(certificate) = x509_cert::Certificate::from_der(der) {
        return certificate.tbs_certificate.subject_public_key_info.to_der().ok();
    }
    if x509_cert::spki::SubjectPublicKeyInfoRef::from_der(der).is_ok() {
        return Some(der.to_vec());
    }
    rsa_parts(der).map(|(modulus, exponent)| rsa_spki(&modulus, &exponent))
}

/// Modulus and exponent of `RSAPublicKey` (RFC 8017, A.1.1).
fn rsa_parts(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut reader = SliceReader::new(der).ok()?;
    let read = reader.sequence(|inner| {
        let (modulus, exponent) = (UintRef::decode(inner)?, UintRef::decode(inner)?);
        Ok((modulus.as_bytes().to_vec(), exponent.as_bytes().to_vec()))
    });
    let parts = read.ok()?;
    reader.finish(()).ok()?;
    Some(parts)
}

/// Reads `TPMT_SIGNATURE`, or a bare signature in the scheme of `key`: RSASSA with SHA-256 where the key says none.
///
/// # Errors
///
/// Why the bytes are neither.
pub(super) fn signature(bytes: &[u8], key: Option<&Key>, digest_len: usize) -> Result<Signature, String> {
    let parsed = Signature::parse(bytes);
    let error = match parsed {
        Ok(signature) => return Ok(signature),
        Err(error) => error,
    };
    // With the length of its TPM2B in front.
    if let Some(Ok(signature)) = bytes.get(2..).map(Signature::parse) {
        return Ok(signature);
    }
    let hash = super::pcrs::by_length(digest_len).unwrap_or(HashAlg::Sha256);
    let scheme = match key {
        Some(Key::Public(public)) => public.scheme(),
        _ => tpm::Scheme::Null,
    };
    let signature = bytes.to_vec();
    match (bytes.len(), scheme) {
        (256 | 384 | 512, tpm::Scheme::RsaPss(hash)) => Ok(Signature::RsaPss { hash, signature }),
        (256 | 384 | 512, tpm::Scheme::RsaSsa(hash)) => Ok(Signature::RsaSsa { hash, signature }),
        (256 | 384 | 512, _) => Ok(Signature::RsaSsa { hash, signature }),
        (length @ (64 | 96), _) => {
            let (r, s) = bytes.split_at_checked(length / 2).unwrap_or_default();
            let hash = if length == 64 { HashAlg::Sha256 } else { HashAlg::Sha384 };
            Ok(Signature::Ecdsa { hash, r: r.to_vec(), s: s.to_vec() })
        }
        _ => match rsa_parts(bytes) {
            // A DER ECDSA signature is two integers too.
            Some((r, s)) if r.len() <= 48 && s.len() <= 48 => {
                let hash = if r.len().max(s.len()) > 32 { HashAlg::Sha384 } else { HashAlg::Sha256 };
                Ok(Signature::Ecdsa { hash, r, s })
            }
            _ => Err(error.to_string()),
        },
    }
}

/// A signature in words.
pub(super) fn describe(signature: &Signature) -> String {
    let name = match signature {
        Signature::RsaSsa { .. } => "RSASSA",
        Signature::RsaPss { .. } => "RSAPSS",
        Signature::Ecdsa { .. } => "ECDSA",
    };
    format!("{name} with {}", signature.hash())
}
