use super::*;
use crate::cpio::write;

fn file(content: &str) -> Object {
    Object::File(0o755, content.into())
}

fn tree(objects: &[(&str, Object)]) -> Tree {
    objects.iter().map(|(path, object)| ((*path).to_owned(), object.clone())).collect()
}

fn base() -> Tree {
    tree(&[
        ("init", Object::Symlink("usr/bin/agent".into())),
        ("lib", Object::Symlink("usr/lib".into())),
        ("usr", Object::Directory(0o755)),
        ("usr/bin", Object::Directory(0o755)),
        ("usr/bin/agent", file("agent")),
        ("usr/lib", Object::Directory(0o755)),
    ])
}

#[test]
fn what_was_written_is_read_back_plain_and_compressed() {
    let plain = write(&base()).unwrap();
    assert_eq!(unpack(&plain).unwrap(), base());
    assert_eq!(unpack(&zstd::bulk::compress(&plain, 19).unwrap()).unwrap(), base());
    let mut gzip = flate2::read::GzEncoder::new(&plain[..], flate2::Compression::fast());
    let mut compressed = Vec::new();
    gzip.read_to_end(&mut compressed).unwrap();
    assert_eq!(unpack(&compressed).unwrap(), base());
    let mut compressed = Vec::new();
    xz2::read::XzEncoder::new(&plain[..], 1).read_to_end(&mut compressed).unwrap();
    assert_eq!(unpack(&compressed).unwrap(), base());
}

#[test]
fn a_later_archive_overrides_after_a_compressed_one() {
    let mut initrd = zstd::bulk::compress(&write(&base()).unwrap(), 3).unwrap();
    initrd.resize(initrd.len().next_multiple_of(4), 0);
    initrd.extend(write(&tree(&[("init", file("test init")), ("lib/x.so", file("x"))])).unwrap());
    let found = unpack(&initrd).unwrap();
    assert_eq!(found["init"], file("test init"));
    assert_eq!(found["usr/lib/x.so"], file("x"), "the parent's symbolic link is followed");
    assert_eq!(found["usr/bin/agent"], file("agent"));
    assert!(matches!(found["lib"], Object::Symlink(_)));
}

#[test]
fn a_directory_replaces_a_link_and_a_full_directory_stays() {
    let mut initrd = write(&base()).unwrap();
    let later = tree(&[("lib", Object::Directory(0o755)), ("lib/x.so", file("x")), ("usr", file("no"))]);
    initrd.extend(write(&later).unwrap());
    let found = unpack(&initrd).unwrap();
    assert_eq!(found["lib/x.so"], file("x"));
    assert_eq!(found["usr"], Object::Directory(0o755));
}

#[test]
fn a_file_without_parent_is_not_there() {
    let found = unpack(&write(&tree(&[("none/x", file("x"))])).unwrap()).unwrap();
    assert!(found.is_empty());
}

#[test]
fn a_link_loop_is_refused() {
    let looping =
        tree(&[("a", Object::Symlink("b".into())), ("b", Object::Symlink("a".into())), ("b/x", file("x"))]);
    let error = unpack(&write(&looping).unwrap()).unwrap_err();
    assert!(matches!(error, CpioError::Unsupported { .. }), "{error}");
}

#[test]
fn every_cut_is_refused() {
    let whole = write(&base()).unwrap();
    let trailer = whole.len() - 124;
    for len in (1..trailer).step_by(7) {
        assert!(unpack(&whole[..len]).is_err(), "{len}");
    }
}

#[test]
fn no_spoiled_byte_panics() {
    let whole = write(&base()).unwrap();
    for position in 0..whole.len() {
        for value in [0, b'0', b'f', 0xff] {
            let mut spoiled = whole.clone();
            spoiled[position] = value;
            let _ = unpack(&spoiled);
        }
    }
}

#[test]
fn unknown_bytes_and_hard_links_are_refused() {
    assert!(matches!(unpack(b"hello"), Err(CpioError::Unknown { offset: 0, .. })));
    let mut linked = write(&tree(&[("a", file("x"))])).unwrap();
    // The number of links is the fifth number.
    linked[6 + 8 * 4..14 + 8 * 4].copy_from_slice(b"00000002");
    assert!(matches!(unpack(&linked), Err(CpioError::Unsupported { .. })));
}
