use super::*;
use sealpod_evidence::reference_values::{PackedFiles, ReferenceDocument};
use std::collections::BTreeMap;

fn digest(seed: u32) -> Sha256Digest {
    HexArray(sha256(&seed.to_le_bytes()))
}

/// Paths of a container image, each with one digest of its own.
fn set(image: Option<ImageDigest>, count: u32) -> FileSet {
    let files = (0..count).map(|at| (path(at), vec![digest(at)])).collect::<BTreeMap<_, _>>();
    FileSet { image, description: String::new(), files }
}

fn path(at: u32) -> String {
    format!("/usr/lib/some where/{at}")
}

fn image(byte: u8) -> Option<ImageDigest> {
    Some(ImageDigest(HexArray([byte; 32])))
}

fn parsed(set: &FileSet) -> PackedSet {
    PackedSet::parse(pack(set).unwrap().into()).unwrap()
}

#[test]
fn what_was_packed_is_found_and_nothing_else() {
    for count in [0, 1, 2, 4, 5, 1000] {
        let packed = parsed(&set(image(1), count));
        assert_eq!((packed.len(), packed.is_empty(), packed.image()), (count as usize, count == 0, image(1)));
        for at in 0..count {
            let logged = path(at).replace(' ', "_");
            assert!(packed.has(logged.as_bytes(), &digest(at)), "{at} of {count}");
            // Another path, another digest, the path as the image has it.
            assert!(!packed.has(logged.as_bytes(), &digest(at + 1)));
            assert!(!packed.has(b"/usr/bin/x", &digest(at)));
            assert!(!packed.has(path(at).as_bytes(), &digest(at)));
            assert!(!packed.has_program(logged.as_bytes()));
        }
    }
}

#[test]
fn a_path_may_have_several_digests_and_a_digest_several_paths() {
    let files = BTreeMap::from([
        ("/a".to_owned(), vec![digest(1), digest(2), digest(1)]),
        ("/b".to_owned(), vec![digest(1)]),
    ]);
    let packed = parsed(&FileSet { image: None, description: String::new(), files });
    assert_eq!(packed.len(), 3);
    for (path, seed, there) in [("/a", 1, true), ("/a", 2, true), ("/b", 1, true), ("/b", 2, false)] {
        assert_eq!(packed.has(path.as_bytes(), &digest(seed)), there, "{path} {seed}");
    }
}

#[test]
fn programs_of_the_guest_image_reserve_their_paths() {
    let paths = ["/usr/bin/crun", "/usr/lib/libc.so.6", "/usr/bin/a b"];
    let files = paths.map(|path| (path.to_owned(), vec![digest(1)])).into();
    let guest = parsed(&FileSet { image: None, description: String::new(), files });
    for (path, program) in
        [("/usr/bin/crun", true), ("/usr/bin/a_b", true), ("/usr/lib/libc.so.6", false), ("/bin/app", false)]
    {
        assert_eq!(guest.has_program(path.as_bytes()), program, "{path}");
    }
}

#[test]
fn a_file_takes_less_than_forty_bytes() {
    // Also in a guest image full of programs, and with as many files as fit the buckets worst.
    for (image, count, most) in [(image(1), 16_384, 34), (image(1), 16_385, 34), (None, 16_385, 40)] {
        let bytes = pack(&set(image, count)).unwrap().len();
        assert!(bytes < most * count as usize, "{bytes}");
    }
}

#[test]
fn the_same_set_is_the_same_bytes() {
    assert_eq!(pack(&set(image(1), 100)), pack(&set(image(1), 100)));
    assert_ne!(pack(&set(image(1), 100)), pack(&set(image(2), 100)));
}

#[test]
fn a_relative_path_is_not_packed() {
    let files = BTreeMap::from([("a".to_owned(), vec![digest(1)])]);
    let set = FileSet { image: None, description: String::new(), files };
    assert_eq!(pack(&set), Err(PackedError::Path { found: "a".into() }));
}

/// The bytes with a change, and a checksum that is right again.
fn signed_again(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = pack(&set(None, 100)).unwrap();
    bytes.truncate(bytes.len() - CHECKSUM);
    change(&mut bytes);
    let checksum = sha256(&bytes);
    bytes.extend(checksum);
    bytes
}

fn error(bytes: Vec<u8>) -> PackedError {
    PackedSet::parse(bytes.into()).unwrap_err()
}

#[test]
fn each_defect_has_its_own_error() {
    assert!(PackedSet::parse(signed_again(|_| {}).into()).is_ok());
    assert_eq!(error(signed_again(|bytes| bytes[0] = b's')), PackedError::Magic);
    assert_eq!(error(Vec::new()), PackedError::Magic);
    assert_eq!(error(signed_again(|bytes| bytes[8] = 2)), PackedError::Version { expected: 1, found: 2 });
    let header = |at: usize, value: u8, field, found| {
        assert_eq!(error(signed_again(|bytes| bytes[at] = value)), PackedError::Header { field, found });
    };
    header(12, 2, "the kind of image", 2);
    // An image without its kind.
    header(16, 1, "the kind of image", 0);
    header(52, 1, "the number of files", (1 << 32) + 100);
    header(56, 101, "the number of programs", 101);
    header(64, 5, "the number of bits of a bucket", 5);
    header(68, 1, "a reserved field", 1);
    header(79, 1, "a reserved field", 1);
    let length = PackedError::Length { expected: 3980, found: 3981 };
    assert_eq!(error(signed_again(|bytes| bytes.push(0))), length);
    let mut spoiled = signed_again(|_| {});
    spoiled[200] ^= 1;
    assert!(matches!(error(spoiled), PackedError::Checksum { .. }));
}

/// Where the table of files starts, for 100 files in 16 buckets.
const FILES: usize = HEADER + 4 * 17;

#[test]
fn a_set_whose_lookups_would_miss_something_is_refused() {
    let order = |what, at| PackedError::Order { what, at };
    // The first bucket does not start at the first file; one ends before it starts; the last is not the end.
    assert_eq!(error(signed_again(|bytes| bytes[HEADER] = 1)), order("bucket", 0));
    assert_eq!(error(signed_again(|bytes| bytes[HEADER + 4 * 10] = 1)), order("bucket", 10));
    assert_eq!(error(signed_again(|bytes| bytes[FILES - 4] = 101)), order("bucket", 16));
    let short = error(signed_again(|bytes| bytes[FILES - 4] = 99));
    assert!(short == order("bucket", 16), "{short}");
    // A file in another bucket; two that changed places; one twice.
    assert_eq!(error(signed_again(|bytes| bytes[FILES] = 0xff)), order("file", 0));
    let swapped = signed_again(|bytes| {
        let at = (0..99).map(|at| FILES + 32 * at).find(|at| bytes[*at] >> 4 == bytes[at + 32] >> 4).unwrap();
        bytes[at..at + 64].rotate_left(32);
    });
    assert!(matches!(error(swapped), PackedError::Order { what: "file", .. }));
    let twice = signed_again(|bytes| {
        let at = (0..99).map(|at| FILES + 32 * at).find(|at| bytes[*at] >> 4 == bytes[at + 32] >> 4).unwrap();
        bytes.copy_within(at..at + 32, at + 32);
    });
    assert!(matches!(error(twice), PackedError::Order { what: "file", .. }));
    let programs = FILES + 3200;
    let swapped = signed_again(|bytes| bytes[programs..programs + 12].rotate_left(6));
    assert_eq!(error(swapped), order("program", 1));
}

#[test]
fn a_set_with_a_crowded_bucket_is_refused() {
    let mut bytes = pack(&set(image(1), 100)).unwrap();
    bytes.truncate(bytes.len() - CHECKSUM);
    // All files in the first bucket, ascending.
    for bucket in 1..17 {
        bytes[HEADER + 4 * bucket] = 100;
    }
    for at in 0..100_u8 {
        let file = FILES + 32 * usize::from(at);
        bytes[file..file + 2].copy_from_slice(&[0, at]);
    }
    bytes.extend(sha256(&bytes));
    assert_eq!(error(bytes), PackedError::Bucket { at: 0, expected: MAX_BUCKET, found: 100 });
}

#[test]
fn no_cut_and_no_flipped_byte_is_taken() {
    let bytes = pack(&set(None, 20)).unwrap();
    for len in 0..bytes.len() {
        assert!(PackedSet::parse(bytes[..len].into()).is_err(), "{len}");
    }
    for at in 0..bytes.len() {
        let mut spoiled = bytes.clone();
        spoiled[at] ^= 0x80;
        assert!(PackedSet::parse(spoiled.into()).is_err(), "{at}");
    }
}

#[test]
fn a_set_counts_where_a_document_lists_it() {
    let bytes: Arc<[u8]> = pack(&set(image(1), 10)).unwrap().into();
    let sha256 = PackedSet::parse(bytes.clone()).unwrap().sha256();
    let listed = |of| ReferenceDocument {
        version: sealpod_evidence::reference_values::VERSION,
        packed_files: vec![PackedFiles { image: of, description: String::new(), sha256 }],
        ..ReferenceDocument::default()
    };
    let compiled = |documents: &[ReferenceDocument]| super::super::ReferenceValues::from_documents(documents);
    let mut none = compiled(&[]).unwrap();
    assert_eq!(none.add_packed(bytes.clone()), Err(PackedError::Unlisted { sha256 }));

    let mut values = compiled(&[listed(image(1))]).unwrap();
    assert_eq!(values.missing_packed(), [sha256]);
    assert!(values.image_files(&image(1).unwrap()).is_none());
    values.add_packed(bytes.clone()).unwrap();
    assert_eq!(values.missing_packed(), []);
    assert_eq!(values.image_files(&image(1).unwrap()).unwrap().packed.len(), 1);

    let mut other = compiled(&[listed(None)]).unwrap();
    let wrong = PackedError::Image {
        sha256,
        expected: "the guest image".to_owned(),
        found: format!("image {}", image(1).unwrap()),
    };
    assert_eq!(other.add_packed(bytes), Err(wrong));
    let conflict = compiled(&[listed(image(1)), listed(None)]).unwrap_err();
    assert!(matches!(conflict, super::super::ReferenceError::PackedConflict { .. }));
}
