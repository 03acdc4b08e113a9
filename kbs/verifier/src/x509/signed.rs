//! The outer form that certificates and revocation lists share: a body, an algorithm and a signature.

use crate::signature::Scheme;
use const_oid::ObjectIdentifier;
use der::asn1::BitString;
use der::{Decode as _, Reader as _, Sequence, SliceReader};
use x509_cert::spki::AlgorithmIdentifierOwned;

const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const SHA384_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const SHA512_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");

/// How a certificate or list is signed. Nothing with SHA-1 is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PSS with SHA-384, MGF1 over SHA-384 and a salt of 48 bytes (RFC 4055): AMD's.
    RsaPssSha384,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 4055).
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RsaPkcs1Sha512,
    /// ECDSA with SHA-256 by a P-256 key (RFC 5758): Intel's.
    EcdsaP256Sha256,
    /// ECDSA with SHA-384 by a P-384 key.
    EcdsaP384Sha384,
}

impl Algorithm {
    /// The algorithm of an identifier, of these.
    pub(crate) fn of(identifier: &AlgorithmIdentifierOwned, allowed: &[Self]) -> Result<Self, String> {
        let found = match identifier.oid {
            RSASSA_PSS => pss(identifier)?,
            SHA256_WITH_RSA => Self::RsaPkcs1Sha256,
            SHA384_WITH_RSA => Self::RsaPkcs1Sha384,
            SHA512_WITH_RSA => Self::RsaPkcs1Sha512,
            ECDSA_WITH_SHA256 => Self::EcdsaP256Sha256,
            ECDSA_WITH_SHA384 => Self::EcdsaP384Sha384,
            other => return Err(format!("signature algorithm {other}")),
        };
        if allowed.contains(&found) { Ok(found) } else { Err(format!("signature algorithm {found:?}")) }
    }

    pub(super) fn scheme(self) -> Scheme {
        match self {
            Self::RsaPssSha384 => Scheme::RsaPssSha384,
            Self::RsaPkcs1Sha256 => Scheme::RsaPkcs1Sha256,
            Self::RsaPkcs1Sha384 => Scheme::RsaPkcs1Sha384,
            Self::RsaPkcs1Sha512 => Scheme::RsaPkcs1Sha512,
            Self::EcdsaP256Sha256 => Scheme::EcdsaP256Sha256Der,
            Self::EcdsaP384Sha384 => Scheme::EcdsaP384Sha384Der,
        }
    }
}

/// `SIGNED{}` of RFC 5280, section 4.1, with the bytes that are signed kept as they were received.
pub(super) struct Signed<'a> {
    /// The DER of the body, tag and length included.
    pub body: &'a [u8],
    /// The identifier beside the signature, which the body must repeat.
    pub identifier: AlgorithmIdentifierOwned,
    /// What it stands for.
    pub algorithm: Algorithm,
    /// The signature's bytes.
    pub signature: Vec<u8>,
}

impl<'a> Signed<'a> {
    /// Takes the three parts apart; nothing may be left over, and the algorithm must be one of these.
    pub(super) fn parse(bytes: &'a [u8], allowed: &[Algorithm]) -> Result<Self, String> {
        super::lengths::check(bytes)?;
        let mut reader = SliceReader::new(bytes).map_err(text)?;
        let (body, identifier, signature) = reader
            .sequence(|inner| {
                Ok((inner.tlv_bytes()?, AlgorithmIdentifierOwned::decode(inner)?, BitString::decode(inner)?))
            })
            .map_err(text)?;
        reader.finish(()).map_err(text)?;
        let algorithm = Algorithm::of(&identifier, allowed)?;
        let signature = signature.as_bytes().ok_or("a signature that is not whole bytes")?.to_vec();
        Ok(Self { body, identifier, algorithm, signature })
    }
}

/// `RSASSA-PSS-params` (RFC 8017, A.2.3) without the defaults, which are SHA-1's.
#[derive(Sequence)]
struct PssParameters {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    hash: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT")]
    mask: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT")]
    salt: u8,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    trailer: Option<u8>,
}

/// The one set of parameters that is taken: SHA-384, MGF1 over it, a salt of 48 bytes.
fn pss(identifier: &AlgorithmIdentifierOwned) -> Result<Algorithm, String> {
    let parameters = identifier.parameters.as_ref().ok_or("RSASSA-PSS without parameters")?;
    let found: PssParameters = parameters.decode_as().map_err(text)?;
    let mask_hash: AlgorithmIdentifierOwned =
        found.mask.parameters.as_ref().ok_or("MGF1 without a hash")?.decode_as().map_err(text)?;
    let holds = found.hash.oid == SHA384
        && found.mask.oid == MGF1
        && mask_hash.oid == SHA384
        && found.salt == 48
        && found.trailer.is_none_or(|trailer| trailer == 1);
    holds.then_some(Algorithm::RsaPssSha384).ok_or_else(|| {
        format!(
            "RSASSA-PSS with hash {}, mask {} over {}, salt {}, trailer {:?}",
            found.hash.oid, found.mask.oid, mask_hash.oid, found.salt, found.trailer
        )
    })
}

/// A DER error as text; its positions are of use to people only.
pub(super) fn text(error: der::Error) -> String {
    error.to_string()
}
