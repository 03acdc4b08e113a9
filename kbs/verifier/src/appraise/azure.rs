//! Azure confidential machines, whose paravisor has the vTPM.

use super::not_appraised;
use crate::{AttestationResult, Input, VerifyError};

/// Refuses by name: such evidence is not appraised.
pub(super) fn verify_snp(input: &Input<'_>) -> Result<AttestationResult, VerifyError> {
    Err(not_appraised(input.challenge.tee))
}

/// Refuses by name: such evidence is not appraised.
pub(super) fn verify_tdx(input: &Input<'_>) -> Result<AttestationResult, VerifyError> {
    Err(not_appraised(input.challenge.tee))
}
