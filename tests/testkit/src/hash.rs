//! Digests.

use aws_lc_rs::digest::{self, Algorithm};

fn of<const N: usize>(algorithm: &'static Algorithm, bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(digest::digest(algorithm, bytes).as_ref());
    out
}

/// SHA-1, which TPM banks and template digests still have.
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    of(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes)
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    of(&digest::SHA256, bytes)
}

/// SHA-512.
pub fn sha512(bytes: &[u8]) -> [u8; 64] {
    of(&digest::SHA512, bytes)
}

/// SHA-384.
pub fn sha384(bytes: &[u8]) -> [u8; 48] {
    of(&digest::SHA384, bytes)
}
