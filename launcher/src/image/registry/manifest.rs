//! What indexes and manifests (OCI image specification 1.1, Docker schema 2) lead to.

use super::RegistryError;
use crate::image::MAX_LAYERS;
use oci_spec::image::{Arch, Descriptor, ImageIndex, ImageManifest, Os};
use sealpod_evidence::workload::ImageDigest;
use serde::Deserialize;
use std::collections::BTreeSet;

/// Most bytes of the one manifest and configuration that are used: what the guest parses (guest/src/image.rs).
pub const MAX_DOCUMENT: u64 = 1024 * 1024;
/// Most bytes of all layers: what the guest unpacks of a single one (guest/src/image/layer.rs).
pub const MAX_LAYERS_SIZE: u64 = 16 << 30;

/// A blob that is wanted.
pub struct Blob {
    /// From its descriptor, like its size in bytes.
    pub digest: ImageDigest,
    pub size: u64,
    /// What it is, for people.
    pub what: String,
}

/// What a manifest names.
pub struct Contents {
    /// The manifest's own media type.
    pub media_type: String,
    /// The configuration and the layers, each once.
    pub blobs: Vec<Blob>,
}

impl Contents {
    /// Parse a manifest and check that what it names fits the guest, before anything is brought.
    pub fn parse(bytes: &[u8]) -> Result<Self, RegistryError> {
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(RegistryError::TooLong { what: "the manifest".to_owned(), expected: MAX_DOCUMENT });
        }
        let manifest: ImageManifest = parse("the manifest", bytes)?;
        let media_type = manifest
            .media_type()
            .as_ref()
            .map_or_else(|| "application/vnd.oci.image.manifest.v1+json".to_owned(), ToString::to_string);
        Ok(Self { media_type, blobs: wanted(&manifest)? })
    }
}

/// Whether the document is an index. One that could be read as both index and manifest is refused: others would read
/// it the other way (CVE-2021-41190).
pub fn is_index(bytes: &[u8]) -> Result<bool, RegistryError> {
    #[derive(Deserialize)]
    struct Kind {
        manifests: Option<serde::de::IgnoredAny>,
        config: Option<serde::de::IgnoredAny>,
        layers: Option<serde::de::IgnoredAny>,
    }
    let kind: Kind = parse("the manifest", bytes)?;
    if kind.manifests.is_some() && (kind.config.is_some() || kind.layers.is_some()) {
        let message = "it is both an image and an index".to_owned();
        return Err(RegistryError::Syntax { what: "the manifest".to_owned(), message });
    }
    Ok(kind.manifests.is_some())
}

/// The image for this platform: one said to be for it, the variant that any processor runs first; without any, the
/// only one that says nothing.
pub fn choose(bytes: &[u8]) -> Result<Option<ImageDigest>, RegistryError> {
    let index: ImageIndex = parse("the image index", bytes)?;
    let fits = |d: &&Descriptor| {
        d.platform().as_ref().is_some_and(|p| *p.os() == Os::Linux && *p.architecture() == Arch::Amd64)
    };
    let plain = |d: &&Descriptor| d.platform().as_ref().is_some_and(|p| p.variant().is_none());
    let all: Vec<_> = index.manifests().iter().filter(fits).collect();
    let silent: Vec<_> = index.manifests().iter().filter(|d| d.platform().is_none()).collect();
    let chosen = all.iter().copied().find(plain).or(all.first().copied());
    let chosen = chosen.or(match silent[..] {
        [only] => Some(only),
        _ => None,
    });
    chosen.map(|d| parse_digest(d.digest().as_ref())).transpose()
}

fn wanted(manifest: &ImageManifest) -> Result<Vec<Blob>, RegistryError> {
    let config = manifest.config();
    if config.size() > MAX_DOCUMENT {
        return Err(RegistryError::TooLong { what: "the configuration".to_owned(), expected: MAX_DOCUMENT });
    }
    let total = manifest.layers().iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size()));
    if total > MAX_LAYERS_SIZE {
        return Err(RegistryError::Budget { expected: MAX_LAYERS_SIZE, found: total });
    }
    let count = manifest.layers().len();
    if count > MAX_LAYERS {
        let message = format!("{count} layers, at most {MAX_LAYERS} are possible");
        return Err(RegistryError::Syntax { what: "the manifest".to_owned(), message });
    }
    let mut blobs = Vec::new();
    let mut seen = BTreeSet::new();
    let names = (1..=count).map(|number| format!("layer {number} of {count}"));
    for (descriptor, what) in
        std::iter::once((config, "the configuration".to_owned())).chain(manifest.layers().iter().zip(names))
    {
        let digest = parse_digest(descriptor.digest().as_ref())?;
        if seen.insert(digest) {
            blobs.push(Blob { digest, size: descriptor.size(), what });
        }
    }
    Ok(blobs)
}

/// A digest in a reference or descriptor.
pub fn parse_digest(text: &str) -> Result<ImageDigest, RegistryError> {
    text.parse().map_err(|_| RegistryError::DigestText { found: text.chars().take(128).collect() })
}

fn parse<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, RegistryError> {
    serde_json::from_slice(bytes)
        .map_err(|e| RegistryError::Syntax { what: what.to_owned(), message: e.to_string() })
}
