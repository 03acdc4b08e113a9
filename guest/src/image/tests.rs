//! Images made in memory, each spoiled in one way.

use super::layer::LayerError;
use super::manifest::Compression;
use super::*;
use flate2::write::GzEncoder;
use serde_json::json;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use tar::EntryType;
use tempfile::TempDir;

/// One entry of a layer: type, path, link target or content.
type Item<'a> = (EntryType, &'a str, &'a str);

const FILE: EntryType = EntryType::Regular;
const DIR: EntryType = EntryType::Directory;
const SYMLINK: EntryType = EntryType::Symlink;
const HARDLINK: EntryType = EntryType::Link;

/// Writes raw headers, so that hostile paths survive the builder.
fn layer_tar(items: &[Item<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (kind, path, text) in items {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o751);
        header.set_uid(u64::from(nix::unistd::getuid().as_raw()));
        header.set_gid(u64::from(nix::unistd::getgid().as_raw()));
        header.set_mtime(1_000_000);
        let content = if *kind == FILE { text.as_bytes() } else { b"" };
        if *kind == SYMLINK || *kind == HARDLINK {
            header.as_mut_bytes()[157..157 + text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_size(content.len() as u64);
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

fn sha256(bytes: &[u8]) -> ImageDigest {
    ImageDigest(sealpod_evidence::bytes::HexArray(Sha256::digest(bytes).into()))
}

struct Built {
    blobs: Vec<(ImageDigest, Vec<u8>)>,
    digest: ImageDigest,
}

fn build(layers: &[(Compression, Vec<u8>)]) -> Built {
    let mut blobs = Vec::new();
    let mut add = |bytes: Vec<u8>, kind: &str| {
        let (digest, size) = (sha256(&bytes), bytes.len());
        blobs.push((digest, bytes));
        json!({"mediaType": kind, "digest": digest.to_string(), "size": size})
    };
    let diff_ids: Vec<_> = layers.iter().map(|(_, tar)| sha256(tar).to_string()).collect();
    let layers: Vec<_> = layers
        .iter()
        .map(|(compression, tar)| match compression {
            Compression::None => add(tar.clone(), "application/vnd.oci.image.layer.v1.tar"),
            Compression::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(tar).unwrap();
                add(encoder.finish().unwrap(), "application/vnd.oci.image.layer.v1.tar+gzip")
            }
            Compression::Zstd => {
                add(zstd::encode_all(&tar[..], 1).unwrap(), "application/vnd.oci.image.layer.v1.tar+zstd")
            }
        })
        .collect();
    let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": rootfs});
    let config = add(config.to_string().into_bytes(), "application/vnd.oci.image.config.v1+json");
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string().into_bytes();
    let digest = sha256(&manifest);
    blobs.push((digest, manifest));
    Built { blobs, digest }
}

impl Built {
    fn archive(&self) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (digest, bytes) in &self.blobs {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_entry_type(FILE);
            builder.append_data(&mut header, format!("blobs/sha256/{}", digest.0), &bytes[..]).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn unpack(&self) -> (TempDir, Result<(), ImageError>) {
        self.unpack_within(1 << 30)
    }

    fn unpack_within(&self, memory: u64) -> (TempDir, Result<(), ImageError>) {
        let dir = tempfile::tempdir().unwrap();
        let (disk, root) = (dir.path().join("disk"), dir.path().join("rootfs"));
        std::fs::write(&disk, self.archive()).unwrap();
        std::fs::create_dir(&root).unwrap();
        std::fs::write(dir.path().join("outside"), "untouched").unwrap();
        let result = unpack(&disk, self.digest, dir.path(), &root, memory);
        assert_eq!(std::fs::read_to_string(dir.path().join("outside")).unwrap(), "untouched");
        assert!(!dir.path().join("layer").exists());
        (dir, result)
    }
}

fn plain(layers: &[&[Item<'_>]]) -> (TempDir, Result<(), ImageError>) {
    let layers: Vec<_> = layers.iter().map(|items| (Compression::None, layer_tar(items))).collect();
    build(&layers).unpack()
}

fn layer_error(items: &[Item<'_>]) -> LayerError {
    match plain(&[items]).1.unwrap_err() {
        ImageError::Layer { source, .. } => source,
        other => panic!("{other}"),
    }
}

#[test]
fn all_compressions_give_the_same_tree() {
    let tar =
        layer_tar(&[(DIR, "d/", ""), (FILE, "d/f", "text"), (SYMLINK, "d/s", "f"), (HARDLINK, "h", "d/f")]);
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let (dir, result) = build(&[(compression, tar.clone())]).unpack();
        result.unwrap();
        let root = dir.path().join("rootfs");
        assert_eq!(std::fs::read_to_string(root.join("d/s")).unwrap(), "text");
        let (file, link) = (root.join("d/f").metadata().unwrap(), root.join("h").metadata().unwrap());
        assert_eq!((file.ino(), file.mode() & 0o7777, file.mtime()), (link.ino(), 0o751, 1_000_000));
        assert_eq!(root.join("d").metadata().unwrap().permissions().mode() & 0o7777, 0o751);
    }
}

#[test]
fn whiteouts_hide_lower_layers_only() {
    let lower: &[Item<'_>] = &[(FILE, "a", ""), (FILE, "d/b", ""), (FILE, "d/sub/c", ""), (FILE, "e/x", "")];
    let upper: &[Item<'_>] = &[
        (FILE, "d/new", ""),
        (FILE, "d/.wh..wh..opq", ""),
        (FILE, ".wh.a", ""),
        (FILE, ".wh.e", ""),
        (FILE, ".wh.no", ""),
    ];
    let (dir, result) = plain(&[lower, upper]);
    result.unwrap();
    let root = dir.path().join("rootfs");
    let exists = |path: &str| root.join(path).exists();
    assert!(!exists("a") && !exists("d/b") && !exists("d/sub") && !exists("e"));
    assert!(exists("d/new"));
}

#[test]
fn a_later_entry_replaces_an_earlier_one() {
    let lower: &[Item<'_>] = &[(FILE, "x/deep/f", "old"), (SYMLINK, "l", "x")];
    let upper: &[Item<'_>] = &[(FILE, "x", "new"), (DIR, "l", "")];
    let (dir, result) = plain(&[lower, upper]);
    result.unwrap();
    let root = dir.path().join("rootfs");
    assert_eq!(std::fs::read_to_string(root.join("x")).unwrap(), "new");
    assert!(root.join("l").symlink_metadata().unwrap().is_dir());
}

#[test]
fn paths_that_climb_are_refused() {
    for path in ["../outside", "a/../../outside", ".wh...", "d/.wh..."] {
        let error = layer_error(&[(FILE, path, "evil")]);
        assert!(matches!(error, LayerError::Path(_)), "{path}: {error}");
    }
    assert!(matches!(layer_error(&[(HARDLINK, "h", "../outside")]), LayerError::Path(_)));
}

#[test]
fn absolute_paths_land_inside() {
    let (dir, result) = plain(&[&[(FILE, "/etc/f", "x")]]);
    result.unwrap();
    assert!(dir.path().join("rootfs/etc/f").exists());
}

#[test]
fn links_never_lead_outside() {
    for target in ["..", "/..", "../..", "/proc/self/cwd", "/tmp", "/"] {
        let items: &[Item<'_>] = &[(SYMLINK, "escape", target), (FILE, "escape/outside", "evil")];
        let (dir, result) = plain(&[items]);
        // Either it was refused, or it landed inside; `unpack` has checked the file outside.
        if result.is_ok() {
            assert!(
                dir.path().join("rootfs/outside").exists() || dir.path().join("rootfs/tmp/outside").exists(),
                "{target}"
            );
        }
        assert!(!Path::new("/outside").exists() && !Path::new("/tmp/outside").exists());
    }
}

#[test]
fn a_file_over_a_link_replaces_the_link() {
    let dir = plain(&[&[(SYMLINK, "f", "../outside"), (FILE, "f", "inside")]]);
    dir.1.unwrap();
    assert_eq!(std::fs::read_to_string(dir.0.path().join("rootfs/f")).unwrap(), "inside");
}

#[test]
fn hard_links_to_what_links_name_stay_inside() {
    let (_dir, result) = plain(&[&[(SYMLINK, "l", ".."), (HARDLINK, "h", "l/outside")]]);
    assert!(matches!(result, Err(ImageError::Layer { source: LayerError::Io { .. }, .. })));
}

#[test]
fn devices_and_fifos_are_refused() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo, EntryType::GNUSparse] {
        assert!(matches!(layer_error(&[(kind, "dev/x", "")]), LayerError::Type { .. }));
    }
}

#[test]
fn long_names_are_read_within_their_budget() {
    let long = format!("{}/f", "d".repeat(200));
    let mut tar = Vec::new();
    let mut builder = tar::Builder::new(&mut tar);
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    header.set_uid(u64::from(nix::unistd::getuid().as_raw()));
    header.set_gid(u64::from(nix::unistd::getgid().as_raw()));
    builder.append_data(&mut header, &long, &b"x"[..]).unwrap();
    builder.into_inner().unwrap();
    let (dir, result) = build(&[(Compression::None, tar)]).unpack();
    result.unwrap();
    assert!(dir.path().join("rootfs").join(long).exists());

    let mut header = tar::Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    let (_dir, result) = build(&[(Compression::None, header.as_bytes().to_vec())]).unpack();
    assert!(matches!(result, Err(ImageError::Layer { source: LayerError::Budget { .. }, .. })), "{result:?}");
}

/// A pax extended header with these records, then an empty file `f` of owner 7 and group 8.
fn pax(kind: EntryType, records: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let text: String = records
        .iter()
        .map(|(key, value)| {
            let rest = format!(" {key}={value}\n");
            // All these lengths have two digits.
            format!("{}{rest}", rest.len() + 2)
        })
        .collect();
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(text.len() as u64);
    builder.append_data(&mut header, "pax", text.as_bytes()).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    header.set_uid(7);
    header.set_gid(8);
    header.set_mode(0o644);
    builder.append_data(&mut header, "f", std::io::empty()).unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn owners_in_extension_headers_are_applied_or_refused() {
    let (uid, gid) = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
    let own = [("uid", &*format!("{uid:07}")), ("gid", &*format!("{gid:07}"))];
    let (dir, result) = build(&[(Compression::None, pax(EntryType::XHeader, &own))]).unpack();
    result.unwrap();
    let file = dir.path().join("rootfs/f").metadata().unwrap();
    assert_eq!((file.uid(), file.gid()), (uid, gid));
    for bad in ["-1000", "99999999999", "1000.5", "+1000"] {
        let (_dir, result) = build(&[(Compression::None, pax(EntryType::XHeader, &[("uid", bad)]))]).unpack();
        assert!(matches!(result, Err(ImageError::Layer { source: LayerError::Io { .. }, .. })), "{bad}");
    }
    for (field, value) in [("uid", "1000000"), ("path", "elsewhere")] {
        let global = pax(EntryType::XGlobalHeader, &[(field, value)]);
        let (_dir, result) = build(&[(Compression::None, global)]).unpack();
        let Err(ImageError::Layer { source: LayerError::Global { found }, .. }) = result else {
            panic!("{field}")
        };
        assert_eq!(found, field);
    }
}

#[test]
fn an_image_takes_no_more_memory_than_it_may() {
    let text = "x".repeat(100_000);
    let tar = layer_tar(&[(FILE, "a", &text), (FILE, "b", &text)]);
    let image = build(&[(Compression::None, tar.clone()), (Compression::Gzip, tar.clone())]);
    // The copy of the first blob alone.
    let (_dir, result) = image.unpack_within(tar.len() as u64 - 1);
    assert!(matches!(result, Err(ImageError::Memory(_))), "{result:?}");
    // Copy and first tree (twice 4096 + 100,000) fit; the second tree is counted beside the first, which it replaces.
    let expected = tar.len() as u64 + 2 * 104_096 + 1000;
    let (_dir, result) = image.unpack_within(expected);
    let Err(ImageError::Layer { index: 1, source: LayerError::Memory(found), .. }) = result else {
        panic!("{result:?}")
    };
    assert_eq!(found.expected, expected);
    image.unpack_within(500_000).1.unwrap();
    // Entries cost something, too.
    let many: Vec<_> = (0..50).map(|n| format!("{n}")).collect();
    let many = layer_tar(&many.iter().map(|name| (SYMLINK, name.as_str(), "x")).collect::<Vec<_>>());
    let (_dir, result) =
        build(&[(Compression::None, many.clone())]).unpack_within(many.len() as u64 + 100_000);
    assert!(matches!(result, Err(ImageError::Layer { source: LayerError::Memory(_), .. })), "{result:?}");
}

#[test]
fn a_changed_byte_in_any_blob_is_refused() {
    let built = build(&[(Compression::Gzip, layer_tar(&[(FILE, "f", "text")]))]);
    for index in 0..built.blobs.len() {
        let mut spoiled = Built { blobs: built.blobs.clone(), digest: built.digest };
        let byte = spoiled.blobs[index].1.last_mut().unwrap();
        *byte ^= 1;
        let error = spoiled.unpack().1.unwrap_err();
        assert!(matches!(error, ImageError::Digest { .. }), "blob {index}: {error}");
    }
}

#[test]
fn a_missing_or_resized_blob_is_refused() {
    let built = build(&[(Compression::None, layer_tar(&[(FILE, "f", "text")]))]);
    let mut missing = Built { blobs: built.blobs.clone(), digest: built.digest };
    missing.blobs.remove(0);
    assert!(matches!(missing.unpack().1, Err(ImageError::Missing { .. })));
    let mut longer = Built { blobs: built.blobs.clone(), digest: built.digest };
    longer.blobs[0].1.push(0);
    assert!(matches!(longer.unpack().1, Err(ImageError::Size { .. })));
    let other = Built { blobs: built.blobs, digest: sha256(b"other") };
    assert!(matches!(other.unpack().1, Err(ImageError::Missing { .. })));
}

#[test]
fn a_layer_that_is_not_its_diff_id_is_refused() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        a_wrong_diff_id_is_refused(compression);
    }
}

fn a_wrong_diff_id_is_refused(compression: Compression) {
    let tar = layer_tar(&[(FILE, "f", "text")]);
    let mut built = build(&[(compression, tar.clone())]);
    let config = built.blobs[1].1.clone();
    let text =
        String::from_utf8(config).unwrap().replace(&sha256(&tar).to_string(), &sha256(b"").to_string());
    let (old, new) = (built.blobs[1].0, sha256(text.as_bytes()));
    let manifest =
        String::from_utf8(built.blobs[2].1.clone()).unwrap().replace(&old.to_string(), &new.to_string());
    built.blobs[1] = (new, text.into_bytes());
    built.digest = sha256(manifest.as_bytes());
    built.blobs[2] = (built.digest, manifest.into_bytes());
    let error = built.unpack().1.unwrap_err();
    assert!(matches!(error, ImageError::Layer { source: LayerError::DiffId { .. }, .. }), "{error}");
}

#[test]
fn random_layers_never_panic() {
    // A fixed xorshift: the same bytes in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let good =
        layer_tar(&[(DIR, "d", ""), (FILE, "d/f", "text"), (SYMLINK, "s", "d"), (HARDLINK, "h", "d/f")]);
    for _ in 0..200 {
        let mut bytes = good.clone();
        for _ in 0..8 {
            let at = (next() % bytes.len() as u64) as usize;
            bytes[at] = next() as u8;
        }
        let _ = build(&[(Compression::None, bytes)]).unpack();
    }
}
