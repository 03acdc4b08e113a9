//! One layer: decompress, check the uncompressed digest, and apply its entries to the tree.

use super::budget::Exhausted;
use super::manifest::{Compression, LayerBlob};
use super::rootfs::{InnerPath, Meta, PathError, Rootfs};
use flate2::bufread::MultiGzDecoder;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::workload::ImageDigest;
use sha2::{Digest as _, Sha256};
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, BufReader, Read};
use tar::{EntryType, PaxExtensions};

/// Most uncompressed bytes of one layer. The tree lives in guest memory, which is the true limit; this one
/// stops a decompression bomb that writes nothing (one huge extension header, or trailing data).
const MAX_UNPACKED: u64 = 16 << 30;
/// Most entries of one layer: 20 times a full distribution.
const MAX_ENTRIES: u64 = 1_000_000;
/// Longest extension header: two paths of `PATH_MAX` and room for extended attributes.
const MAX_EXTENSION: u64 = 256 * 1024;

/// Prefix that hides one entry (OCI image layer specification, *Whiteouts*).
const WHITEOUT: &str = ".wh.";
/// Name that hides all entries of a directory.
const OPAQUE: &str = ".wh..wh..opq";

/// Why a layer is refused.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// It cannot be decompressed, read or written.
    #[error("{what}: {source}")]
    Io {
        /// What was done, with the entry's path.
        what: String,
        /// The system's or decompressor's answer.
        source: io::Error,
    },
    /// A path that is not used.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A device, FIFO, sparse file or something unknown.
    #[error("entry {path:?} is of type {found:#04x}; devices, FIFOs and sparse files are not unpacked")]
    Type {
        /// Its path.
        path: String,
        /// The type flag.
        found: u8,
    },
    /// More than a budget allows.
    #[error("more than {expected} {what}")]
    Budget {
        /// Of what.
        what: &'static str,
        /// The budget.
        expected: u64,
    },
    /// It does not fit into memory.
    #[error(transparent)]
    Memory(Exhausted),
    /// A field that is read, where it would be for all entries that follow.
    #[error("a global extension header sets {found:?}, which is not supported")]
    Global {
        /// The field.
        found: &'static str,
    },
    /// The uncompressed bytes are not what the configuration says.
    #[error("uncompressed digest is {found}, the configuration's diff_id is {expected}")]
    DiffId {
        /// The configuration's.
        expected: ImageDigest,
        /// The layer's.
        found: ImageDigest,
    },
}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> LayerError {
    let what = what.into();
    move |source| match Exhausted::inside(&source) {
        Some(exhausted) => LayerError::Memory(exhausted),
        None => LayerError::Io { what, source },
    }
}

/// Apply a layer whose blob is already known by digest: `file` holds exactly the bytes that `blob` names.
///
/// Extended attributes are not kept: file capabilities would be inert under `no_new_privs`.
pub fn apply(
    file: File,
    blob: &LayerBlob,
    diff_id: ImageDigest,
    rootfs: &mut Rootfs<'_>,
) -> Result<(), LayerError> {
    let file = BufReader::with_capacity(64 * 1024, file);
    match blob.compression {
        Compression::None => {
            // The same bytes have the same digest: they need not be digested twice.
            compare(diff_id, blob.digest)?;
            rootfs.begin_layer();
            apply_entries(&mut { file }, rootfs)
        }
        Compression::Gzip => apply_stream(MultiGzDecoder::new(file), diff_id, rootfs),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(file).map_err(io_error("starting zstd"))?;
            // 2^27 is the most the zstd command line uses without --long; a larger window is only memory.
            decoder.window_log_max(27).map_err(io_error("starting zstd"))?;
            apply_stream(decoder, diff_id, rootfs)
        }
    }
}

/// Counts and digests what passes through it.
struct Meter<'a, R> {
    inner: R,
    hash: &'a RefCell<Sha256>,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Meter<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let left = self.left.get().checked_sub(count as u64);
        self.left
            .set(left.ok_or_else(|| io::Error::other(format!("more than {MAX_UNPACKED} bytes unpacked")))?);
        self.hash.borrow_mut().update(&buffer[..count]);
        Ok(count)
    }
}

fn apply_stream(stream: impl Read, diff_id: ImageDigest, rootfs: &mut Rootfs<'_>) -> Result<(), LayerError> {
    let (hash, left) = (RefCell::new(Sha256::new()), Cell::new(MAX_UNPACKED));
    let mut meter = Meter { inner: stream, hash: &hash, left: &left };
    rootfs.begin_layer();
    apply_entries(&mut meter, rootfs)?;
    // The digest is over the whole stream, whatever follows the tar's end.
    io::copy(&mut meter, &mut io::sink()).map_err(io_error("reading the layer"))?;
    let found = ImageDigest(HexArray(hash.into_inner().finalize().into()));
    compare(diff_id, found)
}

fn compare(expected: ImageDigest, found: ImageDigest) -> Result<(), LayerError> {
    if found != expected {
        return Err(LayerError::DiffId { expected, found });
    }
    Ok(())
}

/// What extension headers say about the next entry.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Extension {
    /// The name of a field that is set, if any is.
    fn field(&self) -> Option<&'static str> {
        let fields = [
            ("path", self.path.is_some()),
            ("linkpath", self.link.is_some()),
            ("uid", self.uid.is_some()),
            ("gid", self.gid.is_some()),
        ];
        fields.into_iter().find(|(_, set)| *set).map(|(name, _)| name)
    }
}

fn apply_entries(stream: &mut impl Read, rootfs: &mut Rootfs<'_>) -> Result<(), LayerError> {
    let mut archive = tar::Archive::new(stream);
    // Raw: extension headers come as entries, so that their length is ours to limit.
    let entries = archive.entries().map_err(io_error("reading the layer"))?.raw(true);
    let mut extension = Extension::default();
    let mut count = 0;
    for entry in entries {
        let mut entry = entry.map_err(io_error("reading the layer"))?;
        count += 1;
        if count > MAX_ENTRIES {
            return Err(LayerError::Budget { what: "entries", expected: MAX_ENTRIES });
        }
        match entry.header().entry_type() {
            EntryType::GNULongName => extension.path = Some(long_name(&mut entry)?),
            EntryType::GNULongLink => extension.link = Some(long_name(&mut entry)?),
            EntryType::XHeader => read_pax(&mut entry, &mut extension)?,
            EntryType::XGlobalHeader => {
                let mut global = Extension::default();
                read_pax(&mut entry, &mut global)?;
                if let Some(found) = global.field() {
                    return Err(LayerError::Global { found });
                }
            }
            _ => apply_entry(&mut entry, std::mem::take(&mut extension), rootfs)?,
        }
    }
    Ok(())
}

fn apply_entry<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    extension: Extension,
    rootfs: &mut Rootfs<'_>,
) -> Result<(), LayerError> {
    let header = entry.header().clone();
    let path = extension.path.clone().unwrap_or_else(|| header.path_bytes().into_owned());
    let shown = String::from_utf8_lossy(&path[..path.len().min(256)]).into_owned();
    let meta = meta(&header, &extension).map_err(io_error(shown.clone()))?;
    let Some(path) = InnerPath::parse(&path)? else {
        return rootfs.root_meta(meta).map_err(io_error("/"));
    };
    let link = extension.link.or_else(|| header.link_name_bytes().map(Vec::from));
    let done = if path.name() == OPAQUE {
        rootfs.opaque(&path)
    } else if let Some(hidden) = path.name().strip_prefix(WHITEOUT) {
        let hidden = InnerPath::parse(hidden.as_bytes())?.map(|name| path.with_name(name.name()));
        hidden.map_or(Ok(()), |hidden| rootfs.whiteout(&hidden))
    } else {
        match header.entry_type() {
            EntryType::Regular | EntryType::Continuous => rootfs.file(&path, meta, entry),
            EntryType::Directory => rootfs.directory(&path, meta),
            EntryType::Symlink => link_text(link).and_then(|target| rootfs.symlink(&path, &target, meta)),
            EntryType::Link => {
                let source = InnerPath::parse(&link.unwrap_or_default())?;
                source.map_or(Err(io::ErrorKind::InvalidInput.into()), |source| {
                    rootfs.hard_link(&path, &source)
                })
            }
            other => {
                return Err(LayerError::Type { path: shown, found: other.as_byte() });
            }
        }
    };
    done.map_err(io_error(shown))
}

fn meta(header: &tar::Header, extension: &Extension) -> io::Result<Meta> {
    let id = |value: u64| u32::try_from(value).map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
    Ok(Meta {
        uid: extension.uid.map_or_else(|| id(header.uid()?), Ok)?,
        gid: extension.gid.map_or_else(|| id(header.gid()?), Ok)?,
        mode: header.mode()? & 0o7777,
        // Later than any file system keeps would overflow the kernel's time; such a stamp is not worth an error.
        mtime: header.mtime()?.min(u64::from(u32::MAX)),
    })
}

fn link_text(link: Option<Vec<u8>>) -> io::Result<String> {
    String::from_utf8(link.unwrap_or_default()).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

fn read_extension<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, LayerError> {
    if entry.size() > MAX_EXTENSION {
        return Err(LayerError::Budget { what: "bytes of extension header", expected: MAX_EXTENSION });
    }
    let mut bytes = Vec::new();
    entry.take(MAX_EXTENSION).read_to_end(&mut bytes).map_err(io_error("reading an extension header"))?;
    Ok(bytes)
}

fn long_name<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Vec<u8>, LayerError> {
    let mut name = read_extension(entry)?;
    while name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

fn read_pax<R: Read>(entry: &mut tar::Entry<'_, R>, extension: &mut Extension) -> Result<(), LayerError> {
    let bytes = read_extension(entry)?;
    for record in PaxExtensions::new(&bytes) {
        let record = record.map_err(io_error("reading an extension header"))?;
        match record.key_bytes() {
            b"path" => extension.path = Some(record.value_bytes().to_vec()),
            b"linkpath" => extension.link = Some(record.value_bytes().to_vec()),
            b"uid" => extension.uid = Some(number(&record)?),
            b"gid" => extension.gid = Some(number(&record)?),
            // Sizes beyond a ustar header's 8 GiB do not fit the guest; sparse files are not unpacked.
            key if key == b"size" || key.starts_with(b"GNU.sparse") => {
                let path = String::from_utf8_lossy(key).into_owned();
                return Err(LayerError::Type { path, found: b'x' });
            }
            _ => {}
        }
    }
    Ok(())
}

/// An owner or group: decimal digits (POSIX.1-2017, pax, *pax Extended Header*).
fn number(record: &tar::PaxExtension<'_>) -> Result<u32, LayerError> {
    let digits = record.value().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let number = digits.and_then(|text| text.parse().ok());
    number.ok_or_else(|| io_error("reading an extension header")(io::ErrorKind::InvalidData.into()))
}
