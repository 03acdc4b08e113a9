//! Forms of messages. Signatures that hold, and spoiled ones, are in tests/vtpm/signed.rs.

use super::*;
use crate::testing::vector;
use sealpod_evidence::ima::{Bank, Log};
use sealpod_testkit::keys::Key;
use sealpod_testkit::logs::signature::appended;

#[test]
fn a_message_of_a_distributions_kernel_parses() {
    let Some(bytes) = vector("ima/kgoldman__ibmtss/imatest.log") else { return };
    let entry = Log::new(&bytes, Bank::Sha1, 100).entries().last().unwrap().unwrap();
    let fields = entry.fields().unwrap();
    let message = AppendedSignature::parse(fields.modsig.unwrap()).unwrap();
    assert_eq!(message.algorithm, HashAlgorithm::Sha256);
    assert_eq!((message.attributes, message.signature.len()), (None, 256));
    // By a key that is not ours.
    let key = FileKey::from_der(&Key::AkRsa.spki()).unwrap();
    assert!(!message.verifies(&key, &fields.modsig_digest.unwrap()));
}

#[test]
fn no_cut_of_a_message_and_no_flipped_byte_verifies() {
    let key = FileKey::from_der(&Key::AkP256.spki()).unwrap();
    let content = crate::hash::sha256(b"content");
    let digest = FileDigest {
        kind: sealpod_evidence::ima::DigestKind::Content,
        algorithm: HashAlgorithm::Sha256,
        value: &content,
    };
    for attributes in [false, true] {
        let message = appended(Key::AkP256, b"content", attributes);
        let good =
            |bytes: &[u8]| AppendedSignature::parse(bytes).is_ok_and(|found| found.verifies(&key, &digest));
        assert!(good(&message));
        for len in 0..message.len() {
            assert!(AppendedSignature::parse(&message[..len]).is_err(), "{len}");
        }
        let taken: Vec<_> = (0..message.len())
            .filter(|at| {
                let mut spoiled = message.clone();
                spoiled[*at] ^= 1;
                good(&spoiled)
            })
            .collect();
        // What no signature covers and nothing rests on: the version and the algorithms of the message, and the version and the name
        // of the signer. The key is one of the owner's, whoever the message says that it is.
        let name = message.windows(5).position(|window| window == [0x30, 0x00, 0x02, 0x01, 0x01]).unwrap();
        let message_version = message.windows(3).position(|window| window == [0x02, 0x01, 0x01]).unwrap();
        let of_message = message_version + 2..message_version + 18;
        let of_signer = name - 3..name + 5;
        assert!(taken.iter().all(|at| of_message.contains(at) || of_signer.contains(at)), "{taken:?}");
    }
}

#[test]
fn each_defect_is_named() {
    let message = appended(Key::AkRsa, b"content", true);
    let replaced = |from: &[u8], to: &[u8]| {
        let at = message.windows(from.len()).rposition(|window| window == from).unwrap();
        let mut bytes = message.clone();
        bytes[at..at + to.len()].copy_from_slice(to);
        AppendedSignature::parse(&bytes).unwrap_err()
    };
    use der::Encode as _;
    let oid = |oid: ObjectIdentifier| oid.to_der().unwrap();
    let md5 = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x05, 0];
    assert!(replaced(&oid(SIGNED_DATA)[2..], &oid(MESSAGE_DIGEST)[2..]).starts_with("the content's type is"));
    assert!(replaced(&oid(SHA256)[2..], &md5[..8]).starts_with("the digest's algorithm is"));
    assert!(
        replaced(&oid(SCHEMES[0])[2..], &oid(MESSAGE_DIGEST)[2..])
            .starts_with("the signature's algorithm is")
    );
    assert_eq!(
        replaced(&oid(MESSAGE_DIGEST)[2..], &oid(DATA)[2..]),
        "signed attributes without the content's digest"
    );
    assert!(AppendedSignature::parse(&[&message[..], b"\0"].concat()).is_err());
}
