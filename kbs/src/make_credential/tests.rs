use super::*;
use sealpod_testkit::tpm::{ActivationError, Tpm};

fn public(bytes: &[u8]) -> Public {
    Public::parse(bytes).unwrap()
}

#[test]
fn the_tpm_that_has_the_key_activates_it_for_that_object_only() {
    let tpm = Tpm::default();
    let made = make_credential(&public(&tpm.ek_public()), &tpm.ak_name(), &[7; 32]).unwrap();
    let activate = |tpm: &Tpm| tpm.activate_credential(&made.credential_blob.0, &made.encrypted_secret.0);
    assert_eq!(activate(&tpm).unwrap(), [7; 32]);
    assert!(activate(&Tpm::foreign()).is_err());
    let other = make_credential(&public(&tpm.ek_public()), b"another name", &[7; 32]).unwrap();
    let refused = tpm.activate_credential(&other.credential_blob.0, &other.encrypted_secret.0);
    assert_eq!(refused, Err(ActivationError::Integrity));
}

#[test]
fn two_credentials_of_one_value_differ() {
    let tpm = Tpm::default();
    let ek = public(&tpm.ek_public());
    let make = || make_credential(&ek, &tpm.ak_name(), &[7; 32]).unwrap();
    assert_ne!(make(), make());
}

#[test]
fn only_a_storage_key_of_one_tpm_gets_a_credential() {
    let tpm = Tpm::default();
    let ek = tpm.ek_public();
    // Attributes are the four bytes after type and name algorithm.
    for bit in [1, 4, 16, 17, 18] {
        let mut spoiled = ek.clone();
        spoiled[7 - bit / 8] ^= 1 << (bit % 8);
        let refused = make_credential(&public(&spoiled), b"n", &[7; 32]);
        assert!(matches!(refused, Err(CredentialError::Endorsement { .. })), "bit {bit}");
    }
    let refused = make_credential(&public(&tpm.ak_public()), b"n", &[7; 32]);
    assert!(matches!(refused, Err(CredentialError::Endorsement { .. })));
}

#[test]
fn numbers_that_are_no_key_are_refused() {
    // An even modulus, or a point beside the curve.
    let mut spoiled = Tpm::default().ek_public();
    *spoiled.last_mut().unwrap() ^= 1;
    assert_eq!(make_credential(&public(&spoiled), b"n", &[7; 32]), Err(CredentialError::Key));
    // A modulus or coordinate of zeros.
    let length = spoiled.len();
    spoiled[length - 32..].fill(0);
    if let PublicKey::Rsa { modulus, .. } = public(&spoiled).key() {
        spoiled[length - modulus.len()..].fill(0);
    }
    assert_eq!(make_credential(&public(&spoiled), b"n", &[7; 32]), Err(CredentialError::Key));
}

#[test]
fn key_derivation_fills_any_length() {
    let key = kdf_a(HashAlg::Sha256, &[1; 32], "STORAGE", b"name", 256);
    let long = kdf_a(HashAlg::Sha256, &[1; 32], "STORAGE", b"name", 512);
    assert_eq!((key.len(), long.len()), (32, 64));
    // The length is part of the input.
    assert_ne!(key.as_slice(), &long[..32]);
}
