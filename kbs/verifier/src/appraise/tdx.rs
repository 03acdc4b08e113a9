//! Intel TDX.

use super::not_appraised;
use crate::{AttestationResult, Input, VerifyError};

/// Refuses by name: such evidence is not appraised.
pub(super) fn verify(input: &Input<'_>) -> Result<AttestationResult, VerifyError> {
    Err(not_appraised(input.challenge.tee))
}
