//! Encrypting a secret to the guest's channel key: flattened JWE as KBS protocol 0.4.0 has it (RFC 7516, RFC 7518).

use crate::crypto::{self, CryptoError, NONCE_LENGTH, TAG_LENGTH};
use crate::der;
use aws_lc_rs::agreement::{ECDH_P256, ParsedPublicKey, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap as _};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

const EC_ALGORITHM: &str = "ECDH-ES+A256KW";
const RSA_ALGORITHM: &str = "RSA-OAEP-256";
/// RSA moduli taken, in bytes: 2048 to 4096 bits. Smaller ones are weak, larger ones slow.
const RSA_MODULUS: std::ops::RangeInclusive<usize> = 256..=512;

/// Why nothing can be encrypted to a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// An algorithm that is not spoken.
    #[error("expected a P-256 key for {EC_ALGORITHM} or an RSA key for {RSA_ALGORITHM}, found {found}")]
    Algorithm {
        /// Type, curve and algorithm found.
        found: String,
    },
    /// A field that does not parse.
    #[error("field {field} of the key: {found}")]
    Field {
        /// Which.
        field: &'static str,
        /// Why.
        found: String,
    },
    /// The numbers are not a public key.
    #[error("the key is not a point of P-256, or not an RSA key of 2048 to 4096 bits")]
    Key,
}

/// A guest's channel key.
pub enum Recipient {
    /// ECDH-ES+A256KW: a point that was checked to be on the curve.
    P256(Box<ParsedPublicKey>),
    /// RSA-OAEP-256.
    Rsa(Box<OaepPublicEncryptingKey>),
}

impl Recipient {
    /// From a JWK (RFC 7517). Whose key it is, is not said.
    pub fn from_jwk(jwk: &Value) -> Result<Self, RecipientError> {
        let text = |field: &'static str| jwk.get(field).and_then(Value::as_str).unwrap_or_default();
        let bytes = |field: &'static str| {
            URL_SAFE_NO_PAD
                .decode(text(field))
                .map_err(|e| RecipientError::Field { field, found: e.to_string() })
        };
        match (text("kty"), text("crv"), text("alg")) {
            ("EC", "P-256", EC_ALGORITHM) => Self::p256(&bytes("x")?, &bytes("y")?),
            ("RSA", _, RSA_ALGORITHM) => Self::rsa(&bytes("n")?, &bytes("e")?),
            (kty, crv, alg) => {
                let found = format!("{kty} {crv} {alg}").chars().take(128).collect();
                Err(RecipientError::Algorithm { found })
            }
        }
    }

    fn p256(x: &[u8], y: &[u8]) -> Result<Self, RecipientError> {
        let coordinate = |field, bytes: &[u8]| {
            let found = format!("expected 32 bytes, found {}", bytes.len());
            <[u8; 32]>::try_from(bytes).map_err(|_| RecipientError::Field { field, found })
        };
        let (x, y) = (coordinate("x", x)?, coordinate("y", y)?);
        let point = UnparsedPublicKey::new(&ECDH_P256, [&[4], x.as_slice(), &y].concat());
        ParsedPublicKey::try_from(point).map(|key| Self::P256(Box::new(key))).map_err(|_| RecipientError::Key)
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, RecipientError> {
        if !RSA_MODULUS.contains(&modulus.len()) || exponent.len() > 8 {
            return Err(RecipientError::Key);
        }
        let key = PublicEncryptingKey::from_der(&der::rsa_spki(modulus, exponent))
            .map_err(|_| RecipientError::Key)?;
        OaepPublicEncryptingKey::new(key).map(|key| Self::Rsa(Box::new(key))).map_err(|_| RecipientError::Key)
    }

    /// Encrypt a secret: the JSON of a resource answer.
    pub fn seal(&self, secret: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let content_key = Zeroizing::new(crypto::random::<32>()?);
        let (protected, encrypted_key) = match self {
            Self::P256(point) => wrap_for_p256(point, &content_key)?,
            Self::Rsa(key) => wrap_for_rsa(key, &content_key)?,
        };
        // Readers authenticate the header as they write it anew: keys in this order, without spaces (kbs-protocol.md 2.5).
        let protected = URL_SAFE_NO_PAD.encode(protected);
        let iv: [u8; NONCE_LENGTH] = crypto::random()?;
        let mut sealed = Vec::with_capacity(secret.len() + TAG_LENGTH);
        sealed.extend_from_slice(secret);
        crypto::seal(&content_key, iv, protected.as_bytes(), &mut sealed)?;
        let (ciphertext, tag) = sealed.split_at_checked(secret.len()).ok_or(CryptoError)?;
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        Ok(format!(
            r#"{{"protected":"{protected}","encrypted_key":"{}","iv":"{}","ciphertext":"{}","tag":"{}"}}"#,
            encode(&encrypted_key),
            encode(&iv),
            encode(ciphertext),
            encode(tag),
        )
        .into_bytes())
    }
}

fn wrap_for_p256(point: &ParsedPublicKey, content_key: &[u8; 32]) -> Result<(String, Vec<u8>), CryptoError> {
    let (ephemeral, kek) = derive_kek(point)?;
    let (x, y) = ephemeral.get(1..).and_then(|rest| rest.split_at_checked(32)).ok_or(CryptoError)?;
    let header = format!(
        r#"{{"alg":"{EC_ALGORITHM}","enc":"A256GCM","epk":{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}}}"#,
        URL_SAFE_NO_PAD.encode(x),
        URL_SAFE_NO_PAD.encode(y),
    );
    let mut wrapped = vec![0; 40];
    let kek = AesKek::new(&AES_256, kek.as_slice()).map_err(|_| CryptoError)?;
    kek.wrap(content_key, &mut wrapped).map_err(|_| CryptoError)?;
    Ok((header, wrapped))
}

fn wrap_for_rsa(
    key: &OaepPublicEncryptingKey,
    content_key: &[u8; 32],
) -> Result<(String, Vec<u8>), CryptoError> {
    let mut wrapped = vec![0; key.ciphertext_size()];
    key.encrypt(&OAEP_SHA256_MGF1SHA256, content_key, &mut wrapped, None).map_err(|_| CryptoError)?;
    Ok((format!(r#"{{"alg":"{RSA_ALGORITHM}","enc":"A256GCM"}}"#), wrapped))
}

/// An ephemeral key's point, and the key that it and `point` agree on.
fn derive_kek(point: &ParsedPublicKey) -> Result<(Vec<u8>, Zeroizing<[u8; 32]>), CryptoError> {
    let own = PrivateKey::generate(&ECDH_P256).map_err(|_| CryptoError)?;
    let ephemeral = own.compute_public_key().map_err(|_| CryptoError)?.as_ref().to_vec();
    let kek = agree(&own, point.clone(), CryptoError, |shared| Ok(concat_kdf(shared)))?;
    Ok((ephemeral, kek))
}

/// Concat KDF with SHA-256, one round of 256 bits, without party information (RFC 7518 section 4.6.2).
fn concat_kdf(shared: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut hash = Context::new(&SHA256);
    hash.update(&1_u32.to_be_bytes());
    hash.update(shared);
    for part in [EC_ALGORITHM.as_bytes(), b"", b""] {
        hash.update(&(part.len() as u32).to_be_bytes());
        hash.update(part);
    }
    hash.update(&256_u32.to_be_bytes());
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(hash.finish().as_ref());
    key
}

#[cfg(test)]
mod tests;
