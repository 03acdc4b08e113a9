use super::*;
use serde_json::json;
use std::fs;

enum Entry<'a> {
    File(&'a str, &'a str),
    Directory(&'a str),
    Link(&'a str, &'a str),
    Hard(&'a str, &'a str),
}

fn layer(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let header = |kind, size: usize| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(size as u64);
        header
    };
    for entry in entries {
        match entry {
            Entry::File(path, text) => {
                tar.append_data(&mut header(tar::EntryType::Regular, text.len()), path, text.as_bytes())
                    .unwrap();
            }
            Entry::Directory(path) => {
                tar.append_data(&mut header(tar::EntryType::Directory, 0), path, io::empty()).unwrap();
            }
            Entry::Link(path, target) => {
                tar.append_link(&mut header(tar::EntryType::Symlink, 0), path, target).unwrap();
            }
            Entry::Hard(path, source) => {
                tar.append_link(&mut header(tar::EntryType::Link, 0), path, source).unwrap();
            }
        }
    }
    tar.into_inner().unwrap()
}

fn digest(bytes: &[u8]) -> ImageDigest {
    ImageDigest(HexArray(Sha256::digest(bytes).into()))
}

fn blob(directory: &Path, bytes: &[u8]) -> ImageDigest {
    let digest = digest(bytes);
    fs::write(directory.join("blobs/sha256").join(digest.0.to_string()), bytes).unwrap();
    digest
}

/// A layout of these layers; each is given as its blob, media type suffix and uncompressed digest.
fn layout(directory: &Path, layers: &[(Vec<u8>, &str, ImageDigest)]) -> ImageDigest {
    fs::create_dir_all(directory.join("blobs/sha256")).unwrap();
    let diff_ids: Vec<_> = layers.iter().map(|(_, _, id)| id.to_string()).collect();
    let config = serde_json::to_vec(&json!({
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }));
    let config = config.unwrap();
    let describe =
        |kind: String, bytes: &[u8]| json!({"mediaType": kind, "digest": digest(bytes), "size": bytes.len()});
    for (bytes, ..) in layers {
        blob(directory, bytes);
    }
    blob(directory, &config);
    let described: Vec<_> = layers
        .iter()
        .map(|(bytes, suffix, _)| describe(format!("application/vnd.oci.image.layer.v1.tar{suffix}"), bytes))
        .collect();
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "config": describe("application/vnd.oci.image.config.v1+json".into(), &config),
        "layers": described,
    }));
    let manifest = manifest.unwrap();
    let index = json!({"schemaVersion": 2,
        "manifests": [describe("application/vnd.oci.image.manifest.v1+json".into(), &manifest)]});
    fs::write(directory.join("index.json"), index.to_string()).unwrap();
    blob(directory, &manifest)
}

fn plain(entries: &[Entry<'_>]) -> (Vec<u8>, &'static str, ImageDigest) {
    let bytes = layer(entries);
    let id = digest(&bytes);
    (bytes, "", id)
}

fn files(layers: &[(Vec<u8>, &str, ImageDigest)]) -> Vec<(String, String)> {
    let directory = tempfile::tempdir().unwrap();
    layout(directory.path(), layers);
    let set = container_files(directory.path()).unwrap();
    set.files.into_iter().map(|(path, digests)| (path, digests[0].to_string())).collect()
}

fn sha(text: &str) -> String {
    digest(text.as_bytes()).0.to_string()
}

#[test]
fn files_have_the_path_that_the_kernel_will_see() {
    let lower = plain(&[
        Entry::Directory("usr/lib"),
        Entry::Link("lib", "usr/lib"),
        Entry::File("./bin/sh", "sh"),
        Entry::Hard("bin/ash", "bin/sh"),
    ]);
    let upper = plain(&[Entry::File("lib/deep/x.so", "x")]);
    let expected = [("/bin/ash", "sh"), ("/bin/sh", "sh"), ("/usr/lib/deep/x.so", "x")]
        .map(|(p, t)| (p.to_owned(), sha(t)));
    assert_eq!(files(&[lower, upper]), expected);
}

#[test]
fn whiteouts_hide_lower_layers_only() {
    let lower = plain(&[Entry::File("a/one", "1"), Entry::File("a/two", "2"), Entry::File("b/three", "3")]);
    let upper = plain(&[
        Entry::File("a/new", "n"),
        Entry::File("a/.wh..wh..opq", ""),
        Entry::File("b/.wh.three", ""),
        Entry::File("b/four", "4"),
    ]);
    let expected = [("/a/new", "n"), ("/b/four", "4")].map(|(p, t)| (p.to_owned(), sha(t)));
    assert_eq!(files(&[lower, upper]), expected);
}

#[test]
fn a_later_layer_replaces_files_and_whole_directories() {
    let lower = plain(&[Entry::File("a", "old"), Entry::File("d/x", "x")]);
    let upper = plain(&[Entry::File("a", "new"), Entry::Link("d", "e")]);
    assert_eq!(files(&[lower, upper]), [("/a".to_owned(), sha("new"))]);
}

#[test]
fn compressed_layers_and_tars_of_layouts_are_read() {
    let (tar, _, id) = plain(&[Entry::File("a", "text")]);
    let mut gzip = Vec::new();
    flate2::read::GzEncoder::new(&tar[..], flate2::Compression::fast()).read_to_end(&mut gzip).unwrap();
    let zstd = zstd::bulk::compress(&tar, 3).unwrap();
    for (bytes, suffix) in [(gzip, "+gzip"), (zstd, "+zstd")] {
        let directory = tempfile::tempdir().unwrap();
        let image = layout(directory.path(), &[(bytes, suffix, id)]);
        let archive = tempfile::NamedTempFile::new().unwrap();
        let mut builder = tar::Builder::new(archive.as_file());
        builder.append_dir_all(".", directory.path()).unwrap();
        builder.finish().unwrap();
        for path in [directory.path(), archive.path()] {
            let set = container_files(path).unwrap();
            assert_eq!(set.image, Some(image));
            assert_eq!(set.files["/a"][0].to_string(), sha("text"));
        }
    }
}

#[test]
fn each_damage_has_its_own_error() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(container_files(directory.path()), Err(OciError::Unknown { .. })));
    assert!(matches!(container_files(Path::new("/nonexistent")), Err(OciError::Read { .. })));
    let good = plain(&[Entry::File("a", "text")]);
    let image = layout(directory.path(), std::slice::from_ref(&good));
    let at = |digest: ImageDigest| directory.path().join("blobs/sha256").join(digest.0.to_string());
    let mut spoiled = good.0.clone();
    spoiled[600] ^= 1;
    fs::write(at(digest(&good.0)), &spoiled).unwrap();
    let error = container_files(directory.path()).unwrap_err();
    assert!(matches!(error, OciError::Layer { source: LayerError::Digest { .. }, .. }), "{error}");
    fs::remove_file(at(digest(&good.0))).unwrap();
    assert!(matches!(container_files(directory.path()), Err(OciError::Missing { what: "layer", .. })));
    fs::write(at(image), "{}").unwrap();
    assert!(matches!(container_files(directory.path()), Err(OciError::Digest { what: "manifest", .. })));
    fs::write(directory.path().join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    assert!(matches!(container_files(directory.path()), Err(OciError::Choice { found: 0 })));
}

#[test]
fn entries_that_the_guest_refuses_are_refused_here() {
    let climbing = {
        let mut bytes = layer(&[Entry::File("aa/x", "text")]);
        bytes[..4].copy_from_slice(b"../x");
        let sum: u32 = (0..512).map(|i| if (148..156).contains(&i) { 32 } else { u32::from(bytes[i]) }).sum();
        bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes
    };
    let circle = layer(&[Entry::Link("a", "b"), Entry::Link("b", "a"), Entry::File("a/x", "")]);
    let no_source = layer(&[Entry::Hard("a", "b")]);
    for bytes in [climbing, circle, no_source] {
        let directory = tempfile::tempdir().unwrap();
        let id = digest(&bytes);
        layout(directory.path(), &[(bytes, "", id)]);
        let error = container_files(directory.path()).unwrap_err();
        assert!(matches!(error, OciError::Layer { source: LayerError::Entry { .. }, .. }), "{error}");
    }
}
