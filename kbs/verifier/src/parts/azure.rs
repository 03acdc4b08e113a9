//! Step 1 for Azure: the wire evidence of the TEE's kind, and the logs.

use super::Common;
use super::tpm::{Logs, Pcrs};
use crate::azure::wire_error;
use crate::error::{Check, VerifyError};
use sealpod_evidence::azure::{
    AzAdditionalEvidence, AzSnpEvidence, AzTdxEvidence, Hardware, HclReport, TdReport, VtpmQuote, WireError,
};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::rcar::protocol::Attestation;
use sealpod_evidence::snp::report::Report;
use serde_json::Value;

/// The evidence of an Azure guest, `P` being its TEE's part. Well formed, not yet believed.
pub(crate) struct AzureParts<'a, P> {
    pub common: Common<'a>,
    pub evidence: P,
    /// Within budget; step 12 parses it.
    pub boot_log: Vec<u8>,
    pub logs: Logs,
}

/// Step 1 for SNP under the paravisor.
pub(crate) fn parse_snp(attestation: &Attestation) -> Result<AzureParts<'_, AzSnpEvidence>, VerifyError> {
    parse(attestation, AzSnpEvidence::from_value)
}

/// Step 1 for TDX under the paravisor.
pub(crate) fn parse_tdx(attestation: &Attestation) -> Result<AzureParts<'_, AzTdxEvidence>, VerifyError> {
    parse(attestation, AzTdxEvidence::from_value)
}

fn parse<P>(
    attestation: &Attestation,
    primary: fn(&Value) -> Result<P, WireError>,
) -> Result<AzureParts<'_, P>, VerifyError> {
    let sent = &attestation.tee_evidence;
    let AzAdditionalEvidence { tpm } = super::additional(&sent.additional_evidence)?;
    super::require_version(tpm.version)?;
    let evidence = primary(&sent.primary_evidence).map_err(|error| wire_error(&error))?;
    let common = super::common(attestation)?;
    let boot_log = super::tpm::boot_log(tpm.boot_log.0)?;
    let logs = super::tpm::logs(tpm.ima_log, &tpm.workload_log.0)?;
    Ok(AzureParts { common, evidence, boot_log, logs })
}

/// The SNP report in an HCL report; evidence of one TEE must not come with the other's report.
pub(crate) fn snp_report(hcl: &HclReport) -> Result<&Report, VerifyError> {
    match hcl.hardware() {
        Hardware::Snp(report) => Ok(report),
        Hardware::Tdx(_) => Err(VerifyError::new(Check::PrimaryEvidence, "an SNP report", "a TDREPORT")),
    }
}

/// The TDREPORT in an HCL report.
pub(crate) fn td_report(hcl: &HclReport) -> Result<&TdReport, VerifyError> {
    match hcl.hardware() {
        Hardware::Tdx(report) => Ok(report),
        Hardware::Snp(_) => Err(VerifyError::new(Check::PrimaryEvidence, "a TDREPORT", "an SNP report")),
    }
}

/// The values of a quote, by PCR.
pub(crate) fn pcrs(quote: &VtpmQuote) -> Pcrs {
    Pcrs((0_u8..).zip(quote.pcrs.iter().map(|value| HexArray(*value))).collect())
}
