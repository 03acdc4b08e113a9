use super::*;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use sealpod_evidence::rcar::protocol::Response;
use serde_json::json;

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn ec() -> (PrivateKey, Value) {
    let key = PrivateKey::generate(&ECDH_P256).unwrap();
    let point = key.compute_public_key().unwrap();
    let (x, y) = (b64(&point.as_ref()[1..33]), b64(&point.as_ref()[33..]));
    let jwk = json!({"kty": "EC", "crv": "P-256", "alg": EC_ALGORITHM, "x": x, "y": y});
    (key, jwk)
}

/// What a guest does after it has the content key, with the header as `kbs-types` writes it anew.
fn open_content(jwe: &[u8], key: &[u8; 32]) -> Vec<u8> {
    let response: Response = serde_json::from_slice(jwe).unwrap();
    let aad = response.protected.generate_aad().unwrap();
    let mut text = [response.ciphertext, response.tag].concat();
    crypto::open(key, response.iv.try_into().unwrap(), &aad, &mut text).unwrap();
    text
}

fn ec_content_key(private: &PrivateKey, jwe: &Value) -> [u8; 32] {
    let header = URL_SAFE_NO_PAD.decode(jwe["protected"].as_str().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    let mut point = vec![4];
    for field in ["x", "y"] {
        point.extend(URL_SAFE_NO_PAD.decode(header["epk"][field].as_str().unwrap()).unwrap());
    }
    let kek = agree(private, UnparsedPublicKey::new(&ECDH_P256, point), (), |z| Ok(concat_kdf(z))).unwrap();
    let wrapped = URL_SAFE_NO_PAD.decode(jwe["encrypted_key"].as_str().unwrap()).unwrap();
    let mut key = [0; 32];
    AesKek::new(&AES_256, kek.as_slice()).unwrap().unwrap(&wrapped, &mut key).unwrap();
    key
}

#[test]
fn the_holder_of_the_ec_key_reads_the_secret() {
    let (private, jwk) = ec();
    let recipient = Recipient::from_jwk(&jwk).unwrap_or_else(|e| panic!("{e}"));
    for secret in [&b""[..], b"secret", &[3; 100_000]] {
        let jwe = recipient.seal(secret).unwrap();
        let key = ec_content_key(&private, &serde_json::from_slice(&jwe).unwrap());
        assert_eq!(open_content(&jwe, &key), secret);
    }
}

#[test]
fn the_header_is_in_the_order_that_readers_write_it_in() {
    let (_, jwk) = ec();
    let jwe = Recipient::from_jwk(&jwk).unwrap_or_else(|e| panic!("{e}")).seal(b"x").unwrap();
    let jwe: Value = serde_json::from_slice(&jwe).unwrap();
    let header = URL_SAFE_NO_PAD.decode(jwe["protected"].as_str().unwrap()).unwrap();
    let header = String::from_utf8(header).unwrap();
    let order = ["{\"alg\"", "\"enc\"", "\"epk\":{\"crv\"", "\"kty\"", "\"x\"", "\"y\""];
    let found: Vec<_> = order.iter().map(|key| header.find(key).unwrap()).collect();
    assert!(found.is_sorted(), "{header}");
}

#[test]
fn the_holder_of_the_rsa_key_reads_the_secret() {
    let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<PublicKeyX509Der<'_>>::as_der(&private.public_key()).unwrap();
    let modulus = &der.as_ref()[der.as_ref().len() - 5 - 256..der.as_ref().len() - 5];
    let jwk = json!({"kty": "RSA", "alg": RSA_ALGORITHM, "n": b64(modulus), "e": "AQAB"});
    let jwe = Recipient::from_jwk(&jwk).unwrap_or_else(|e| panic!("{e}")).seal(b"secret").unwrap();
    let wrapped: Value = serde_json::from_slice(&jwe).unwrap();
    let wrapped = URL_SAFE_NO_PAD.decode(wrapped["encrypted_key"].as_str().unwrap()).unwrap();
    let mut key = vec![0; 256];
    let private = OaepPrivateDecryptingKey::new(private).unwrap();
    let key = private.decrypt(&OAEP_SHA256_MGF1SHA256, &wrapped, &mut key, None).unwrap();
    assert_eq!(open_content(&jwe, (&*key).try_into().unwrap()), b"secret");
}

#[test]
fn other_keys_are_refused_by_name() {
    let (_, jwk) = ec();
    let with = |field: &str, value: &str| {
        let mut jwk = jwk.clone();
        jwk[field] = value.into();
        Recipient::from_jwk(&jwk).err().unwrap()
    };
    assert!(matches!(with("kty", "OKP"), RecipientError::Algorithm { .. }));
    assert!(matches!(with("crv", "P-521"), RecipientError::Algorithm { .. }));
    assert!(matches!(with("alg", "ECDH-ES"), RecipientError::Algorithm { .. }));
    assert!(matches!(with("x", "AAAA"), RecipientError::Field { field: "x", .. }));
    assert!(matches!(with("y", "!"), RecipientError::Field { field: "y", .. }));
    assert_eq!(with("x", &b64(&[1; 32])), RecipientError::Key);
    let rsa = |n: &str, alg: &str| {
        Recipient::from_jwk(&json!({"kty": "RSA", "alg": alg, "n": n, "e": "AQAB"})).err().unwrap()
    };
    assert_eq!(rsa(&b64(&[0xff; 128]), RSA_ALGORITHM), RecipientError::Key);
    assert!(matches!(rsa(&b64(&[0xff; 256]), "RSA1_5"), RecipientError::Algorithm { .. }));
    assert!(Recipient::from_jwk(&Value::Null).is_err());
}
