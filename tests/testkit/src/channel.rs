//! The guest's channel key with its private half, so that a test can open what a broker encrypts to it.

use crate::keys::Key;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealpod_evidence::rcar::protocol::TeePubKey;
use serde_json::Value;

use crate::hash::sha256;

/// How the broker encrypts to it.
pub const ALGORITHM: &str = "ECDH-ES+A256KW";

/// The public half of [`Key::Channel`], as evidence names it.
pub fn tee_pubkey() -> TeePubKey {
    let (x, y) = Key::Channel.point();
    TeePubKey::EC {
        crv: "P-256".to_owned(),
        alg: ALGORITHM.to_owned(),
        x: URL_SAFE_NO_PAD.encode(x),
        y: URL_SAFE_NO_PAD.encode(y),
    }
}

/// Open a JWE in flattened JSON form (RFC 7516; RFC 7518, section 4.6); `None` when any part of it is not as it should be.
pub fn open(jwe: &Value) -> Option<Vec<u8>> {
    let part = |name: &str| URL_SAFE_NO_PAD.decode(jwe[name].as_str()?).ok();
    let header: Value = serde_json::from_slice(&part("protected")?).ok()?;
    if header["alg"] != ALGORITHM || header["enc"] != "A256GCM" {
        return None;
    }
    let mut point = vec![4];
    for coordinate in ["x", "y"] {
        point.extend(URL_SAFE_NO_PAD.decode(header["epk"][coordinate].as_str()?).ok()?);
    }
    let own = PrivateKey::from_private_key_der(&ECDH_P256, Key::Channel.pkcs8()).expect("a committed key");
    let kek = agree(&own, UnparsedPublicKey::new(&ECDH_P256, point), (), |z| Ok(wrapping_key(z))).ok()?;
    let mut content_key = [0; 32];
    AesKek::new(&AES_256, &kek).ok()?.unwrap(&part("encrypted_key")?, &mut content_key).ok()?;
    let mut text = part("ciphertext")?;
    text.extend(part("tag")?);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &content_key).ok()?);
    let iv = Nonce::try_assume_unique_for_key(&part("iv")?).ok()?;
    let aad = Aad::from(jwe["protected"].as_str()?.as_bytes());
    key.open_in_place(iv, aad, &mut text).ok().map(|plain| plain.to_vec())
}

/// Concat KDF, one round, without party information (RFC 7518, section 4.6.2).
fn wrapping_key(shared: &[u8]) -> [u8; 32] {
    let mut input = 1_u32.to_be_bytes().to_vec();
    input.extend(shared);
    input.extend((ALGORITHM.len() as u32).to_be_bytes());
    input.extend(ALGORITHM.as_bytes());
    input.extend([0; 8]);
    input.extend(256_u32.to_be_bytes());
    sha256(&input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What a broker does.
    fn seal(text: &[u8]) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (x, y) = Key::Channel.point();
        let peer = UnparsedPublicKey::new(&ECDH_P256, [vec![4], x, y].concat());
        let own = PrivateKey::generate(&ECDH_P256).unwrap();
        let point = own.compute_public_key().unwrap();
        let point = point.as_ref();
        let kek = agree(&own, peer, (), |z| Ok(wrapping_key(z))).unwrap();
        let epk = json!({"kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..])});
        let protected =
            encode(json!({"alg": ALGORITHM, "enc": "A256GCM", "epk": epk}).to_string().as_bytes());
        let mut wrapped = [0; 40];
        AesKek::new(&AES_256, &kek).unwrap().wrap(&[7; 32], &mut wrapped).unwrap();
        let mut sealed = text.to_vec();
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap());
        let iv = Nonce::assume_unique_for_key([9; 12]);
        let aad = Aad::from(protected.as_bytes());
        let tag = key.seal_in_place_separate_tag(iv, aad, &mut sealed).unwrap();
        json!({"protected": protected, "encrypted_key": encode(&wrapped), "iv": encode(&[9; 12]),
               "ciphertext": encode(&sealed), "tag": encode(tag.as_ref())})
    }

    #[test]
    fn what_is_sealed_to_the_key_opens_and_nothing_else() {
        let mut jwe = seal(b"secret");
        assert_eq!(open(&jwe).unwrap(), b"secret");
        jwe["iv"] = json!("AAAAAAAAAAAAAAAA");
        assert_eq!(open(&jwe), None);
        assert_eq!(open(&json!({})), None);
    }
}
