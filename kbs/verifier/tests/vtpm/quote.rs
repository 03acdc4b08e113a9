//! Step 11.

use crate::support::{refused_spoiled, refused_under, valid, with_ak};
use sealpod_testkit::keys::Key;
use sealpod_testkit::tpm::{AkKind, Selection, alg, signature};
use sealpod_verifier::Check;

#[test]
fn what_a_tpm_did_not_make_is_no_quote() {
    let mut sealed = valid().seal();
    sealed.attest.magic ^= 1;
    sealed.resign_quote();
    refused_spoiled(&sealed, Check::QuoteType);

    let mut sealed = valid().seal();
    // TPM_ST_ATTEST_CERTIFY.
    sealed.attest.kind = 0x8017;
    sealed.resign_quote();
    refused_spoiled(&sealed, Check::QuoteType);
}

#[test]
fn a_quote_for_another_challenge_is_refused() {
    for change in [
        |data: &mut Vec<u8>| data[0] ^= 1,
        |data: &mut Vec<u8>| data.push(0),
        |data: &mut Vec<u8>| data.clear(),
    ] {
        let mut sealed = valid().seal();
        change(&mut sealed.attest.extra_data);
        sealed.resign_quote();
        refused_spoiled(&sealed, Check::QuoteNonce);
    }
}

#[test]
fn a_selection_of_more_fewer_or_other_pcrs_is_refused() {
    let all = valid().quoted_pcrs;
    let fewer = Selection::of(alg::SHA256, &all[..all.len() - 1]);
    let more = Selection::of(alg::SHA256, &[all.as_slice(), &[14]].concat());
    let exact = || Selection::of(alg::SHA256, &all);
    let other_bank = Selection::of(alg::SHA1, &all);
    let lists = [
        vec![fewer],
        vec![more],
        vec![exact(), exact()],
        vec![exact(), other_bank.clone()],
        vec![other_bank],
        vec![],
    ];
    for selections in lists {
        let mut sealed = valid().seal();
        sealed.attest.selections = selections;
        sealed.resign_quote();
        refused_spoiled(&sealed, Check::QuoteSelection);
    }
}

#[test]
fn values_that_are_not_those_quoted_are_refused() {
    let mut sealed = valid().seal();
    let values = sealed.additional.tpm.pcrs.get_mut("sha256").unwrap();
    *values.get_mut(&13).unwrap() = "00".repeat(32);
    sealed.rebind();
    refused_spoiled(&sealed, Check::QuotePcrDigest);

    let mut sealed = valid().seal();
    sealed.attest.pcr_digest[0] ^= 1;
    sealed.resign_quote();
    refused_spoiled(&sealed, Check::QuotePcrDigest);
}

#[test]
fn a_quote_signed_by_another_key_or_changed_after_signing_is_refused() {
    let mut sealed = valid().seal();
    // The clock is bound by nothing but the signature.
    sealed.attest.clock += 1;
    sealed.additional.tpm.quote.message.0 = sealed.attest.to_bytes();
    sealed.rebind();
    refused_spoiled(&sealed, Check::QuoteSignature);

    let bundle = with_ak(AkKind::RsassaSha256);
    let mut sealed = bundle.seal();
    let message = sealed.attest.to_bytes();
    sealed.additional.tpm.quote.signature.0 = signature(AkKind::RsassaSha256, Key::Ek, &message);
    sealed.rebind();
    refused_under(&sealed, &bundle.reference(), Check::QuoteSignature);
}

#[test]
fn a_signature_in_another_scheme_than_the_keys_is_refused() {
    let bundle = with_ak(AkKind::RsassaSha256);
    let mut sealed = bundle.seal();
    let message = sealed.attest.to_bytes();
    sealed.additional.tpm.quote.signature.0 =
        signature(AkKind::RsapssSha256, AkKind::RsassaSha256.key(), &message);
    sealed.rebind();
    let error = refused_under(&sealed, &bundle.reference(), Check::QuoteSignature);
    assert!(error.found.contains("RSAPSS with sha256"), "{error}");
}
