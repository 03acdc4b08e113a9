//! Step 14, files that no list has: signatures, fs-verity digests, measured buffers.

use crate::ima::{labelled, sized};
use crate::support::{appraise, refused_under, valid};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::reference_values::{FileSet, ImaBuffer, ImaSigner, ReferenceDocument};
use sealpod_evidence::workload::ImageDigest;
use sealpod_testkit::Sealed;
use sealpod_testkit::keys::Key;
use sealpod_testkit::logs::signature::{Kind, appended, portable, version_2, version_3};
use sealpod_testkit::tpm::Digests;
use sealpod_verifier::Check;

/// The content of a file that is in no set.
const CONTENT: &[u8] = b"#!/bin/sh\n";
const PATH: &str = "/usr/sbin/extra";

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Digests::of(bytes).sha256
}

fn plain(content: &[u8]) -> Vec<u8> {
    [b"sha256:\0".as_slice(), &sha256(content)].concat()
}

/// Valid evidence with one more entry of these fields, and the name second.
fn entry(template: &str, digest: &[u8], path: &str, rest: &[&[u8]]) -> Sealed {
    let name = format!("{path}\0");
    let mut data = [sized(digest), sized(name.as_bytes())].concat();
    rest.iter().for_each(|field| data.extend(sized(field)));
    labelled(template, &data)
}

/// A file with a signature in its `security.ima`.
fn signed(path: &str, signature: &[u8]) -> Sealed {
    entry("ima-sig", &plain(CONTENT), path, &[signature])
}

fn image() -> ImageDigest {
    valid().policy.containers[0].spec.image
}

fn signer(key: Key, image: Option<ImageDigest>) -> ImaSigner {
    ImaSigner {
        image,
        description: format!("{key:?}"),
        key: STANDARD.encode(key.spki()),
        directories: vec!["/".to_owned()],
    }
}

/// The valid bundle's Reference Values with a signer.
fn with(signer: ImaSigner) -> ReferenceDocument {
    ReferenceDocument { ima_signers: vec![signer], ..valid().reference() }
}

#[track_caller]
fn accepted(sealed: &Sealed, reference: &ReferenceDocument) {
    appraise(sealed, reference).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_file_signed_by_an_accepted_key_needs_no_digest() {
    for key in [Key::AkRsa, Key::AkP256] {
        let sealed = signed(PATH, &version_2(key, Kind::File, CONTENT));
        accepted(&sealed, &with(signer(key, None)));
        accepted(&sealed, &with(signer(key, Some(image()))));
        // Without the key it is a file like any other.
        refused_under(&sealed, &valid().reference(), Check::ForeignFile);
        accepted(&signed(PATH, &version_3(key, Kind::File, &sha256(CONTENT))), &with(signer(key, None)));
    }
}

#[test]
fn a_signature_that_is_not_of_this_file_by_an_accepted_key_is_refused() {
    let reference = with(signer(Key::AkRsa, None));
    let refused = |signature: &[u8], found: &str| {
        let error = refused_under(&signed(PATH, signature), &reference, Check::FileSignature);
        assert!(error.found.contains(found), "{error}");
    };
    let good = version_2(Key::AkRsa, Kind::File, CONTENT);
    refused(&version_2(Key::AkRsa, Kind::File, b"another"), "not of this file");
    refused(&version_2(Key::AkP256, Kind::File, CONTENT), "by another key");
    refused(&version_3(Key::AkRsa, Kind::File, &[1; 32]), "not of this file");
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let last = good.len() - 1;
    refused(&changed(last, good[last] ^ 1), "not of this file");
    refused(&changed(3, good[3] ^ 1), "by another key");
    refused(&changed(0, 6), "of type 6 and version 2");
    refused(&changed(0, 5), "over Metadata, not File");
    refused(&changed(1, 1), "of type 3 and version 1");
    refused(&changed(2, 2), "hash algorithm 2");
    refused(&changed(2, 6), "a signature over a digest by sha512");
    refused(&changed(8, good[8] ^ 1), "by its header");
    refused(&good[..8], "a signature of 8 bytes");
    refused(&good[..9], "by its header, expected 0");
    refused(b"\x03\x02", "a signature of 2 bytes");
    // A file that a list has needs no signature, good or bad.
    let crun = [b"sha256:\0".as_slice(), &valid().guest_files["/usr/bin/crun"]].concat();
    accepted(&entry("ima-sig", &crun, "/usr/bin/crun", &[b"\x03\x02"]), &reference);
}

#[test]
fn digests_of_other_kinds_are_taken_where_a_signature_is_over_them() {
    // Same key, a hash that this signature is not over.
    let sha512 = [b"sha512:\0".as_slice(), &[7; 64]].concat();
    let reference = with(signer(Key::AkRsa, None));
    let signature = version_2(Key::AkRsa, Kind::File, CONTENT);
    refused_under(&entry("ima-sig", &sha512, PATH, &[&signature]), &reference, Check::FileSignature);
    refused_under(&entry("ima-sig", &sha512, PATH, &[b""]), &reference, Check::ForeignFile);
    let sha1 = [b"sha1:\0".as_slice(), &[7; 20]].concat();
    refused_under(&entry("ima-sig", &sha1, PATH, &[&signature]), &reference, Check::UnexpectedMeasurement);
}

#[test]
fn a_signature_holds_only_in_its_directories() {
    let mut listed = signer(Key::AkRsa, None);
    listed.directories = vec!["/opt/x y".to_owned(), "/usr/sbin/".to_owned()];
    let reference = with(listed);
    let of = |path: &str| signed(path, &version_2(Key::AkRsa, Kind::File, CONTENT));
    accepted(&of(PATH), &reference);
    accepted(&of("/opt/x_y/tool"), &reference);
    for path in ["/opt/x_yz", "/usr/sbin", "/usr/bin/extra", "usr/sbin/extra", "memfd:extra"] {
        let error = refused_under(&of(path), &reference, Check::ForeignFile);
        assert!(error.expected.contains("AkRsa"), "{error}");
    }
    // Nor does "/" stand for what has no path.
    refused_under(&of("memfd:extra"), &with(signer(Key::AkRsa, None)), Check::ForeignFile);
}

#[test]
fn an_images_key_speaks_neither_for_the_guests_programs_nor_for_other_images() {
    let of = |path: &str| signed(path, &version_2(Key::AkRsa, Kind::File, CONTENT));
    accepted(&of("/usr/bin/crun"), &with(signer(Key::AkRsa, None)));
    refused_under(&of("/usr/bin/crun"), &with(signer(Key::AkRsa, Some(image()))), Check::ForeignFile);
    let other = ImageDigest(HexArray([0xb6; 32]));
    refused_under(&of(PATH), &with(signer(Key::AkRsa, Some(other))), Check::FileSignature);
}

#[test]
fn an_image_that_is_described_by_its_signer_alone_is_described() {
    let bundle = valid();
    let mut reference = with(signer(Key::AkRsa, Some(image())));
    reference.files.retain(|set| set.image.is_none());
    // The files that this pod ran are in no list now, and are not signed.
    refused_under(&bundle.seal(), &reference, Check::ForeignFile);
    let mut idle = bundle;
    idle.ima_log.entries.retain(|entry| !idle.image_files.contains_key(&entry.path));
    appraise(&idle.seal(), &reference).unwrap();
    reference.ima_signers.clear();
    refused_under(&idle.seal(), &reference, Check::FileReference);
}

/// An `evm-sig` entry with these attributes, and a portable signature over what `over` makes of them.
fn evm(ima: &[u8], mode: u16, over: impl FnOnce(&[u8]) -> Vec<u8>) -> Sealed {
    let label = b"system_u:object_r:bin_t:s0\0";
    let values = [label.as_slice(), ima].concat();
    let lengths = [(label.len() as u32).to_le_bytes(), (ima.len() as u32).to_le_bytes()].concat();
    let rest: [&[u8]; 7] = [
        &over(&values),
        b"security.selinux|security.ima\0",
        &lengths,
        &values,
        &33_u32.to_le_bytes(),
        &44_u32.to_le_bytes(),
        &mode.to_le_bytes(),
    ];
    entry("evm-sig", &plain(CONTENT), PATH, &rest)
}

#[test]
fn a_portable_signature_covers_digest_owner_group_and_mode() {
    const MODE: u16 = 0o100_755;
    let reference = with(signer(Key::AkRsa, None));
    let digest = [&[4, 4], sha256(CONTENT).as_slice()].concat();
    let good = |values: &[u8]| portable(Key::AkRsa, values, 33, 44, MODE);
    accepted(&evm(&digest, MODE, good), &reference);
    // The attribute may hold a signature in the place of the digest.
    accepted(&evm(&version_2(Key::AkRsa, Kind::File, CONTENT), MODE, good), &reference);

    let refused = |sealed: &Sealed| {
        refused_under(sealed, &reference, Check::FileSignature);
    };
    refused(&evm(&digest, MODE, |values| portable(Key::AkRsa, values, 0, 44, MODE)));
    refused(&evm(&digest, MODE, |values| portable(Key::AkRsa, values, 33, 0, MODE)));
    refused(&evm(&digest, MODE, |values| portable(Key::AkRsa, values, 33, 44, 0o104_755)));
    refused(&evm(&digest, MODE, |values| portable(Key::AkP256, values, 33, 44, MODE)));
    refused(&evm(&digest, MODE, |values| portable(Key::AkRsa, &values[1..], 33, 44, MODE)));
    refused(&evm(&digest, MODE, |values| version_2(Key::AkRsa, Kind::File, values)));
    // Metadata that were signed with another content.
    refused(&evm(&[&[4, 4], sha256(b"another").as_slice()].concat(), MODE, good));
    refused(&evm(&[&[4, 6], sha256(CONTENT).as_slice()].concat(), MODE, good));
    refused(&evm(&version_2(Key::AkRsa, Kind::File, b"another"), MODE, good));
    refused(&evm(&version_2(Key::AkP256, Kind::File, CONTENT), MODE, good));
    refused(&evm(b"", MODE, good));
}

#[test]
fn set_id_files_need_the_guests_own_key() {
    const MODE: u16 = 0o104_755;
    let digest = [&[4, 4], sha256(CONTENT).as_slice()].concat();
    let sealed = evm(&digest, MODE, |values| portable(Key::AkRsa, values, 33, 44, MODE));
    accepted(&sealed, &with(signer(Key::AkRsa, None)));
    refused_under(&sealed, &with(signer(Key::AkRsa, Some(image()))), Check::SetIdFile);
}

#[test]
fn attributes_that_contradict_each_other_are_refused() {
    const MODE: u16 = 0o100_755;
    let digest = [&[4, 4], sha256(CONTENT).as_slice()].concat();
    let reference = with(signer(Key::AkRsa, None));
    let size = (digest.len() as u32).to_le_bytes();
    let refused = |names: &[u8], lengths: &[u8]| {
        let signature = portable(Key::AkRsa, &digest, 0, 0, MODE);
        let rest: [&[u8]; 7] = [&signature, names, lengths, &digest, &[0; 4], &[0; 4], &MODE.to_le_bytes()];
        let sealed = entry("evm-sig", &plain(CONTENT), PATH, &rest);
        match (names, lengths == size) {
            (b"security.ima\0", true) => accepted(&sealed, &reference),
            _ => drop(refused_under(&sealed, &reference, Check::FileSignature)),
        }
    };
    refused(b"security.ima\0", &size);
    refused(b"security.evm\0", &size);
    refused(b"security.ima", &size);
    refused(b"", b"");
    refused(b"security.ima\0", &[1, 0, 0, 0]);
    refused(b"security.ima\0", &[0xff; 4]);
    refused(b"security.ima\0", &[size, [0; 4]].concat());
    refused(b"security.ima|security.ima\0", &[size, [0; 4]].concat());
    refused(b"security.ima|security.evm\0", &size);
}

#[test]
fn an_appended_signature_is_over_the_file_without_it() {
    let whole = plain(b"module and signature");
    let module = |key: Key, message: &[u8], digest: &[u8]| {
        let name = "/usr/lib/modules/x.ko";
        (entry("ima-modsig", &whole, name, &[b"", digest, message]), with(signer(key, None)))
    };
    for key in [Key::AkRsa, Key::AkP256] {
        for attributes in [false, true] {
            let message = appended(key, CONTENT, attributes);
            let (sealed, reference) = module(key, &message, &plain(CONTENT));
            accepted(&sealed, &reference);
            refused_under(&sealed, &valid().reference(), Check::ForeignFile);
            let other = if key == Key::AkRsa { Key::AkP256 } else { Key::AkRsa };
            refused_under(&sealed, &with(signer(other, None)), Check::FileSignature);
            let (sealed, reference) = module(key, &message, &plain(b"another"));
            refused_under(&sealed, &reference, Check::FileSignature);
            let sha512 = [b"sha512:\0".as_slice(), &[7; 64]].concat();
            for no_digest in [&b""[..], &sha512] {
                let (sealed, reference) = module(key, &message, no_digest);
                refused_under(&sealed, &reference, Check::FileSignature);
            }
            for spoiled in [&message[..message.len() - 1], &[&message[..], b"\0"].concat(), b"\x30\x00", b"x"]
            {
                let (sealed, reference) = module(key, spoiled, &plain(CONTENT));
                refused_under(&sealed, &reference, Check::FileSignature);
            }
        }
    }
}

#[test]
fn an_fs_verity_digest_is_taken_where_it_is_listed_or_signed() {
    let digest = [0x5a; 32];
    let verity = [b"verity:sha256:\0".as_slice(), &digest].concat();
    let listed = |image: Option<ImageDigest>, path: &str| {
        let set = FileSet {
            image,
            description: String::new(),
            files: [(path.to_owned(), vec![HexArray(digest)])].into(),
        };
        ReferenceDocument { fs_verity: vec![set], ..valid().reference() }
    };
    let sealed = entry("ima-sigv2", &verity, PATH, &[b""]);
    accepted(&sealed, &listed(None, PATH));
    accepted(&sealed, &listed(Some(image()), PATH));
    accepted(&entry("ima-ngv2", &verity, PATH, &[]), &listed(None, PATH));
    for reference in [
        valid().reference(),
        listed(None, "/usr/sbin/other"),
        listed(Some(ImageDigest(HexArray([1; 32]))), PATH),
    ] {
        let error = refused_under(&sealed, &reference, Check::ForeignFile);
        assert!(error.found.contains("verity:sha256:5a5a"), "{error}");
    }
    // A digest of content is another thing, and lists of it say nothing of fs-verity.
    let content = [b"ima:sha256:\0".as_slice(), &digest].concat();
    refused_under(&entry("ima-sigv2", &content, PATH, &[b""]), &listed(None, PATH), Check::ForeignFile);
    let crun = [b"verity:sha256:\0".as_slice(), &valid().guest_files["/usr/bin/crun"]].concat();
    refused_under(
        &entry("ima-sigv2", &crun, "/usr/bin/crun", &[b""]),
        &listed(None, PATH),
        Check::ForeignFile,
    );
    // The guest's programs are the guest's here too.
    let of_image = listed(Some(image()), "/usr/bin/crun");
    refused_under(&entry("ima-sigv2", &verity, "/usr/bin/crun", &[b""]), &of_image, Check::ForeignFile);

    let reference = with(signer(Key::AkRsa, None));
    let sealed = |signature: Vec<u8>| entry("ima-sigv2", &verity, PATH, &[&signature]);
    accepted(&sealed(version_3(Key::AkRsa, Kind::Verity, &digest)), &reference);
    refused_under(&sealed(version_3(Key::AkRsa, Kind::File, &digest)), &reference, Check::FileSignature);
    refused_under(&sealed(version_3(Key::AkRsa, Kind::Verity, &[1; 32])), &reference, Check::FileSignature);
    // Nor does a signature over an fs-verity digest hold for content.
    let verity = version_3(Key::AkRsa, Kind::Verity, &sha256(CONTENT));
    refused_under(&signed(PATH, &verity), &reference, Check::FileSignature);
}

#[test]
fn a_buffer_is_accepted_by_name_and_digest() {
    let table = b"dm_version=4.48.0;name=root";
    let buffer = |name: &str| ImaBuffer {
        name: name.to_owned(),
        sha256: HexArray(sha256(table)),
        description: "the root's dm-verity table".to_owned(),
    };
    let sealed = entry("ima-buf", &plain(table), "dm_table_load", &[table]);
    let with = |buffers| ReferenceDocument { ima_buffers: buffers, ..valid().reference() };
    accepted(&sealed, &with(vec![buffer("dm_table_load")]));
    refused_under(&sealed, &with(vec![buffer("dm_device_resume")]), Check::MeasuredBuffer);
    refused_under(&sealed, &valid().reference(), Check::MeasuredBuffer);
    let kexec = entry("ima-buf", &plain(table), "kexec-cmdline", &[table]);
    refused_under(&kexec, &with(vec![buffer("kexec-cmdline")]), Check::KexecCarryOver);
}
