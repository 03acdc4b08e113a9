//! The outer archive: a plain tar of an OCI layout on the host's disk, indexed without reading its blobs.

use sealpod_evidence::workload::ImageDigest;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

/// Most entries: an image has at most 127 layers in practice (overlayfs), a manifest and a configuration; several
/// images may share one layout.
const MAX_ENTRIES: usize = 1024;

const BLOCK: u64 = 512;

/// Why the archive is not indexed.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The disk cannot be read.
    #[error("cannot read the disk: {0}")]
    Io(#[from] io::Error),
    /// A header that is no tar header.
    #[error("no valid tar header at offset {offset}")]
    Header {
        /// Where.
        offset: u64,
    },
    /// Anything but a file or a directory: the launcher writes nothing else.
    #[error("tar entry at offset {offset} is of type {found:#04x}, expected a file or a directory")]
    Type {
        /// Where.
        offset: u64,
        /// The type flag.
        found: u8,
    },
    /// An entry that reaches beyond the disk.
    #[error("tar entry at offset {offset} says {found} bytes, the disk has {expected} left")]
    Size {
        /// Where.
        offset: u64,
        /// What is left.
        expected: u64,
        /// What the header says.
        found: u64,
    },
    /// Too many entries.
    #[error("the archive has more than {expected} entries")]
    Entries {
        /// The budget.
        expected: usize,
    },
    /// One blob twice.
    #[error("blob {found} is in the archive twice")]
    Twice {
        /// Which.
        found: ImageDigest,
    },
}

/// Where each blob lies.
pub struct Archive<D> {
    disk: D,
    blobs: BTreeMap<ImageDigest, (u64, u64)>,
}

impl<D: Read + Seek> Archive<D> {
    /// Walk the headers. Names say which blob is meant; nothing is believed until a blob's bytes are digested.
    pub fn index(mut disk: D) -> Result<Self, ArchiveError> {
        let end = super::length(&mut disk)?;
        let mut blobs = BTreeMap::new();
        let mut offset = 0;
        for _ in 0..MAX_ENTRIES {
            let Some(header) = read_header(&mut disk, offset, end)? else {
                return Ok(Self { disk, blobs });
            };
            let size = header.entry_size().map_err(|_| ArchiveError::Header { offset })?;
            let kind = header.entry_type();
            if !(kind.is_file() || kind.is_dir()) {
                return Err(ArchiveError::Type { offset, found: kind.as_byte() });
            }
            let start = offset + BLOCK;
            let left = end.saturating_sub(start);
            if size > left {
                return Err(ArchiveError::Size { offset, expected: left, found: size });
            }
            if kind.is_file()
                && let Some(digest) = blob_name(&header.path_bytes())
                && blobs.insert(digest, (start, size)).is_some()
            {
                return Err(ArchiveError::Twice { found: digest });
            }
            offset = start + size.next_multiple_of(BLOCK);
        }
        Err(ArchiveError::Entries { expected: MAX_ENTRIES })
    }

    /// How long a blob is said to be.
    pub fn size_of(&self, digest: &ImageDigest) -> Option<u64> {
        self.blobs.get(digest).map(|(_, size)| *size)
    }

    /// Read a blob. The host may change it between two reads: digest what this gives and use only that.
    pub fn open(&mut self, digest: &ImageDigest) -> Result<Option<impl Read + '_>, ArchiveError> {
        let Some((start, size)) = self.blobs.get(digest).copied() else {
            return Ok(None);
        };
        self.disk.seek(SeekFrom::Start(start))?;
        Ok(Some((&mut self.disk).take(size)))
    }
}

/// The header at `offset`, `None` at the end of the archive: a zero block, or the end of the disk.
fn read_header(
    disk: &mut (impl Read + Seek),
    offset: u64,
    end: u64,
) -> Result<Option<tar::Header>, ArchiveError> {
    if offset == end {
        return Ok(None);
    }
    if end.saturating_sub(offset) < BLOCK {
        return Err(ArchiveError::Header { offset });
    }
    let mut block = [0; BLOCK as usize];
    disk.seek(SeekFrom::Start(offset))?;
    disk.read_exact(&mut block)?;
    if block == [0; BLOCK as usize] {
        return Ok(None);
    }
    // The checksum counts its own eight bytes as spaces (POSIX.1-2017, pax, ustar interchange format).
    let sum: u32 =
        block.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) }).sum();
    let header = tar::Header::from_byte_slice(&block).clone();
    if header.cksum().ok() != Some(sum) {
        return Err(ArchiveError::Header { offset });
    }
    Ok(Some(header))
}

fn blob_name(path: &[u8]) -> Option<ImageDigest> {
    let path = std::str::from_utf8(path).ok()?;
    let path = path.strip_prefix("./").unwrap_or(path);
    format!("sha256:{}", path.strip_prefix("blobs/sha256/")?).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_entry_type(tar::EntryType::Regular);
            builder.append_data(&mut header, name, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn name(byte: &str) -> String {
        format!("blobs/sha256/{}", byte.repeat(32))
    }

    #[test]
    fn blobs_are_found_by_name_and_read_back() {
        let bytes = archive(&[("oci-layout", b"{}"), (&name("11"), b"one"), (&name("22"), b"")]);
        let mut archive = Archive::index(Cursor::new(bytes)).unwrap();
        let digest = format!("sha256:{}", "11".repeat(32)).parse().unwrap();
        assert_eq!(archive.size_of(&digest), Some(3));
        let mut text = String::new();
        archive.open(&digest).unwrap().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "one");
    }

    #[test]
    fn an_entry_beyond_the_disk_is_refused() {
        let mut bytes = archive(&[(&name("11"), &[7; 2000])]);
        bytes.truncate(1024);
        let error = Archive::index(Cursor::new(bytes)).err().unwrap();
        assert!(matches!(error, ArchiveError::Size { expected: 512, found: 2000, .. }), "{error}");
    }

    #[test]
    fn links_and_long_name_entries_are_refused() {
        for kind in [tar::EntryType::Symlink, tar::EntryType::GNULongName, tar::EntryType::XHeader] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(0);
            header.set_path("a").unwrap();
            header.set_cksum();
            let error = Archive::index(Cursor::new(header.as_bytes().to_vec())).err().unwrap();
            assert!(matches!(error, ArchiveError::Type { offset: 0, .. }), "{error}");
        }
    }

    #[test]
    fn damaged_headers_and_odd_lengths_are_refused() {
        let mut bytes = archive(&[(&name("11"), b"one")]);
        bytes[3] ^= 1;
        assert!(matches!(Archive::index(Cursor::new(bytes)), Err(ArchiveError::Header { offset: 0 })));
        assert!(matches!(Archive::index(Cursor::new(vec![1; 100])), Err(ArchiveError::Header { offset: 0 })));
        assert!(Archive::index(Cursor::new(Vec::new())).is_ok());
    }

    #[test]
    fn a_blob_named_twice_is_refused() {
        let bytes = archive(&[(&name("11"), b"one"), (&name("11"), b"two")]);
        assert!(matches!(Archive::index(Cursor::new(bytes)), Err(ArchiveError::Twice { .. })));
    }

    #[test]
    fn more_entries_than_the_budget_are_refused() {
        let one = archive(&[("x", b"")]);
        let bytes = one[..512].repeat(MAX_ENTRIES + 1);
        assert!(matches!(Archive::index(Cursor::new(bytes)), Err(ArchiveError::Entries { .. })));
    }
}
