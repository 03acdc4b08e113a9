//! The pipeline: sixteen steps from evidence to result, in the order of [`crate::verify`]'s documentation.

use crate::{AttestationResult, Input, VerifyError};
use crate::{challenge, ima, parts, snp, tpm, workload};
use snp::claims::Findings;

/// Steps 1 to 16. A step sees only what the steps before it have let through; the first that fails ends the
/// appraisal.
pub(crate) fn verify(input: &Input<'_>) -> Result<AttestationResult, VerifyError> {
    let Input { attestation, challenge, endorsements, reference, policy, now } = *input;

    let parts = parts::parse(attestation, challenge)?; // 1
    challenge::check(&parts, challenge, now)?; // 2
    let key = snp::endorse(&parts, endorsements, policy, now)?; // 3
    snp::report::certificate(&key, &parts.report)?; // 4
    snp::report::signature(&key, &parts.report)?; // 5
    snp::report::fields(&key, &parts, reference, policy)?; // 6
    snp::report::report_data(&parts)?; // 7
    let launch = snp::launch::appraise(&parts, reference, policy)?; // 8
    let binding_level = snp::svsm::binding_level(&key, &launch, &parts, reference, policy)?; // 9
    tpm::keys_and_credential(&parts, challenge)?; // 10
    tpm::quote(&parts)?; // 11
    let booted = tpm::boot(&parts, reference)?; // 12
    let measured = ima::appraise(&parts.ima(&booted.pcrs, reference))?; // 13 and 14
    let started = workload::appraise(&parts)?; // 15
    let findings = Findings { key, launch, binding_level, booted, measured, started };
    Ok(snp::claims::result(parts, findings)) // 16
}
