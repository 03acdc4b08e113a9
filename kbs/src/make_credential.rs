//! `TPM2_MakeCredential` in software (TPM 2.0 Part 1 section 24, Part 3 section 12.6).
//!
//! Whoever gives the credential back has had it activated by the TPM that holds the endorsement key's private half, and that TPM
//! activates it only for a loaded object of the given name. Whether that TPM is a real one, and whose, is not established.

use crate::crypto::{self, CryptoError};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::cipher::{AES_128, AES_192, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepAlgorithm,
    OaepPublicEncryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::{digest, hmac};
use sealpod_evidence::bytes::Base64;
use sealpod_evidence::rcar::{CredentialChallenge, SEALPOD_VERSION};
use sealpod_evidence::tpm::{Curve, HashAlg, Public, PublicKey, Scheme};
use zeroize::Zeroizing;

/// Label of the seed's encryption; RSA takes it with its terminating zero (Part 1, appendix B.10.4).
const IDENTITY: &str = "IDENTITY";
const RSA_LABEL: &[u8] = b"IDENTITY\0";
/// TPMs verify with exponent 65537 only, and any other would be slow or weak.
const RSA_EXPONENT: u32 = 65_537;

/// Why a credential was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Not a key that credentials are made for.
    #[error("endorsement key: expected {expected}, found {found}")]
    Endorsement {
        /// What is needed.
        expected: &'static str,
        /// What the public area says.
        found: String,
    },
    /// The numbers are not a public key, or the library failed.
    #[error("endorsement key: it is not a sound public key")]
    Key,
}

impl From<CryptoError> for CredentialError {
    fn from(_: CryptoError) -> Self {
        Self::Key
    }
}

/// Encrypt `credential` to the TPM that holds `ek`, to be released for the object named `ak_name`.
pub fn make_credential(
    ek: &Public,
    ak_name: &[u8],
    credential: &[u8; 32],
) -> Result<CredentialChallenge, CredentialError> {
    let (hash, key_bits) = check(ek)?;
    let (seed, encrypted_secret) = match ek.key() {
        PublicKey::Rsa { exponent, modulus, .. } => rsa_seed(hash, modulus, *exponent)?,
        PublicKey::Ecc { curve, x, y } => ecc_seed(hash, *curve, x, y)?,
    };
    let blob = id_object(hash, key_bits, &seed, ak_name, credential)?;
    Ok(CredentialChallenge {
        version: SEALPOD_VERSION,
        credential_blob: Base64(tpm2b(&blob)),
        encrypted_secret: Base64(tpm2b(&encrypted_secret)),
    })
}

/// Name algorithm and AES key size of a key that is a restricted storage key of one TPM.
fn check(ek: &Public) -> Result<(HashAlg, u16), CredentialError> {
    let refuse = |expected, found: String| Err(CredentialError::Endorsement { expected, found });
    let attributes = ek.attributes();
    let storage = attributes.restricted() && attributes.decrypt() && !attributes.sign();
    if !(storage && attributes.fixed_tpm() && attributes.fixed_parent()) {
        let expected = "a restricted decryption key that is fixed to its TPM and parent";
        return refuse(expected, format!("attributes {:#010x}", attributes.0));
    }
    if ek.scheme() != Scheme::Null {
        return refuse("no scheme of its own", format!("{:?}", ek.scheme()));
    }
    let Some(symmetric) = ek.symmetric() else {
        return refuse("AES in CFB mode for its children", "none".to_owned());
    };
    let hash = match ek.name().as_bytes() {
        [high, low, ..] => HashAlg::from_id(u16::from_be_bytes([*high, *low])),
        _ => None,
    };
    match hash {
        Some(hash @ (HashAlg::Sha256 | HashAlg::Sha384 | HashAlg::Sha512)) => Ok((hash, symmetric.key_bits)),
        other => refuse("a name by SHA-256, SHA-384 or SHA-512", format!("{other:?}")),
    }
}

/// A random seed and its encryption.
fn rsa_seed(
    hash: HashAlg,
    modulus: &[u8],
    exponent: u32,
) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), CredentialError> {
    if exponent != RSA_EXPONENT {
        return Err(CredentialError::Endorsement { expected: "exponent 65537", found: exponent.to_string() });
    }
    let spki = crate::der::rsa_spki(modulus, &exponent.to_be_bytes());
    let key = PublicEncryptingKey::from_der(&spki).map_err(|_| CredentialError::Key)?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| CredentialError::Key)?;
    let mut seed = Zeroizing::new(crypto::random::<64>()?.to_vec());
    seed.truncate(hash.size());
    let mut encrypted = vec![0; key.ciphertext_size()];
    key.encrypt(oaep(hash), &seed, &mut encrypted, Some(RSA_LABEL)).map_err(|_| CredentialError::Key)?;
    Ok((seed, encrypted))
}

/// A seed that an ephemeral key and the endorsement key agree on, and the ephemeral point (Part 1, appendix C.6.4).
fn ecc_seed(
    hash: HashAlg,
    curve: Curve,
    x: &[u8],
    y: &[u8],
) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), CredentialError> {
    let algorithm = match curve {
        Curve::P256 => &agreement::ECDH_P256,
        Curve::P384 => &agreement::ECDH_P384,
    };
    let own = PrivateKey::generate(algorithm).map_err(|_| CredentialError::Key)?;
    let point = own.compute_public_key().map_err(|_| CredentialError::Key)?;
    let coordinates = point.as_ref().get(1..).and_then(|rest| rest.split_at_checked(curve.size()));
    let (own_x, own_y) = coordinates.ok_or(CredentialError::Key)?;
    let peer = UnparsedPublicKey::new(algorithm, [&[4], x, y].concat());
    let seed = agree(&own, peer, CredentialError::Key, |shared| Ok(kdf_e(hash, shared, own_x, x)))?;
    Ok((seed, [tpm2b(own_x), tpm2b(own_y)].concat()))
}

/// `TPMS_ID_OBJECT`: integrity, then the encrypted credential (Part 1, section 24.4 and 24.5).
fn id_object(
    hash: HashAlg,
    key_bits: u16,
    seed: &[u8],
    ak_name: &[u8],
    credential: &[u8; 32],
) -> Result<Vec<u8>, CryptoError> {
    let storage_key = kdf_a(hash, seed, "STORAGE", ak_name, key_bits.into());
    let mut identity = tpm2b(credential);
    cfb(&storage_key, &mut identity)?;
    let integrity_key = kdf_a(hash, seed, "INTEGRITY", b"", 8 * hash.size() as u32);
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac_of(hash), &integrity_key));
    context.update(&identity);
    context.update(ak_name);
    Ok([tpm2b(context.sign().as_ref()), identity].concat())
}

/// KDFa (Part 1, section 11.4.10.2): `bits` is a multiple of 8.
fn kdf_a(hash: HashAlg, key: &[u8], label: &str, context: &[u8], bits: u32) -> Zeroizing<Vec<u8>> {
    let key = hmac::Key::new(hmac_of(hash), key);
    expand(bits, |counter| {
        let mut round = hmac::Context::with_key(&key);
        for part in [&counter, label.as_bytes(), &[0], context, &bits.to_be_bytes()] {
            round.update(part);
        }
        round.sign().as_ref().to_vec()
    })
}

/// KDFe (Part 1, section 11.4.10.3) of a whole digest.
fn kdf_e(hash: HashAlg, shared: &[u8], own_x: &[u8], peer_x: &[u8]) -> Zeroizing<Vec<u8>> {
    expand(8 * hash.size() as u32, |counter| {
        let mut round = digest::Context::new(digest_of(hash));
        for part in [&counter, shared, IDENTITY.as_bytes(), &[0], own_x, peer_x] {
            round.update(part);
        }
        round.finish().as_ref().to_vec()
    })
}

/// Rounds with counters from 1, cut to `bits`.
fn expand(bits: u32, round: impl Fn([u8; 4]) -> Vec<u8>) -> Zeroizing<Vec<u8>> {
    let length = (bits / 8) as usize;
    let mut out = Zeroizing::new(Vec::with_capacity(length + 64));
    for counter in 1_u32.. {
        if out.len() >= length {
            break;
        }
        out.extend_from_slice(&Zeroizing::new(round(counter.to_be_bytes())));
    }
    out.truncate(length);
    out
}

/// AES-CFB with a zero IV: each key encrypts one message.
fn cfb(key: &[u8], text: &mut [u8]) -> Result<(), CryptoError> {
    let algorithm = match key.len() {
        16 => &AES_128,
        24 => &AES_192,
        _ => &AES_256,
    };
    let key =
        UnboundCipherKey::new(algorithm, key).and_then(EncryptingKey::cfb128).map_err(|_| CryptoError)?;
    let iv = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    key.less_safe_encrypt(text, iv).map(|_| ()).map_err(|_| CryptoError)
}

/// Bytes behind their length; those given are far shorter than 64 KiB.
fn tpm2b(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

fn oaep(hash: HashAlg) -> &'static OaepAlgorithm {
    match hash {
        HashAlg::Sha384 => &OAEP_SHA384_MGF1SHA384,
        HashAlg::Sha512 => &OAEP_SHA512_MGF1SHA512,
        _ => &OAEP_SHA256_MGF1SHA256,
    }
}

fn hmac_of(hash: HashAlg) -> hmac::Algorithm {
    match hash {
        HashAlg::Sha384 => hmac::HMAC_SHA384,
        HashAlg::Sha512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    }
}

fn digest_of(hash: HashAlg) -> &'static digest::Algorithm {
    match hash {
        HashAlg::Sha384 => &digest::SHA384,
        HashAlg::Sha512 => &digest::SHA512,
        _ => &digest::SHA256,
    }
}

#[cfg(test)]
mod tests;
