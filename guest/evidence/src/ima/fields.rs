//! Template data, typed (`security/integrity/ima/ima_template_lib.c`).

use super::template::{Field, Template};
use super::{ByteOrder, HashAlgorithm, IMA_DIGEST, word};
use crate::reader::{ReadError, Reader};
use std::ffi::CStr;
use thiserror::Error;

/// The fields of one entry. `None`: the template has no such field. Where the kernel had nothing to put in, a
/// byte string is empty, and a digest or number is `None` too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fields<'a> {
    /// `d`, `d-ng`, `d-ngv2`: digest of the file, or of the buffer for `ima-buf`.
    pub digest: Option<FileDigest<'a>>,
    /// `n`, `n-ng`: path as the measured process saw it, without terminator. Any bytes but NUL; the kernel writes
    /// `_` for a space. `n` is cut to 255 bytes.
    pub name: Option<&'a [u8]>,
    /// `sig`: the file's `security.ima` signature. Not checked here.
    pub signature: Option<&'a [u8]>,
    /// `buf`: the measured buffer.
    pub buffer: Option<&'a [u8]>,
    /// `d-modsig`: digest of the file without its appended signature.
    pub modsig_digest: Option<FileDigest<'a>>,
    /// `modsig`: the appended signature.
    pub modsig: Option<&'a [u8]>,
    /// `evmsig`: the portable EVM signature.
    pub evm_signature: Option<&'a [u8]>,
    /// `xattrnames`: names of the attributes that EVM protects, between bars.
    pub xattr_names: Option<&'a [u8]>,
    /// `xattrlengths`: u32 for each, in the log's byte order.
    pub xattr_lengths: Option<&'a [u8]>,
    /// `xattrvalues`: the values, one after the other.
    pub xattr_values: Option<&'a [u8]>,
    /// `iuid`: owner of the inode; `None` also for entries without an inode, such as `boot_aggregate`.
    pub uid: Option<u32>,
    /// `igid`: group of the inode; as `uid`.
    pub gid: Option<u32>,
    /// `imode`: file type and permissions (`st_mode`); as `uid`.
    pub mode: Option<u16>,
}

/// What was hashed for a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestKind {
    /// The content.
    Content,
    /// The fs-verity descriptor, which commits to the content (`verity:`).
    Verity,
}

/// A digest and how it was made. All zeros in an entry that is a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileDigest<'a> {
    /// What was hashed.
    pub kind: DigestKind,
    /// By what.
    pub algorithm: HashAlgorithm,
    /// Exactly as long as the algorithm's digest.
    pub value: &'a [u8],
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FieldError {
    /// It reaches past the end of the data, or bytes follow the last field. Offsets count from the template data.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A fixed-size value of another size.
    #[error("{found} bytes, expected {expected}")]
    Length {
        /// The size in bytes; for a list, of one element.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// A name without one NUL byte exactly at its end (at no place for template `ima`).
    #[error("the name is not terminated once at its end")]
    Terminator,
    /// A digest without a supported algorithm in front: `sha256:` and NUL, with `ima:` or `verity:` before it in `d-ngv2`.
    #[error("digest prefix {found:?} is not known")]
    DigestPrefix {
        /// The bytes up to the first NUL, at most 64.
        found: String,
    },
}

impl<'a> Fields<'a> {
    pub(super) fn read(
        data: &'a [u8],
        template: &Template,
        order: ByteOrder,
    ) -> Result<Self, (&'static str, FieldError)> {
        let mut reader = Reader::new(data);
        let mut fields = Self::default();
        if template.is_ima() {
            fields.read_ima(&mut reader, order).map_err(|what| ("", what))?;
        } else {
            for field in template.fields() {
                let value = word(&mut reader, order).and_then(|len| reader.take(len as usize));
                let set = value.map_err(FieldError::Read).and_then(|value| fields.set(*field, value, order));
                set.map_err(|what| (field.name(), what))?;
            }
        }
        reader.finish().map_err(|error| ("", error.into()))?;
        Ok(fields)
    }

    fn read_ima(&mut self, reader: &mut Reader<'a>, order: ByteOrder) -> Result<(), FieldError> {
        self.digest = Some(sha1(reader.take(IMA_DIGEST)?)?);
        let len = word(reader, order)?;
        let name = reader.take(len as usize)?;
        if name.contains(&0) {
            return Err(FieldError::Terminator);
        }
        self.name = Some(name);
        Ok(())
    }

    fn set(&mut self, field: Field, value: &'a [u8], order: ByteOrder) -> Result<(), FieldError> {
        match field {
            Field::Digest => self.digest = Some(sha1(value)?),
            Field::DigestNg => self.digest = Some(tagged(value, DigestKind::Content, value)?),
            Field::DigestNgV2 => self.digest = Some(typed(value)?),
            Field::Name | Field::NameNg => self.name = Some(terminated(value)?),
            Field::Signature => self.signature = Some(value),
            Field::Buffer => self.buffer = Some(value),
            Field::ModsigDigest if value.is_empty() => {}
            Field::ModsigDigest => self.modsig_digest = Some(tagged(value, DigestKind::Content, value)?),
            Field::Modsig => self.modsig = Some(value),
            Field::EvmSignature => self.evm_signature = Some(value),
            Field::XattrNames => self.xattr_names = Some(value),
            Field::XattrLengths if !value.len().is_multiple_of(4) => {
                return Err(FieldError::Length { expected: 4, found: value.len() });
            }
            Field::XattrLengths => self.xattr_lengths = Some(value),
            Field::XattrValues => self.xattr_values = Some(value),
            Field::Uid => self.uid = number(value, order, u32::from_le_bytes)?,
            Field::Gid => self.gid = number(value, order, u32::from_le_bytes)?,
            Field::Mode => self.mode = number(value, order, u16::from_le_bytes)?,
        }
        Ok(())
    }
}

/// Field `d` does not name its algorithm. SHA-1 unless the kernel hashes files with MD5, padded; no policy that
/// expects SHA-1 is met by that.
fn sha1(value: &[u8]) -> Result<FileDigest<'_>, FieldError> {
    exact(HashAlgorithm::Sha1, DigestKind::Content, value)
}

fn typed(field: &[u8]) -> Result<FileDigest<'_>, FieldError> {
    if let Some(rest) = field.strip_prefix(b"ima:") {
        tagged(rest, DigestKind::Content, field)
    } else if let Some(rest) = field.strip_prefix(b"verity:") {
        tagged(rest, DigestKind::Verity, field)
    } else {
        Err(prefix_error(field))
    }
}

/// `algorithm`, `:`, NUL, digest.
fn tagged<'a>(value: &'a [u8], kind: DigestKind, field: &[u8]) -> Result<FileDigest<'a>, FieldError> {
    for algorithm in HashAlgorithm::ALL {
        if let Some(digest) =
            value.strip_prefix(algorithm.name().as_bytes()).and_then(|rest| rest.strip_prefix(b":\0"))
        {
            return exact(algorithm, kind, digest);
        }
    }
    Err(prefix_error(field))
}

fn exact(algorithm: HashAlgorithm, kind: DigestKind, value: &[u8]) -> Result<FileDigest<'_>, FieldError> {
    if value.len() == algorithm.digest_len() {
        Ok(FileDigest { kind, algorithm, value })
    } else {
        Err(FieldError::Length { expected: algorithm.digest_len(), found: value.len() })
    }
}

#[cold]
fn prefix_error(field: &[u8]) -> FieldError {
    let prefix = field.iter().take_while(|byte| **byte != 0).take(64).copied().collect::<Vec<_>>();
    FieldError::DigestPrefix { found: String::from_utf8_lossy(&prefix).into_owned() }
}

fn terminated(value: &[u8]) -> Result<&[u8], FieldError> {
    CStr::from_bytes_with_nul(value).map(CStr::to_bytes).map_err(|_| FieldError::Terminator)
}

/// Nothing, or an integer of exactly `N` bytes.
fn number<const N: usize, T>(
    value: &[u8],
    order: ByteOrder,
    from_le: impl FnOnce([u8; N]) -> T,
) -> Result<Option<T>, FieldError> {
    if value.is_empty() {
        return Ok(None);
    }
    let error = |_| FieldError::Length { expected: N, found: value.len() };
    let mut bytes = <[u8; N]>::try_from(value).map_err(error)?;
    if order == ByteOrder::Big {
        bytes.reverse();
    }
    Ok(Some(from_le(bytes)))
}
