//! The pipelines: sixteen steps from evidence to result, in the order of [`crate::verify`]'s documentation.
//!
//! Each TEE has an arm of its own. Which one runs is the challenge's word, never the sender's.

mod azure;
mod snp;
mod tdx;

use crate::{AttestationResult, Check, Input, VerifyError};
use sealpod_evidence::rcar::protocol::Tee;

/// Steps 1 to 16. A step sees only what the steps before it have let through; the first that fails ends the
/// appraisal.
pub(crate) fn verify(input: &Input<'_>) -> Result<AttestationResult, VerifyError> {
    match input.challenge.tee {
        Tee::Snp => snp::verify(input),
        Tee::Tdx => tdx::verify(input),
        Tee::AzSnpVtpm => azure::verify_snp(input),
        Tee::AzTdxVtpm => azure::verify_tdx(input),
        other => Err(not_appraised(other)),
    }
}

/// TEEs that have an arm: a broker gives out challenges to these and no others.
pub const APPRAISED: &[Tee] = &[Tee::Snp, Tee::Tdx, Tee::AzSnpVtpm, Tee::AzTdxVtpm];

/// The refusal of a TEE that has no arm.
fn not_appraised(tee: Tee) -> VerifyError {
    let names: Vec<_> = APPRAISED.iter().map(Tee::to_string).collect();
    VerifyError::new(Check::ChallengeTee, format!("a TEE that is appraised here, {}", names.join(", ")), tee)
}
