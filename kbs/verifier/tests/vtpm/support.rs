//! Valid evidence and how it is appraised here.

use aws_lc_rs::digest::{SHA384, digest};
use sealpod_evidence::rcar::protocol::Tee;
use sealpod_evidence::reference_values::ReferenceDocument;
use sealpod_evidence::snp::report::Product;
use sealpod_testkit::keys::Key;
use sealpod_testkit::tpm::AkKind;
use sealpod_testkit::{Bundle, Sealed, pki};
use sealpod_verifier::{
    AppraisalPolicy, AttestationResult, Challenge, Check, CredentialKey, Endorsements, Input,
    ReferenceValues, SnpRoot, VerifyError, verify,
};

/// The broker's.
pub fn credential_key() -> CredentialKey {
    CredentialKey::new(&[7; 32])
}

/// A valid bundle whose TPM opened the credential.
pub fn valid() -> Bundle {
    let mut bundle = Bundle::valid();
    activate(&mut bundle);
    bundle
}

/// The same with another kind of attestation key.
pub fn with_ak(kind: AkKind) -> Bundle {
    let mut bundle = Bundle { tpm: sealpod_testkit::tpm::Tpm::new(kind), ..Bundle::valid() };
    activate(&mut bundle);
    bundle
}

/// Have the TPM open the credential that the broker makes for its keys as they are.
pub fn activate(bundle: &mut Bundle) {
    let (ek, ak) = (bundle.tpm.ek_name(), bundle.tpm.ak_name());
    bundle.activated_credential = credential_key().credential(&bundle.nonce, &ek, &ak).to_vec();
}

/// Appraise under these Reference Values.
pub fn appraise(sealed: &Sealed, reference: &ReferenceDocument) -> Result<AttestationResult, VerifyError> {
    let mut spki_sha384 = [0; 48];
    spki_sha384.copy_from_slice(digest(&SHA384, &Key::Ark.spki()).as_ref());
    let root = SnpRoot { product: Product::Genoa, spki_sha384 };
    let endorsements = Endorsements::new(vec![root]);
    let challenge = Challenge {
        nonce: sealed.nonce.clone(),
        tee: Tee::Snp,
        expires: pki::NOW + 60,
        credential_key: credential_key(),
    };
    let reference = ReferenceValues::from_documents(std::slice::from_ref(reference)).unwrap();
    verify(&Input {
        attestation: &sealed.attestation(),
        challenge: &challenge,
        endorsements: &endorsements,
        reference: &reference,
        policy: &AppraisalPolicy::default(),
        now: pki::NOW,
    })
}

/// That this bundle holds.
#[track_caller]
pub fn accepted(bundle: &Bundle) -> AttestationResult {
    appraise(&bundle.seal(), &bundle.reference()).unwrap_or_else(|error| panic!("{error}"))
}

/// That this bundle, with its own Reference Values, is refused by exactly this check.
#[track_caller]
pub fn refused(bundle: &Bundle, check: Check) -> VerifyError {
    refused_under(&bundle.seal(), &bundle.reference(), check)
}

/// That this evidence is refused by exactly this check under the Reference Values of the valid bundle.
#[track_caller]
pub fn refused_spoiled(sealed: &Sealed, check: Check) -> VerifyError {
    refused_under(sealed, &Bundle::valid().reference(), check)
}

/// That this evidence is refused by exactly this check.
#[track_caller]
pub fn refused_under(sealed: &Sealed, reference: &ReferenceDocument, check: Check) -> VerifyError {
    match appraise(sealed, reference) {
        Ok(_) => panic!("accepted, expected a refusal by {}", check.name()),
        Err(error) => {
            assert_eq!(error.check, check, "{error}");
            error
        }
    }
}
