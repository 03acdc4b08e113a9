use super::*;
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey as UnparsedPeer, agree};
use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    UnparsedPublicKey, VerificationAlgorithm,
};

/// A seed, and its encryption to an RSA key (TPM 2.0 Part 1, section B.10.4).
fn rsa_seed(ek: Key) -> (Vec<u8>, Vec<u8>) {
    let seed = vec![0x42; 32];
    let key = PublicEncryptingKey::from_der(&ek.spki()).unwrap();
    let key = OaepPublicEncryptingKey::new(key).unwrap();
    let mut secret = vec![0; key.ciphertext_size()];
    key.encrypt(&OAEP_SHA256_MGF1SHA256, &seed, &mut secret, Some(b"IDENTITY\0")).unwrap();
    (seed, secret)
}

/// A seed, and the point that a P-256 key makes it from (section C.6.4).
fn ecc_seed(ek: Key) -> (Vec<u8>, Vec<u8>) {
    let own = PrivateKey::generate(&ECDH_P256).unwrap();
    let (x, y) = ek.point();
    let peer = UnparsedPeer::new(&ECDH_P256, [&[4], x.as_slice(), &y].concat());
    let point = own.compute_public_key().unwrap();
    let (own_x, own_y) = point.as_ref()[1..].split_at(32);
    let seed = agree(&own, peer, (), |shared| {
        let text = [&[0, 0, 0, 1], shared, b"IDENTITY\0", own_x, &x].concat();
        Ok(crate::hash::sha256(&text).to_vec())
    });
    let mut secret = Vec::new();
    put_sized(&mut secret, own_x);
    put_sized(&mut secret, own_y);
    (seed.unwrap(), secret)
}

/// TPM2_MakeCredential, written from TPM 2.0 Part 1, section 24.
fn make_credential(
    (seed, secret): (Vec<u8>, Vec<u8>),
    ak_name: &[u8],
    credential: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    let mut identity = Vec::new();
    put_sized(&mut identity, credential);
    let storage = credential::kdfa(&seed, "STORAGE", ak_name, 128);
    let key = EncryptingKey::cfb128(UnboundCipherKey::new(&AES_128, &storage).unwrap()).unwrap();
    key.less_safe_encrypt(&mut identity, EncryptionContext::Iv128(FixedLength::from([0; 16]))).unwrap();
    let integrity = hmac::Key::new(hmac::HMAC_SHA256, &credential::kdfa(&seed, "INTEGRITY", b"", 256));
    let tag = hmac::sign(&integrity, &[identity.as_slice(), ak_name].concat());
    let mut inner = Vec::new();
    put_sized(&mut inner, tag.as_ref());
    inner.extend(identity);
    let (mut blob, mut sized_secret) = (Vec::new(), Vec::new());
    put_sized(&mut blob, &inner);
    put_sized(&mut sized_secret, &secret);
    (blob, sized_secret)
}

#[test]
fn a_credential_comes_back_only_for_its_ek_and_ak() {
    let tpm = Tpm::default();
    let (blob, secret) = make_credential(rsa_seed(Key::Ek), &tpm.ak_name(), b"the credential");
    assert_eq!(tpm.activate_credential(&blob, &secret).unwrap(), b"the credential");
    let other_ak = Tpm::new(AkKind::RsassaSha256);
    assert_eq!(other_ak.activate_credential(&blob, &secret), Err(ActivationError::Integrity));
    assert_eq!(Tpm::foreign().activate_credential(&blob, &secret), Err(ActivationError::Secret));
    assert_eq!(tpm.activate_credential(&blob[..9], &secret), Err(ActivationError::Size));
}

#[test]
fn an_elliptic_endorsement_key_opens_what_was_made_for_its_point() {
    let tpm = Tpm::with_ecc_ek();
    let (blob, secret) = make_credential(ecc_seed(Key::EkP256), &tpm.ak_name(), b"the credential");
    assert_eq!(tpm.activate_credential(&blob, &secret).unwrap(), b"the credential");
    let (other, _) = make_credential(ecc_seed(Key::AkP256), &tpm.ak_name(), b"the credential");
    assert_eq!(tpm.activate_credential(&other, &secret), Err(ActivationError::Integrity));
    assert_eq!(tpm.activate_credential(&blob, &secret[..66]), Err(ActivationError::Size));
    // The public area is one that the parsers take for a storage key on P-256.
    let public = sealpod_evidence::tpm::Public::parse(&tpm.ek_public()).unwrap();
    assert!(matches!(public.key(), sealpod_evidence::tpm::PublicKey::Ecc { .. }));
}

#[test]
fn every_kind_of_ak_signs_what_its_public_area_says() {
    for kind in AkKind::ALL {
        let tpm = Tpm::new(kind);
        let (message, signature) = tpm.quote(b"nonce", &[0, 10]);
        assert_eq!(signature[..2], kind.ids().0.to_be_bytes());
        let (algorithm, raw): (&'static dyn VerificationAlgorithm, Vec<u8>) = match kind {
            AkKind::EcdsaP256 => (&ECDSA_P256_SHA256_FIXED, [&signature[6..38], &signature[40..]].concat()),
            AkKind::EcdsaP384 => (&ECDSA_P384_SHA384_FIXED, [&signature[6..54], &signature[56..]].concat()),
            AkKind::RsassaSha256 => (&RSA_PKCS1_2048_8192_SHA256, signature[6..].to_vec()),
            AkKind::RsassaSha384 => (&RSA_PKCS1_2048_8192_SHA384, signature[6..].to_vec()),
            AkKind::RsassaSha512 => (&RSA_PKCS1_2048_8192_SHA512, signature[6..].to_vec()),
            AkKind::RsapssSha256 => (&RSA_PSS_2048_8192_SHA256, signature[6..].to_vec()),
            AkKind::RsapssSha384 => (&RSA_PSS_2048_8192_SHA384, signature[6..].to_vec()),
            AkKind::RsapssSha512 => (&RSA_PSS_2048_8192_SHA512, signature[6..].to_vec()),
        };
        UnparsedPublicKey::new(algorithm, kind.key().spki()).verify(&message, &raw).unwrap();
        let digest_length = match kind {
            AkKind::EcdsaP384 | AkKind::RsassaSha384 | AkKind::RsapssSha384 => 48,
            AkKind::RsassaSha512 | AkKind::RsapssSha512 => 64,
            _ => 32,
        };
        assert_eq!(tpm.attest(b"", &[0]).pcr_digest.len(), digest_length);
    }
}

#[test]
fn extending_gives_the_known_answer() {
    let mut pcrs = Pcrs::default();
    pcrs.extend(6, &Digests::of(&[0; 4]));
    // What every machine has in a PCR that firmware extended with a separator alone.
    assert_eq!(pcrs.values(&[6, 17])[&6], "3d458cfe55cc03ea1f443f1562beec8df51c75e14a9fcf9a7234a13f198e7969");
    assert_eq!(hex::encode(pcrs.sha1[6]), "b2a83b0ebf2f8374299a5b2bdfc31ea955ad7236");
    assert_eq!(pcrs.values(&[17])[&17], "ff".repeat(32));
}
