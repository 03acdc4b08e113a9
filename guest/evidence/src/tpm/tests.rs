use super::*;
use crate::testing;
use serde_json::Value;

// Made by swtpm with tpm2-tools; the names are those that the TPM gave.

/// The default RSA-2048 endorsement key.
const EK: &str = "\
    0001000b000300b20020837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa000600800043\
    00100800000000000100b06aa6788e98b61d46c609bbc29b8a4fb92712769262a34c4e5f43997856135128aa67a7528b\
    e81f7eb7a9a2e7d043359d484bff1fa2f974dacda3e76279f1998c299d3e2c12149271f9e6e443aa71d9e5f218b7a6c4\
    6183d82cfe1d88dc185f6092f329385857090d872c83e7e8ed18198c568f5c83cd61eda812545a27cd4db778e1f3e59b\
    3645d3c22820bba944e020a4d64d689016b5b95628d7f7cd4a225d82c0a6fd543aa0ddfec370222ac0bc1b82c350bc6e\
    8616f8ad7a766c3778247dcb7574f17d8e5331df3d86ab379edaf83d2af286b7cd816cc3427286d1c40cac1a16d90d55\
    a384eb7ec6d64af6ddea680a064cc9d13efd15d2e0b2915171bf\
";
const EK_NAME: &str = "000becce145063f2fe604c02552dfb3acea41608cf765e2947c488925c81bd06691e";

/// A P-384 storage key, name algorithm SHA-384.
const STORAGE_384: &str = "\
    0023000c000300720000000600800043001000040010003081abb8973462dd54f5bb1ad7e758eb4a9ae605980ed0f34a\
    6d8263682ba301395c4308f96d14da6ff8f43f62206dfff70030c81d5b056e3f459ea5aae16ae3dfe565225a9685f8d0\
    44d1e2172f827af15524f6180f2014321e576c96771f9cd96783\
";
const STORAGE_384_NAME: &str =
    "000c12a4e6e58b15f6d55c66683db0e01d7509cecd7f24c1fecd28aba90e5175c10ed69df0e87becdee7aaf965d9fc3a98b8";

/// A P-256 attestation key.
const AK: &str = "\
    0023000b00050072000000100018000b0003001000206d61854d7963ea9ba15a25c026dc767f28cce12b7dbc7ae7341c\
    a60cd216a215002078f3fb1efa881b6a0d931c9fdb69c913ebd0a474d3723c3a62e44f856703e30a\
";
const AK_NAME: &str = "000bb54535841d599cbb1c7351090ca50d3dd0f2ce0c28694cda52fe0b9f2336c392";

/// A quote by [`AK`] over PCRs 0, 8, 10, 13 of SHA-256 and 10 of SHA-1, challenge 00112233.
const QUOTE: &str = "\
    ff54434780180022000b2126f1cba7c17bac5ea6dc8f2f299d4805309a88efe2e5b9f1041e9f0ab1ce5a000400112233\
    000000000000056d000000010000000001201910230016363600000002000b0301250000040300040000203b18c58c73\
    9716e76429634a61375c45b3b5cd470c22ab6d3e14cee23dd992e1\
";

/// The signature that goes with it.
const SIGNATURE: &str = "\
    0018000b00200e724153c3422680bd84d52dee7556433b79e6a801a940eaf5740999cc916c4500200e5f8afb8007a7d4\
    242d1f5d16a76555e7228719e3f08f72bd88aa5b5c091304\
";

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex).unwrap()
}

/// `text` with the bytes at `at` set.
fn spoiled(text: &str, at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = bytes(text);
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

fn public(text: &str) -> Public {
    Public::parse(&bytes(text)).unwrap()
}

#[test]
fn names_are_those_that_the_tpm_gives() {
    assert_eq!(public(EK).name().to_string(), EK_NAME);
    assert_eq!(public(STORAGE_384).name().to_string(), STORAGE_384_NAME);
    assert_eq!(public(AK).name().to_string(), AK_NAME);
    assert_eq!(public(AK).name().as_bytes().len(), 34);
}

#[test]
fn an_attestation_key_is_read() {
    let ak = public(AK);
    let attributes = ak.attributes();
    assert!(attributes.restricted() && attributes.sign() && !attributes.decrypt());
    assert!(attributes.fixed_tpm() && attributes.fixed_parent() && attributes.sensitive_data_origin());
    assert!(attributes.user_with_auth() && !attributes.admin_with_policy() && !attributes.st_clear());
    assert_eq!((ak.scheme(), ak.symmetric()), (Scheme::Ecdsa(HashAlg::Sha256), None));
    assert!(ak.auth_policy().is_empty());
    assert_eq!(ak.raw(), bytes(AK));
    let PublicKey::Ecc { curve: Curve::P256, x, y } = ak.key() else { panic!("{:?}", ak.key()) };
    assert_eq!((&x[..2], &y[..2]), (&[0x6d, 0x61][..], &[0x78, 0xf3][..]));
}

#[test]
fn storage_keys_are_read() {
    let ek = public(EK);
    assert!(ek.attributes().restricted() && ek.attributes().decrypt() && !ek.attributes().sign());
    assert_eq!((ek.scheme(), ek.symmetric()), (Scheme::Null, Some(Symmetric { key_bits: 128 })));
    assert_eq!(ek.auth_policy()[..2], [0x83, 0x71]);
    let PublicKey::Rsa { bits: 2048, exponent: 65537, modulus } = ek.key() else { panic!("{:?}", ek.key()) };
    assert_eq!(modulus.len(), 256);
    let other = public(STORAGE_384);
    assert!(matches!(other.key(), PublicKey::Ecc { curve: Curve::P384, .. }));
    assert!(other.auth_policy().is_empty());
}

#[test]
fn a_quote_is_read() {
    let quote = Attest::parse(&bytes(QUOTE)).unwrap();
    assert_eq!(quote.extra_data, [0, 0x11, 0x22, 0x33]);
    assert_eq!(quote.qualified_signer.len(), 34);
    let clock = ClockInfo { clock: 0x56d, reset_count: 1, restart_count: 0, safe: true };
    assert_eq!(quote.clock_info, clock);
    assert_eq!(quote.firmware_version, 0x2019_1023_0016_3636);
    let banks: Vec<_> = quote.selections.iter().map(|bank| (bank.hash, bank.pcrs().collect())).collect();
    assert_eq!(banks, [(HashAlg::Sha256, vec![0u8, 8, 10, 13]), (HashAlg::Sha1, vec![10])]);
    assert_eq!(quote.pcr_digest[..2], [0x3b, 0x18]);
    assert_eq!(quote.raw(), bytes(QUOTE));
}

#[test]
fn signatures_are_read() {
    let signature = Signature::parse(&bytes(SIGNATURE)).unwrap();
    assert_eq!(signature.hash(), HashAlg::Sha256);
    let Signature::Ecdsa { r, s, .. } = signature else { panic!("{signature:?}") };
    assert_eq!((r.len(), s.len()), (32, 32));
    let rsa = |kind: &str| Signature::parse(&bytes(&format!("{kind}000c0002abcd"))).unwrap();
    let (hash, signature) = (HashAlg::Sha384, vec![0xab, 0xcd]);
    assert_eq!(rsa("0014"), Signature::RsaSsa { hash, signature: signature.clone() });
    assert_eq!(rsa("0016"), Signature::RsaPss { hash, signature });
}

/// Cut anywhere, or with a byte more: an error of the reader, and no panic.
fn only_whole<T: std::fmt::Debug>(text: &str, parse: impl Fn(&[u8]) -> Result<T, TpmError>) {
    let mut whole = bytes(text);
    for length in 0..whole.len() {
        let error = parse(&whole[..length]).unwrap_err();
        assert!(matches!(error, TpmError::Read(ReadError::Truncated { .. })), "{length}: {error}");
    }
    let offset = whole.len();
    whole.push(0);
    let expected = TpmError::Read(ReadError::Trailing { offset, left: 1 });
    assert_eq!(parse(&whole).unwrap_err(), expected);
    whole.resize(MAX_LEN + 1, 0);
    let expected = TpmError::TooLong { expected: MAX_LEN, found: MAX_LEN + 1 };
    assert_eq!(parse(&whole).unwrap_err(), expected);
}

#[test]
fn cut_or_longer_structures_are_refused() {
    for text in [EK, STORAGE_384, AK] {
        only_whole(text, Public::parse);
    }
    only_whole(QUOTE, Attest::parse);
    only_whole(SIGNATURE, Signature::parse);
    only_whole("0016000c0002abcd", Signature::parse);
}

#[test]
fn spoiled_quotes_have_their_own_errors() {
    let error = |at, with: &[u8]| Attest::parse(&spoiled(QUOTE, at, with)).unwrap_err();
    assert_eq!(error(0, &[0xfe]), TpmError::Magic { found: 0xfe54_4347 });
    assert_eq!(error(4, &[0x80, 0x1a]), TpmError::AttestType { found: 0x801a });
    let name = TpmError::Size { what: "qualified signer", expected: 66, found: 67 };
    assert_eq!(error(6, &[0, 67]), name);
    assert_eq!(error(64, &[2]), TpmError::Value { what: "clock safe", found: 2 });
    let many = TpmError::Value { what: "number of PCR selections", found: 17 };
    assert_eq!(error(73, &[0, 0, 0, 17]), many);
    assert_eq!(error(77, &[0, 5]), TpmError::Algorithm { what: "bank", found: 5 });
    let map = TpmError::Size { what: "PCR selection", expected: 4, found: 5 };
    assert_eq!(error(79, &[5]), map);
    let digest = TpmError::Size { what: "PCR digest", expected: 64, found: 65 };
    assert_eq!(error(89, &[0, 65]), digest);
}

#[test]
fn spoiled_public_areas_have_their_own_errors() {
    let error = |text, at, with: &[u8]| Public::parse(&spoiled(text, at, with)).unwrap_err();
    let algorithm = |what, found| TpmError::Algorithm { what, found };
    assert_eq!(error(EK, 0, &[0, 8]), algorithm("key type", 8));
    assert_eq!(error(EK, 2, &[0, 4]), algorithm("name algorithm", 4));
    assert_eq!(error(EK, 2, &[0, 0x12]), algorithm("name algorithm", 0x12));
    assert_eq!(error(EK, 2, &[0, 0x10]), algorithm("name algorithm", 0x10));
    assert_eq!(error(EK, 7, &[0xb3]), TpmError::ReservedAttributes { found: 1 });
    assert_eq!(error(EK, 4, &[0x80]), TpmError::ReservedAttributes { found: 0x8000_0000 });
    let policy = |found| TpmError::Size { what: "authorization policy", expected: 32, found };
    assert_eq!(error(EK, 8, &[0, 33]), policy(33));
    assert_eq!(error(EK, 8, &[0, 20]), policy(20));
    assert_eq!(error(EK, 42, &[0, 0x13]), algorithm("symmetric algorithm", 0x13));
    assert_eq!(error(EK, 44, &[0, 127]), TpmError::Value { what: "AES key size", found: 127 });
    assert_eq!(error(EK, 46, &[0, 0x44]), algorithm("symmetric mode", 0x44));
    assert_eq!(error(EK, 48, &[0, 0x18]), algorithm("RSA scheme", 0x18));
    assert_eq!(error(EK, 50, &[4, 0]), TpmError::Value { what: "RSA key size", found: 1024 });
    let modulus = TpmError::Size { what: "RSA modulus", expected: 256, found: 255 };
    assert_eq!(error(EK, 56, &[0, 255]), modulus);
    assert_eq!(error(AK, 12, &[0, 0x14]), algorithm("ECC scheme", 0x14));
    assert_eq!(error(AK, 14, &[0, 0]), algorithm("scheme hash", 0));
    assert_eq!(error(AK, 16, &[0, 5]), TpmError::Value { what: "curve", found: 5 });
    assert_eq!(error(AK, 18, &[0, 0x20]), algorithm("ECC key derivation", 0x20));
    let x = TpmError::Size { what: "ECC x", expected: 32, found: 31 };
    assert_eq!(error(AK, 20, &[0, 31]), x);
}

#[test]
fn spoiled_signatures_have_their_own_errors() {
    let error = |at, with: &[u8]| Signature::parse(&spoiled(SIGNATURE, at, with)).unwrap_err();
    assert_eq!(error(0, &[0, 5]), TpmError::Algorithm { what: "signature", found: 5 });
    assert_eq!(error(2, &[0, 5]), TpmError::Algorithm { what: "signature hash", found: 5 });
    assert_eq!(error(4, &[0, 49]), TpmError::Size { what: "ECDSA R", expected: 48, found: 49 });
}

#[test]
fn hash_algorithms_go_by_number_and_name() {
    for alg in HashAlg::ALL {
        assert_eq!(HashAlg::from_id(alg.id()), Some(alg));
        assert_eq!(HashAlg::from_name(alg.name()), Some(alg));
        let size = alg.digest(&[b"a", b"b"]).map(|digest| digest.len());
        assert_eq!(size, (alg != HashAlg::Sm3_256).then_some(alg.size()));
        assert_eq!(alg.digest(&[b"a", b"b"]), alg.digest(&[b"ab"]));
    }
    assert_eq!((HashAlg::from_id(0x27), HashAlg::from_name("SHA1")), (None, None));
}

fn base64(value: &Value) -> Vec<u8> {
    serde_json::from_value::<crate::bytes::Base64>(value.clone()).unwrap().0
}

fn json(path: &str) -> Option<Value> {
    testing::vector(path).map(|bytes| serde_json::from_slice(&bytes).unwrap())
}

/// The hash of the signing scheme over the PCRs' values, as the quote has it.
fn assert_pcr_digest(quote: &Attest, hash: HashAlg, pcrs: &[Vec<u8>]) {
    let [selection] = quote.selections[..] else { panic!("{:?}", quote.selections) };
    let values: Vec<&[u8]> = selection.pcrs().map(|pcr| pcrs[usize::from(pcr)].as_slice()).collect();
    assert_eq!(hash.digest(&values).unwrap(), quote.pcr_digest);
}

#[test]
fn azure_quotes_parse() {
    let folder = "azure-vtpm/confidential-containers__trustee/az-snp-vtpm";
    for file in ["evidence-v1.json", "evidence-v2.json", "tpm-quote-v1.json"] {
        let Some(json) = json(&format!("{folder}/{file}")) else { return };
        let quote = json.get("tpm_quote").unwrap_or(&json);
        let hex = |value: &Value| bytes(value.as_str().unwrap());
        let attest = Attest::parse(&hex(&quote["message"])).unwrap_or_else(|error| panic!("{file}: {error}"));
        let pcrs: Vec<Vec<u8>> = quote["pcrs"].as_array().unwrap().iter().map(hex).collect();
        assert_pcr_digest(&attest, HashAlg::Sha256, &pcrs);
    }
    let Some(message) = testing::vector(&format!("{folder}/tpm-quote.msg")) else { return };
    assert_eq!(Attest::parse(&message).unwrap().extra_data, b"challenge");
    // A length of eight bytes, the signature, another length, the message.
    for folder in [folder, "azure-vtpm/kinvolk__azure-cvm-tooling"] {
        let Some(bincode) = testing::vector(&format!("{folder}/quote.bin")) else { return };
        let length = usize::from(bincode[8 + 256]);
        let quote = Attest::parse(&bincode[8 + 256 + 8..][..length]).unwrap();
        assert_eq!(quote.extra_data, b"challenge");
    }
}

#[test]
fn a_windows_key_has_the_name_that_its_tpm_certified() {
    let Some(json) = json("tpm-quote/google__go-attestation/windows_gcp_shielded_vm.json") else { return };
    let ak = Public::parse(&base64(&json["AK"]["Public"])).unwrap();
    assert_eq!(ak.scheme(), Scheme::RsaSsa(HashAlg::Sha1));
    let creation = base64(&json["AK"]["CreateAttestation"]);
    assert_eq!(Attest::parse(&creation).unwrap_err(), TpmError::AttestType { found: 0x801a });
    let name = ak.name().as_bytes();
    assert!(creation.windows(name.len()).any(|window| window == name));
    let quote = Attest::parse(&base64(&json["Quote"]["Quote"])).unwrap();
    assert_eq!(quote.selections, [PcrSelection { hash: HashAlg::Sha1, bitmap: 0x00ff_ffff }]);
    let signature = Signature::parse(&base64(&json["Quote"]["Signature"])).unwrap();
    assert!(matches!(signature, Signature::RsaSsa { hash: HashAlg::Sha1, .. }));
}

#[test]
fn quotes_of_other_machines_parse() {
    let folder = "tpm-quote";
    let Some(message) = testing::vector(&format!("{folder}/Dstack-TEE__dstack/tpm_quote_sample.bin")) else {
        return;
    };
    assert_eq!(Attest::parse(&message).unwrap().selections[0].bitmap, 0b111);
    for file in ["good-1", "failed-1"] {
        let file = format!("{folder}/immune-gmbh__guard-oss/{file}.quote-eventlog.json");
        let Some(json) = json(&file) else { return };
        let quote = Attest::parse(&base64(&json["quote"])).unwrap();
        let pcrs: Vec<Vec<u8>> = (0..=8).map(|pcr| base64(&json["pcrs"][pcr.to_string()])).collect();
        let signature = Signature::parse(&base64(&json["signature"])).unwrap();
        assert!(matches!(signature, Signature::Ecdsa { .. }));
        assert_pcr_digest(&quote, signature.hash(), &pcrs);
    }
    let Some(json) = json(&format!("{folder}/confidential-containers__trustee/tpm_evidence.json")) else {
        return;
    };
    let quote = Attest::parse(&base64(&json["tpm_quote"]["message"])).unwrap();
    let pcrs = json["tpm_quote"]["pcrs"].as_array().unwrap();
    let pcrs: Vec<Vec<u8>> = pcrs.iter().map(|pcr| bytes(pcr.as_str().unwrap())).collect();
    let signature = Signature::parse(&base64(&json["tpm_quote"]["signature"])).unwrap();
    assert_pcr_digest(&quote, signature.hash(), &pcrs);
    let Some(text) = testing::vector(&format!("{folder}/keylime__rust-keylime/test-quote.txt")) else {
        return;
    };
    let text = String::from_utf8(text).unwrap();
    let parts: Vec<Vec<u8>> =
        text.trim().trim_start_matches('r').split(':').map(|part| base64(&part.into())).collect();
    assert_eq!(Attest::parse(&parts[0]).unwrap().extra_data, b"TEST");
    assert_eq!(Signature::parse(&parts[1]).unwrap().hash(), HashAlg::Sha1);
}

#[test]
fn a_google_key_and_its_three_quotes_parse() {
    let Some(proto) = testing::vector("tpm-quote/google__go-tpm-tools/gce-cos-85-no-nonce.pb") else {
        return;
    };
    // Protocol buffer fields: the key's 280 bytes, then per bank a quote and a signature of 262 bytes.
    let ak = Public::parse(&proto[3..3 + 280]).unwrap();
    assert_eq!(ak.scheme(), Scheme::RsaSsa(HashAlg::Sha256));
    for (at, length, hash) in
        [(288, 0x71, HashAlg::Sha1), (1300, 0x71, HashAlg::Sha256), (2600, 0x71, HashAlg::Sha384)]
    {
        let quote = Attest::parse(&proto[at..at + length]).unwrap();
        assert_eq!(quote.selections, [PcrSelection { hash, bitmap: 0x00ff_ffff }]);
        assert!(quote.extra_data.is_empty());
        let signature = Signature::parse(&proto[at + length + 3..][..262]).unwrap();
        assert!(matches!(signature, Signature::RsaSsa { hash: HashAlg::Sha256, .. }));
    }
}
