//! Quotes of real TPMs. Spoiled quotes are in tests/vtpm/quote.rs.

use super::*;
use crate::testing::vector;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// `TPMT_PUBLIC` of an RSA-2048 AK with RSASSA and this hash, from the end of a SubjectPublicKeyInfo: modulus, exponent 65537.
fn public(spki: &[u8], hash: HashAlg) -> Public {
    let (modulus, exponent) = spki[spki.len() - 261..].split_at(256);
    assert_eq!(exponent, [2, 3, 1, 0, 1]);
    let mut bytes = vec![0, 1, 0, 0x0b, 0, 5, 0, 0x72, 0, 0, 0, 0x10, 0, 0x14];
    bytes.extend(hash.id().to_be_bytes());
    bytes.extend([8, 0, 0, 0, 0, 0, 1, 0]);
    bytes.extend(modulus);
    Public::parse(&bytes).unwrap()
}

fn check(key: &Public, message: &[u8], signature_bytes: &Signature) -> Result<Attest, VerifyError> {
    signature(key, signature_bytes, message).map(|()| Attest::parse(message).unwrap())
}

fn base64(text: &Value) -> Vec<u8> {
    STANDARD.decode(text.as_str().unwrap()).unwrap()
}

#[test]
fn a_quote_of_an_azure_vtpm_verifies_and_another_key_or_message_does_not() {
    let Some(file) = vector("azure-vtpm/kinvolk__azure-cvm-tooling/quote.bin") else { return };
    let Some(pem) = vector("azure-vtpm/kinvolk__azure-cvm-tooling/akpub.pem") else { return };
    let text = String::from_utf8(pem).unwrap();
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let spki = STANDARD.decode(body).unwrap();
    // Each byte string has a length of eight bytes before it.
    let (raw, rest) = file[8..].split_at(256);
    let message = &rest[8..8 + usize::from(rest[0])];
    let sign = |hash| Signature::RsaSsa { hash, signature: raw.to_vec() };
    let (sha256, sha384) = (HashAlg::Sha256, HashAlg::Sha384);
    let attest = check(&public(&spki, sha256), message, &sign(sha256)).unwrap();
    assert_eq!(attest.extra_data, b"challenge");

    let refused = |key: &Public, message: &[u8], signature: &Signature| {
        assert_eq!(check(key, message, signature).unwrap_err().check, Check::QuoteSignature);
    };
    let mut other = message.to_vec();
    *other.last_mut().unwrap() ^= 1;
    refused(&public(&spki, sha256), &other, &sign(sha256));
    let mut key = spki.clone();
    key[40] ^= 1;
    refused(&public(&key, sha256), message, &sign(sha256));
    refused(&public(&spki, sha384), message, &sign(sha256));
    refused(&public(&spki, sha256), message, &Signature::RsaPss { hash: sha256, signature: raw.to_vec() });
    refused(
        &public(&spki, sha256),
        message,
        &Signature::RsaSsa { hash: sha256, signature: raw[1..].to_vec() },
    );
}

#[test]
fn a_quote_of_a_cloud_vtpm_verifies_and_its_digest_is_over_the_values_sent() {
    let Some(file) = vector("tpm-quote/confidential-containers__trustee/tpm_evidence.json") else { return };
    let evidence: Value = serde_json::from_slice(&file).unwrap();
    let quote = &evidence["tpm_quote"];
    let signature = Signature::parse(&base64(&quote["signature"])).unwrap();
    let key = public(&base64(&evidence["ak_public"]), signature.hash());
    let attest = check(&key, &base64(&quote["message"]), &signature).unwrap();
    let values: Vec<Vec<u8>> =
        quote["pcrs"].as_array().unwrap().iter().map(|v| hex::decode(v.as_str().unwrap()).unwrap()).collect();
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    assert_eq!(signature.hash().digest(&values).unwrap(), attest.pcr_digest);
}

#[test]
fn a_genuine_quote_signed_with_sha_1_is_refused() {
    let Some(file) = vector("tpm-quote/google__go-attestation/windows_gcp_shielded_vm.json") else { return };
    let evidence: Value = serde_json::from_slice(&file).unwrap();
    // The static part holds the AK, the quotes are a list.
    let find = |name: &str| find(&evidence, name).unwrap_or_else(|| panic!("no {name}"));
    let key = Public::parse(&base64(find("Public"))).unwrap();
    let signature = Signature::parse(&base64(find("Signature"))).unwrap();
    let error = check(&key, &base64(find("Quote")), &signature).unwrap_err();
    assert_eq!(error.check, Check::QuoteSignature);
    assert!(error.found.contains("RSASSA with sha1"), "{error}");
}

/// The first text of that name, at any depth.
fn find<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map
            .get(name)
            .filter(|value| value.is_string())
            .or_else(|| map.values().find_map(|value| find(value, name))),
        Value::Array(list) => list.iter().find_map(|value| find(value, name)),
        _ => None,
    }
}

#[test]
fn leading_zeros_that_a_tpm_left_out_are_put_back() {
    assert_eq!(fixed(3, &[1], &[2, 3]), Some(vec![0, 0, 1, 0, 2, 3]));
    assert_eq!(fixed(2, &[], &[2, 3]), Some(vec![0, 0, 2, 3]));
    assert_eq!(fixed(2, &[1, 2, 3], &[1]), None);
}
