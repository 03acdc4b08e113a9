//! Step 10.

use crate::support::{accepted, activate, refused, refused_spoiled, valid, with_ak};
use sealpod_testkit::tpm::{AkKind, Tpm, attributes};
use sealpod_verifier::Check;

#[test]
fn every_kind_of_attestation_key_is_taken() {
    for kind in AkKind::ALL {
        accepted(&with_ak(kind));
    }
}

#[test]
fn an_endorsement_key_that_signs_or_may_leave_its_tpm_is_refused() {
    let clear = [
        attributes::FIXED_TPM,
        attributes::FIXED_PARENT,
        attributes::SENSITIVE_DATA_ORIGIN,
        attributes::RESTRICTED,
        attributes::DECRYPT,
    ];
    for bit in clear {
        let mut bundle = valid();
        bundle.tpm.ek.attributes &= !bit;
        activate(&mut bundle);
        refused(&bundle, Check::EkAttributes);
    }
    let mut bundle = valid();
    bundle.tpm.ek.attributes |= attributes::SIGN;
    activate(&mut bundle);
    let error = refused(&bundle, Check::EkAttributes);
    assert_eq!(error.expected, "sign clear");
}

#[test]
fn an_attestation_key_that_is_not_restricted_to_its_tpms_own_words_is_refused() {
    let clear = [
        attributes::FIXED_TPM,
        attributes::FIXED_PARENT,
        attributes::SENSITIVE_DATA_ORIGIN,
        attributes::RESTRICTED,
        attributes::SIGN,
    ];
    for bit in clear {
        let mut bundle = valid();
        bundle.tpm.ak.attributes &= !bit;
        activate(&mut bundle);
        refused(&bundle, Check::AkAttributes);
    }
    let mut bundle = valid();
    bundle.tpm.ak.attributes |= attributes::DECRYPT;
    activate(&mut bundle);
    refused(&bundle, Check::AkAttributes);
}

#[test]
fn a_credential_for_another_nonce_ek_or_ak_is_refused() {
    let key = crate::support::credential_key();
    let bundle = valid();
    let (ek, ak) = (bundle.tpm.ek_name(), bundle.tpm.ak_name());
    let others = [
        key.credential("another nonce", &ek, &ak).to_vec(),
        key.credential(&bundle.nonce, &Tpm::foreign().ek_name(), &ak).to_vec(),
        key.credential(&bundle.nonce, &ek, &Tpm::new(AkKind::EcdsaP384).ak_name()).to_vec(),
        vec![0; 32],
        Vec::new(),
    ];
    for activated_credential in others {
        let spoiled = sealpod_testkit::Bundle { activated_credential, ..bundle.clone() };
        let error = refused(&spoiled, Check::Credential);
        assert!(
            !error.to_string().contains(&hex::encode(&bundle.activated_credential)),
            "the secret is in the text"
        );
    }
}

#[test]
fn an_attestation_key_swapped_in_after_the_credential_is_refused() {
    let mut sealed = valid().seal();
    sealed.tpm = Tpm { pcrs: sealed.tpm.pcrs.clone(), ..Tpm::new(AkKind::EcdsaP384) };
    sealed.additional.tpm.ak_public.0 = sealed.tpm.ak_public();
    sealed.requote();
    refused_spoiled(&sealed, Check::Credential);
}
