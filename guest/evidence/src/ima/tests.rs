use super::*;
use crate::testing::vector;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// A field with its length in front.
fn framed(value: &[u8], order: ByteOrder) -> Vec<u8> {
    [&word_bytes(value.len() as u32, order)[..], value].concat()
}

fn word_bytes(value: u32, order: ByteOrder) -> [u8; 4] {
    if order == ByteOrder::Big { value.to_be_bytes() } else { value.to_le_bytes() }
}

fn entry_in(order: ByteOrder, digest: &[u8], name: &str, fields: &[&[u8]]) -> Vec<u8> {
    let data: Vec<u8> = fields.iter().flat_map(|field| framed(field, order)).collect();
    let mut entry = word_bytes(10, order).to_vec();
    entry.extend(digest);
    entry.extend(framed(name.as_bytes(), order));
    entry.extend(framed(&data, order));
    entry
}

fn entry(name: &str, fields: &[&[u8]]) -> Vec<u8> {
    entry_in(ByteOrder::Little, &[7; 32], name, fields)
}

fn tagged(prefix: &str, len: usize) -> Vec<u8> {
    [prefix.as_bytes(), b"\0", &vec![9; len]].concat()
}

fn log(bytes: &[u8]) -> Log<'_> {
    Log::new(bytes, Bank::Sha256, 1_000_000)
}

fn only(bytes: &[u8]) -> Entry<'_> {
    log(bytes).entries().next().unwrap().unwrap()
}

fn fields_of(name: &str, fields: &[&[u8]]) -> Result<(), (&'static str, FieldError)> {
    match only(&entry(name, fields)).fields() {
        Ok(_) => Ok(()),
        Err(ImaError::Field { index: 0, field, what }) => Err((field, what)),
        Err(other) => panic!("{other}"),
    }
}

fn template_hash<D: Digest>(entry: &Entry<'_>) -> Vec<u8> {
    let mut hasher = D::new();
    entry.hash_parts(|part| hasher.update(part));
    hasher.finalize().to_vec()
}

/// Recomputes every template digest and the PCR; returns the PCR, the number of entries and that of violations.
fn replay<D: Digest>(log: Log<'_>) -> (Vec<u8>, usize, usize) {
    let mut pcr = vec![0; <D as Digest>::output_size()];
    let (mut count, mut violations) = (0, 0);
    for entry in log.entries() {
        let entry = entry.unwrap();
        entry.fields().unwrap();
        assert_eq!(entry.pcr, 10);
        if entry.is_violation() {
            violations += 1;
        } else {
            assert_eq!(template_hash::<D>(&entry), entry.template_digest, "entry {}", entry.index);
        }
        pcr = D::new().chain_update(&pcr).chain_update(entry.extended()).finalize().to_vec();
        count += 1;
    }
    (pcr, count, violations)
}

#[test]
fn the_kernels_templates_and_formats_have_their_fields() {
    let sha256 = tagged("sha256:", 32);
    let verity = tagged("verity:sha512:", 64);
    let bytes = [
        entry("ima-ng", &[&tagged("sha1:", 20), b"boot_aggregate\0"]),
        entry("ima-sig", &[&sha256, b"/bin/sh\0", b"SIG"]),
        entry("ima-ngv2", &[&tagged("ima:sha384:", 48), b"/a\0"]),
        entry("ima-sigv2", &[&verity, b"/a\0", b""]),
        entry("ima-buf", &[&sha256, b"kexec-cmdline\0", b"quiet"]),
        entry("ima-modsig", &[&sha256, b"/m.ko\0", b"", &tagged("sha512:", 64), b"PKCS7"]),
        entry("ima-modsig", &[&sha256, b"/m.ko\0", b"", b"", b""]),
        entry(
            "evm-sig",
            &[
                &sha256,
                b"/f\0",
                b"",
                b"security.ima\0",
                &[1, 0, 0, 0],
                b"x",
                &[33, 0, 0, 0],
                &[0; 4],
                &[0xb6, 0x81],
            ],
        ),
        entry("d|n", &[&[5; 20], b"/f\0"]),
        entry("n-ng|iuid|igid|imode", &[b"boot_aggregate\0", b"", b"", b""]),
    ]
    .concat();
    let entries: Vec<_> = log(&bytes).entries().map(Result::unwrap).collect();
    let f: Vec<_> = entries.iter().map(|entry| entry.fields().unwrap()).collect();
    let digest = |kind, algorithm, value| Some(FileDigest { kind, algorithm, value });
    use DigestKind::{Content, Verity};
    assert_eq!(f[0].digest, digest(Content, HashAlgorithm::Sha1, &[9; 20]));
    assert_eq!((f[0].name, f[0].signature), (Some(&b"boot_aggregate"[..]), None));
    assert_eq!((f[1].name, f[1].signature), (Some(&b"/bin/sh"[..]), Some(&b"SIG"[..])));
    assert_eq!(f[2].digest, digest(Content, HashAlgorithm::Sha384, &[9; 48]));
    assert_eq!(f[3].digest, digest(Verity, HashAlgorithm::Sha512, &[9; 64]));
    assert_eq!(f[3].signature, Some(&b""[..]));
    assert_eq!(f[4].buffer, Some(&b"quiet"[..]));
    assert_eq!(f[5].modsig_digest, digest(Content, HashAlgorithm::Sha512, &[9; 64]));
    assert_eq!(f[5].modsig, Some(&b"PKCS7"[..]));
    assert_eq!(f[6].modsig_digest, None);
    assert_eq!((f[7].uid, f[7].gid, f[7].mode), (Some(33), Some(0), Some(0o100_666)));
    assert_eq!((f[7].xattr_names, f[7].xattr_values), (Some(&b"security.ima\0"[..]), Some(&b"x"[..])));
    assert_eq!(f[8].digest, digest(Content, HashAlgorithm::Sha1, &[5; 20]));
    assert_eq!((f[9].digest, f[9].uid, f[9].mode), (None, None, None));
    assert!(entries[0].is_boot_aggregate());
    assert!(!entries[1].is_boot_aggregate());
    // A later boot_aggregate is not this boot's.
    assert!(!entries[9].is_boot_aggregate());
    assert_eq!(entries[9].index, 9);
}

#[test]
fn template_ima_is_framed_and_hashed_in_its_own_way() {
    let mut bytes = [word_bytes(10, ByteOrder::Little).to_vec(), vec![7; 32]].concat();
    bytes.extend(framed(b"ima", ByteOrder::Little));
    bytes.extend([5; 20]);
    bytes.extend(framed(b"/init", ByteOrder::Little));
    let whole = [bytes.clone(), entry("ima-ng", &[&tagged("sha1:", 20), b"/x\0"])].concat();
    let entries: Vec<_> = log(&whole).entries().map(Result::unwrap).collect();
    assert_eq!(entries.len(), 2);
    let fields = entries[0].fields().unwrap();
    assert_eq!((fields.name, fields.digest.unwrap().value), (Some(&b"/init"[..]), &[5; 20][..]));
    let mut hashed = [vec![5; 20], b"/init".to_vec()].concat();
    hashed.resize(20 + 256, 0);
    assert_eq!(template_hash::<Sha256>(&entries[0]), Sha256::digest(&hashed).to_vec());

    let len = bytes.len();
    bytes[len - 1] = 0;
    let nul = ImaError::Field { index: 0, field: "", what: FieldError::Terminator };
    assert_eq!(only(&bytes).fields(), Err(nul));
    bytes[len - 9..len - 5].copy_from_slice(&256_u32.to_le_bytes());
    let long = ImaError::TooLong { index: 0, what: "the file name", expected: 255, found: 256 };
    assert_eq!(log(&bytes).entries().next().unwrap().unwrap_err(), long);
}

#[test]
fn big_endian_logs_read_the_same() {
    let fields: [&[u8]; 3] = [b"/f\0", &[0, 0, 0, 33], &[0x81, 0xb6]];
    let bytes = entry_in(ByteOrder::Big, &[7; 20], "n-ng|iuid|imode", &fields);
    let log = Log::new(&bytes, Bank::Sha1, 1);
    let entry = log.with_byte_order(ByteOrder::Big).starting_at(5).entries().next().unwrap().unwrap();
    let fields = entry.fields().unwrap();
    assert_eq!((entry.pcr, entry.index, fields.uid, fields.mode), (10, 5, Some(33), Some(0o100_666)));
    assert!(log.entries().next().unwrap().is_err());
}

#[test]
fn violations_extend_ones() {
    let bytes = entry_in(ByteOrder::Little, &[0; 32], "ima-ng", &[&tagged("sha1:", 20), b"/x\0"]);
    let entry = only(&bytes);
    assert!(entry.is_violation());
    assert_eq!(entry.extended(), [0xff; 32]);
    let bytes = self::entry("ima-ng", &[&tagged("sha1:", 20), b"/x\0"]);
    assert!(!only(&bytes).is_violation());
    assert_eq!(only(&bytes).extended(), [7; 32]);
}

#[test]
fn field_defects_have_their_own_errors() {
    let d = tagged("sha256:", 32);
    let ng = |digest: &[u8], name: &[u8]| fields_of("ima-ng", &[digest, name]);
    assert_eq!(ng(&d, b"/x\0"), Ok(()));
    assert_eq!(ng(&d, b"/x"), Err(("n-ng", FieldError::Terminator)));
    assert_eq!(ng(&d, b""), Err(("n-ng", FieldError::Terminator)));
    assert_eq!(ng(&d, b"/x\0y\0"), Err(("n-ng", FieldError::Terminator)));
    assert_eq!(ng(&d[..39], b"/x\0"), Err(("d-ng", FieldError::Length { expected: 32, found: 31 })));
    let prefix = |field, found: &str| Err((field, FieldError::DigestPrefix { found: found.to_owned() }));
    assert_eq!(ng(&tagged("sm3:", 32), b"/x\0"), prefix("d-ng", "sm3:"));
    assert_eq!(ng(&tagged("ima:sha256:", 32), b"/x\0"), prefix("d-ng", "ima:sha256:"));
    assert_eq!(ng(b"", b"/x\0"), prefix("d-ng", ""));
    assert_eq!(fields_of("ima-ngv2", &[&d, b"/x\0"]), prefix("d-ngv2", "sha256:"));
    assert_eq!(fields_of("ima-ngv2", &[&tagged("ima:md5:", 16), b"/x\0"]), prefix("d-ngv2", "ima:md5:"));
    let length = |field, expected, found| Err((field, FieldError::Length { expected, found }));
    assert_eq!(fields_of("iuid", &[&[0; 2]]), length("iuid", 4, 2));
    assert_eq!(fields_of("imode", &[&[0; 4]]), length("imode", 2, 4));
    assert_eq!(fields_of("d", &[&[0; 32]]), length("d", 20, 32));
    assert_eq!(fields_of("xattrlengths", &[&[0; 5]]), length("xattrlengths", 4, 5));
    let trailing = ReadError::Trailing { offset: 51, left: 4 };
    assert_eq!(fields_of("ima-ng", &[&d, b"/x\0", b""]), Err(("", trailing.into())));
    let cut = ReadError::Truncated { offset: 51, wanted: 4, left: 0 };
    assert_eq!(fields_of("ima-sig", &[&d, b"/x\0"]), Err(("sig", cut.into())));
}

#[test]
fn entry_defects_have_their_own_errors() {
    let error = |bytes: &[u8]| log(bytes).entries().next().unwrap().unwrap_err();
    let unknown = |name: &str| ImaError::UnknownTemplate { index: 0, name: name.to_owned() };
    let long = ["sig"; 16].join("|");
    for name in ["", "ima-new", "d-ng|", "d-ng|n-ng|new", "d-ng|d", "n|n-ng", "sig|sig", "IMA", &long] {
        assert_eq!(error(&entry(name, &[])), unknown(name));
    }
    let good = entry("ima-ng", &[&tagged("sha1:", 20), b"/x\0"]);
    let spoiled = |at: usize, value: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        error(&bytes)
    };
    assert_eq!(spoiled(0, &[24]), ImaError::Pcr { index: 0, expected: 23, found: 24 });
    let too_long = |what, expected, found| ImaError::TooLong { index: 0, what, expected, found };
    assert_eq!(spoiled(36, &256_u32.to_le_bytes()), too_long("the template name", 255, 256));
    assert_eq!(
        spoiled(46, &(MAX_DATA as u32 + 1).to_le_bytes()),
        too_long("the template data", MAX_DATA, MAX_DATA + 1)
    );
    assert_eq!(spoiled(40, &[0xff]), unknown("\u{fffd}ma-ng"));

    let two = [good.clone(), good.clone()].concat();
    let mut entries = Log::new(&two, Bank::Sha256, 1).entries();
    assert!(entries.next().unwrap().is_ok());
    assert_eq!(entries.next().unwrap().unwrap_err(), ImaError::TooManyEntries { expected: 1 });
    assert!(entries.next().is_none());
    assert_eq!(entries.offset(), good.len());
}

#[test]
fn a_cut_is_an_error_at_every_length_but_those_of_whole_entries() {
    let one = entry("ima-sig", &[&tagged("sha256:", 32), b"/x\0", b"SIG"]);
    let whole = [one.clone(), one.clone(), one.clone()].concat();
    for len in 0..=whole.len() {
        let mut entries = log(&whole[..len]).entries();
        let good = entries.by_ref().take_while(Result::is_ok).count();
        assert_eq!((good, entries.offset()), (len / one.len(), len / one.len() * one.len()));
        let all_good = log(&whole[..len]).entries().all(|entry| entry.is_ok());
        assert_eq!(all_good, len % one.len() == 0, "{len}");
    }
    let surplus = [whole, vec![0]].concat();
    assert!(matches!(log(&surplus).entries().last(), Some(Err(ImaError::Cut { index: 3, .. }))));
}

#[test]
fn cuts_and_flips_of_a_real_log_never_panic() {
    let Some(bytes) = vector("ima/kgoldman__ibmtss/imatest.log") else { return };
    let walk = |bytes: &[u8]| {
        for entry in Log::new(bytes, Bank::Sha1, 100).entries().flatten() {
            let _ = (entry.fields().is_ok(), entry.is_boot_aggregate(), template_hash::<Sha1>(&entry));
        }
    };
    for at in 0..bytes.len() {
        walk(&bytes[..at]);
        let mut flipped = bytes.clone();
        for mask in [0x01, 0xff] {
            flipped[at] = bytes[at] ^ mask;
            walk(&flipped);
        }
    }
}

/// PCR 10 in a text that gives each PCR as `PCR… 10: aa bb …`, by digest length.
fn pcr_10(text: &[u8], len: usize) -> Vec<u8> {
    let text = String::from_utf8(text.to_vec()).unwrap();
    let values =
        text.lines().filter_map(|line| line.trim().strip_prefix("PCR")?.get(1..)?.strip_prefix("10:"));
    let bytes = values.map(|hex| hex::decode(hex.replace(' ', "")).unwrap());
    bytes.into_iter().find(|value| value.len() == len).unwrap()
}

#[test]
fn the_log_of_linux_7_2_replays_in_both_banks() {
    let folder = "ima/linux-7.2-evm-sig/";
    let file = |name: &str| vector(&format!("{folder}{name}"));
    let (Some(sha1), Some(sha256)) =
        (file("linux72_evmsig_binary_sha1.bin"), file("linux72_evmsig_binary_sha256.bin"))
    else {
        return;
    };
    let (sha1, sha256) = (Log::new(&sha1, Bank::Sha1, 100), Log::new(&sha256, Bank::Sha256, 100));
    assert_eq!(replay::<Sha1>(sha1), (pcr_10(&file("pcrs-sha1").unwrap(), 20), 10, 2));
    assert_eq!(replay::<Sha256>(sha256), (pcr_10(&file("pcrs-sha256").unwrap(), 32), 10, 2));
    let entries: Vec<_> = sha256.entries().map(Result::unwrap).collect();
    assert!(entries[0].is_boot_aggregate());
    let fields = entries[1].fields().unwrap();
    assert_eq!(fields.name, Some(&b"/mnt/config.yaml"[..]));
    assert_eq!((fields.uid, fields.gid, fields.mode), (Some(0), Some(0), Some(0o100_600)));
}

#[test]
fn one_boot_replays_in_four_banks() {
    let folder = "ima/kgoldman__ibmtss/";
    let file = |name: &str| vector(&format!("{folder}{name}"));
    let Some(pcrs) = file("imakvtpcr10.txt") else { return };
    let check = |bank: Bank, replay: fn(Log<'_>) -> (Vec<u8>, usize, usize)| {
        let bytes = file(&format!("{}.log", bank.name())).unwrap();
        let found = replay(Log::new(&bytes, bank, 1000));
        assert_eq!(found, (pcr_10(&pcrs, bank.digest_len()), 362, 0));
    };
    check(Bank::Sha1, replay::<Sha1>);
    check(Bank::Sha256, replay::<Sha256>);
    check(Bank::Sha384, replay::<Sha384>);
    check(Bank::Sha512, replay::<Sha512>);
}

#[test]
fn every_template_of_the_kernel_recomputes() {
    let Some(bytes) = vector("ima/kgoldman__ibmtss/imatest.log") else { return };
    let log = Log::new(&bytes, Bank::Sha1, 100);
    let (_, count, violations) = replay::<Sha1>(log);
    assert_eq!((count, violations), (17, 1));
    let names: std::collections::BTreeSet<_> = log.entries().map(|e| e.unwrap().template_name).collect();
    for name in ["ima", "ima-ng", "ima-ngv2", "ima-sig", "ima-sigv2", "ima-buf", "ima-modsig", "evm-sig"] {
        assert!(names.contains(name), "{name}");
    }
}

#[test]
fn a_servers_log_of_2365_files_recomputes() {
    let Some(bytes) = vector("ima/immune-gmbh__guard-oss/h12ssl.binary_measurements") else { return };
    let (_, count, violations) = replay::<Sha1>(Log::new(&bytes, Bank::Sha1, 10_000));
    assert_eq!((count, violations), (2365, 2));
}

#[test]
fn a_text_is_not_a_log() {
    let Some(bytes) = vector("ima/keylime__rust-keylime/invalid_ima_log.txt") else { return };
    assert!(Log::new(&bytes, Bank::Sha1, 10).entries().any(|entry| entry.is_err()));
}
