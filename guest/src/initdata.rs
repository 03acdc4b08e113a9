//! initdata from the host's disk, believed only when the TEE report names its digest.

use crate::block;
use crate::files::{self, FileError};
use crate::tsm::{Tsm, TsmError};
use flate2::bufread::GzDecoder;
use sealpod_evidence::bytes::{HexArray, Sha256Digest};
use sealpod_evidence::initdata::{DISK_MAGIC, Initdata, InitdataError, MAX_LEN};
use sealpod_evidence::snp::report::{Report, ReportError};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Most compressed bytes that are read: gzip cannot make [`MAX_LEN`] bytes of text this much longer, so
/// more is not initdata.
const MAX_COMPRESSED: u64 = MAX_LEN as u64 + 4096;

/// Why initdata is not believed.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The disk cannot be read.
    #[error("initdata disk: {0}")]
    File(#[from] FileError),
    /// Not an initdata disk.
    #[error("initdata disk starts with {found:02x?}, expected {DISK_MAGIC:02x?}")]
    Magic {
        /// The first bytes.
        found: [u8; 8],
    },
    /// The length field is beyond the budget.
    #[error("initdata disk says {found} compressed bytes, at most {expected} are read")]
    Length {
        /// The budget.
        expected: u64,
        /// What the disk says.
        found: u64,
    },
    /// The text is longer than allowed once decompressed.
    #[error("initdata is longer than {expected} bytes once decompressed")]
    TooLong {
        /// The budget.
        expected: usize,
    },
    /// The compressed data is damaged.
    #[error("initdata does not decompress: {0}")]
    Gzip(io::Error),
    /// Bytes follow the compressed data inside its stated length.
    #[error("{found} bytes follow the compressed initdata")]
    Trailing {
        /// How many.
        found: u64,
    },
    /// Not UTF-8.
    #[error("initdata is not UTF-8")]
    Text,
    /// The document is refused.
    #[error(transparent)]
    Document(#[from] InitdataError),
    /// No report to check against.
    #[error(transparent)]
    Tsm(#[from] TsmError),
    /// The report does not parse.
    #[error("the TEE's report does not parse: {0}")]
    Report(#[from] ReportError),
    /// The host gave other initdata than the guest was launched with.
    #[error("initdata digest is {found}, but HOST_DATA in the TEE's report is {expected}")]
    HostData {
        /// HOST_DATA.
        expected: Sha256Digest,
        /// The digest of what is on the disk.
        found: Sha256Digest,
    },
}

/// Read the initdata disk; `None` where the host attached none.
///
/// 1. decompress;
/// 2. where there is a TEE, compare the digest with HOST_DATA of this guest's own report: it is what the guest was
///    launched with;
/// 3. only then parse.
///
/// That the owner accepts this digest is for the broker to say. Without a TEE it proves nothing about who wrote it.
pub fn read(tsm: Option<&Tsm>) -> Result<Option<Initdata>, DiskError> {
    let Some(path) = block::find(block::INITDATA) else {
        return Ok(None);
    };
    let file = File::open(&path).map_err(|e| FileError::io("open", &path, e))?;
    let bytes = read_disk(file, &path)?;
    if let Some(tsm) = tsm {
        let report = Report::parse(&tsm.report(&[0; 64])?.report)?;
        check_host_data(&bytes, HexArray(report.host_data()))?;
    }
    parse(bytes).map(Some)
}

fn check_host_data(text: &[u8], expected: Sha256Digest) -> Result<(), DiskError> {
    let found = HexArray(Sha256::digest(text).into());
    if found != expected {
        return Err(DiskError::HostData { expected, found });
    }
    Ok(())
}

fn parse(text: Vec<u8>) -> Result<Initdata, DiskError> {
    let text = String::from_utf8(text).map_err(|_| DiskError::Text)?;
    Ok(Initdata::parse(&text)?)
}

/// The decompressed text, believed by nobody yet.
fn read_disk(mut disk: impl Read, path: &Path) -> Result<Vec<u8>, DiskError> {
    let mut field = || -> Result<[u8; 8], FileError> {
        let mut bytes = [0; 8];
        disk.read_exact(&mut bytes).map_err(|e| FileError::io("read", path, e))?;
        Ok(bytes)
    };
    let found = field()?;
    if found != *DISK_MAGIC {
        return Err(DiskError::Magic { found });
    }
    let length = u64::from_le_bytes(field()?);
    if length > MAX_COMPRESSED {
        return Err(DiskError::Length { expected: MAX_COMPRESSED, found: length });
    }
    let mut decoder = GzDecoder::new(io::BufReader::new(disk.take(length)));
    let text = match files::read_from(&mut decoder, path, MAX_LEN) {
        Ok(bytes) => bytes,
        Err(FileError::TooLong { budget, .. }) => {
            return Err(DiskError::TooLong { expected: budget });
        }
        Err(FileError::Io { source, .. }) => return Err(DiskError::Gzip(source)),
    };
    let left = io::copy(&mut decoder.into_inner(), &mut io::sink()).map_err(DiskError::Gzip)?;
    if left != 0 {
        return Err(DiskError::Trailing { found: left });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use sealpod_evidence::initdata::PodPolicy;
    use std::io::Write as _;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn disk(compressed: &[u8]) -> Vec<u8> {
        let mut out = DISK_MAGIC.to_vec();
        out.extend((compressed.len() as u64).to_le_bytes());
        out.extend(compressed);
        out.resize(out.len().next_multiple_of(512), 0);
        out
    }

    fn parse(bytes: &[u8]) -> Result<Initdata, DiskError> {
        super::parse(read_disk(bytes, Path::new("disk"))?)
    }

    fn text() -> String {
        Initdata::compose(&PodPolicy { kbs: None, containers: vec![] }).unwrap().text().to_owned()
    }

    #[test]
    fn a_padded_disk_gives_the_document() {
        assert_eq!(parse(&disk(&gzip(text().as_bytes()))).unwrap().text(), text());
    }

    #[test]
    fn each_hostile_disk_has_its_own_error() {
        let good = disk(&gzip(text().as_bytes()));
        let mut other_magic = good.clone();
        other_magic[0] ^= 1;
        assert!(matches!(parse(&other_magic), Err(DiskError::Magic { .. })));
        let mut huge = good.clone();
        huge[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(parse(&huge), Err(DiskError::Length { found: u64::MAX, .. })));
        let mut damaged = good.clone();
        damaged[16] ^= 1;
        assert!(matches!(parse(&damaged), Err(DiskError::Gzip(_))));
        assert!(matches!(parse(&good[..12]), Err(DiskError::File(_))));
        assert!(matches!(parse(&good[..40]), Err(DiskError::Gzip(_))));
        assert!(matches!(parse(&disk(&gzip(&[0xff, 0xfe]))), Err(DiskError::Text)));
        assert!(matches!(parse(&disk(&gzip(b"x = "))), Err(DiskError::Document(_))));
    }

    #[test]
    fn the_digest_that_is_compared_is_the_documents() {
        let initdata = Initdata::parse(&text()).unwrap();
        check_host_data(text().as_bytes(), initdata.digest()).unwrap();
        // What does not even parse is refused for its digest.
        let error = check_host_data(b"x = ", initdata.digest()).unwrap_err();
        assert!(matches!(error, DiskError::HostData { expected, .. } if expected == initdata.digest()));
    }

    #[test]
    fn a_decompression_bomb_is_cut_at_the_budget() {
        let bomb = disk(&gzip(&vec![b'#'; 16 * 1024 * 1024]));
        assert!(matches!(parse(&bomb), Err(DiskError::TooLong { expected: MAX_LEN })));
    }

    #[test]
    fn bytes_after_the_compressed_data_are_refused() {
        let mut compressed = gzip(text().as_bytes());
        compressed.extend([0; 3]);
        assert!(matches!(parse(&disk(&compressed)), Err(DiskError::Trailing { found: 3 })));
    }
}
