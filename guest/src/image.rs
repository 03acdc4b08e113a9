//! A container image: bytes from the untrusted host, accepted only as the digest the owner named.
//!
//! The digest names a manifest, the manifest names every other blob. `index.json` is the host's word and is
//! not read at all.

use crate::files::FileError;
use archive::{Archive, ArchiveError};
use budget::{Budget, Exhausted};
use layer::LayerError;
use manifest::{Contents, LayerBlob, ManifestError};
use rootfs::Rootfs;
use sealpod_evidence::workload::ImageDigest;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

pub mod archive;
pub mod budget;
pub mod layer;
pub mod manifest;
pub mod rootfs;

/// Most bytes of a manifest or configuration: the OCI distribution specification asks registries for 4 MiB
/// and real ones are a few KiB; JSON costs a multiple of its size in memory.
const MAX_DOCUMENT: u64 = 1024 * 1024;

/// Why an image is not used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The disk cannot be opened, or a copy not be made.
    #[error("image: {0}")]
    File(#[from] FileError),
    /// The host attached no image.
    #[error("no disk with serial \"{}\" is attached", crate::block::IMAGE)]
    NoDisk,
    /// Not the archive expected.
    #[error("image archive: {0}")]
    Archive(#[from] ArchiveError),
    /// A blob that the image needs is not in the archive.
    #[error("the image archive has no blob {expected}")]
    Missing {
        /// Its digest.
        expected: ImageDigest,
    },
    /// A blob of another size than its descriptor says.
    #[error("blob {digest} is {found} bytes, its descriptor says {expected}")]
    Size {
        /// Which blob.
        digest: ImageDigest,
        /// The descriptor's size.
        expected: u64,
        /// The archive's size.
        found: u64,
    },
    /// A document longer than is parsed.
    #[error("blob {digest} is {found} bytes, at most {expected} are parsed")]
    Document {
        /// Which blob.
        digest: ImageDigest,
        /// The budget.
        expected: u64,
        /// Its size.
        found: u64,
    },
    /// A blob whose bytes are not what its name says.
    #[error("blob digest is {found}, expected {expected}")]
    Digest {
        /// What was named.
        expected: ImageDigest,
        /// What the bytes are.
        found: ImageDigest,
    },
    /// The manifest or configuration is refused.
    #[error("image manifest: {0}")]
    Manifest(#[from] ManifestError),
    /// The blobs alone do not fit into memory.
    #[error("image: {0}")]
    Memory(#[from] Exhausted),
    /// A layer is refused.
    #[error("layer {index} ({digest}): {source}")]
    Layer {
        /// Its place in the manifest.
        index: usize,
        /// Its digest.
        digest: ImageDigest,
        /// Why.
        source: LayerError,
    },
}

/// Unpack the image with this digest into the empty directory `root`, taking at most `memory` bytes.
///
/// Proves, when it succeeds, that every file comes from a blob whose digest hangs from `digest`. A blob is copied out of
/// the host's reach before it is digested, so the host cannot exchange it between check and use.
pub fn unpack(
    disk: &Path,
    digest: ImageDigest,
    scratch: &Path,
    root: &Path,
    memory: u64,
) -> Result<(), ImageError> {
    let budget = Budget::new(memory);
    let file = File::open(disk).map_err(|e| FileError::io("open", disk, e))?;
    let mut archive = Archive::index(file)?;
    let manifest = document(&mut archive, digest, None)?;
    let contents = Contents::parse_manifest(&manifest)?;
    let config = document(&mut archive, contents.config.digest, Some(contents.config.size))?;
    let diff_ids = contents.check_config(&config)?;
    let mut rootfs = Rootfs::open(root, &budget).map_err(|e| FileError::io("open", root, e))?;
    for (index, (blob, diff_id)) in contents.layers.iter().zip(diff_ids).enumerate() {
        let copy = Copy::make(&mut archive, *blob, scratch, &budget)?;
        layer::apply(copy.file()?, blob, diff_id, &mut rootfs).map_err(|source| ImageError::Layer {
            index,
            digest: blob.digest,
            source,
        })?;
    }
    Ok(())
}

/// A manifest or configuration, checked.
fn document<D: Read + Seek>(
    archive: &mut Archive<D>,
    digest: ImageDigest,
    size: Option<u64>,
) -> Result<Vec<u8>, ImageError> {
    let found = archive.size_of(&digest).ok_or(ImageError::Missing { expected: digest })?;
    if found > MAX_DOCUMENT {
        return Err(ImageError::Document { digest, expected: MAX_DOCUMENT, found });
    }
    let mut bytes = Vec::new();
    copy_blob(archive, digest, size, &mut bytes)?;
    Ok(bytes)
}

/// Copy a blob into `to` and check size and digest of what was copied.
fn copy_blob<D: Read + Seek>(
    archive: &mut Archive<D>,
    digest: ImageDigest,
    size: Option<u64>,
    to: &mut impl Write,
) -> Result<(), ImageError> {
    let found = archive.size_of(&digest).ok_or(ImageError::Missing { expected: digest })?;
    if let Some(expected) = size
        && expected != found
    {
        return Err(ImageError::Size { digest, expected, found });
    }
    let mut blob = archive.open(&digest)?.ok_or(ImageError::Missing { expected: digest })?;
    let mut hash = Sha256::new();
    // 64 KiB: large enough that hashing dominates, small beside the memory budget.
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = blob.read(&mut buffer).map_err(|e| FileError::io("read", "the image disk", e))?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
        to.write_all(&buffer[..count]).map_err(|e| FileError::io("write", "a copy of a blob", e))?;
    }
    let found = ImageDigest(sealpod_evidence::bytes::HexArray(hash.finalize().into()));
    if found != digest {
        return Err(ImageError::Digest { expected: digest, found });
    }
    Ok(())
}

/// A checked copy of one blob in guest memory; removed when dropped.
struct Copy<'a> {
    path: PathBuf,
    size: u64,
    budget: &'a Budget,
}

impl<'a> Copy<'a> {
    fn make<D: Read + Seek>(
        archive: &mut Archive<D>,
        blob: LayerBlob,
        scratch: &Path,
        budget: &'a Budget,
    ) -> Result<Self, ImageError> {
        // Exactly this much is copied, or it is refused.
        budget.take(blob.size)?;
        let copy = Self { path: scratch.join("layer"), size: blob.size, budget };
        let create = File::options().write(true).create_new(true).open(&copy.path);
        let mut file = create.map_err(|e| FileError::io("create", &copy.path, e))?;
        copy_blob(archive, blob.digest, Some(blob.size), &mut file)?;
        Ok(copy)
    }

    fn file(&self) -> Result<File, FileError> {
        File::open(&self.path).map_err(|e| FileError::io("open", &self.path, e))
    }
}

impl Drop for Copy<'_> {
    fn drop(&mut self) {
        // It holds nothing secret; a copy left behind makes the next `create_new` fail, visibly.
        let _ = std::fs::remove_file(&self.path);
        self.budget.give_back(self.size);
    }
}

/// The length of what a seekable source still holds; block devices have no useful `metadata().len()`.
fn length(source: &mut impl Seek) -> io::Result<u64> {
    let end = source.seek(SeekFrom::End(0))?;
    source.rewind()?;
    Ok(end)
}

#[cfg(test)]
mod tests;
