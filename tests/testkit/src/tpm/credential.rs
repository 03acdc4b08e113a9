//! `TPM2_ActivateCredential` (TPM 2.0 Part 1, section 24), for an EK of template L-1 or L-2.

use crate::hash::sha256;
use crate::keys::Key;
use aws_lc_rs::agreement::{ECDH_P256, UnparsedPublicKey, agree};
use aws_lc_rs::cipher::{AES_128, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey};

/// Why the TPM did not give the credential back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivationError {
    /// A size field does not fit what follows (TPM_RC_SIZE).
    Size,
    /// The secret is not encrypted to this EK (TPM_RC_VALUE).
    Secret,
    /// The credential is for another AK, or was changed (TPM_RC_INTEGRITY).
    Integrity,
}

/// The label's terminating zero is part of it (Part 1, sections B.4 and C.6.4).
const LABEL: &[u8] = b"IDENTITY\0";

pub(super) fn activate(
    ek: Key,
    ak_name: &[u8],
    blob: &[u8],
    secret: &[u8],
) -> Result<Vec<u8>, ActivationError> {
    let seed = match ek {
        Key::EkP256 => agree_on_seed(ek, whole(secret)?)?,
        _ => open_seed(ek, whole(secret)?)?,
    };
    let (integrity, encrypted) = sized(whole(blob)?)?;
    let key = kdfa(&seed, "INTEGRITY", b"", 256);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    hmac::verify(&key, &[encrypted, ak_name].concat(), integrity).map_err(|_| ActivationError::Integrity)?;
    let key = UnboundCipherKey::new(&AES_128, &kdfa(&seed, "STORAGE", ak_name, 128)).expect("an AES key");
    let mut plain = encrypted.to_vec();
    DecryptingKey::cfb128(key)
        .and_then(|key| {
            key.decrypt(&mut plain, DecryptionContext::Iv128(FixedLength::from([0; 16]))).map(|_| ())
        })
        .expect("AES-CFB takes any length");
    Ok(whole(&plain)?.to_vec())
}

fn open_seed(ek: Key, secret: &[u8]) -> Result<Vec<u8>, ActivationError> {
    let key = OaepPrivateDecryptingKey::new(ek.decrypting()).expect("an RSA key");
    let mut out = vec![0; key.min_output_size()];
    let seed = key
        .decrypt(&OAEP_SHA256_MGF1SHA256, secret, &mut out, Some(LABEL))
        .map_err(|_| ActivationError::Secret)?;
    Ok(seed.to_vec())
}

/// One-pass Diffie-Hellman with the sender's ephemeral point, then KDFe with SHA-256, one round (Part 1, sections C.6.4 and
/// 11.4.10.3).
fn agree_on_seed(ek: Key, secret: &[u8]) -> Result<Vec<u8>, ActivationError> {
    let (x, rest) = sized(secret)?;
    let y = whole(rest)?;
    let peer = UnparsedPublicKey::new(&ECDH_P256, [&[4], x, y].concat());
    agree(&ek.agreeing(), peer, ActivationError::Secret, |shared| {
        let counter = 1_u32.to_be_bytes();
        Ok(sha256(&[&counter, shared, LABEL, x, &ek.point().0].concat()).to_vec())
    })
}

/// KDFa with SHA-256, one round: up to 256 bits (Part 1, section 11.4.10.2).
pub(super) fn kdfa(key: &[u8], label: &str, context: &[u8], bits: u32) -> Vec<u8> {
    let mut input = 1_u32.to_be_bytes().to_vec();
    input.extend(label.as_bytes());
    input.push(0);
    input.extend(context);
    input.extend(bits.to_be_bytes());
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &input);
    tag.as_ref()[..bits as usize / 8].to_vec()
}

/// The content of one `TPM2B`, and what follows it.
fn sized(bytes: &[u8]) -> Result<(&[u8], &[u8]), ActivationError> {
    let (size, rest) = bytes.split_first_chunk::<2>().ok_or(ActivationError::Size)?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*size))).ok_or(ActivationError::Size)
}

fn whole(bytes: &[u8]) -> Result<&[u8], ActivationError> {
    match sized(bytes)? {
        (content, []) => Ok(content),
        _ => Err(ActivationError::Size),
    }
}
