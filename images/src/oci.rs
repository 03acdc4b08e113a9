//! Files of a container image, by the path and digest with which IMA will report them.
//!
//! Reads an OCI layout (OCI image specification 1.1), as a directory or as an uncompressed tar, and checks every blob
//! on the way from the manifest's digest down: what is written into the Reference Values is what the guest will unpack.

mod layer;
mod layout;
mod tree;

use layer::LayerError;
use layout::Layout;
use oci_spec::image::{Arch, Descriptor, ImageConfiguration, ImageIndex, ImageManifest, Os};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::reference_values::FileSet;
use sealpod_evidence::workload::ImageDigest;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use tree::Tree;

/// Most bytes of one JSON document: what the guest parses (guest/src/image.rs).
const MAX_DOCUMENT: u64 = 1 << 20;
/// Most layers: what overlayfs, hence every other runtime, can stack.
const MAX_LAYERS: usize = 127;

/// Why an image's files cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// It cannot be read.
    #[error("container image {path}: {source}")]
    Read {
        /// Which file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Something else than an OCI layout.
    #[error(
        "{path} is no OCI layout (directory or uncompressed tar with index.json); make one with `skopeo copy docker-archive:FILE oci:DIR`"
    )]
    Unknown {
        /// What was named.
        path: PathBuf,
    },
    /// A blob that is named is not there.
    #[error("container image: {what} ({digest}) is missing")]
    Missing {
        /// What it is.
        what: &'static str,
        /// Its digest.
        digest: ImageDigest,
    },
    /// A document that is longer than the guest parses.
    #[error("container image: {what} is longer than {expected} bytes")]
    TooLong {
        /// Which document.
        what: &'static str,
        /// The budget.
        expected: u64,
    },
    /// A document that does not parse.
    #[error("container image: {what} does not parse: {message}")]
    Syntax {
        /// Which document.
        what: &'static str,
        /// Why.
        message: String,
    },
    /// A blob whose bytes are not what its name says.
    #[error("container image: {what} has digest {found}, expected {expected}; the image is damaged")]
    Digest {
        /// What it is.
        what: &'static str,
        /// What was named.
        expected: ImageDigest,
        /// What the bytes are.
        found: ImageDigest,
    },
    /// A digest of another kind.
    #[error("container image: digest {found:?} is not a sha256 digest")]
    DigestText {
        /// The text found.
        found: String,
    },
    /// No image, or several.
    #[error(
        "container image: {found} images for linux/amd64 in this layout, expected one; copy one out with `skopeo copy`"
    )]
    Choice {
        /// How many.
        found: usize,
    },
    /// An image for another machine.
    #[error("container image: it is for {found}, expected linux/amd64")]
    Platform {
        /// Its platform.
        found: String,
    },
    /// More layers than can be stacked, or another number than the configuration has.
    #[error("container image: {found} layers, expected {expected}")]
    Layers {
        /// The configuration's number, or the limit.
        expected: usize,
        /// The manifest's number.
        found: usize,
    },
    /// A layer is refused.
    #[error("container image, layer {digest}: {source}")]
    Layer {
        /// Its digest.
        digest: ImageDigest,
        /// Why.
        source: LayerError,
    },
}

/// All regular files of the one linux/amd64 image in the layout at `path`.
///
/// Says what the guest's root file system holds before the container starts. What the container writes later is not
/// in it, and executing that is what appraisal finds.
pub fn container_files(path: &Path) -> Result<FileSet, OciError> {
    let mut layout = Layout::open(path)?;
    let descriptor = choose(&mut layout)?;
    let (digest, bytes) = document(&mut layout, &descriptor, "manifest")?;
    let manifest: ImageManifest = parse("manifest", &bytes)?;
    let found = manifest.layers().len();
    if found > MAX_LAYERS {
        return Err(OciError::Layers { expected: MAX_LAYERS, found });
    }
    let config: ImageConfiguration =
        parse("configuration", &document(&mut layout, manifest.config(), "configuration")?.1)?;
    if *config.os() != Os::Linux || *config.architecture() != Arch::Amd64 {
        return Err(OciError::Platform { found: format!("{}/{}", config.os(), config.architecture()) });
    }
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != found {
        return Err(OciError::Layers { expected: diff_ids.len(), found });
    }
    let mut tree = Tree::default();
    for (descriptor, diff_id) in manifest.layers().iter().zip(diff_ids) {
        let digest = digest_of(descriptor.digest().as_ref())?;
        let diff_id = digest_of(diff_id)?;
        let blob = layout.open_blob(digest, "layer")?;
        let what = descriptor.media_type().to_string();
        layer::apply(blob, digest, diff_id, &what, &mut tree)
            .map_err(|source| OciError::Layer { digest, source })?;
    }
    Ok(FileSet {
        image: Some(digest),
        description: format!("files of container image {}", name(path)),
        files: tree.files(),
    })
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The descriptor of the one manifest for this platform. One level of nested indexes is followed, as
/// `docker save` and `skopeo copy --all` write them.
fn choose(layout: &mut Layout) -> Result<Descriptor, OciError> {
    let index: ImageIndex = parse("index.json", &layout.index_json()?)?;
    let mut candidates: Vec<Descriptor> = Vec::new();
    for descriptor in index.manifests().iter().filter(|d| fits(d)) {
        let kind = descriptor.media_type().to_string();
        if kind.contains("index") || kind.contains("manifest.list") {
            let inner: ImageIndex = parse("image index", &document(layout, descriptor, "image index")?.1)?;
            candidates.extend(inner.manifests().iter().filter(|d| fits(d)).cloned());
        } else {
            candidates.push(descriptor.clone());
        }
    }
    candidates.dedup_by(|a, b| a.digest() == b.digest());
    match <[_; 1]>::try_from(candidates) {
        Ok([one]) => Ok(one),
        Err(other) => Err(OciError::Choice { found: other.len() }),
    }
}

/// Descriptors without a platform may be for this one; the configuration decides.
fn fits(descriptor: &Descriptor) -> bool {
    descriptor.platform().as_ref().is_none_or(|p| *p.os() == Os::Linux && *p.architecture() == Arch::Amd64)
}

fn document(
    layout: &mut Layout,
    descriptor: &Descriptor,
    what: &'static str,
) -> Result<(ImageDigest, Vec<u8>), OciError> {
    let expected = digest_of(descriptor.digest().as_ref())?;
    let mut bytes = Vec::new();
    let read = layout.open_blob(expected, what)?.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes);
    read.map_err(|source| OciError::Read { path: layout.path().to_owned(), source })?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(OciError::TooLong { what, expected: MAX_DOCUMENT });
    }
    let found = ImageDigest(HexArray(Sha256::digest(&bytes).into()));
    if found != expected {
        return Err(OciError::Digest { what, expected, found });
    }
    Ok((expected, bytes))
}

fn digest_of(text: &str) -> Result<ImageDigest, OciError> {
    text.parse().map_err(|_| OciError::DigestText { found: text.chars().take(128).collect() })
}

fn parse<T: serde::de::DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, OciError> {
    serde_json::from_slice(bytes).map_err(|e| OciError::Syntax { what, message: e.to_string() })
}

#[cfg(test)]
mod tests;
