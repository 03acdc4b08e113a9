//! EVM's portable signatures, as template `evm-sig` logs them (Linux `security/integrity/evm/evm_crypto.c`).
//!
//! Such a signature covers the values of the protected extended attributes, one after the other, and then owner, group and mode.
//! `security.ima` has to be among them: it holds the digest of the content, or a signature over it.

use super::algorithm;
use super::signature::{FileSignature, Signed};
use crate::reference::FileKey;
use aws_lc_rs::digest::Context;
use sealpod_evidence::ima::{Fields, FileDigest, HashAlgorithm};

/// First byte of an attribute that holds a digest and its algorithm (`IMA_XATTR_DIGEST_NG`).
const DIGEST_NG: u8 = 4;

/// Whether `key` signed this file's metadata, with the file's own digest in them. `signature` is the entry's.
///
/// Proves that the signer meant this content to have this owner, group and mode. Not that a file is *at* this path: no
/// signature covers that.
pub(super) fn verifies(
    key: &FileKey,
    signature: &FileSignature<'_>,
    fields: &Fields<'_>,
    digest: &FileDigest<'_>,
) -> bool {
    let (Some(values), Some(uid), Some(gid), Some(mode)) =
        (fields.xattr_values, fields.uid, fields.gid, fields.mode)
    else {
        return false;
    };
    if signature.signed != Signed::Metadata || !holds(fields, digest, key) {
        return false;
    }
    // struct h_misc of a portable signature: inode number and generation are zero, and so is the padding (`hmac_add_misc`). In
    // the byte order of the machine that checks; signatures are made for little-endian ones.
    let mut misc = [0; 24];
    let numbers = uid.to_le_bytes().into_iter().chain(gid.to_le_bytes()).chain(mode.to_le_bytes());
    misc.iter_mut().skip(12).zip(numbers).for_each(|(to, from)| *to = from);
    let mut context = Context::new(algorithm(signature.algorithm));
    context.update(values);
    context.update(&misc);
    signature.verifies(key, context.finish().as_ref())
}

/// Whether the attribute `security.ima` holds the digest of the content, or a signature of the same key over it.
fn holds(fields: &Fields<'_>, digest: &FileDigest<'_>, key: &FileKey) -> bool {
    let Some(attribute) = ima_attribute(fields) else { return false };
    if let Some((&[DIGEST_NG, hash], value)) = attribute.split_first_chunk::<2>() {
        return hash_id(digest.algorithm) == Some(hash) && value == digest.value;
    }
    let signature = FileSignature::parse(attribute);
    signature.is_ok_and(|signature| {
        signature.signed == Signed::File
            && signature.algorithm == digest.algorithm
            && signature.verifies(key, digest.value)
    })
}

/// The value of `security.ima`, where names, lengths and values agree with each other.
fn ima_attribute<'a>(fields: &Fields<'a>) -> Option<&'a [u8]> {
    let names = fields.xattr_names?.strip_suffix(b"\0")?;
    let (lengths, mut values) = (fields.xattr_lengths?.as_chunks::<4>().0, fields.xattr_values?);
    let mut found = None;
    let mut lengths = lengths.iter();
    for name in names.split(|byte| *byte == b'|') {
        // Little-endian: no log of another order comes here.
        let length = u32::from_le_bytes(*lengths.next()?) as usize;
        let (value, rest) = values.split_at_checked(length)?;
        if name == b"security.ima" && found.replace(value).is_some() {
            return None;
        }
        values = rest;
    }
    found.filter(|_| values.is_empty() && lengths.next().is_none())
}

fn hash_id(algorithm: HashAlgorithm) -> Option<u8> {
    match algorithm {
        HashAlgorithm::Sha1 => None,
        HashAlgorithm::Sha256 => Some(4),
        HashAlgorithm::Sha384 => Some(5),
        HashAlgorithm::Sha512 => Some(6),
    }
}
