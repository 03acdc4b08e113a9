use super::*;

fn signer() -> TokenSigner {
    TokenSigner::from_pkcs8(&generate_token_key().unwrap()).unwrap()
}

fn spoil(token: &str, part: usize) -> String {
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let mut bytes = URL_SAFE_NO_PAD.decode(&parts[part]).unwrap();
    bytes[0] ^= 1;
    parts[part] = URL_SAFE_NO_PAD.encode(bytes);
    parts.join(".")
}

#[test]
fn a_token_verifies_under_its_key_only() {
    let signer = signer();
    let token = signer.sign(b"{}").unwrap();
    assert_eq!(signer.verify(&token).unwrap(), b"{}");
    assert!(matches!(self::signer().verify(&token), Err(TokenError::Header { .. })));
    assert!(matches!(signer.verify(&spoil(&token, 0)), Err(TokenError::Header { .. })));
    assert_eq!(signer.verify(&spoil(&token, 1)), Err(TokenError::Signature));
    assert_eq!(signer.verify(&spoil(&token, 2)), Err(TokenError::Signature));
    for bad in ["", ".", "..", "a.b", "a.b.c.d"] {
        assert!(signer.verify(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_token_without_signature_is_refused() {
    let signer = signer();
    let token = signer.sign(b"{}").unwrap();
    let (signed, _) = token.rsplit_once('.').unwrap();
    assert_eq!(signer.verify(&format!("{signed}.")), Err(TokenError::Signature));
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    assert!(matches!(signer.verify(&format!("{none}.e30.")), Err(TokenError::Header { .. })));
}

#[test]
fn an_administrators_token_is_for_this_broker_and_for_a_while() {
    let (key, public) = generate_admin_key().unwrap();
    let verifier = AdminVerifier::from_spki(&public).unwrap();
    let token = admin_token(&key, 1000, 60).unwrap();
    assert_eq!(verifier.verify(&token, 1000), Ok(()));
    assert_eq!(verifier.verify(&token, 1060), Err(TokenError::Expired { expires: 1060, now: 1060 }));
    let long = admin_token(&key, 1000, u64::MAX).unwrap();
    assert_eq!(verifier.verify(&long, 999), Err(TokenError::Lifetime { found: MAX_ADMIN_SECONDS + 1 }));
    let (_, other) = generate_admin_key().unwrap();
    let other = AdminVerifier::from_spki(&other).unwrap();
    assert_eq!(other.verify(&token, 1000), Err(TokenError::Signature));
    assert_eq!(verifier.verify(&spoil(&token, 1), 1000), Err(TokenError::Signature));
}

fn es256(key: &EcdsaKeyPair, header: &serde_json::Value, claims: &serde_json::Value) -> String {
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

#[test]
fn an_es256_administrator_is_known_and_every_claim_is_needed() {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let spki = [P256_PREFIX, key.public_key().as_ref()].concat();
    let verifier = AdminVerifier::from_spki(&spki).unwrap();
    let header = json!({"alg": "ES256"});
    let good = json!({"aud": "sealpod-kbs", "role": "admin", "exp": 100, "extra": 1});
    assert_eq!(verifier.verify(&es256(&key, &header, &good), 0), Ok(()));
    for claim in ["aud", "role", "exp"] {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(claim);
        assert!(matches!(verifier.verify(&es256(&key, &header, &claims), 0), Err(TokenError::Syntax(_))));
    }
    for claim in ["aud", "role"] {
        let mut claims = good.clone();
        claims[claim] = "other".into();
        let refused = verifier.verify(&es256(&key, &header, &claims), 0);
        assert!(matches!(refused, Err(TokenError::Claim { claim: c, .. }) if c == claim));
    }
    for header in [json!({"alg": "EdDSA"}), json!({"alg": "none"}), json!({"alg": "ES256", "crit": ["x"]})] {
        assert!(matches!(verifier.verify(&es256(&key, &header, &good), 0), Err(TokenError::Header { .. })));
    }
}

#[test]
fn only_two_kinds_of_keys_are_administrators() {
    let (_, public) = generate_admin_key().unwrap();
    assert!(AdminVerifier::from_spki(&public[1..]).is_err());
    assert!(AdminVerifier::from_spki(&public[..public.len() - 1]).is_err());
    assert!(AdminVerifier::from_spki(&[]).is_err());
}

#[test]
fn the_public_half_is_the_spki_of_the_key() {
    let spki = signer().public_spki().unwrap();
    assert_eq!(spki.len(), P256_PREFIX.len() + 65);
    assert!(spki.starts_with(P256_PREFIX));
}
