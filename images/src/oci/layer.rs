//! One layer: decompress, check its digests, place its entries in the tree.

use super::tree::{Node, Tree, TreeError};
use flate2::bufread::MultiGzDecoder;
use sealpod_evidence::bytes::{HexArray, Sha256Digest};
use sealpod_evidence::workload::ImageDigest;
use sha2::{Digest as _, Sha256};
use std::io::{self, BufReader, Read};

/// Prefix that hides one entry (OCI image layer specification, *Whiteouts*).
const WHITEOUT: &str = ".wh.";
/// Name that hides all entries of a directory.
const OPAQUE: &str = ".wh..wh..opq";
/// Largest window of a zstd layer, as the guest allows it.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Why a layer is refused.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// It cannot be read or decompressed.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A kind that the guest does not unpack.
    #[error("media type {found:?} is not supported (expected a tar, plain or compressed with gzip or zstd)")]
    MediaType {
        /// The media type.
        found: String,
    },
    /// Bytes that are not what the manifest or the configuration says.
    #[error("{what} is {found}, expected {expected}; the image is damaged")]
    Digest {
        /// Which of the two.
        what: &'static str,
        /// What was named.
        expected: ImageDigest,
        /// What the bytes are.
        found: ImageDigest,
    },
    /// An entry that the guest refuses.
    #[error("entry {path:?}: {what}")]
    Entry {
        /// Its path.
        path: String,
        /// What is wrong with it.
        what: String,
    },
}

/// Apply a layer to the tree.
pub fn apply(
    blob: impl Read,
    digest: ImageDigest,
    diff_id: ImageDigest,
    media_type: &str,
    tree: &mut Tree,
) -> Result<(), LayerError> {
    let mut blob = Hashing { inner: blob, hash: Sha256::new() };
    let buffered = BufReader::with_capacity(64 * 1024, &mut blob);
    let found = match media_type {
        "application/vnd.oci.image.layer.v1.tar" => entries(buffered, tree)?,
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
            entries(MultiGzDecoder::new(buffered), tree)?
        }
        "application/vnd.oci.image.layer.v1.tar+zstd" => {
            let mut decoder = zstd::Decoder::with_buffer(buffered)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            entries(decoder, tree)?
        }
        other => return Err(LayerError::MediaType { found: other.to_owned() }),
    };
    io::copy(&mut blob, &mut io::sink())?;
    expect("blob digest", digest, blob.digest())?;
    expect("uncompressed digest", diff_id, found)
}

fn expect(what: &'static str, expected: ImageDigest, found: ImageDigest) -> Result<(), LayerError> {
    if expected == found { Ok(()) } else { Err(LayerError::Digest { what, expected, found }) }
}

/// Place all entries; gives the digest of the whole uncompressed stream.
fn entries(stream: impl Read, tree: &mut Tree) -> Result<ImageDigest, LayerError> {
    let mut stream = Hashing { inner: stream, hash: Sha256::new() };
    tree.begin_layer();
    let mut archive = tar::Archive::new(&mut stream);
    for entry in archive.entries()? {
        place(&mut entry?, tree)?;
    }
    io::copy(&mut stream, &mut io::sink())?;
    Ok(stream.digest())
}

fn place<R: Read>(entry: &mut tar::Entry<'_, R>, tree: &mut Tree) -> Result<(), LayerError> {
    let raw = entry.path_bytes().into_owned();
    let shown = String::from_utf8_lossy(&raw[..raw.len().min(256)]).into_owned();
    let refuse = |what: String| LayerError::Entry { path: shown.clone(), what };
    let path = segments(&raw).map_err(|what| refuse(what.to_owned()))?;
    let kind = entry.header().entry_type();
    let link = entry.link_name_bytes().map(|bytes| bytes.into_owned()).unwrap_or_default();
    let Some(name) = path.last() else {
        return Ok(());
    };
    let placed = if name == OPAQUE {
        tree.opaque(&path)
    } else if let Some(hidden) = name.strip_prefix(WHITEOUT) {
        let mut hidden_path = path.clone();
        hidden_path.pop();
        hidden_path.push(hidden.to_owned());
        if hidden.is_empty() { Ok(()) } else { tree.whiteout(&hidden_path) }
    } else {
        match kind {
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                let mut hash = Sha256::new();
                io::copy(entry, &mut hash)?;
                tree.place(&path, Node::File(HexArray(hash.finalize().into())))
            }
            tar::EntryType::Directory => tree.place(&path, Node::Directory),
            tar::EntryType::Symlink => {
                let target = String::from_utf8(link);
                let target = target.map_err(|_| refuse("its link target is not UTF-8".to_owned()))?;
                tree.place(&path, Node::Symlink(target))
            }
            tar::EntryType::Link => {
                let source = segments(&link).map_err(|what| refuse(what.to_owned()))?;
                tree.hard_link(&path, &source)
            }
            tar::EntryType::XGlobalHeader => Ok(()),
            other => {
                let found = other.as_byte();
                let what = format!("type {found:#04x}; devices, FIFOs and sparse files are not unpacked");
                return Err(refuse(what));
            }
        }
    };
    placed.map_err(|error: TreeError| refuse(error.to_string()))
}

/// The path's segments; none for the root.
fn segments(bytes: &[u8]) -> Result<Vec<String>, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "its path is not UTF-8")?;
    let parts: Vec<String> =
        text.split('/').filter(|s| !s.is_empty() && *s != ".").map(str::to_owned).collect();
    if parts.iter().any(|s| s == "..") { Err("its path holds \"..\"") } else { Ok(parts) }
}

struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R> Hashing<R> {
    fn digest(self) -> ImageDigest {
        let digest: Sha256Digest = HexArray(self.hash.finalize().into());
        ImageDigest(digest)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}
