//! What an appraisal establishes.

pub(crate) mod claims;
mod refused;

use crate::endorsements::VerifiedSnpKey;
use crate::tdx::VerifiedPlatform;
use sealpod_evidence::rcar::protocol::Tee;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// Who vouches for the vTPM, strongest last so that levels compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindingLevel {
    /// Nobody: the host emulates it. Proves drift to an honest host, nothing against a hostile one.
    Host,
    /// The measured guest kernel and agent alone; there is no isolated TPM.
    GuestKernel,
    /// A paravisor whose runtime data is in the report (Azure HCL).
    Paravisor,
    /// An SVSM at VMPL 0 of the same guest.
    Svsm,
}

impl BindingLevel {
    /// As policies and claims spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::GuestKernel => "guest-kernel",
            Self::Paravisor => "paravisor",
            Self::Svsm => "svsm",
        }
    }
}

/// The AR4SI trustworthiness vector (draft-ietf-rats-ar4si, section 2.3): claim values, -128..=127. `None` is
/// "no claim made".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TrustVector {
    /// Who the guest is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_identity: Option<i8>,
    /// Launch, boot and initdata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<i8>,
    /// What was executed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executables: Option<i8>,
    /// Where files came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_system: Option<i8>,
    /// Processor and firmware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<i8>,
    /// Memory hidden from the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_opaque: Option<i8>,
    /// Storage hidden from the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_opaque: Option<i8>,
    /// Data from elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sourced_data: Option<i8>,
}

/// What an AR4SI claim, or all of them together, come to (draft-ietf-rats-ar4si, section 2.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrustTier {
    /// 2 to 31, -32 to -2.
    Affirming,
    /// No claim, or one that says nothing: -1 to 1. Worse than an affirmation, so that a claim of 0 is never covered by others.
    None,
    /// 32 to 95, -96 to -33.
    Warning,
    /// 96 to 127, -128 to -97.
    Contraindicated,
}

impl TrustTier {
    /// The tier of one claim's value.
    pub fn of(value: i8) -> Self {
        match value {
            -1..=1 => Self::None,
            2..=31 | -32..=-2 => Self::Affirming,
            32..=95 | -96..=-33 => Self::Warning,
            96..=127 | -128..=-97 => Self::Contraindicated,
        }
    }

    /// As EAR's `ear.status` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Affirming => "affirming",
            Self::Warning => "warning",
            Self::Contraindicated => "contraindicated",
        }
    }
}

impl TrustVector {
    /// The worst tier of all claims that are made; [`TrustTier::None`] where none is.
    pub fn status(&self) -> TrustTier {
        let claims = [
            self.instance_identity,
            self.configuration,
            self.executables,
            self.file_system,
            self.hardware,
            self.runtime_opaque,
            self.storage_opaque,
            self.sourced_data,
        ];
        claims.into_iter().flatten().map(TrustTier::of).max().unwrap_or(TrustTier::None)
    }
}

/// Evidence that held in every step. Made only by [`crate::verify`].
#[derive(Debug, Clone)]
pub struct AttestationResult {
    pub(crate) tee: Tee,
    pub(crate) tee_pubkey: Value,
    pub(crate) claims: Value,
    pub(crate) trust_vector: TrustVector,
    pub(crate) binding_level: BindingLevel,
    pub(crate) report_id: Option<[u8; 32]>,
    pub(crate) uncovered_ima_entries: u64,
    pub(crate) snp_key: Option<Arc<VerifiedSnpKey>>,
    pub(crate) tdx_platform: Option<Arc<VerifiedPlatform>>,
}

impl AttestationResult {
    /// The TEE.
    pub fn tee(&self) -> Tee {
        self.tee
    }

    /// The guest's channel key (JWK), to which every secret is encrypted.
    pub fn tee_pubkey(&self) -> &Value {
        &self.tee_pubkey
    }

    /// All that is known of the guest, as JSON for tokens and release policies.
    pub fn claims(&self) -> &Value {
        &self.claims
    }

    /// The AR4SI vector.
    pub fn trust_vector(&self) -> &TrustVector {
        &self.trust_vector
    }

    /// The AR4SI vector's worst tier.
    pub fn status(&self) -> TrustTier {
        self.trust_vector.status()
    }

    /// Who vouches for the vTPM.
    pub fn binding_level(&self) -> BindingLevel {
        self.binding_level
    }

    /// Names this guest instance (SNP REPORT_ID). `None` where the TEE has no such name: TDX.
    pub fn report_id(&self) -> Option<&[u8; 32]> {
        self.report_id.as_ref()
    }

    /// Entries at the end of the IMA log that the quote does not cover yet. They are not evidence.
    pub fn uncovered_ima_entries(&self) -> u64 {
        self.uncovered_ima_entries
    }

    /// The chip key whose chain was verified, to hand in again as an endorsement
    /// ([`crate::Endorsements::remember`]). `None` where another TEE's key signed.
    pub fn snp_key(&self) -> Option<&Arc<VerifiedSnpKey>> {
        self.snp_key.as_ref()
    }

    /// The Intel platform whose chain and collateral were verified, to hand in again as an endorsement
    /// ([`crate::tdx::TdxEndorsements::remember`]). `None` where another TEE's key signed.
    pub fn tdx_platform(&self) -> Option<&Arc<VerifiedPlatform>> {
        self.tdx_platform.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_worst_claim() {
        let mut vector = TrustVector::default();
        assert_eq!(vector.status(), TrustTier::None);
        vector.hardware = Some(2);
        assert_eq!(vector.status(), TrustTier::Affirming);
        vector.executables = Some(33);
        assert_eq!(vector.status(), TrustTier::Warning);
        vector.instance_identity = Some(97);
        assert_eq!(vector.status(), TrustTier::Contraindicated);
    }

    #[test]
    fn every_value_has_the_tier_of_its_range() {
        let tiers =
            [(-128, -97, "contraindicated"), (-96, -33, "warning"), (-32, -2, "affirming"), (-1, 1, "none")];
        let tiers = tiers.into_iter().chain([
            (2, 31, "affirming"),
            (32, 95, "warning"),
            (96, 127, "contraindicated"),
        ]);
        for (from, to, name) in tiers {
            assert_eq!((TrustTier::of(from).as_str(), TrustTier::of(to).as_str()), (name, name));
        }
    }

    #[test]
    fn binding_levels_compare_by_strength() {
        assert!(BindingLevel::Host < BindingLevel::GuestKernel);
        assert!(BindingLevel::GuestKernel < BindingLevel::Paravisor);
        assert!(BindingLevel::Paravisor < BindingLevel::Svsm);
    }
}
