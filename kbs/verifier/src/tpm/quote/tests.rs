//! Quotes of real TPMs. Spoiled quotes are in tests/vtpm/quote.rs.

use super::*;
use crate::testing::vector;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealpod_testkit::keys::Key;
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

/// Signatures over `message` by keys of the testkit in schemes that the testkit's own library does not sign in, made with OpenSSL:
/// `openssl dgst -sha384 -sign ak-p256.der -keyform DER`.
const ECDSA: [(Key, HashAlg, &str, &str); 5] = [
    (
        Key::AkP256,
        HashAlg::Sha1,
        "20be62c49deb754121bacada4e1196d6060e38be9370d437fdad77bf73a09e42",
        "d756476356d7a4c0c5503832d09905cdf8ff9185e3001a3d95d06736056e8ebd",
    ),
    (
        Key::AkP256,
        HashAlg::Sha384,
        "d41cd8e83e95251379e39100a40bde6578cec7417e7384b0000ef79ba458f0ec",
        "441075a767b0b5404bc0b90accdff0cb65f840008a8fd2cb4b208a3339a6dcf6",
    ),
    (
        Key::AkP256,
        HashAlg::Sha512,
        "54a7d84203c4b6d9b7728645260764cc6a387ef7c171cdf4baa3ef0ef0b67998",
        "86fdeea6c79934c3e1bea8431c3aa07afc91ce71504627c9402a2eeab628578e",
    ),
    (
        Key::AkP384,
        HashAlg::Sha256,
        "5bd34e6932f6b600d2d3c2c16cbb6841b21822cbb340bc957793e8ff1de65b8755fdfb50b946bfed6ff9662cda9e0792",
        "796ee1b025abc2c4217851dc40ec0d28681c7a6b690b8d464e4675a82c1d5879929b9c5d86e62c026db588ef0eca5fad",
    ),
    (
        Key::AkP384,
        HashAlg::Sha512,
        "553b167e816b680b01f508324d59c5fe5fd10e8da43c574a499a193c89eb429e5f45f218b6363f1d00ef1a67cf8b2226",
        "04d67a6af2fd2f87d0e966ec607186327681b85d3b7846b0b04b49d28d21d22b275f4469d9046713c2b8a1ecb3e1af68",
    ),
];
/// RSASSA with SHA-1 by `ak-rsa`.
const RSASSA_SHA1: &str = "314a2dbbe9a8125262a1ba62c7b18127e5145c5404190dcb276a8c62dd8f750b7c4e583bd1fd6a6537a90ca447c699b1\
    c6707459c96c333b7c88fd22ff7973b32f2c97ae753467c949819aa38ce064a41094dc0df00f2feebe043b5461e80dcb\
    cf926f62cd43c41f6aaa69babd172b6922f20d32952eac72f483840cebcb5c6b105a6133931bac5e686141b46c0965da\
    c8f5cb39d3f803c6a34baba0af6dd9f0798eca691dabb0864eb2b222c3b908c74b28c636e70a7436178d91c90bb18010\
    9abd7262c0195c14a2e296007232c492fe674b8c0aede35dbf8997a7ad5815cb582dc0fa6d04ebf842e23e45ba6f2896\
    1cae323053d46872eb247f03d1a228c4";
/// RSAPSS with SHA-256 by `ak-rsa`, with the longest salt that fits.
const RSAPSS_LONG_SALT: &str = "70035de62b96dc9df8dcb80fdc387dc467bb7d6b1079db10c6ca01f11fbc7eeaaeca830e958a95a6c19d26d9f160d1fc\
    0b564e61e665af462e658f3707ea2cb71f6f63258d19cec4fb99ee6ac39ca462dcc39d4a53667454145b235313b3ff42\
    08afe366235fc8105ca1ad48385c9df3f298f4f9ceb9706401fd58faa9776014ba3efe12c070630d1b2604abf56fe46a\
    74b244dd468f144a0beee2d84243ff802468d9844281ed337f608fb5182a3f4f8b4bace1e54637eb6e9c8e2560628a41\
    fba7b59546b8a0dc1cab8266debc7d90bf9cd6981e311217af9f89bd44d0cec62469d229f162e9c04a87e414cb5b5307\
    48322bab1cd642574a7da9d94d4d23df";

fn scalars(hash: HashAlg, r: &str, s: &str) -> Signature {
    Signature::Ecdsa { hash, r: hex::decode(r).unwrap(), s: hex::decode(s).unwrap() }
}

fn by_spki(key: Key, signature: &Signature) -> Result<(), Check> {
    signature_by_spki(&key.spki(), signature, b"message").map_err(|error| error.check)
}

#[test]
fn ecdsa_is_taken_with_each_hash_on_both_curves() {
    for (key, hash, r, s) in ECDSA {
        assert_eq!(by_spki(key, &scalars(hash, r, s)), Ok(()), "{key:?} {hash}");
        // A TPM may write zeros in front, or leave them out.
        assert_eq!(by_spki(key, &scalars(hash, &format!("00{r}"), s)), Ok(()));
        assert_eq!(by_spki(key, &scalars(hash, s, r)), Err(Check::QuoteSignature));
        assert_eq!(by_spki(key, &scalars(HashAlg::Sm3_256, r, s)), Err(Check::QuoteSignature));
        assert_eq!(by_spki(Key::AkRsa, &scalars(hash, r, s)), Err(Check::QuoteSignature));
    }
    let (key, hash, r, _) = ECDSA[0];
    for bad in ["", "00"] {
        assert_eq!(by_spki(key, &scalars(hash, r, bad)), Err(Check::QuoteSignature));
    }
}

#[test]
fn a_digest_is_over_any_pcrs_of_any_banks_in_the_order_of_the_quote() {
    use sealpod_testkit::tpm::{Selection, Tpm, alg};
    let tpm = Tpm::default();
    let (sha1, sha256) = (tpm.pcrs.sha1, tpm.pcrs.sha256);
    let values = [sha256[17].as_slice(), &sha256[23], &sha1[0], &sha1[10]].concat();
    let attest = |selections| {
        let pcr_digest = HashAlg::Sha384.digest(&[&values]).unwrap();
        let made = sealpod_testkit::tpm::Attest { selections, pcr_digest, ..tpm.attest(b"", &[0]) };
        Attest::parse(&made.to_bytes()).unwrap()
    };
    let banks = vec![Selection::of(alg::SHA256, &[17, 23]), Selection::of(alg::SHA1, &[0, 10])];
    let value = |bank, pcr: u8| match bank {
        HashAlg::Sha1 => sha1.get(usize::from(pcr)).map(<[u8; 20]>::as_slice),
        HashAlg::Sha256 => sha256.get(usize::from(pcr)).map(<[u8; 32]>::as_slice),
        _ => None,
    };
    let digest = |attest: &Attest, hash| pcr_digest(attest, hash, value).map_err(|error| error.check);
    let refused = Err(Check::QuotePcrDigest);
    let quote = attest(banks.clone());
    assert_eq!(digest(&quote, HashAlg::Sha384), Ok(()));
    // By the hash of the signing scheme, and no other; one that is not computed is no hash.
    assert_eq!((digest(&quote, HashAlg::Sha256), digest(&quote, HashAlg::Sm3_256)), (refused, refused));
    let swapped = attest(banks.iter().rev().cloned().collect());
    assert_eq!(digest(&swapped, HashAlg::Sha384), refused);
    assert_eq!(digest(&attest(vec![Selection::of(alg::SHA384, &[0])]), HashAlg::Sha384), refused);
    let expected: [(HashAlg, &[u8]); 2] = [(HashAlg::Sha256, &[17, 23]), (HashAlg::Sha1, &[0, 10])];
    assert_eq!(selection_of(&quote, &expected), Ok(()));
    for other in [&expected[..1], &[expected[1], expected[0]], &[]] {
        assert_eq!(selection_of(&quote, other).unwrap_err().check, Check::QuoteSelection);
    }
}

#[test]
fn rsapss_has_a_salt_as_long_as_the_digest_or_as_fits() {
    let long = hex::decode(RSAPSS_LONG_SALT).unwrap();
    let digest = Key::AkRsa.sign(sealpod_testkit::keys::Scheme::PssSha256, b"message");
    for signature in [long, digest] {
        let pss = |signature: &[u8], hash| Signature::RsaPss { hash, signature: signature.to_vec() };
        assert_eq!(by_spki(Key::AkRsa, &pss(&signature, HashAlg::Sha256)), Ok(()));
        assert_eq!(by_spki(Key::AkRsa, &pss(&signature, HashAlg::Sha384)), Err(Check::QuoteSignature));
        assert_eq!(by_spki(Key::Ek, &pss(&signature, HashAlg::Sha256)), Err(Check::QuoteSignature));
        let pkcs1 = Signature::RsaSsa { hash: HashAlg::Sha256, signature };
        assert_eq!(by_spki(Key::AkRsa, &pkcs1), Err(Check::QuoteSignature));
    }
}

#[test]
fn sha_1_is_computed_and_then_refused_as_weak() {
    let signature = |hash| Signature::RsaSsa { hash, signature: hex::decode(RSASSA_SHA1).unwrap() };
    assert_eq!(by_spki(Key::AkRsa, &signature(HashAlg::Sha1)), Ok(()));
    assert_eq!(by_spki(Key::AkRsa, &signature(HashAlg::Sha256)), Err(Check::QuoteSignature));
    let tpm = sealpod_testkit::tpm::Tpm::default();
    let attest = |selections| {
        let attest = sealpod_testkit::tpm::Attest { selections, ..tpm.attest(b"", &[0]) };
        Attest::parse(&attest.to_bytes()).unwrap()
    };
    let bank = |alg| sealpod_testkit::tpm::Selection::of(alg, &[0]);
    let (sha1, sha256) = (sealpod_testkit::tpm::alg::SHA1, sealpod_testkit::tpm::alg::SHA256);
    let weak = |attest: &Attest, hash| strong_hash(attest, &signature(hash)).map_err(|error| error.check);
    for (selections, hash, verdict) in [
        (vec![bank(sha256)], HashAlg::Sha256, Ok(())),
        (vec![bank(sha1), bank(sha256)], HashAlg::Sha256, Ok(())),
        (vec![bank(sha256)], HashAlg::Sha1, Err(Check::WeakHash)),
        (vec![bank(sha1)], HashAlg::Sha256, Err(Check::WeakHash)),
        (vec![bank(sha1), bank(sha1)], HashAlg::Sha256, Err(Check::WeakHash)),
        (vec![], HashAlg::Sha256, Err(Check::WeakHash)),
    ] {
        assert_eq!(weak(&attest(selections), hash), verdict);
    }
}
