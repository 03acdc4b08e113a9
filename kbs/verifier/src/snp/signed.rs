//! The outer form that certificates and revocation lists share: a body, an algorithm and a signature.

use const_oid::ObjectIdentifier;
use der::asn1::BitString;
use der::{Decode as _, Reader as _, Sequence, SliceReader};
use x509_cert::spki::AlgorithmIdentifierOwned;

const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");

/// `SIGNED{}` of RFC 5280, section 4.1, with the bytes that are signed kept as they were received.
pub(super) struct Signed<'a> {
    /// The DER of the body, tag and length included.
    pub body: &'a [u8],
    /// The algorithm beside the signature, which the body must repeat.
    pub algorithm: AlgorithmIdentifierOwned,
    /// The signature's bytes.
    pub signature: Vec<u8>,
}

impl<'a> Signed<'a> {
    /// Takes the three parts apart; nothing may be left over, and the algorithm must be the one that AMD
    /// uses: RSA-PSS with SHA-384, MGF1 over SHA-384 and a salt of 48 bytes (AMD 57230).
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let mut reader = SliceReader::new(bytes).map_err(text)?;
        let (body, algorithm, signature) = reader
            .sequence(|inner| {
                Ok((inner.tlv_bytes()?, AlgorithmIdentifierOwned::decode(inner)?, BitString::decode(inner)?))
            })
            .map_err(text)?;
        reader.finish(()).map_err(text)?;
        is_amd_pss(&algorithm)?;
        let signature = signature.as_bytes().ok_or("a signature that is not whole bytes")?.to_vec();
        Ok(Self { body, algorithm, signature })
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

fn is_amd_pss(algorithm: &AlgorithmIdentifierOwned) -> Result<(), String> {
    if algorithm.oid != RSASSA_PSS {
        return Err(format!("signature algorithm {}, not RSASSA-PSS", algorithm.oid));
    }
    let parameters = algorithm.parameters.as_ref().ok_or("RSASSA-PSS without parameters")?;
    let found: PssParameters = parameters.decode_as().map_err(text)?;
    let mask_hash: AlgorithmIdentifierOwned =
        found.mask.parameters.as_ref().ok_or("MGF1 without a hash")?.decode_as().map_err(text)?;
    let holds = found.hash.oid == SHA384
        && found.mask.oid == MGF1
        && mask_hash.oid == SHA384
        && found.salt == 48
        && found.trailer.is_none_or(|trailer| trailer == 1);
    holds.then_some(()).ok_or_else(|| {
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
