//! Step 1 for Intel TDX: a quote, the boot log, and what a vTPM or the guest by itself adds.

use super::tpm::{Logs, TpmPart};
use super::{Common, within};
use crate::error::{Check, VerifyError};
use crate::tdx;
use sealpod_evidence::rcar::protocol::Attestation;
use sealpod_evidence::rcar::{TdAdditionalEvidence, TdxEvidence};

/// The evidence of a TD. Well formed, not yet believed.
pub(crate) struct TdxParts<'a> {
    pub common: Common<'a>,
    /// A well-formed quote, as sent.
    pub quote: Vec<u8>,
    /// Within budget; step 12 parses it.
    pub ccel: Vec<u8>,
    pub tpm: Option<TpmPart>,
    pub logs: Logs,
}

/// Step 1. Proves that all parts are there, in known versions, within budget and without surplus; nothing about what they say.
pub(crate) fn parse(attestation: &Attestation) -> Result<TdxParts<'_>, VerifyError> {
    let evidence = &attestation.tee_evidence;
    let additional: TdAdditionalEvidence = super::additional(&evidence.additional_evidence)?;
    let sent: TdxEvidence = super::primary(&evidence.primary_evidence, "a TDX quote and a CC event log")?;
    tdx::parse(&sent.quote.0)?;
    let ccel = within("the CC event log", sent.cc_eventlog.0, tdx::MAX_CCEL)?;
    let common = super::common(attestation)?;
    let (tpm, logs) = match additional {
        TdAdditionalEvidence { logs: Some(logs), tpm: None } => {
            super::require_version(logs.version)?;
            (None, super::tpm::logs(logs.ima_log, &logs.workload_log.0)?)
        }
        TdAdditionalEvidence { logs: None, tpm: Some(tpm) } => {
            super::require_version(tpm.version)?;
            if tpm.svsm.is_some() {
                return Err(refused("a vTPM's word with an SVSM's, which a TD does not have"));
            }
            let (tpm, logs) = super::tpm::parse(tpm)?;
            (Some(tpm), logs)
        }
        TdAdditionalEvidence { logs: None, tpm: None } => return Err(refused("neither")),
        TdAdditionalEvidence { .. } => return Err(refused("both")),
    };
    Ok(TdxParts { common, quote: sent.quote.0, ccel, tpm, logs })
}

fn refused(found: &str) -> VerifyError {
    VerifyError::new(Check::AdditionalEvidence, "\"logs\" or \"tpm\", as RCAR evidence of a TD has it", found)
}
