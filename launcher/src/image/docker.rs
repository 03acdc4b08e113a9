//! `docker save` archives without an OCI layout inside (Docker before 25): an OCI manifest is made for them.
//!
//! The digest is of that manifest, so the same archive always has the same one.

use super::{ImageError, Layer, digest, open_blob, parse, read};
use crate::image::source::Source;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::workload::ImageDigest;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

type Document = (ImageDigest, Vec<u8>);

/// Manifest, configuration, layers.
pub fn open(source: &mut Source) -> Result<(Document, Document, Vec<Layer>), ImageError> {
    let saved: Vec<Saved> = parse("manifest.json", &read(source, "manifest.json", "manifest.json")?)?;
    let [saved] = &saved[..] else {
        return Err(ImageError::Choice { found: saved.len() });
    };
    let config = read(source, &saved.config, "configuration")?;
    let config = (digest(&config), config);
    let mut layers = Vec::new();
    for path in &saved.layers {
        let (mut reader, size) = open_blob(source, path, "layer")?;
        let mut hash = Sha256::new();
        std::io::copy(&mut reader, &mut hash)
            .map_err(|source| ImageError::Io { path: path.into(), source })?;
        layers.push(Layer {
            digest: ImageDigest(HexArray(hash.finalize().into())),
            size,
            path: path.clone(),
        });
    }
    let described = layers.iter().map(|layer| {
        serde_json::json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": layer.digest,
            "size": layer.size,
        })
    });
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config.0,
            "size": config.1.len(),
        },
        "layers": described.collect::<Vec<_>>(),
    });
    let manifest = manifest.to_string().into_bytes();
    Ok(((digest(&manifest), manifest), config, layers))
}
