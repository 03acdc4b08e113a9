//! The few operations that several modules need, on aws-lc-rs.

use crate::secret::Key;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hmac, rand};

/// The library failed, or bytes are not authentic. Which of the two must not be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cryptographic operation failed")]
pub struct CryptoError;

/// Length of the authentication tag of AES-GCM.
pub const TAG_LENGTH: usize = 16;
/// Length of the nonce of AES-GCM.
pub const NONCE_LENGTH: usize = NONCE_LEN;

/// `N` random bytes.
pub fn random<const N: usize>() -> Result<[u8; N], CryptoError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| CryptoError)?;
    Ok(bytes)
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// A key for one purpose and one salt.
pub fn derive(key: &Key, purpose: &str, salt: &[u8]) -> Key {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()));
    // The purpose is a constant without a zero byte, so purpose and salt cannot run into each other.
    context.update(purpose.as_bytes());
    context.update(&[0]);
    context.update(salt);
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    Key::new(out)
}

/// AES-256-GCM in place; the tag is appended. A nonce must never be used twice with a key.
pub fn seal(
    key: &[u8; 32],
    nonce: [u8; NONCE_LENGTH],
    aad: &[u8],
    text: &mut Vec<u8>,
) -> Result<(), CryptoError> {
    gcm(key)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), text)
        .map_err(|_| CryptoError)
}

/// The reverse of [`seal`].
pub fn open(
    key: &[u8; 32],
    nonce: [u8; NONCE_LENGTH],
    aad: &[u8],
    text: &mut Vec<u8>,
) -> Result<(), CryptoError> {
    let length = gcm(key)?
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), text)
        .map_err(|_| CryptoError)?
        .len();
    text.truncate(length);
    Ok(())
}

fn gcm(key: &[u8; 32]) -> Result<LessSafeKey, CryptoError> {
    Ok(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).map_err(|_| CryptoError)?))
}
