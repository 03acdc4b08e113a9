//! The baseline for pods over a result that the verifier gave.

use aws_lc_rs::digest::{SHA384, digest};
use sealpod_compliance::profile::{builtin, parse};
use sealpod_compliance::{Appraised, Root, State, Tailoring, evaluate};
use sealpod_evidence::rcar::protocol::Tee;
use sealpod_evidence::snp::report::Product;
use sealpod_testkit::keys::Key;
use sealpod_testkit::{Bundle, bundle, pki};
use sealpod_verifier::{
    AppraisalPolicy, AttestationResult, Challenge, CredentialKey, Endorsements, Input, ReferenceValues,
    SnpRoot, verify,
};

fn verified() -> AttestationResult {
    let credential_key = || CredentialKey::new(&[7; 32]);
    let mut pod = Bundle::valid();
    let (ek, ak) = (pod.tpm.ek_name(), pod.tpm.ak_name());
    pod.activated_credential = credential_key().credential(&pod.nonce, &ek, &ak).to_vec();
    let reference = pod.reference();
    let nonce = bundle::NONCE.to_owned();
    let challenge =
        Challenge { nonce, tee: Tee::Snp, expires: pki::NOW + 60, credential_key: credential_key() };
    let spki_sha384 = digest(&SHA384, &Key::Ark.spki()).as_ref().try_into().unwrap();
    let root = SnpRoot { product: Product::Genoa, spki_sha384 };
    verify(&Input {
        attestation: &pod.seal().attestation(),
        challenge: &challenge,
        endorsements: &Endorsements::new(vec![root]),
        reference: &ReferenceValues::from_documents(&[reference]).unwrap(),
        policy: &AppraisalPolicy::default(),
        now: pki::NOW,
    })
    .unwrap()
}

#[test]
fn a_verified_pod_meets_the_baseline() {
    let profile =
        parse(builtin("pod-baseline").unwrap().as_bytes(), &|_| None, &Tailoring::default()).unwrap();
    let findings = evaluate(&Appraised::pod(&verified(), pki::NOW), &profile, pki::NOW);
    assert_eq!(findings.len(), 9);
    for finding in findings {
        assert_eq!((finding.state, finding.root), (State::Pass, Root::Hardware), "{finding:#?}");
    }
}
