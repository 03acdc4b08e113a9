//! Manifest and configuration (OCI image specification 1.1), already known by digest.

use oci_spec::image::{Arch, Descriptor, ImageConfiguration, ImageManifest, MediaType, Os};
use sealpod_evidence::workload::ImageDigest;
use serde::de::IgnoredAny;
use std::collections::HashMap;

/// Most layers: what overlayfs, hence every other runtime, can stack.
const MAX_LAYERS: usize = 127;

/// The only `schemaVersion` (OCI image specification 1.1, *Image Manifest*).
const SCHEMA: u32 = 2;
/// What a manifest may call itself; Docker's differs from OCI's by nothing that is read here.
const MANIFEST_KINDS: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
/// What it may call its configuration.
const CONFIG_KINDS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// How a layer's tar is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// A blob as its descriptor states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Its digest.
    pub digest: ImageDigest,
    /// Its size.
    pub size: u64,
}

/// A layer's blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerBlob {
    /// Its digest.
    pub digest: ImageDigest,
    /// Its size.
    pub size: u64,
    /// How to read it.
    pub compression: Compression,
}

/// What a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The configuration.
    pub config: Blob,
    /// The layers, lowest first.
    pub layers: Vec<LayerBlob>,
}

/// Why a manifest or configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not the JSON expected; an image *index* is refused here too, since its digest names no one image.
    #[error("{what} does not parse: {message}")]
    Syntax {
        /// Which document.
        what: &'static str,
        /// Why.
        message: String,
    },
    /// A descriptor's digest is not SHA-256.
    #[error("digest {found:?} is not a sha256 digest")]
    Digest {
        /// The text found.
        found: String,
    },
    /// A document that could be read as another kind, too (CVE-2021-41190): who names its digest means one of both.
    #[error("the manifest has a field {found:?}, which only an image index has")]
    Ambiguous {
        /// The field.
        found: &'static str,
    },
    /// Another version than the only one.
    #[error("the manifest's schemaVersion is {found}, expected {expected}")]
    Schema {
        /// The only version.
        expected: u32,
        /// The one found.
        found: u32,
    },
    /// A document that says it is of another kind.
    #[error("{what} has the media type {found:?}, expected {}", expected.join(" or "))]
    Kind {
        /// Which document.
        what: &'static str,
        /// What it may say.
        expected: [&'static str; 2],
        /// What it says.
        found: String,
    },
    /// A layer of a kind that is not unpacked.
    #[error(
        "layer media type {found:?} is not supported (expected a tar, plain or compressed with gzip or zstd)"
    )]
    MediaType {
        /// The media type found.
        found: String,
    },
    /// Too many layers.
    #[error("the image has {found} layers, at most {expected} are unpacked")]
    Layers {
        /// The budget.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// The configuration lists another number of layers than the manifest.
    #[error("the configuration has {found} diff_ids, the manifest has {expected} layers")]
    DiffIds {
        /// Layers in the manifest.
        expected: usize,
        /// `diff_ids` in the configuration.
        found: usize,
    },
    /// An image for another machine.
    #[error("the image is for {found}, expected linux/amd64")]
    Platform {
        /// Its platform.
        found: String,
    },
}

impl Contents {
    /// Parse a manifest.
    pub fn parse_manifest(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest: ImageManifest = parse("the manifest", bytes)?;
        let fields: HashMap<String, IgnoredAny> = parse("the manifest", bytes)?;
        if fields.contains_key("manifests") {
            return Err(ManifestError::Ambiguous { found: "manifests" });
        }
        if manifest.schema_version() != SCHEMA {
            return Err(ManifestError::Schema { expected: SCHEMA, found: manifest.schema_version() });
        }
        if let Some(kind) = manifest.media_type() {
            check_kind("the manifest", MANIFEST_KINDS, kind)?;
        }
        check_kind("the configuration's descriptor", CONFIG_KINDS, manifest.config().media_type())?;
        let found = manifest.layers().len();
        if found > MAX_LAYERS {
            return Err(ManifestError::Layers { expected: MAX_LAYERS, found });
        }
        let config = Blob { digest: digest_of(manifest.config())?, size: manifest.config().size() };
        let layers = manifest.layers().iter().map(layer).collect::<Result<_, _>>()?;
        Ok(Self { config, layers })
    }

    /// Check the configuration against this manifest and this machine; gives each layer's uncompressed digest.
    pub fn check_config(&self, bytes: &[u8]) -> Result<Vec<ImageDigest>, ManifestError> {
        let config: ImageConfiguration = parse("the configuration", bytes)?;
        if *config.os() != Os::Linux || *config.architecture() != Arch::Amd64 {
            return Err(ManifestError::Platform {
                found: format!("{}/{}", config.os(), config.architecture()),
            });
        }
        let diff_ids = config.rootfs().diff_ids();
        if diff_ids.len() != self.layers.len() {
            return Err(ManifestError::DiffIds { expected: self.layers.len(), found: diff_ids.len() });
        }
        diff_ids.iter().map(|id| parse_digest(id)).collect()
    }
}

fn check_kind(
    what: &'static str,
    expected: [&'static str; 2],
    found: &MediaType,
) -> Result<(), ManifestError> {
    let found = found.to_string();
    if expected.contains(&found.as_str()) {
        return Ok(());
    }
    Err(ManifestError::Kind { what, expected, found: found.chars().take(128).collect() })
}

fn parse<T: serde::de::DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, ManifestError> {
    serde_json::from_slice(bytes).map_err(|e| ManifestError::Syntax { what, message: e.to_string() })
}

fn layer(descriptor: &Descriptor) -> Result<LayerBlob, ManifestError> {
    let media_type = descriptor.media_type().to_string();
    let compression = match media_type.as_str() {
        "application/vnd.oci.image.layer.v1.tar" => Compression::None,
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Compression::Gzip,
        "application/vnd.oci.image.layer.v1.tar+zstd" => Compression::Zstd,
        _ => return Err(ManifestError::MediaType { found: media_type }),
    };
    Ok(LayerBlob { digest: digest_of(descriptor)?, size: descriptor.size(), compression })
}

fn digest_of(descriptor: &Descriptor) -> Result<ImageDigest, ManifestError> {
    parse_digest(descriptor.digest().as_ref())
}

fn parse_digest(text: &str) -> Result<ImageDigest, ManifestError> {
    text.parse().map_err(|_| ManifestError::Digest { found: text.chars().take(128).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn descriptor(media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": format!("sha256:{}", "11".repeat(32)), "size": 3})
    }

    fn manifest(layers: &[Value]) -> Vec<u8> {
        let config = descriptor("application/vnd.oci.image.config.v1+json");
        serde_json::to_vec(&json!({"schemaVersion": 2, "config": config, "layers": layers})).unwrap()
    }

    fn config(os: &str, diff_ids: &[&str]) -> Vec<u8> {
        let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
        serde_json::to_vec(&json!({"architecture": "amd64", "os": os, "rootfs": rootfs})).unwrap()
    }

    #[test]
    fn the_three_layer_kinds_are_known() {
        let kinds =
            ["", "+gzip", "+zstd"].map(|s| descriptor(&format!("application/vnd.oci.image.layer.v1.tar{s}")));
        let contents = Contents::parse_manifest(&manifest(&kinds)).unwrap();
        let found: Vec<_> = contents.layers.iter().map(|l| l.compression).collect();
        assert_eq!(found, [Compression::None, Compression::Gzip, Compression::Zstd]);
    }

    #[test]
    fn other_layers_and_indexes_are_refused() {
        let other = manifest(&[descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar")]);
        assert!(matches!(Contents::parse_manifest(&other), Err(ManifestError::MediaType { .. })));
        let index = br#"{"schemaVersion":2,"manifests":[]}"#;
        assert!(matches!(Contents::parse_manifest(index), Err(ManifestError::Syntax { .. })));
        let many = vec![descriptor("application/vnd.oci.image.layer.v1.tar"); MAX_LAYERS + 1];
        assert!(matches!(Contents::parse_manifest(&manifest(&many)), Err(ManifestError::Layers { .. })));
    }

    /// A valid manifest with one field set to something else.
    fn spoiled(field: &str, value: Value) -> Result<Contents, ManifestError> {
        let mut document: Value = serde_json::from_slice(&manifest(&[])).unwrap();
        document[field] = value;
        Contents::parse_manifest(&serde_json::to_vec(&document).unwrap())
    }

    #[test]
    fn a_document_with_two_readings_is_refused() {
        for value in [json!([]), Value::Null, json!([descriptor("x/y")])] {
            assert!(matches!(spoiled("manifests", value), Err(ManifestError::Ambiguous { .. })));
        }
        assert!(matches!(spoiled("schemaVersion", json!(1)), Err(ManifestError::Schema { found: 1, .. })));
        let index = json!("application/vnd.oci.image.index.v1+json");
        let error = spoiled("mediaType", index).unwrap_err();
        assert!(matches!(error, ManifestError::Kind { what: "the manifest", .. }), "{error}");
        let error = spoiled("config", descriptor("application/vnd.oci.empty.v1+json")).unwrap_err();
        assert!(matches!(error, ManifestError::Kind { expected: CONFIG_KINDS, .. }), "{error}");
        for kind in MANIFEST_KINDS {
            assert!(spoiled("mediaType", json!(kind)).is_ok(), "{kind}");
        }
        for kind in CONFIG_KINDS {
            assert!(spoiled("config", descriptor(kind)).is_ok(), "{kind}");
        }
    }

    #[test]
    fn the_configuration_must_fit_manifest_and_machine() {
        let layer = descriptor("application/vnd.oci.image.layer.v1.tar");
        let contents = Contents::parse_manifest(&manifest(&[layer])).unwrap();
        let id = format!("sha256:{}", "22".repeat(32));
        assert_eq!(contents.check_config(&config("linux", &[&id])).unwrap()[0].to_string(), id);
        let error = contents.check_config(&config("linux", &[])).unwrap_err();
        assert!(matches!(error, ManifestError::DiffIds { expected: 1, found: 0 }), "{error}");
        let error = contents.check_config(&config("windows", &[&id])).unwrap_err();
        assert!(matches!(error, ManifestError::Platform { .. }), "{error}");
        let error = contents.check_config(&config("linux", &["sha512:00"])).unwrap_err();
        assert!(matches!(error, ManifestError::Digest { .. }), "{error}");
    }
}
