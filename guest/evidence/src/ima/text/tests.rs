use super::*;
use crate::ima::{ByteOrder, DigestKind, detect};
use crate::testing::vector;

/// The one entry of a line whose template digest is `digest`.
fn read(digest: &str, rest: &str) -> TextLog {
    TextLog::parse(format!("10 {digest} {rest}\n").as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

/// A digest's hex, of a bank.
fn hex_of(bank: Bank) -> String {
    "0a".repeat(bank.digest_len())
}

#[test]
fn each_template_reads_as_its_binary_form() {
    let sha256 = "11".repeat(32);
    let log = read(
        &hex_of(Bank::Sha1),
        &format!(
            "evm-sig sha256:{sha256} /a_b 0502 security.selinux|security.ima 0a000000 2233 33 4294967295 33188"
        ),
    );
    let entry = log.log(1).entries().next().unwrap().unwrap();
    let fields = entry.fields().unwrap();
    assert_eq!((entry.pcr, entry.template_name, entry.template_digest), (10, "evm-sig", &[10; 20][..]));
    assert_eq!(fields.digest.unwrap().value, [0x11; 32]);
    assert_eq!((fields.name, fields.evm_signature), (Some(&b"/a_b"[..]), Some(&[5, 2][..])));
    assert_eq!(fields.xattr_names, Some(&b"security.selinux|security.ima\0"[..]));
    assert_eq!(
        (fields.xattr_lengths, fields.xattr_values),
        (Some(&[10, 0, 0, 0][..]), Some(&[0x22, 0x33][..]))
    );
    assert_eq!((fields.uid, fields.gid, fields.mode), (Some(33), Some(u32::MAX), Some(0o100_644)));

    let log = read(&hex_of(Bank::Sha256), &format!("ima-sigv2 verity:sha256:{sha256} /a 0301"));
    let fields = log.log(1).entries().next().unwrap().unwrap().fields().unwrap();
    assert_eq!((fields.digest.unwrap().kind, fields.signature), (DigestKind::Verity, Some(&[3, 1][..])));

    let log = read(&hex_of(Bank::Sha512), &format!("ima {} /init", "22".repeat(20)));
    let fields = log.log(1).entries().next().unwrap().unwrap().fields().unwrap();
    assert_eq!((fields.digest.unwrap().value, fields.name), (&[0x22; 20][..], Some(&b"/init"[..])));

    let log = read(&hex_of(Bank::Sha384), &format!("ima-modsig sha256:{sha256} /m.ko   "));
    assert_eq!(log.bank(), Bank::Sha384);
    let fields = log.log(1).entries().next().unwrap().unwrap().fields().unwrap();
    assert_eq!((fields.modsig_digest, fields.modsig), (None, Some(&b""[..])));
    let log = read(
        &hex_of(Bank::Sha1),
        &format!("ima-modsig sha256:{sha256} /m.ko  sha512:{} 3000", "33".repeat(64)),
    );
    let fields = log.log(1).entries().next().unwrap().unwrap().fields().unwrap();
    assert_eq!((fields.modsig_digest.unwrap().value, fields.modsig), (&[0x33; 64][..], Some(&[0x30, 0][..])));
}

#[test]
fn spaces_at_the_end_may_be_lost_and_numbers_of_pcrs_may_be_indented() {
    let digest = hex_of(Bank::Sha1);
    let line = format!("10 {digest} ima-sig sha1:{} /a", "11".repeat(20));
    let (with, without) = (format!("{line} \n"), format!("\n{line}"));
    let parse = |text: &str| TextLog::parse(text.as_bytes()).unwrap().bytes().to_vec();
    assert_eq!(parse(&with), parse(&without));
    let log = TextLog::parse(format!(" 9 {digest} n-ng /a").as_bytes()).unwrap();
    assert_eq!(log.log(1).entries().next().unwrap().unwrap().pcr, 9);
    assert!(TextLog::parse(b"").unwrap().bytes().is_empty());
}

#[test]
fn each_defect_has_its_own_error() {
    let digest = hex_of(Bank::Sha1);
    let what = |line: &str| TextLog::parse(line.as_bytes()).unwrap_err().what;
    assert_eq!(what("this-is-no-log"), LineError::Words);
    assert_eq!(what(&format!("24 {digest} n-ng /a")), LineError::Pcr { expected: 23, found: "24".into() });
    assert_eq!(what(&format!("+1 {digest} n-ng /a")), LineError::Pcr { expected: 23, found: "+1".into() });
    assert!(matches!(what("10 0a n-ng /a"), LineError::Digest { .. }));
    assert!(matches!(what(&format!("10 {} n-ng /a", "0g".repeat(20))), LineError::Digest { .. }));
    assert_eq!(what(&format!("10 {digest} nothing /a")), LineError::Template { found: "nothing".into() });
    assert_eq!(what(&format!("10 {digest} n-ng|n /a /b")), LineError::Template { found: "n-ng|n".into() });
    let fields = LineError::Fields { expected: 1, found: 2 };
    assert_eq!(what(&format!("10 {digest} n-ng /a b")), fields);
    for (rest, field) in [
        ("sig 0", "sig"),
        ("sig 0z", "sig"),
        ("d-ng sha256", "d-ng"),
        ("d-ng sha256:zz", "d-ng"),
        ("iuid x", "iuid"),
        ("iuid 4294967296", "iuid"),
        ("imode 65536", "imode"),
        ("imode -1", "imode"),
        ("ima 00 /a", "d"),
    ] {
        match what(&format!("10 {digest} {rest}")) {
            LineError::Field { field: found, .. } => assert_eq!(found, field, "{rest}"),
            other => panic!("{rest}: {other}"),
        }
    }
    // One log has one bank.
    let two = format!("10 {digest} n-ng /a\n10 {} n-ng /a", hex_of(Bank::Sha256));
    let error = TextLog::parse(two.as_bytes()).unwrap_err();
    assert!(error.line == 2 && matches!(error.what, LineError::Digest { .. }), "{error}");
    // And no field is longer than a binary log may have it.
    let long = what(&format!("10 {digest} sig {}", "00".repeat(MAX_DATA + 1)));
    assert!(matches!(long, LineError::Field { field: "sig", .. }), "{long}");
}

#[test]
fn text_and_binary_logs_are_told_apart() {
    assert!(is_text(b" 9 00") && is_text(b"10 00") && !is_text(b"100 00") && !is_text(b"") && !is_text(b"x"));
    for order in [ByteOrder::Little, ByteOrder::Big] {
        for bank in Bank::ALL {
            let number = |value: u32| match order {
                ByteOrder::Little => value.to_le_bytes(),
                ByteOrder::Big => value.to_be_bytes(),
            };
            let mut bytes = number(10).to_vec();
            bytes.extend(vec![7; bank.digest_len()]);
            bytes.extend([&number(4)[..], b"n-ng", &number(7), &number(3), b"/a\0"].concat());
            assert_eq!(detect(&bytes), Some((bank, order)));
            assert!(!is_text(&bytes));
            assert_eq!(detect(&bytes[..bytes.len() - 1]), None);
        }
    }
    assert_eq!(detect(b""), None);
}

#[test]
fn texts_of_real_kernels_are_their_binary_logs() {
    let folder = "ima/linux-7.2-evm-sig/linux72";
    let (Some(text), Some(binary)) =
        (vector(&format!("{folder}_evmsig_ascii.log")), vector(&format!("{folder}_evmsig_binary_sha1.bin")))
    else {
        return;
    };
    let log = TextLog::parse(&text).unwrap();
    assert_eq!((log.bank(), log.bytes()), (Bank::Sha1, binary.as_slice()));
    let custom = TextLog::parse(&vector(&format!("{folder}_customfmt_ascii.log")).unwrap()).unwrap();
    let modes: Vec<_> = custom.log(10).entries().map(|entry| entry.unwrap().fields().unwrap().mode).collect();
    assert_eq!(modes[..3], [None, Some(33152), Some(33188)]);
    let invalid = vector("ima/keylime__rust-keylime/invalid_ima_log.txt").unwrap();
    assert!(!is_text(&invalid));
    assert_eq!(TextLog::parse(&invalid).unwrap_err().what, LineError::Words);
}
