//! One appraisal with everything that goes into it, open to be spoiled.

use aws_lc_rs::digest::{SHA384, digest};
use sealpod_evidence::rcar::protocol::{Attestation, Tee};
use sealpod_evidence::reference_values::ReferenceDocument;
use sealpod_evidence::snp::report::Product;
use sealpod_testkit::keys::Key;
use sealpod_testkit::{Bundle, Sealed, pki};
use sealpod_verifier::{
    AppraisalPolicy, AttestationResult, Challenge, Check, CredentialKey, Endorsements, Input,
    ReferenceValues, SnpRoot, VerifyError, verify,
};

pub struct World {
    pub attestation: Attestation,
    pub challenge: Challenge,
    pub endorsements: Endorsements,
    pub reference: ReferenceDocument,
    pub policy: AppraisalPolicy,
    pub now: u64,
}

impl World {
    /// Everything about the valid pod.
    pub fn valid() -> Self {
        Self::of(Bundle::valid())
    }

    /// Everything about this pod, whose TPM opens the credential first.
    pub fn of(mut bundle: Bundle) -> Self {
        activate(&mut bundle);
        Self::with(&bundle.seal(), bundle.reference())
    }

    /// The valid pod's evidence after `spoil`, under the valid pod's Reference Values.
    pub fn spoiled(spoil: impl FnOnce(&mut Sealed)) -> Self {
        let mut bundle = Bundle::valid();
        activate(&mut bundle);
        let mut sealed = bundle.seal();
        spoil(&mut sealed);
        Self::with(&sealed, bundle.reference())
    }

    /// The valid pod with another certificate table.
    pub fn with_certificates(table: &pki::CertificateTable) -> Self {
        Self::spoiled(|sealed| sealed.certificates = table.to_bytes())
    }

    fn with(sealed: &Sealed, reference: ReferenceDocument) -> Self {
        Self {
            attestation: sealed.attestation(),
            challenge: Challenge {
                nonce: sealed_nonce(),
                tee: Tee::Snp,
                expires: pki::NOW + 60,
                credential_key: credential_key(),
            },
            endorsements: Endorsements::new(vec![root(Key::Ark)]),
            reference,
            policy: AppraisalPolicy::default(),
            now: pki::NOW,
        }
    }

    pub fn verify(&self) -> Result<AttestationResult, VerifyError> {
        verify(&Input {
            attestation: &self.attestation,
            challenge: &self.challenge,
            endorsements: &self.endorsements,
            reference: &ReferenceValues::from_documents(std::slice::from_ref(&self.reference)).unwrap(),
            policy: &self.policy,
            now: self.now,
        })
    }

    #[track_caller]
    pub fn accepted(&self) -> AttestationResult {
        self.verify().unwrap_or_else(|error| panic!("{error}"))
    }

    #[track_caller]
    pub fn refused(&self, check: Check) -> VerifyError {
        match self.verify() {
            Ok(_) => panic!("accepted, expected a refusal by {}", check.name()),
            Err(error) => {
                assert_eq!(error.check, check, "{error}");
                error
            }
        }
    }
}

/// A key to be trusted as the root of the test product line.
pub fn root(key: Key) -> SnpRoot {
    let mut spki_sha384 = [0; 48];
    spki_sha384.copy_from_slice(digest(&SHA384, &key.spki()).as_ref());
    SnpRoot { product: Product::Genoa, spki_sha384 }
}

fn sealed_nonce() -> String {
    sealpod_testkit::bundle::NONCE.to_owned()
}

fn credential_key() -> CredentialKey {
    CredentialKey::new(&[7; 32])
}

fn activate(bundle: &mut Bundle) {
    let (ek, ak) = (bundle.tpm.ek_name(), bundle.tpm.ak_name());
    bundle.activated_credential = credential_key().credential(&bundle.nonce, &ek, &ak).to_vec();
}
