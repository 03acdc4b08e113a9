//! The channel key, and opening what the broker encrypts to it.
//!
//! ECDH-ES+A256KW with A256GCM (RFC 7518 sections 4.6 and 5.3) in the flattened JSON form that KBS protocol 0.4.0 uses.

use crate::secret::SecretBytes;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealpod_evidence::rcar::protocol::TeePubKey;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

const KEY_ALGORITHM: &str = "ECDH-ES+A256KW";
const CONTENT_ALGORITHM: &str = "A256GCM";
const CURVE: &str = "P-256";

/// Why a JWE was not opened.
#[derive(Debug, thiserror::Error)]
pub enum JweError {
    /// Not the JSON expected.
    #[error("JWE: {what} does not parse: {message}")]
    Syntax {
        /// Which part.
        what: &'static str,
        /// Why.
        message: String,
    },
    /// Another algorithm than the one asked for.
    #[error("JWE: {field} is {found:?}, expected {expected:?}")]
    Algorithm {
        /// Which field.
        field: &'static str,
        /// What was asked for.
        expected: &'static str,
        /// What came.
        found: String,
    },
    /// A part of the wrong length.
    #[error("JWE: {field} is {found} bytes, expected {expected}")]
    Length {
        /// Which part.
        field: &'static str,
        /// The right length.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// A cryptographic check failed; which one is all that may be said.
    #[error("JWE: {0} failed")]
    Crypto(&'static str),
}

/// An ephemeral P-256 key: made for one handshake, gone with it.
pub struct ChannelKey {
    private: PrivateKey,
    public: TeePubKey,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwe {
    protected: String,
    encrypted_key: String,
    iv: String,
    ciphertext: String,
    tag: String,
}

/// Unknown header fields are refused: each could change how the rest is to be read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    enc: String,
    epk: EphemeralKey,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EphemeralKey {
    kty: String,
    crv: String,
    x: String,
    y: String,
}

impl ChannelKey {
    /// Make a new key.
    pub fn generate() -> Result<Self, JweError> {
        let private = PrivateKey::generate(&ECDH_P256).map_err(|_| JweError::Crypto("key generation"))?;
        let point = private.compute_public_key().map_err(|_| JweError::Crypto("key generation"))?;
        // SEC 1 section 2.3.3: 0x04, then 32 bytes of each coordinate.
        let coordinate = |from: usize| URL_SAFE_NO_PAD.encode(&point.as_ref()[from..from + 32]);
        let public = TeePubKey::EC {
            crv: CURVE.to_owned(),
            alg: KEY_ALGORITHM.to_owned(),
            x: coordinate(1),
            y: coordinate(33),
        };
        Ok(Self { private, public })
    }

    /// The public half, as evidence names it.
    pub fn public(&self) -> &TeePubKey {
        &self.public
    }

    /// Open a JWE. Success proves that its sender knew this key's public half, and nothing about who that is.
    pub fn open(&self, json: &[u8]) -> Result<SecretBytes, JweError> {
        let syntax = |what| move |e: serde_json::Error| JweError::Syntax { what, message: e.to_string() };
        let jwe: Jwe = serde_json::from_slice(json).map_err(syntax("the message"))?;
        let header: Header =
            serde_json::from_slice(&decode("protected", &jwe.protected)?).map_err(syntax("the header"))?;
        expect("alg", KEY_ALGORITHM, &header.alg)?;
        expect("enc", CONTENT_ALGORITHM, &header.enc)?;
        expect("epk.kty", "EC", &header.epk.kty)?;
        expect("epk.crv", CURVE, &header.epk.crv)?;
        let content_key =
            self.content_key(&header.epk, &decode_exact::<40>("encrypted_key", &jwe.encrypted_key)?)?;
        let iv = decode_exact::<12>("iv", &jwe.iv)?;
        let mut text = Zeroizing::new(decode("ciphertext", &jwe.ciphertext)?);
        text.extend_from_slice(&decode_exact::<16>("tag", &jwe.tag)?);
        let key = UnboundKey::new(&AES_256_GCM, content_key.as_slice())
            .map_err(|_| JweError::Crypto("decryption"))?;
        // The additional data is the header exactly as it came (RFC 7516 section 5.2, step 15).
        let aad = Aad::from(jwe.protected.as_bytes());
        let length = LessSafeKey::new(key)
            .open_in_place(Nonce::assume_unique_for_key(iv), aad, &mut text)
            .map_err(|_| JweError::Crypto("decryption"))?
            .len();
        text.truncate(length);
        Ok(SecretBytes::new(text))
    }

    fn content_key(&self, epk: &EphemeralKey, wrapped: &[u8; 40]) -> Result<Zeroizing<[u8; 32]>, JweError> {
        let mut point = vec![4];
        point.extend_from_slice(&decode_exact::<32>("epk.x", &epk.x)?);
        point.extend_from_slice(&decode_exact::<32>("epk.y", &epk.y)?);
        let peer = UnparsedPublicKey::new(&ECDH_P256, point);
        let failed = JweError::Crypto("key agreement");
        let kek = agree(&self.private, peer, failed, |shared| Ok(wrapping_key(shared)))?;
        let kek = AesKek::new(&AES_256, kek.as_slice()).map_err(|_| JweError::Crypto("key unwrapping"))?;
        let mut key = Zeroizing::new([0; 32]);
        kek.unwrap(wrapped, key.as_mut_slice()).map_err(|_| JweError::Crypto("key unwrapping"))?;
        Ok(key)
    }
}

/// Concat KDF with SHA-256, one round (RFC 7518 section 4.6.2): up to 32 bytes of key.
fn concat_kdf(shared: &[u8], algorithm: &str, parties: [&[u8]; 2], bits: u32) -> Zeroizing<[u8; 32]> {
    let mut hash = Sha256::new();
    hash.update(1_u32.to_be_bytes());
    hash.update(shared);
    for part in [algorithm.as_bytes(), parties[0], parties[1]] {
        hash.update((part.len() as u32).to_be_bytes());
        hash.update(part);
    }
    hash.update(bits.to_be_bytes());
    Zeroizing::new(hash.finalize().into())
}

/// The key that wraps the content key: 256 bits, no party information, as the protocol has it.
fn wrapping_key(shared: &[u8]) -> Zeroizing<[u8; 32]> {
    concat_kdf(shared, KEY_ALGORITHM, [b"", b""], 256)
}

fn expect(field: &'static str, expected: &'static str, found: &str) -> Result<(), JweError> {
    if found == expected {
        return Ok(());
    }
    Err(JweError::Algorithm { field, expected, found: found.chars().take(64).collect() })
}

fn decode(what: &'static str, text: &str) -> Result<Vec<u8>, JweError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|e| JweError::Syntax { what, message: e.to_string() })
}

fn decode_exact<const N: usize>(field: &'static str, text: &str) -> Result<[u8; N], JweError> {
    let bytes = decode(field, text)?;
    bytes.try_into().map_err(|bytes: Vec<u8>| JweError::Length { field, expected: N, found: bytes.len() })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What a broker does, written from RFC 7516 and RFC 7518.
    pub(crate) fn seal(key: &TeePubKey, text: &[u8]) -> Value {
        let TeePubKey::EC { x, y, .. } = key else { panic!("not an EC key") };
        let own = PrivateKey::generate(&ECDH_P256).unwrap();
        let point = own.compute_public_key().unwrap();
        let mut peer = vec![4];
        peer.extend(decode("x", x).unwrap());
        peer.extend(decode("y", y).unwrap());
        let kek = agree(&own, UnparsedPublicKey::new(&ECDH_P256, peer), (), |z| Ok(wrapping_key(z))).unwrap();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let point = point.as_ref();
        let epk = json!({"kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..])});
        let header = json!({"alg": KEY_ALGORITHM, "enc": CONTENT_ALGORITHM, "epk": epk});
        let protected = encode(header.to_string().as_bytes());
        let mut wrapped = [0; 40];
        AesKek::new(&AES_256, kek.as_slice()).unwrap().wrap(&[7; 32], &mut wrapped).unwrap();
        let mut sealed = text.to_vec();
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap());
        let nonce = Nonce::assume_unique_for_key([9; 12]);
        let tag =
            key.seal_in_place_separate_tag(nonce, Aad::from(protected.as_bytes()), &mut sealed).unwrap();
        json!({"protected": protected, "encrypted_key": encode(&wrapped), "iv": encode(&[9; 12]),
               "ciphertext": encode(&sealed), "tag": encode(tag.as_ref())})
    }

    fn open(key: &ChannelKey, jwe: &Value) -> Result<Vec<u8>, JweError> {
        key.open(jwe.to_string().as_bytes()).map(|secret| secret.expose().to_vec())
    }

    #[test]
    fn what_is_sealed_to_the_key_opens() {
        let key = ChannelKey::generate().unwrap();
        for text in [&b""[..], b"secret", &[0x5a; 100_000]] {
            assert_eq!(open(&key, &seal(key.public(), text)).unwrap(), text);
        }
    }

    #[test]
    fn concat_kdf_gives_the_answer_of_rfc_7518_appendix_c() {
        let shared = [
            158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156, 251, 49, 110, 163,
            218, 128, 106, 72, 246, 218, 167, 121, 140, 254, 144, 196,
        ];
        let derived = concat_kdf(&shared, "A128GCM", [b"Alice", b"Bob"], 128);
        assert_eq!(derived[..16], [86, 170, 141, 234, 248, 35, 109, 32, 92, 34, 40, 205, 113, 167, 16, 26]);
    }

    #[test]
    fn another_key_does_not_open_it() {
        let (key, other) = (ChannelKey::generate().unwrap(), ChannelKey::generate().unwrap());
        let jwe = seal(other.public(), b"secret");
        assert!(matches!(open(&key, &jwe), Err(JweError::Crypto("key unwrapping"))));
    }

    #[test]
    fn every_part_is_authenticated() {
        let key = ChannelKey::generate().unwrap();
        for part in ["protected", "encrypted_key", "iv", "ciphertext", "tag"] {
            let mut jwe = seal(key.public(), b"secret");
            let mut bytes = decode("part", jwe[part].as_str().unwrap()).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            jwe[part] = URL_SAFE_NO_PAD.encode(bytes).into();
            assert!(open(&key, &jwe).is_err(), "{part}");
        }
    }

    #[test]
    fn other_algorithms_and_fields_are_refused() {
        let key = ChannelKey::generate().unwrap();
        let with = |from: &str, to: &str| {
            let mut jwe = seal(key.public(), b"secret");
            let header =
                String::from_utf8(decode("protected", jwe["protected"].as_str().unwrap()).unwrap()).unwrap();
            jwe["protected"] = URL_SAFE_NO_PAD.encode(header.replacen(from, to, 1)).into();
            open(&key, &jwe).unwrap_err()
        };
        assert!(matches!(with("A256GCM", "A128GCM"), JweError::Algorithm { field: "enc", .. }));
        assert!(matches!(with("ECDH-ES+A256KW", "dir"), JweError::Algorithm { field: "alg", .. }));
        assert!(matches!(with("P-256", "P-521"), JweError::Algorithm { field: "epk.crv", .. }));
        assert!(matches!(with("{\"alg\"", "{\"zip\":\"DEF\",\"alg\""), JweError::Syntax { .. }));
        assert!(matches!(key.open(b"{}"), Err(JweError::Syntax { .. })));
    }
}
