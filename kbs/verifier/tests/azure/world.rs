//! One appraisal with everything that goes into it, open to be spoiled.

use aws_lc_rs::digest::{SHA384, digest};
use sealpod_evidence::rcar::protocol::Attestation;
use sealpod_evidence::reference_values::ReferenceDocument;
use sealpod_evidence::snp::report::Product;
use sealpod_testkit::keys::Key;
use sealpod_testkit::{AzureBundle, AzureSealed, pki};
use sealpod_verifier::tdx::Collateral;
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
    /// Everything about the valid SNP pod.
    pub fn valid() -> Self {
        Self::of(&AzureBundle::snp())
    }

    /// Everything about this pod.
    pub fn of(bundle: &AzureBundle) -> Self {
        Self::with_tdx(&bundle.seal(), bundle)
    }

    /// The valid TDX pod's evidence after `spoil`, under the valid pod's Reference Values.
    pub fn spoiled_tdx(spoil: impl FnOnce(&mut AzureSealed)) -> Self {
        let bundle = AzureBundle::tdx();
        let mut sealed = bundle.seal();
        spoil(&mut sealed);
        Self::with_tdx(&sealed, &bundle)
    }

    /// This evidence, with all that is known of this pod.
    pub fn with_tdx(sealed: &AzureSealed, bundle: &AzureBundle) -> Self {
        let mut world = Self::with(sealed, bundle.reference());
        let tdx = world.endorsements.tdx_mut();
        tdx.dangerous_trust_root(sealpod_testkit::tdx::root_digest());
        assert!(tdx.set_collateral(Collateral::from_json(&bundle.collateral.to_json()).expect("collateral")));
        world
    }

    /// The valid SNP pod's evidence after `spoil`, under the valid pod's Reference Values.
    pub fn spoiled(spoil: impl FnOnce(&mut AzureSealed)) -> Self {
        let bundle = AzureBundle::snp();
        let mut sealed = bundle.seal();
        spoil(&mut sealed);
        Self::with(&sealed, bundle.reference())
    }

    pub fn with(sealed: &AzureSealed, reference: ReferenceDocument) -> Self {
        let mut spki_sha384 = [0; 48];
        spki_sha384.copy_from_slice(digest(&SHA384, &Key::Ark.spki()).as_ref());
        let mut endorsements = Endorsements::new(vec![SnpRoot { product: Product::Genoa, spki_sha384 }]);
        // The wire has the chip's certificate alone.
        endorsements.add_certificate(pki::ask_der().to_vec());
        endorsements.add_certificate(pki::ark_der().to_vec());
        Self {
            attestation: sealed.attestation(),
            challenge: Challenge {
                nonce: sealpod_testkit::bundle::NONCE.to_owned(),
                tee: sealed.tee,
                expires: pki::NOW + 60,
                credential_key: CredentialKey::new(&[7; 32]),
            },
            endorsements,
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
