//! Container images: whatever was given becomes one plain tar of an OCI layout, every blob verified on the way.
//!
//! The guest verifies all of it again; this finds damage before a machine is started.

use oci_spec::image::{Arch, Descriptor, ImageConfiguration, ImageIndex, ImageManifest, Os};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::workload::ImageDigest;
use sha2::{Digest as _, Sha256};
use source::Source;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

mod docker;
pub mod registry;
mod source;
#[cfg(test)]
mod tests;

/// Most bytes of one JSON document: four times what registries accept for a manifest.
const MAX_DOCUMENT: u64 = 16 * 1024 * 1024;
/// Most layers: what overlayfs, hence every other runtime, can stack.
const MAX_LAYERS: usize = 127;
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// An image, its documents verified; its layers are verified when written.
pub struct Image {
    pub digest: ImageDigest,
    pub config: Config,
    source: Source,
    documents: Vec<(ImageDigest, Vec<u8>)>,
    layers: Vec<Layer>,
}

/// What the image says about its containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    pub env: Vec<String>,
    pub working_dir: String,
    pub user: String,
}

/// A layer and where it is in the source.
struct Layer {
    digest: ImageDigest,
    size: u64,
    path: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("image {path:?}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "image {path:?} is neither an OCI layout nor a `docker save` archive; make one with `skopeo copy docker://NAME oci:DIR`"
    )]
    Unknown { path: PathBuf },
    #[error("image {path:?} is compressed; decompress it first")]
    Compressed { path: PathBuf },
    #[error("image: {what} is missing")]
    Missing { what: String },
    #[error("image: {what} does not parse: {message}")]
    Syntax { what: String, message: String },
    #[error("image: {what} is longer than {expected} bytes")]
    TooLong { what: String, expected: u64 },
    #[error("image: {what} has digest {found}, expected {expected}; the image is damaged")]
    Digest { what: String, expected: ImageDigest, found: ImageDigest },
    #[error("image: {what} has {found} bytes, expected {expected}; the image is damaged")]
    Size { what: String, expected: u64, found: u64 },
    #[error("image: digest {found:?} is not a sha256 digest")]
    DigestText { found: String },
    #[error(
        "image: {found} images for linux/amd64 in this archive, expected one; copy one out with `skopeo copy`"
    )]
    Choice { found: usize },
    #[error("image: it is for {found}, expected linux/amd64")]
    Platform { found: String },
    #[error("image: {found} layers, at most {expected} are possible")]
    Layers { expected: usize, found: usize },
    #[error("image archive: {0}")]
    Archive(#[from] source::ArchiveError),
}

impl Image {
    /// Open an OCI layout (directory or tar) or a `docker save` archive.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let mut source = Source::open(path)?;
        if source.contains("index.json") {
            open_layout(source)
        } else if source.contains("manifest.json") {
            docker::open(&mut source)
                .and_then(|(manifest, config, layers)| assemble(source, manifest, config, layers))
        } else {
            Err(ImageError::Unknown { path: path.to_owned() })
        }
    }

    /// Write the disk that the guest gets. Every blob is digested while it is copied.
    pub fn write_disk(&mut self, path: &Path) -> Result<(), ImageError> {
        let io_error = |source| ImageError::Io { path: path.to_owned(), source };
        let mut tar = tar::Builder::new(BufWriter::new(File::create(path).map_err(io_error)?));
        let size = self.documents[0].1.len();
        let index = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": self.digest, "size": size}],
        });
        append(&mut tar, "oci-layout", LAYOUT.len() as u64, LAYOUT).map_err(io_error)?;
        let index = index.to_string();
        append(&mut tar, "index.json", index.len() as u64, index.as_bytes()).map_err(io_error)?;
        let mut written = std::collections::BTreeSet::new();
        for (digest, bytes) in &self.documents {
            if written.insert(*digest) {
                append(&mut tar, &blob_path(digest), bytes.len() as u64, &bytes[..]).map_err(io_error)?;
            }
        }
        for layer in &self.layers {
            if written.insert(layer.digest) {
                let what = format!("layer {}", layer.digest);
                let (mut reader, found) = open_blob(&mut self.source, &layer.path, &what)?;
                if found != layer.size {
                    return Err(ImageError::Size { what, expected: layer.size, found });
                }
                let mut hashing = Hashing { reader: &mut reader, hash: Sha256::new() };
                append(&mut tar, &blob_path(&layer.digest), layer.size, &mut hashing).map_err(io_error)?;
                check(&what, layer.digest, ImageDigest(HexArray(hashing.hash.finalize().into())))?;
            }
        }
        // The tar's own end is a multiple of 512, a whole number of disk sectors.
        tar.into_inner().and_then(|mut file| file.flush()).map_err(io_error)
    }
}

fn open_layout(mut source: Source) -> Result<Image, ImageError> {
    let index: ImageIndex = parse("index.json", &read(&mut source, "index.json", "index.json")?)?;
    let mut candidates: Vec<Descriptor> = Vec::new();
    for descriptor in index.manifests().iter().filter(|d| fits(d)) {
        if descriptor.media_type().to_string().contains("index")
            || descriptor.media_type().to_string().contains("list")
        {
            let bytes = document(&mut source, descriptor, "image index")?.1;
            let inner: ImageIndex = parse("image index", &bytes)?;
            candidates.extend(inner.manifests().iter().filter(|d| fits(d)).cloned());
        } else {
            candidates.push(descriptor.clone());
        }
    }
    candidates.dedup_by(|a, b| a.digest() == b.digest());
    let [manifest] = &candidates[..] else {
        return Err(ImageError::Choice { found: candidates.len() });
    };
    let manifest = document(&mut source, manifest, "manifest")?;
    let parsed: ImageManifest = parse("manifest", &manifest.1)?;
    let config = document(&mut source, parsed.config(), "configuration")?;
    let layers = parsed.layers().iter().map(|descriptor| {
        let digest = digest_of(descriptor)?;
        Ok(Layer { digest, size: descriptor.size(), path: blob_path(&digest) })
    });
    let layers = layers.collect::<Result<_, ImageError>>()?;
    assemble(source, manifest, config, layers)
}

fn assemble(
    source: Source,
    manifest: (ImageDigest, Vec<u8>),
    config: (ImageDigest, Vec<u8>),
    layers: Vec<Layer>,
) -> Result<Image, ImageError> {
    if layers.len() > MAX_LAYERS {
        return Err(ImageError::Layers { expected: MAX_LAYERS, found: layers.len() });
    }
    let parsed: ImageConfiguration = parse("configuration", &config.1)?;
    if *parsed.os() != Os::Linux || *parsed.architecture() != Arch::Amd64 {
        return Err(ImageError::Platform { found: format!("{}/{}", parsed.os(), parsed.architecture()) });
    }
    let mut container = Config { working_dir: "/".to_owned(), ..Config::default() };
    if let Some(config) = parsed.config() {
        container.entrypoint = config.entrypoint().clone().unwrap_or_default();
        container.cmd = config.cmd().clone().unwrap_or_default();
        container.env = config.env().clone().unwrap_or_default();
        container.user = config.user().clone().unwrap_or_default();
        if let Some(dir) = config.working_dir().clone().filter(|dir| !dir.is_empty()) {
            container.working_dir = dir;
        }
    }
    Ok(Image { digest: manifest.0, config: container, source, documents: vec![manifest, config], layers })
}

/// Descriptors without a platform may be for this one; the configuration decides.
fn fits(descriptor: &Descriptor) -> bool {
    descriptor.platform().as_ref().is_none_or(|p| *p.os() == Os::Linux && *p.architecture() == Arch::Amd64)
}

fn document(
    source: &mut Source,
    descriptor: &Descriptor,
    what: &str,
) -> Result<(ImageDigest, Vec<u8>), ImageError> {
    let expected = digest_of(descriptor)?;
    let bytes = read(source, &blob_path(&expected), what)?;
    let found = bytes.len() as u64;
    if found != descriptor.size() {
        return Err(ImageError::Size { what: what.to_owned(), expected: descriptor.size(), found });
    }
    check(what, expected, digest(&bytes))?;
    Ok((expected, bytes))
}

fn check(what: &str, expected: ImageDigest, found: ImageDigest) -> Result<(), ImageError> {
    if expected == found {
        Ok(())
    } else {
        Err(ImageError::Digest { what: what.to_owned(), expected, found })
    }
}

fn digest(bytes: &[u8]) -> ImageDigest {
    ImageDigest(HexArray(Sha256::digest(bytes).into()))
}

fn digest_of(descriptor: &Descriptor) -> Result<ImageDigest, ImageError> {
    let text: &str = descriptor.digest().as_ref();
    text.parse().map_err(|_| ImageError::DigestText { found: text.chars().take(128).collect() })
}

fn blob_path(digest: &ImageDigest) -> String {
    format!("blobs/sha256/{}", digest.0)
}

fn parse<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, ImageError> {
    serde_json::from_slice(bytes)
        .map_err(|e| ImageError::Syntax { what: what.to_owned(), message: e.to_string() })
}

fn open_blob<'a>(source: &'a mut Source, path: &str, what: &str) -> Result<source::Entry<'a>, ImageError> {
    source.open_entry(path)?.ok_or_else(|| ImageError::Missing { what: format!("{what} ({path})") })
}

fn read(source: &mut Source, path: &str, what: &str) -> Result<Vec<u8>, ImageError> {
    let (reader, size) = open_blob(source, path, what)?;
    if size > MAX_DOCUMENT {
        return Err(ImageError::TooLong { what: what.to_owned(), expected: MAX_DOCUMENT });
    }
    let mut bytes = Vec::new();
    let read = reader.take(MAX_DOCUMENT).read_to_end(&mut bytes);
    read.map_err(|source| ImageError::Io { path: path.into(), source })?;
    Ok(bytes)
}

fn append<W: io::Write>(tar: &mut tar::Builder<W>, name: &str, size: u64, data: impl Read) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(size);
    tar.append_data(&mut header, name, data.take(size))
}

struct Hashing<R> {
    reader: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}
