//! Contents of files, as they travel: path and bytes, one after the other, compressed.
//!
//! A content says nothing by itself: it counts once its hash is that of the file's IMA entry in this round.

use super::path::{MAX_PATH, NodePath, PathError};
use crate::reader::{ReadError, Reader};
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use thiserror::Error;

/// First byte of a container, before the compressed rest.
pub const VERSION: u8 = 1;
/// Most compressed bytes: evidence as a whole is 2 MiB on the wire.
pub const MAX_PACKED: usize = 1 << 20;
/// Most bytes once unpacked. Configuration compresses to a quarter; a bomb compresses to a thousandth and stops here.
pub const MAX_UNPACKED: usize = 8 << 20;
/// Longest content of one file. A generated `grub.cfg` or a full `sudoers` has tens of KiB.
pub const MAX_FILE: usize = 1 << 20;
/// Most files.
pub const MAX_FILES: usize = 2048;

/// Contents by the path that was asked for.
pub type Contents = BTreeMap<NodePath, Vec<u8>>;

/// Why bytes are not a container.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ContentsError {
    /// No bytes, or another version than [`VERSION`].
    #[error("contents: version {found:?}, expected {VERSION}")]
    Version {
        /// The first byte.
        found: Option<u8>,
    },
    /// A budget is exceeded: [`MAX_PACKED`], [`MAX_UNPACKED`], [`MAX_FILE`] or [`MAX_FILES`].
    #[error("contents: {what} is more than {expected}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// The limit.
        expected: usize,
    },
    /// Not a whole zlib stream, or bytes after it.
    #[error("contents: {found}")]
    Compression {
        /// What the decoder says.
        found: String,
    },
    /// A field reaches past the end.
    #[error("contents: {0}")]
    Read(#[from] ReadError),
    /// A name that is not a path.
    #[error("contents: {0}")]
    Path(#[from] PathError),
    /// Paths do not ascend: one is repeated or moved.
    #[error("contents: {found} after {after}")]
    Order {
        /// The path before.
        after: NodePath,
        /// The path found.
        found: NodePath,
    },
}

/// Packs contents. The result unpacks to the same.
///
/// # Errors
///
/// [`ContentsError::TooLarge`]: what a receiver would refuse is not written.
pub fn pack(contents: &Contents) -> Result<Vec<u8>, ContentsError> {
    limit("the number of files", contents.len(), MAX_FILES)?;
    let mut plain = Vec::new();
    for (path, bytes) in contents {
        limit("a file", bytes.len(), MAX_FILE)?;
        let (path, length) = (path.as_bytes(), bytes.len() as u32);
        plain.extend((path.len() as u16).to_be_bytes());
        plain.extend(path);
        plain.extend(length.to_be_bytes());
        plain.extend(bytes);
        limit("all contents together", plain.len(), MAX_UNPACKED)?;
    }
    let mut encoder = ZlibEncoder::new(vec![VERSION], Compression::default());
    let failed = |error: std::io::Error| ContentsError::Compression { found: error.to_string() };
    encoder.write_all(&plain).map_err(failed)?;
    let packed = encoder.finish().map_err(failed)?;
    limit("the compressed contents", packed.len(), MAX_PACKED)?;
    Ok(packed)
}

/// Unpacks contents. Memory is bounded by [`MAX_UNPACKED`], whatever the bytes say.
///
/// # Errors
///
/// [`ContentsError`]
pub fn unpack(packed: &[u8]) -> Result<Contents, ContentsError> {
    limit("the compressed contents", packed.len(), MAX_PACKED)?;
    let Some((&VERSION, stream)) = packed.split_first() else {
        return Err(ContentsError::Version { found: packed.first().copied() });
    };
    let plain = inflate(stream)?;
    let mut reader = Reader::new(&plain);
    let mut contents = Contents::new();
    while !reader.is_empty() {
        limit("the number of files", contents.len().saturating_add(1), MAX_FILES)?;
        let length = usize::from(u16::from_be_bytes(reader.array()?));
        limit("a path", length, MAX_PATH)?;
        let path = NodePath::from_bytes(reader.take(length)?)?;
        if let Some((after, _)) = contents.last_key_value().filter(|(last, _)| **last >= path) {
            return Err(ContentsError::Order { after: after.clone(), found: path });
        }
        let length = reader.be_u32()? as usize;
        limit("a file", length, MAX_FILE)?;
        contents.insert(path, reader.take(length)?.to_vec());
    }
    Ok(contents)
}

fn inflate(stream: &[u8]) -> Result<Vec<u8>, ContentsError> {
    let failed = |found: String| ContentsError::Compression { found };
    let mut decoder = ZlibDecoder::new(stream);
    let mut plain = Vec::new();
    let budget = MAX_UNPACKED as u64 + 1;
    decoder.by_ref().take(budget).read_to_end(&mut plain).map_err(|error| failed(error.to_string()))?;
    limit("all contents together", plain.len(), MAX_UNPACKED)?;
    match usize::try_from(decoder.total_in()) {
        Ok(used) if used == stream.len() => Ok(plain),
        used => {
            let left = stream.len().saturating_sub(used.unwrap_or_default());
            Err(failed(format!("{left} bytes left over")))
        }
    }
}

fn limit(what: &'static str, found: usize, expected: usize) -> Result<(), ContentsError> {
    if found > expected { Err(ContentsError::TooLarge { what, expected }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents() -> Contents {
        let path = |bytes: &[u8]| NodePath::from_bytes(bytes).unwrap();
        Contents::from([
            (path(b"/etc/ssh/sshd_config"), b"PermitRootLogin no\n".to_vec()),
            (path(b"/etc/x\xff"), Vec::new()),
        ])
    }

    fn compressed(plain: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(vec![VERSION], Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn record(path: &[u8], bytes: &[u8]) -> Vec<u8> {
        let lengths = ((path.len() as u16).to_be_bytes(), (bytes.len() as u32).to_be_bytes());
        [&lengths.0[..], path, &lengths.1, bytes].concat()
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        assert_eq!(unpack(&pack(&contents()).unwrap()), Ok(contents()));
        assert_eq!(unpack(&pack(&Contents::new()).unwrap()), Ok(Contents::new()));
    }

    #[test]
    fn a_container_cut_anywhere_or_with_a_byte_more_is_refused() {
        let packed = pack(&contents()).unwrap();
        for length in 0..packed.len() {
            assert!(unpack(&packed[..length]).is_err(), "{length}");
        }
        let error = unpack(&[packed.as_slice(), b"x"].concat()).unwrap_err();
        assert_eq!(error, ContentsError::Compression { found: "1 bytes left over".to_owned() });
        assert_eq!(unpack(&[2]), Err(ContentsError::Version { found: Some(2) }));
        assert_eq!(unpack(&[]), Err(ContentsError::Version { found: None }));
    }

    #[test]
    fn a_bomb_stops_at_the_budget() {
        let bomb = compressed(&vec![0; 200 << 20]);
        assert!(bomb.len() < MAX_PACKED, "{}", bomb.len());
        let expected = ContentsError::TooLarge { what: "all contents together", expected: MAX_UNPACKED };
        assert_eq!(unpack(&bomb), Err(expected));
        let large = vec![0; MAX_PACKED + 1];
        let expected = ContentsError::TooLarge { what: "the compressed contents", expected: MAX_PACKED };
        assert_eq!(unpack(&large), Err(expected));
    }

    #[test]
    fn a_file_that_claims_a_gigabyte_is_refused_before_anything_is_kept() {
        let mut plain = record(b"/etc/big", b"");
        let at = plain.len() - 4;
        plain[at..].copy_from_slice(&(1_u32 << 30).to_be_bytes());
        assert_eq!(
            unpack(&compressed(&plain)),
            Err(ContentsError::TooLarge { what: "a file", expected: MAX_FILE })
        );
    }

    #[test]
    fn paths_ascend_and_are_normal() {
        let twice = [record(b"/a", b"1"), record(b"/a", b"2")].concat();
        assert!(matches!(unpack(&compressed(&twice)), Err(ContentsError::Order { .. })));
        let traversal = record(b"/etc/../root/key", b"1");
        assert!(matches!(unpack(&compressed(&traversal)), Err(ContentsError::Path(_))));
        let many: Vec<u8> =
            (0..=MAX_FILES).flat_map(|n| record(format!("/{n:08}").as_bytes(), b"")).collect();
        let expected = ContentsError::TooLarge { what: "the number of files", expected: MAX_FILES };
        assert_eq!(unpack(&compressed(&many)), Err(expected));
    }
}
