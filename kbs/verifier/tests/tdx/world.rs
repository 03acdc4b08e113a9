//! One appraisal with everything that goes into it, open to be spoiled.

use sealpod_evidence::rcar::protocol::{Attestation, Tee};
use sealpod_evidence::reference_values::ReferenceDocument;
use sealpod_testkit::pki::NOW;
use sealpod_testkit::tdx::{self, TdxBundle, TdxSealed};
use sealpod_verifier::tdx::Collateral;
use sealpod_verifier::{
    AppraisalPolicy, AttestationResult, BindingLevel, Challenge, Check, CredentialKey, Endorsements, Input,
    ReferenceValues, VerifyError, verify,
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
        Self::of(TdxBundle::valid())
    }

    /// Everything about this pod.
    pub fn of(mut bundle: TdxBundle) -> Self {
        activate(&mut bundle);
        Self::with(&bundle.seal(), &bundle)
    }

    /// The valid pod, after this change to what it is made from.
    pub fn made(change: impl FnOnce(&mut TdxBundle)) -> Self {
        let mut bundle = TdxBundle::valid();
        change(&mut bundle);
        Self::of(bundle)
    }

    /// The valid pod, after this change to what it is made from, under the valid pod's Reference Values.
    pub fn changed(change: impl FnOnce(&mut TdxBundle)) -> Self {
        Self { reference: TdxBundle::valid().reference(), ..Self::made(change) }
    }

    /// The valid pod's evidence after `spoil`.
    pub fn spoiled(spoil: impl FnOnce(&mut TdxSealed)) -> Self {
        let bundle = TdxBundle::valid();
        let mut sealed = bundle.seal();
        spoil(&mut sealed);
        Self::with(&sealed, &bundle)
    }

    fn with(sealed: &TdxSealed, bundle: &TdxBundle) -> Self {
        let mut endorsements = Endorsements::default();
        endorsements.tdx_mut().dangerous_trust_root(tdx::root_digest());
        let collateral = Collateral::from_json(&bundle.collateral.to_json()).expect("collateral");
        assert!(endorsements.tdx_mut().set_collateral(collateral));
        Self {
            attestation: sealed.attestation(),
            challenge: Challenge {
                nonce: bundle.pod.nonce.clone(),
                tee: Tee::Tdx,
                expires: NOW + 60,
                credential_key: credential_key(),
            },
            endorsements,
            reference: bundle.reference(),
            policy: AppraisalPolicy {
                minimum_binding_level: BindingLevel::GuestKernel,
                ..AppraisalPolicy::default()
            },
            now: NOW,
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

fn credential_key() -> CredentialKey {
    CredentialKey::new(&[7; 32])
}

fn activate(bundle: &mut TdxBundle) {
    let pod = &mut bundle.pod;
    let (ek, ak) = (pod.tpm.ek_name(), pod.tpm.ak_name());
    pod.activated_credential = credential_key().credential(&pod.nonce, &ek, &ak).to_vec();
}
