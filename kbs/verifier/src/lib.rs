//! Pure appraisal of combined TEE, vTPM and IMA evidence: evidence in, attestation result out.
//!
//! One door, [`verify`]; before it, [`parse_body`] for what came over the wire. Evidence, challenge, endorsements, Reference Values, policy and time go in; an
//! [`AttestationResult`] or a [`VerifyError`] comes out. Nothing below the door reads a clock, a file, a socket, the
//! environment or a log.
//!
//! An [`AttestationResult`] can be made in no other way, so whoever holds one knows that every step held. It does *not* say
//! that the owner wants to release anything: that is the release policy's word.
//!
//! Single steps are open to tools that have single pieces, in [`azure`], [`snp`], [`tpm`], [`ima`] and [`x509`]: the same functions, and none of them
//! makes a result.
#![forbid(unsafe_code)]

pub use appraise::APPRAISED;
pub use challenge::{Challenge, CredentialKey};
pub use endorsements::{Endorsements, SnpRoot, VerifiedSnpKey};
pub use error::{Check, VerifyError};
pub use parts::{MAX_ADDITIONAL_LEN, MAX_BODY_LEN, parse_body};
pub use policy::{AppraisalPolicy, TdxPolicy};
pub use reference::{ReferenceError, ReferenceValues};
pub use result::{AttestationResult, BindingLevel, TrustTier, TrustVector};
pub use tpm::boot::rules::{BootStage, boot_rules};

pub mod azure;
pub mod challenge;
pub mod endorsements;
pub mod error;
pub mod ima;
pub mod node;
pub mod policy;
pub mod reference;
pub mod result;
pub mod snp;
pub mod tdx;
pub mod tpm;
pub mod x509;

mod appraise;
mod bound;
mod hash;
mod parts;
mod signature;
#[cfg(test)]
mod testing;
pub mod workload;

use sealpod_evidence::rcar::protocol::Attestation;

/// Seconds since 1970-01-01T00:00:00Z.
pub type UnixTime = u64;

/// All that one appraisal needs. Nothing here is optional: a missing expectation is an error, not a skipped check.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The body of `/attest`, from the untrusted sender, as [`parse_body`] gives it.
    pub attestation: &'a Attestation,
    /// The challenge that the sender was given, opened from its sealed cookie by the broker.
    pub challenge: &'a Challenge,
    /// Trust roots, certificates and revocation lists.
    pub endorsements: &'a Endorsements,
    /// What the owner expects.
    pub reference: &'a ReferenceValues,
    /// How strict to be where the field leaves a choice.
    pub policy: &'a AppraisalPolicy,
    /// The time at which certificates and the challenge must be valid.
    pub now: UnixTime,
}

/// Appraise one piece of combined evidence.
///
/// The steps, in order; each is one function, and [`Check::step`] gives a check's number:
///
///  1. sizes and counts are within budget; every part parses; known versions only
///  2. the challenge is unexpired, its nonce is the one answered, its TEE is the one that answers
///  3. endorsement chain of the report's signing key at `now`
///  4. the certificate's TCB and hardware id are the report's
///  5. signature over the raw report
///  6. report fields: version, key kind, VMPL, debug and migration bits, least TCB
///  7. report data binds nonce, channel key and the text of the vTPM evidence
///  8. launch digest and initdata are Reference Values; the guest runs at the VMPL that its launch gives it
///  9. binding level: who vouches for the vTPM
/// 10. the credential was activated by the TPM that owns that EK, for this AK
/// 11. the quote is fresh, of the PCRs asked for, over the values given, by that AK
/// 12. the boot log replays to PCR 0-9 and is an accepted boot that covers the ACPI tables; PCR 8 is initdata
/// 13. the IMA log starts with this boot's aggregate and replays to PCR 10
/// 14. every file executed or mapped is the guest image's or an allowed container image's
/// 15. the workload log replays to PCR 13 and names only what initdata allows
/// 16. the result
pub fn verify(input: &Input<'_>) -> Result<AttestationResult, VerifyError> {
    appraise::verify(input)
}
