//! The form of signatures in extended attributes (`struct signature_v2_hdr`, Linux `security/integrity/integrity.h`).
//!
//! | bytes | what |
//! |---|---|
//! | 1 | what is signed: 3 a file (`EVM_IMA_XATTR_DIGSIG`), 5 a file's metadata (`EVM_XATTR_PORTABLE_DIGSIG`), 6 an fs-verity digest (`IMA_VERITY_DIGSIG`) |
//! | 1 | version: 2 signs a digest, 3 signs the digest of a `struct ima_file_id` that holds it |
//! | 1 | hash algorithm, numbered as in `include/uapi/linux/hash_info.h` |
//! | 4 | the last bytes of the signer's key identifier |
//! | 2 | length of the signature, big-endian |
//! | | the signature: RSA with PKCS#1 v1.5, or ECDSA in DER |

use super::algorithm;
use crate::reference::FileKey;
use aws_lc_rs::digest::Context;
use sealpod_evidence::ima::HashAlgorithm;

/// Length of what precedes the signature.
const HEADER: usize = 9;
/// Longest signature: RSA with 8192 bits.
const MAX_SIGNATURE: usize = 1024;

/// What a signature is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// The content of a file.
    File,
    /// A file's metadata with its digest or signature in them.
    Metadata,
    /// The fs-verity digest of a file.
    Verity,
}

/// A well-formed signature. Whose it is, and whether it is, is for [`FileSignature::verifies`] to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSignature<'a> {
    /// What it is over.
    pub signed: Signed,
    /// 2 or 3.
    pub version: u8,
    /// The hash that the signed digest was made with. Never SHA-1.
    pub algorithm: HashAlgorithm,
    /// The last bytes of the signer's key identifier: a hint, not covered by the signature.
    pub key_id: [u8; 4],
    /// RSA or ECDSA.
    pub signature: &'a [u8],
}

/// What is wrong with a signature's form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Shorter than what precedes a signature.
    #[error("a signature of {found} bytes, expected at least {expected}")]
    Short {
        /// The header's length, and one byte.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// Type and version do not go together, or one is not known.
    #[error("a signature of type {kind} and version {version}, expected 3 and 2 or 3, 5 and 2, or 6 and 3")]
    Kind {
        /// The type found.
        kind: u8,
        /// The version found.
        version: u8,
    },
    /// A hash that is not known, or SHA-1.
    #[error("a signature over hash algorithm {found}, expected 4 (sha256), 5 (sha384) or 6 (sha512)")]
    Hash {
        /// The number found.
        found: u8,
    },
    /// The length is not that of the bytes that follow.
    #[error("a signature of {found} bytes by its header, expected {expected}, which follow")]
    Length {
        /// The bytes that follow.
        expected: usize,
        /// What the header says.
        found: usize,
    },
}

impl<'a> FileSignature<'a> {
    /// Takes an extended attribute apart.
    ///
    /// # Errors
    ///
    /// The first defect.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SignatureError> {
        let short = SignatureError::Short { expected: HEADER + 1, found: bytes.len() };
        let (&[kind, version, hash, a, b, c, d, high, low], signature) =
            bytes.split_first_chunk::<HEADER>().ok_or(short)?;
        let signed = match (kind, version) {
            (3, 2 | 3) => Signed::File,
            (5, 2) => Signed::Metadata,
            (6, 3) => Signed::Verity,
            _ => return Err(SignatureError::Kind { kind, version }),
        };
        let algorithm = match hash {
            4 => HashAlgorithm::Sha256,
            5 => HashAlgorithm::Sha384,
            6 => HashAlgorithm::Sha512,
            found => return Err(SignatureError::Hash { found }),
        };
        let (expected, found) = (signature.len(), usize::from(u16::from_be_bytes([high, low])));
        if found != expected || found == 0 || found > MAX_SIGNATURE {
            return Err(SignatureError::Length { expected, found });
        }
        Ok(Self { signed, version, algorithm, key_id: [a, b, c, d], signature })
    }

    /// Whether `key` made this signature over `digest`, which is one by [`Self::algorithm`] of what [`Self::signed`] says.
    pub fn verifies(&self, key: &FileKey, digest: &[u8]) -> bool {
        if self.version == 2 {
            return key.verifies(self.algorithm, digest, self.signature);
        }
        // struct ima_file_id (ima.h): type, algorithm, digest; hashed with the same algorithm (`calc_file_id_hash`).
        let mut context = Context::new(algorithm(self.algorithm));
        context.update(&[self.kind(), self.hash_id()]);
        context.update(digest);
        key.verifies(self.algorithm, context.finish().as_ref(), self.signature)
    }

    fn kind(&self) -> u8 {
        match self.signed {
            Signed::File => 3,
            Signed::Metadata => 5,
            Signed::Verity => 6,
        }
    }

    fn hash_id(&self) -> u8 {
        match self.algorithm {
            HashAlgorithm::Sha1 => 2,
            HashAlgorithm::Sha256 => 4,
            HashAlgorithm::Sha384 => 5,
            HashAlgorithm::Sha512 => 6,
        }
    }
}
