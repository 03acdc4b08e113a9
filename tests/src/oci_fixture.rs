//! A small OCI image made on the spot: busybox and nothing else. The same busybox gives the same digest.

use anyhow::{Context as _, Result};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::workload::ImageDigest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// Commands that the image offers as links to busybox.
const APPLETS: &[&str] = &["sh", "cat", "cp", "echo", "ls", "nc", "printf", "sleep", "true", "wc"];

/// Write an OCI layout directory that holds one image and return its manifest digest.
pub fn write_busybox_layout(directory: &Path) -> Result<ImageDigest> {
    let blobs = directory.join("blobs/sha256");
    std::fs::create_dir_all(&blobs)?;
    let layer = busybox_layer()?;
    let layer_digest = write_blob(&blobs, &layer)?;
    let config = serde_json::to_vec(&json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Cmd": ["/bin/sh"], "Env": ["PATH=/bin"], "WorkingDir": "/" },
        "rootfs": { "type": "layers", "diff_ids": [layer_digest] },
    }))?;
    let config_digest = write_blob(&blobs, &config)?;
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config_digest, config.len()),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer_digest, layer.len())],
    }))?;
    let manifest_digest = write_blob(&blobs, &manifest)?;
    let index = json!({
        "schemaVersion": 2,
        "manifests": [descriptor("application/vnd.oci.image.manifest.v1+json", &manifest_digest, manifest.len())],
    });
    std::fs::write(directory.join("index.json"), serde_json::to_vec(&index)?)?;
    std::fs::write(directory.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(manifest_digest.parse()?)
}

fn busybox_layer() -> Result<Vec<u8>> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .find_map(|path| std::fs::read(path).ok())
        .context("no busybox on this machine; install the package busybox-static")?;
    let mut tar = tar::Builder::new(Vec::new());
    for directory in ["bin/", "etc/", "run/", "tmp/"] {
        let mut header = header(tar::EntryType::Directory, 0o755, 0);
        tar.append_data(&mut header, directory, std::io::empty())?;
    }
    let mut file = header(tar::EntryType::Regular, 0o755, busybox.len() as u64);
    tar.append_data(&mut file, "bin/busybox", busybox.as_slice())?;
    for applet in APPLETS {
        let mut link = header(tar::EntryType::Symlink, 0o777, 0);
        tar.append_link(&mut link, format!("bin/{applet}"), "busybox")?;
    }
    let passwd = b"root:x:0:0:root:/:/bin/sh\n";
    let mut file = header(tar::EntryType::Regular, 0o644, passwd.len() as u64);
    tar.append_data(&mut file, "etc/passwd", passwd.as_slice())?;
    Ok(tar.into_inner()?)
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn write_blob(blobs: &Path, bytes: &[u8]) -> Result<String> {
    let digest = ImageDigest(HexArray(Sha256::digest(bytes).into()));
    std::fs::write(blobs.join(digest.0.to_string()), bytes)?;
    Ok(digest.to_string())
}

fn descriptor(media_type: &str, digest: &str, size: usize) -> Value {
    json!({ "mediaType": media_type, "digest": digest, "size": size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_busybox_gives_the_same_digest() {
        let one = tempfile::tempdir().unwrap();
        let two = tempfile::tempdir().unwrap();
        assert_eq!(write_busybox_layout(one.path()).unwrap(), write_busybox_layout(two.path()).unwrap());
    }
}
