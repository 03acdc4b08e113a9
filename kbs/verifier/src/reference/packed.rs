//! Sets of files packed into one byte string: a million files in 33 to 39 MB, one hash and a few comparisons for a lookup.
//!
//! Version 1; integers little-endian:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `SPFILES` and a zero |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | 1 where an image is named, else 0 |
//! | 16 | 32 | the OCI manifest digest of that image, or zeros for the guest image |
//! | 48 | 8 | number of files, n |
//! | 56 | 8 | number of programs, p |
//! | 64 | 4 | bits of a bucket's number, b: as many buckets as there are eights of files, rounded up to a power of two |
//! | 68 | 12 | zeros |
//! | 80 | 4·(2^b + 1) | for each bucket the number of files in those before it, then n |
//! | | 32·n | fingerprints of files, ascending, none twice; the first b bits are the bucket's number |
//! | | 6·p | fingerprints of programs, ascending, none twice |
//! | | 32 | SHA-256 of all bytes before |
//!
//! A file's fingerprint is SHA-256 over `sealpod file 1`, a zero, the length of its path in four bytes, its path as IMA logs it,
//! and its SHA-256 digest. It is not shortened: who finds a file that is in no set and passes for one that is has found a
//! collision or second preimage of SHA-256 (2^128 work even for somebody who had a hand in the set). A program's fingerprint
//! is the first six bytes of SHA-256 over `sealpod program 1`, a zero and its path. That is short, for it only ever leads
//! to a refusal: it reserves paths of the guest's (see `ReferenceValues::is_guest_program`), and an image's file at another path
//! is taken for one of those once in 2^48 / p times.

use super::files::as_logged;
use super::is_shared_library;
use crate::hash::{sha256, sha256_of};
use sealpod_evidence::bytes::{HexArray, Sha256Digest};
use sealpod_evidence::reference_values::FileSet;
use sealpod_evidence::workload::ImageDigest;
use std::sync::Arc;

/// Most files of one set: the kernel of a guest image, its modules and all packages are some 100,000; this bounds a set at 650 MB.
pub const MAX_FILES: u64 = 1 << 24;
/// Most files of one bucket. On average there are at most eight; with random fingerprints, a set with more is not met with.
const MAX_BUCKET: usize = 64;
/// Highest number of bits, for [`MAX_FILES`].
const MAX_BITS: u32 = 21;

const MAGIC: &[u8; 8] = b"SPFILES\0";
/// The only version.
pub const VERSION: u32 = 1;
const HEADER: usize = 80;
const FINGERPRINT: usize = 32;
const PROGRAM: usize = 6;
const CHECKSUM: usize = 32;

/// Why bytes are no packed set, or a set cannot be packed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackedError {
    /// It does not begin as a packed set does.
    #[error("not a packed set of files: it does not begin with SPFILES")]
    Magic,
    /// Another version.
    #[error("packed set: version {found}, expected {expected}")]
    Version {
        /// [`VERSION`].
        expected: u32,
        /// The version found.
        found: u32,
    },
    /// A header field has a value that it cannot have.
    #[error("packed set: {field} is {found}")]
    Header {
        /// Which field.
        field: &'static str,
        /// Its value.
        found: u64,
    },
    /// The length is not the one that the header makes.
    #[error("packed set: {found} bytes, expected {expected}")]
    Length {
        /// The length by the header.
        expected: u64,
        /// The length found.
        found: usize,
    },
    /// The last 32 bytes are not the SHA-256 of those before.
    #[error("packed set: checksum {found}, expected {expected}")]
    Checksum {
        /// The checksum computed.
        expected: Sha256Digest,
        /// The checksum found.
        found: Sha256Digest,
    },
    /// Buckets, files or programs are out of order: lookups would miss some.
    #[error("packed set: {what} {at} is out of order")]
    Order {
        /// `bucket`, `file` or `program`.
        what: &'static str,
        /// Which.
        at: u64,
    },
    /// A bucket is too large: lookups would be slow.
    #[error("packed set: bucket {at} has {found} files, more than {expected}")]
    Bucket {
        /// Which.
        at: u64,
        /// The limit.
        expected: usize,
        /// Its size.
        found: usize,
    },
    /// More files than [`MAX_FILES`].
    #[error("{found} files, more than the {expected} of a packed set")]
    TooMany {
        /// The limit.
        expected: u64,
        /// The number found.
        found: u64,
    },
    /// The path of a file is not absolute.
    #[error("path {found:?} is not absolute")]
    Path {
        /// The path.
        found: String,
    },
    /// No document of the Reference Values lists this set.
    #[error("the packed set {sha256} is in none of the documents")]
    Unlisted {
        /// SHA-256 of all its bytes.
        sha256: Sha256Digest,
    },
    /// The document says that it is another image's.
    #[error("the packed set {sha256} is of {found}, expected {expected}")]
    Image {
        /// SHA-256 of all its bytes.
        sha256: Sha256Digest,
        /// The image that the document names.
        expected: String,
        /// The image that the set names.
        found: String,
    },
}

/// A packed set that was found sound: every lookup is right and quick. Says nothing about who made it.
#[derive(Debug, Clone)]
pub struct PackedSet {
    bytes: Arc<[u8]>,
    image: Option<ImageDigest>,
    bits: u32,
    files: usize,
    programs: usize,
}

/// Packs the files of one image. The bytes depend on nothing but the set.
///
/// # Errors
///
/// [`PackedError::TooMany`] and [`PackedError::Path`].
pub fn pack(set: &FileSet) -> Result<Vec<u8>, PackedError> {
    let mut files = Vec::new();
    let mut programs = Vec::new();
    for (path, digests) in &set.files {
        if !path.starts_with('/') {
            return Err(PackedError::Path { found: path.clone() });
        }
        let logged = as_logged(path);
        files.extend(digests.iter().map(|digest| fingerprint(logged.as_bytes(), digest)));
        if set.image.is_none() && !is_shared_library(path) {
            programs.push(program(logged.as_bytes()));
        }
    }
    files.sort_unstable();
    files.dedup();
    programs.sort_unstable();
    programs.dedup();
    let found = files.len() as u64;
    if found > MAX_FILES {
        return Err(PackedError::TooMany { expected: MAX_FILES, found });
    }
    let bits = bits_for(found);
    let mut out = Vec::with_capacity(HEADER + (4 << bits) + FINGERPRINT * files.len() + 256);
    out.extend(MAGIC);
    out.extend(VERSION.to_le_bytes());
    out.extend(u32::from(set.image.is_some()).to_le_bytes());
    out.extend(set.image.map_or([0; 32], |image| image.0.0));
    out.extend(found.to_le_bytes());
    out.extend((programs.len() as u64).to_le_bytes());
    out.extend(bits.to_le_bytes());
    out.extend([0; 12]);
    let mut before = 0_u32;
    let mut rest = files.iter().peekable();
    for bucket in 0..1_u64 << bits {
        out.extend(before.to_le_bytes());
        while rest.next_if(|file| bucket_of(file, bits) == bucket).is_some() {
            before += 1;
        }
    }
    out.extend(before.to_le_bytes());
    out.extend(files.as_flattened());
    out.extend(programs.as_flattened());
    let checksum = sha256(&out);
    out.extend(checksum);
    Ok(out)
}

impl PackedSet {
    /// Takes a packed set. Reads all of it once, allocates nothing.
    ///
    /// # Errors
    ///
    /// The first defect. A set that is taken has no file that a lookup would not find.
    pub fn parse(bytes: Arc<[u8]>) -> Result<Self, PackedError> {
        let header = Header::read(&bytes)?;
        let expected = header.total();
        if bytes.len() as u64 != expected {
            return Err(PackedError::Length { expected, found: bytes.len() });
        }
        if let Some((body, found)) = bytes.split_last_chunk::<CHECKSUM>() {
            let computed = sha256(body);
            if computed != *found {
                let (expected, found) = (HexArray(computed), HexArray(*found));
                return Err(PackedError::Checksum { expected, found });
            }
        }
        let Header { image, files, programs, bits } = header;
        // Both are below MAX_FILES, which fits.
        let set = Self { image, bits, files: files as usize, programs: programs as usize, bytes };
        set.check()?;
        Ok(set)
    }

    /// Whose files they are; `None` for the guest image.
    pub fn image(&self) -> Option<ImageDigest> {
        self.image
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.files == 0
    }

    /// SHA-256 of all its bytes, by which documents name it.
    pub fn sha256(&self) -> Sha256Digest {
        HexArray(sha256(&self.bytes))
    }

    /// Whether this content is at this path, as IMA logs it.
    pub fn has(&self, path: &[u8], digest: &Sha256Digest) -> bool {
        self.contains(&fingerprint(path, digest))
    }

    /// Whether the path may be that of a program of the guest's.
    pub(crate) fn has_program(&self, path: &[u8]) -> bool {
        let (programs, wanted) = (self.programs(), program(path));
        programs.binary_search(&wanted).is_ok()
    }

    pub(crate) fn contains(&self, wanted: &[u8; FINGERPRINT]) -> bool {
        let bucket = bucket_of(wanted, self.bits) as usize;
        let [from, to] = [bucket, bucket + 1].map(|at| self.buckets().get(at).map_or(0, end));
        // Where it is not there, other files of the bucket differ in their first bytes.
        self.fingerprints().get(from..to).is_some_and(|files| files.contains(wanted))
    }

    fn check(&self) -> Result<(), PackedError> {
        let order = |what, at: usize| PackedError::Order { what, at: at as u64 };
        let mut before = 0;
        for (at, until) in self.buckets().iter().map(end).enumerate() {
            let found = until.checked_sub(before).filter(|_| until <= self.files && (at > 0 || until == 0));
            let found = found.ok_or_else(|| order("bucket", at))?;
            if found > MAX_BUCKET {
                let at = at.saturating_sub(1) as u64;
                return Err(PackedError::Bucket { at, expected: MAX_BUCKET, found });
            }
            let bucket = at.saturating_sub(1) as u64;
            let files = self.fingerprints().get(before..until).unwrap_or_default();
            if let Some(wrong) = files.iter().position(|file| bucket_of(file, self.bits) != bucket) {
                return Err(order("file", before.saturating_add(wrong)));
            }
            before = until;
        }
        if before != self.files {
            return Err(order("bucket", self.buckets().len().saturating_sub(1)));
        }
        let ascends =
            |at: Option<usize>, what| at.map_or(Ok(()), |at| Err(order(what, at.saturating_add(1))));
        ascends(unsorted(self.fingerprints()), "file")?;
        ascends(unsorted(self.programs()), "program")
    }

    fn buckets(&self) -> &[[u8; 4]] {
        self.table(HEADER, (1_usize << self.bits) + 1)
    }

    fn fingerprints(&self) -> &[[u8; FINGERPRINT]] {
        self.table(HEADER + 4 * ((1_usize << self.bits) + 1), self.files)
    }

    fn programs(&self) -> &[[u8; PROGRAM]] {
        self.table(HEADER + 4 * ((1_usize << self.bits) + 1) + FINGERPRINT * self.files, self.programs)
    }

    /// `count` elements from `start` on. The length was checked, and bounds keep the products small.
    fn table<const N: usize>(&self, start: usize, count: usize) -> &[[u8; N]] {
        self.bytes.get(start..start + N * count).map_or(&[], |bytes| bytes.as_chunks().0)
    }
}

struct Header {
    image: Option<ImageDigest>,
    files: u64,
    programs: u64,
    bits: u32,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, PackedError> {
        let header = bytes.first_chunk::<HEADER>().filter(|header| header.starts_with(MAGIC));
        let header = header.ok_or(PackedError::Magic)?;
        let word = |at: usize| {
            let word = header.get(at..).and_then(|rest| rest.first_chunk::<4>());
            word.map_or(0, |word| u32::from_le_bytes(*word))
        };
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if word(8) != VERSION {
            return Err(PackedError::Version { expected: VERSION, found: word(8) });
        }
        let wrong = |field, found| Err(PackedError::Header { field, found });
        let digest = header.get(16..).and_then(|rest| rest.first_chunk::<32>()).copied().unwrap_or_default();
        let image = match word(12) {
            0 if digest == [0; 32] => None,
            1 => Some(ImageDigest(HexArray(digest))),
            found => return wrong("the kind of image", found.into()),
        };
        let (files, programs, bits) = (long(48), long(56), word(64));
        if files > MAX_FILES {
            return wrong("the number of files", files);
        }
        if programs > files {
            return wrong("the number of programs", programs);
        }
        if bits != bits_for(files) {
            return wrong("the number of bits of a bucket", bits.into());
        }
        if [68, 72, 76].iter().any(|at| word(*at) != 0) {
            return wrong("a reserved field", 1);
        }
        Ok(Self { image, files, programs, bits })
    }

    fn total(&self) -> u64 {
        let buckets = (1_u64 << self.bits) + 1;
        (HEADER + CHECKSUM) as u64
            + 4 * buckets
            + FINGERPRINT as u64 * self.files
            + PROGRAM as u64 * self.programs
    }
}

/// As many bits as make a bucket of eight files on average, or of fewer.
fn bits_for(files: u64) -> u32 {
    files.div_ceil(8).next_power_of_two().trailing_zeros().min(MAX_BITS)
}

fn end(bucket: &[u8; 4]) -> usize {
    u32::from_le_bytes(*bucket) as usize
}

fn bucket_of(fingerprint: &[u8; FINGERPRINT], bits: u32) -> u64 {
    let [a, b, c, d, ..] = *fingerprint;
    u64::from(u32::from_be_bytes([a, b, c, d])) >> (32 - bits)
}

/// The first element that the next one does not exceed.
fn unsorted<const N: usize>(list: &[[u8; N]]) -> Option<usize> {
    list.windows(2).position(|pair| matches!(pair, [one, two] if one >= two))
}

/// What stands for a file; see the module's text.
pub(crate) fn fingerprint(path: &[u8], digest: &Sha256Digest) -> [u8; FINGERPRINT] {
    sha256_of([b"sealpod file 1\0".as_slice(), &(path.len() as u32).to_le_bytes(), path, &digest.0])
}

fn program(path: &[u8]) -> [u8; PROGRAM] {
    let [a, b, c, d, e, f, ..] = sha256_of([b"sealpod program 1\0".as_slice(), path]);
    [a, b, c, d, e, f]
}

#[cfg(test)]
mod tests;
