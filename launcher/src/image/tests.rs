//! Images made on the spot, then damaged one byte at a time.

use super::*;
use serde_json::{Value, json};

struct Fixture(tempfile::TempDir);

fn blob(dir: &Path, bytes: &[u8]) -> Value {
    let digest = digest(bytes);
    std::fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
    std::fs::write(dir.join(blob_path(&digest)), bytes).unwrap();
    json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": bytes.len()})
}

fn config() -> Vec<u8> {
    serde_json::to_vec(&json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": ["/e"], "Cmd": ["c"], "Env": ["A=1"], "WorkingDir": "/w", "User": "5:6"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", "22".repeat(32))]},
    }))
    .unwrap()
}

fn layout() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let layer = blob(dir.path(), &[7; 3000]);
    let mut config = blob(dir.path(), &config());
    config["mediaType"] = "application/vnd.oci.image.config.v1+json".into();
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
    let mut manifest = blob(dir.path(), &serde_json::to_vec(&manifest).unwrap());
    manifest["mediaType"] = "application/vnd.oci.image.manifest.v1+json".into();
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    std::fs::write(dir.path().join("index.json"), index.to_string()).unwrap();
    Fixture(dir)
}

fn written(image: &mut Image) -> Result<Vec<u8>, ImageError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    image.write_disk(file.path())?;
    Ok(std::fs::read(file.path()).unwrap())
}

#[test]
fn a_layout_and_the_disk_made_from_it_are_the_same_image() {
    let fixture = layout();
    let mut image = Image::open(fixture.0.path()).unwrap();
    assert_eq!(
        (image.config.entrypoint.as_slice(), image.config.user.as_str()),
        (&["/e".to_owned()][..], "5:6")
    );
    let disk = written(&mut image).unwrap();
    assert_eq!(disk.len() % 512, 0);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &disk).unwrap();
    let mut again = Image::open(file.path()).unwrap();
    assert_eq!(again.digest, image.digest);
    assert_eq!(written(&mut again).unwrap(), disk);
}

#[test]
fn damage_anywhere_is_found() {
    let fixture = layout();
    let blobs: Vec<_> = std::fs::read_dir(fixture.0.path().join("blobs/sha256"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    assert_eq!(blobs.len(), 3);
    for path in blobs {
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[0] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let answer = Image::open(fixture.0.path()).and_then(|mut image| written(&mut image));
        assert!(matches!(answer, Err(ImageError::Digest { .. })), "{:?}", answer.err());
        std::fs::write(&path, &good[1..]).unwrap();
        let answer = Image::open(fixture.0.path()).and_then(|mut image| written(&mut image));
        assert!(matches!(answer, Err(ImageError::Size { .. })), "{:?}", answer.err());
        std::fs::remove_file(&path).unwrap();
        let answer = Image::open(fixture.0.path()).and_then(|mut image| written(&mut image));
        assert!(matches!(answer, Err(ImageError::Missing { .. })), "{:?}", answer.err());
        std::fs::write(&path, &good).unwrap();
    }
}

#[test]
fn an_old_docker_archive_gets_a_manifest_and_always_the_same() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut tar = tar::Builder::new(File::create(file.path()).unwrap());
    let manifest = json!([{"Config": "c.json", "RepoTags": [], "Layers": ["l/layer.tar"]}]).to_string();
    for (name, bytes) in
        [("manifest.json", manifest.as_bytes()), ("c.json", &config()), ("l/layer.tar", &[7; 3000])]
    {
        append(&mut tar, name, bytes.len() as u64, bytes).unwrap();
    }
    tar.into_inner().unwrap();
    let mut image = Image::open(file.path()).unwrap();
    let other = Image::open(file.path()).unwrap();
    assert_eq!(image.digest, other.digest);
    let disk = tempfile::NamedTempFile::new().unwrap();
    image.write_disk(disk.path()).unwrap();
    assert_eq!(Image::open(disk.path()).unwrap().digest, image.digest);
}

#[test]
fn what_is_no_image_is_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Image::open(dir.path()), Err(ImageError::Unknown { .. })));
    let gz = dir.path().join("x.tar.gz");
    std::fs::write(&gz, [0x1f, 0x8b, 8, 0]).unwrap();
    assert!(matches!(Image::open(&gz), Err(ImageError::Compressed { .. })));
    assert!(matches!(Image::open(&dir.path().join("no")), Err(ImageError::Io { .. })));
}

#[test]
fn names_never_leave_the_directory() {
    let fixture = layout();
    let mut source = Source::open(fixture.0.path()).unwrap();
    assert!(source.open_entry("../../etc/passwd").unwrap().is_none());
    assert!(source.open_entry("/etc/passwd").unwrap().is_none());
    assert!(source.open_entry("index.json").unwrap().is_some());
}
