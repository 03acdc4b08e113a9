//! Signatures on files, as extended attributes and at the end of files.

use crate::hash::sha1;
use crate::keys::{Key, Scheme};
use der::asn1::{ObjectIdentifier, UintRef};
use der::{Decode as _, Encode as _};
use x509_cert::spki::SubjectPublicKeyInfoRef;

/// What a signature is over, by its type (Linux, security/integrity/integrity.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// EVM_IMA_XATTR_DIGSIG.
    File = 3,
    /// EVM_XATTR_PORTABLE_DIGSIG.
    Metadata = 5,
    /// IMA_VERITY_DIGSIG.
    Verity = 6,
}

/// The hash of every signature here: SHA-256 (linux/hash_info.h).
const HASH_ALGO_SHA256: u8 = 4;

/// A signature of version 2: over the SHA-256 of `message`. For a file, that is its content.
pub fn version_2(key: Key, kind: Kind, message: &[u8]) -> Vec<u8> {
    framed(key, kind, 2, &sign(key, message))
}

/// A signature of version 3: over the SHA-256 of the `struct ima_file_id` of a digest.
pub fn version_3(key: Key, kind: Kind, digest: &[u8; 32]) -> Vec<u8> {
    let file_id = [&[kind as u8, HASH_ALGO_SHA256], digest.as_slice()].concat();
    framed(key, kind, 3, &sign(key, &file_id))
}

/// A portable signature over a file's metadata: the values of its protected attributes, owner, group and mode.
pub fn portable(key: Key, values: &[u8], uid: u32, gid: u32, mode: u16) -> Vec<u8> {
    // struct h_misc: no inode number, no generation; two bytes of padding.
    let mut message = values.to_vec();
    message.extend([0; 12]);
    message.extend(uid.to_le_bytes());
    message.extend(gid.to_le_bytes());
    message.extend(mode.to_le_bytes());
    message.extend([0; 2]);
    version_2(key, Kind::Metadata, &message)
}

/// The last four bytes of the key's identifier.
pub fn key_id(key: Key) -> [u8; 4] {
    let spki = key.spki();
    let spki = SubjectPublicKeyInfoRef::from_der(&spki).expect("a public key");
    let [.., a, b, c, d] = sha1(spki.subject_public_key.as_bytes().expect("whole bytes"));
    [a, b, c, d]
}

/// Nine bytes of header, and the signature.
fn framed(key: Key, kind: Kind, version: u8, signature: &[u8]) -> Vec<u8> {
    let mut out = vec![kind as u8, version, HASH_ALGO_SHA256];
    out.extend(key_id(key));
    out.extend((signature.len() as u16).to_be_bytes());
    out.extend(signature);
    out
}

/// RSA with PKCS#1 v1.5, or ECDSA in DER.
fn sign(key: Key, message: &[u8]) -> Vec<u8> {
    if key != Key::AkP256 {
        return key.sign(Scheme::Pkcs1Sha256, message);
    }
    let fixed = key.sign(Scheme::Ecdsa, message);
    let (r, s) = fixed.split_at(32);
    let numbers = [r, s].map(|number| UintRef::new(number).and_then(|n| n.to_der()).expect("a number"));
    element(0x30, &numbers.concat())
}

const SIGNED_DATA: &str = "1.2.840.113549.1.7.2";
const DATA: &str = "1.2.840.113549.1.7.1";
const CONTENT_TYPE: &str = "1.2.840.113549.1.9.3";
const MESSAGE_DIGEST: &str = "1.2.840.113549.1.9.4";
const SHA256: &str = "2.16.840.1.101.3.4.2.1";
const RSA_ENCRYPTION: &str = "1.2.840.113549.1.1.1";
const ECDSA_SHA256: &str = "1.2.840.10045.4.3.2";

/// A PKCS#7 message without its content, as `scripts/sign-file` writes it: over the content's digest, or over attributes that
/// hold it.
pub fn appended(key: Key, content: &[u8], attributes: bool) -> Vec<u8> {
    let digest_algorithm = element(0x30, &oid(SHA256));
    let mut signer = [
        element(0x02, &[1]),
        // Issuer and serial number.
        element(0x30, &[element(0x30, &[]), element(0x02, &[1])].concat()),
        digest_algorithm.clone(),
    ]
    .concat();
    if attributes {
        let attribute =
            |kind: &str, value: Vec<u8>| element(0x30, &[oid(kind), element(0x31, &value)].concat());
        let digest = crate::hash::sha256(content);
        let list =
            [attribute(CONTENT_TYPE, oid(DATA)), attribute(MESSAGE_DIGEST, element(0x04, &digest))].concat();
        signer.extend(element(0xa0, &list));
        let signature = sign(key, &element(0x31, &list));
        signer.extend([scheme(key), element(0x04, &signature)].concat());
    } else {
        signer.extend([scheme(key), element(0x04, &sign(key, content))].concat());
    }
    let data = [
        element(0x02, &[1]),
        element(0x31, &digest_algorithm),
        element(0x30, &oid(DATA)),
        element(0x31, &element(0x30, &signer)),
    ]
    .concat();
    element(0x30, &[oid(SIGNED_DATA), element(0xa0, &element(0x30, &data))].concat())
}

fn scheme(key: Key) -> Vec<u8> {
    match key {
        Key::AkP256 => element(0x30, &oid(ECDSA_SHA256)),
        _ => element(0x30, &[oid(RSA_ENCRYPTION), element(0x05, &[])].concat()),
    }
}

fn oid(text: &str) -> Vec<u8> {
    ObjectIdentifier::new_unwrap(text).to_der().expect("an object identifier")
}

/// Tag, length and content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    der::Length::try_from(content.len()).expect("a length").encode_to_vec(&mut out).expect("a length");
    out.extend(content);
    out
}
