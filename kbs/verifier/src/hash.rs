//! SHA-256, and how a PCR of that bank is extended.

use aws_lc_rs::digest::{self, Context, SHA256};

/// SHA-256 of one byte string.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    array(&digest::digest(&SHA256, bytes))
}

/// SHA-256 of several byte strings, one after the other.
pub(crate) fn sha256_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    array(&context.finish())
}

/// `new = H(old || digest)` (TPM 2.0 Part 1, section 17.2).
pub(crate) fn extend(pcr: &mut [u8; 32], digest: &[u8; 32]) {
    let mut both = [0; 64];
    let (old, new) = both.split_at_mut(32);
    old.copy_from_slice(pcr);
    new.copy_from_slice(digest);
    *pcr = sha256(&both);
}

fn array(digest: &digest::Digest) -> [u8; 32] {
    let mut out = [0; 32];
    // Both are 32 bytes: the algorithm is fixed above.
    out.copy_from_slice(digest.as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extending_is_the_hash_of_both() {
        let mut pcr = [1; 32];
        extend(&mut pcr, &[2; 32]);
        assert_eq!(pcr, sha256(&[[1; 32], [2; 32]].concat()));
        assert_eq!(pcr, sha256_of([&[1; 32][..], &[2; 32]]));
        // FIPS 180-4 example.
        assert_eq!(hex::encode(sha256(b"abc"))[..16], *"ba7816bf8f01cfea");
    }
}
