//! Step 1 for AMD SEV-SNP: a report, the host's certificate table, and an SVSM's word where there is one.

use super::tpm::{Logs, TpmPart};
use super::{Common, within};
use crate::error::{Check, VerifyError};
use crate::snp::{report_error, table_error};
use sealpod_evidence::rcar::protocol::Attestation;
use sealpod_evidence::rcar::{AdditionalEvidence, SnpEvidence, SvsmEvidence};
use sealpod_evidence::snp::cert_table::{self, CertTable};
use sealpod_evidence::snp::manifest;
use sealpod_evidence::snp::report::Report;

/// The evidence of an SNP guest. Well formed, not yet believed.
pub(crate) struct SnpParts<'a> {
    pub common: Common<'a>,
    pub report: Report,
    /// The certificate table's bytes, as sent; a well-formed table.
    pub certificates: Vec<u8>,
    pub svsm: Option<Svsm>,
    pub tpm: TpmPart,
    pub logs: Logs,
}

/// The SVSM's word for its vTPM.
pub(crate) struct Svsm {
    pub report: Report,
    pub manifest: Vec<u8>,
}

/// Step 1. Proves that all parts are there, in known versions, within budget and without surplus; nothing
/// about what they say.
pub(crate) fn parse(attestation: &Attestation) -> Result<SnpParts<'_>, VerifyError> {
    let evidence = &attestation.tee_evidence;
    let AdditionalEvidence { mut tpm } = super::additional(&evidence.additional_evidence)?;
    super::require_version(tpm.version)?;
    let sent: SnpEvidence =
        super::primary(&evidence.primary_evidence, "an SNP report and a certificate table")?;
    let report = Report::parse(&sent.report.0).map_err(|error| report_error(&error))?;
    let certificates = certificate_table(sent.certificates.0)?;
    let common = super::common(attestation)?;
    let svsm = tpm.svsm.take().map(svsm).transpose()?;
    let (tpm, logs) = super::tpm::parse(tpm)?;
    Ok(SnpParts { common, report, certificates, svsm, tpm, logs })
}

fn certificate_table(sent: Vec<u8>) -> Result<Vec<u8>, VerifyError> {
    let certificates = within("the certificate table", sent, cert_table::MAX_LEN)?;
    CertTable::parse(&certificates).map_err(table_error)?;
    Ok(certificates)
}

fn svsm(sent: SvsmEvidence) -> Result<Svsm, VerifyError> {
    let report = Report::parse(&sent.report.0).map_err(|error| {
        VerifyError::new(Check::SvsmReport, "a well-formed SNP report of the SVSM", error)
    })?;
    Ok(Svsm { report, manifest: within("the SVSM's manifest", sent.manifest.0, manifest::MAX_LEN)? })
}
