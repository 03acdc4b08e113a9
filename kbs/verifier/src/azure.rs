//! Steps 3 to 11 for Azure's confidential machines, whose vTPM is the paravisor's.
//!
//! The paravisor (HCL) runs above the guest at VMPL 0 or in the parent TD. It makes the vTPM's attestation key itself and has the hardware
//! report the digest of *runtime data* that names that key. So a quote by the key in the runtime data is a quote by the vTPM of a machine
//! whose paravisor the hardware measured: binding level `paravisor`. What the guest itself booted, only that vTPM says.
//!
//! Each function is one check on a single piece, for [`crate::verify`] and for tools. Nothing is optional in any of them, and which
//! of them run is never the sender's choice: the version of the wire evidence is looked at by nobody but its parser.

pub(crate) mod claims;

use crate::policy::AppraisalPolicy;
use crate::reference::ReferenceValues;
use crate::tpm::quote;
use crate::{Check, VerifyError, hash, snp};
use sealpod_evidence::azure::{
    AzSnpEvidence, HclError, HclReport, PCR_COUNT, QuoteError, RuntimeHash, TdReport, USER_DATA_LEN,
    VtpmQuote, WireError,
};
use sealpod_evidence::binding::REPORT_DATA_LEN;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::reference_values::ParavisorTee;
use sealpod_evidence::snp::report::Report;
use sealpod_evidence::tdx;
use sealpod_evidence::tpm::{HashAlg, Signature, TpmError};

/// VMPL of the paravisor.
const PARAVISOR_VMPL: u32 = 0;

/// Step 3's leaf: the certificate in the evidence. Nothing is believed of it by that.
pub fn leaf(evidence: &AzSnpEvidence) -> &[u8] {
    &evidence.vcek
}

/// Step 6. The paravisor asked for the report. At any other level it was the guest.
///
/// # Errors
///
/// [`Check::Vmpl`].
pub fn vmpl(report: &Report) -> Result<(), VerifyError> {
    if report.vmpl() == PARAVISOR_VMPL {
        return Ok(());
    }
    let expected = format!("VMPL {PARAVISOR_VMPL}, the paravisor's");
    Err(VerifyError::new(Check::Vmpl, expected, report.vmpl()))
}

/// Step 7. The paravisor's report was made for this challenge: its user data is what the quote answers, zero-padded. Without it the
/// hardware's report may be an old one.
///
/// Proves something once [`runtime_data`] holds. Where the policy takes old reports, user data that is there and not zero must still be right.
///
/// # Errors
///
/// [`Check::RuntimeUserData`].
pub fn user_data(hcl: &HclReport, expected: &[u8], policy: &AppraisalPolicy) -> Result<(), VerifyError> {
    let mut padded = [0; USER_DATA_LEN];
    padded.iter_mut().zip(expected).for_each(|(to, from)| *to = *from);
    let found = hcl.runtime().user_data().copied();
    let used = found.filter(|data| *data != [0; USER_DATA_LEN]);
    let fits = expected.len() <= USER_DATA_LEN;
    match used {
        Some(data) if fits && data == padded => Ok(()),
        None if policy.dangerous_accept_stale_paravisor_report => Ok(()),
        _ => {
            let found = found.map_or_else(|| "none".to_owned(), |data| HexArray(data).to_string());
            Err(VerifyError::new(Check::RuntimeUserData, HexArray(padded), found))
        }
    }
}

/// Step 8. The launch digest (SNP MEASUREMENT, TDX MRTD) is that of a paravisor among the Reference Values; gives its description.
///
/// What the paravisor started, the boot log says (step 12).
///
/// # Errors
///
/// [`Check::LaunchDigest`].
pub fn launch(
    tee: ParavisorTee,
    measurement: &[u8; 48],
    reference: &ReferenceValues,
) -> Result<String, VerifyError> {
    reference.is_paravisor(tee, measurement).map(str::to_owned).ok_or_else(|| {
        let expected = "the launch digest of a paravisor among the Reference Values";
        VerifyError::new(Check::LaunchDigest, expected, HexArray(*measurement))
    })
}

/// Step 8 for TDX. Nothing was extended beside MRTD: the paravisor measures what it starts into its vTPM and leaves the registers of its TD
/// zero. What else might stand there, no Reference Value speaks of.
///
/// # Errors
///
/// [`Check::LaunchDigest`].
pub fn registers(td: &tdx::report::TdReport) -> Result<(), VerifyError> {
    match (0..).zip(&td.rtmr).find(|(_, value)| **value != HexArray([0; 48])) {
        Some((index, value)) => {
            Err(VerifyError::new(Check::LaunchDigest, format!("RTMR{index} zero, under a paravisor"), value))
        }
        None => Ok(()),
    }
}

/// Step 9. The hardware's report is over this runtime data: its report data is SHA-256 of it, and zeros.
///
/// With a report that holds, this proves that the paravisor names the keys in the runtime data as its vTPM's.
///
/// # Errors
///
/// [`Check::RuntimeData`], also for another hash than the one that Azure uses: it stands in a header that nothing covers.
pub fn runtime_data(hcl: &HclReport, report_data: &[u8; REPORT_DATA_LEN]) -> Result<(), VerifyError> {
    if hcl.hash() != RuntimeHash::Sha256 {
        return Err(VerifyError::new(Check::RuntimeData, RuntimeHash::Sha256, hcl.hash()));
    }
    let mut expected = [0; REPORT_DATA_LEN];
    expected.iter_mut().zip(hash::sha256(hcl.runtime().raw())).for_each(|(to, from)| *to = from);
    if *report_data == expected {
        return Ok(());
    }
    Err(VerifyError::new(Check::RuntimeData, HexArray(expected), HexArray(*report_data)))
}

/// Step 9 for TDX. The digests in a TDREPORT are of what stands in it.
///
/// Proves that the bytes hang together, and nothing about who made them.
///
/// # Errors
///
/// [`Check::TdReport`].
pub fn td_report(report: &TdReport) -> Result<(), VerifyError> {
    let (tcb_info, info) = report.computed_hashes();
    same("TEE_TCB_INFO_HASH", &report.tee_tcb_info_hash, &tcb_info)?;
    same("TEE_INFO_HASH", &report.tee_info_hash, &info)
}

/// Step 11. The vTPM's quote: it answers `nonce`, is of all 24 PCRs of the SHA-256 bank, over the values sent, and signed by the key that the
/// runtime data names. No other key is looked at.
///
/// # Errors
///
/// Those of [`quote::nonce`] and of [`quoted_pcrs`] and [`quote_signature`].
pub fn vtpm_quote(hcl: &HclReport, sent: &VtpmQuote, nonce: &[u8]) -> Result<(), VerifyError> {
    quote::nonce(&sent.attest, nonce)?;
    quoted_pcrs(sent)?;
    quote_signature(hcl, sent)
}

/// The quote is of exactly PCR 0 to 23 of the SHA-256 bank, and over the values sent.
///
/// # Errors
///
/// [`Check::QuoteSelection`], [`Check::QuotePcrDigest`].
pub fn quoted_pcrs(sent: &VtpmQuote) -> Result<(), VerifyError> {
    let all: [u8; PCR_COUNT] = std::array::from_fn(|pcr| u8::try_from(pcr).unwrap_or(u8::MAX));
    quote::selection_of(&sent.attest, &[(HashAlg::Sha256, &all)])?;
    let value = |bank, pcr: u8| match bank {
        HashAlg::Sha256 => sent.pcrs.get(usize::from(pcr)).map(<[u8; 32]>::as_slice),
        _ => None,
    };
    quote::pcr_digest(&sent.attest, HashAlg::Sha256, value)
}

/// The quote is signed by the attestation key that the runtime data names, in the one scheme of the paravisor's keys: RSASSA with SHA-256.
///
/// # Errors
///
/// [`Check::QuoteSignature`].
pub fn quote_signature(hcl: &HclReport, sent: &VtpmQuote) -> Result<(), VerifyError> {
    let signature = Signature::RsaSsa { hash: HashAlg::Sha256, signature: sent.signature.clone() };
    let name = "HCLAkPub of the runtime data";
    quote::signature_by_key(hcl.runtime().ak(), &signature, sent.attest.raw(), name)
}

/// Which check wire evidence fails that does not parse.
pub fn wire_error(error: &WireError) -> VerifyError {
    let check = match error {
        WireError::TooLong { .. } => Check::Budget,
        WireError::Version { .. } => Check::EvidenceVersion,
        WireError::Hcl(error) => return hcl_error(error),
        WireError::Quote(QuoteError::Message(TpmError::Magic { .. } | TpmError::AttestType { .. })) => {
            Check::QuoteType
        }
        WireError::Quote(QuoteError::Size { what: "PCR count" | "PCR bytes", .. }) => Check::PcrValues,
        WireError::Quote(_) => Check::TpmStructure,
        WireError::Json { .. } | WireError::Members { .. } | WireError::Form { .. } => Check::PrimaryEvidence,
    };
    VerifyError::new(check, "an HCL report, a quote, and a VCEK or a TD quote", error)
}

/// Which check an HCL report fails that does not parse.
pub fn hcl_error(error: &HclError) -> VerifyError {
    let check = match error {
        HclError::Snp(error) => return snp::report_error(error),
        HclError::TooLong { .. } => Check::Budget,
        _ => Check::PrimaryEvidence,
    };
    VerifyError::new(check, "a well-formed HCL report", error)
}

/// Step 9 for TDX. The TD quote was made from this TDREPORT: every field that both have is equal.
///
/// The quote alone is signed; this makes the TDREPORT as good as the quote, and shows that the paravisor's report and the quote are of one
/// TD at one time.
///
/// # Errors
///
/// [`Check::TdReport`].
pub fn td_quote(report: &TdReport, quote: &tdx::report::TdReport) -> Result<(), VerifyError> {
    let info = &report.info;
    same("TEE_TCB_SVN", &report.tee_tcb_svn, &quote.tee_tcb_svn.0)?;
    same("MRSEAM", &report.mrseam, &quote.mr_seam.0)?;
    same("MRSIGNERSEAM", &report.mrsignerseam, &quote.mr_signer_seam.0)?;
    same("SEAMATTRIBUTES", &report.seam_attributes, &quote.seam_attributes.0)?;
    same("ATTRIBUTES", &info.attributes, &quote.td_attributes.0.to_le_bytes())?;
    same("XFAM", &info.xfam, &quote.xfam.0.to_le_bytes())?;
    same("MRTD", &info.mrtd, &quote.mr_td.0)?;
    same("MRCONFIGID", &info.mrconfigid, &quote.mr_config_id.0)?;
    same("MROWNER", &info.mrowner, &quote.mr_owner.0)?;
    same("MROWNERCONFIG", &info.mrownerconfig, &quote.mr_owner_config.0)?;
    for ((name, expected), found) in
        ["RTMR0", "RTMR1", "RTMR2", "RTMR3"].iter().zip(&info.rtmr).zip(&quote.rtmr)
    {
        same(name, expected, &found.0)?;
    }
    same("REPORTDATA", &report.report_data, &quote.report_data.0)?;
    if let Some(td15) = &quote.td15 {
        same("TEE_TCB_SVN2", &report.tee_tcb_svn2, &td15.tee_tcb_svn2.0)?;
        same("SERVTD_HASH", &info.servtd_hash, &td15.mr_service_td.0)?;
    }
    Ok(())
}

fn same(field: &str, expected: &[u8], found: &[u8]) -> Result<(), VerifyError> {
    if expected == found {
        return Ok(());
    }
    let expected = format!("{field} {}", hex::encode(expected));
    Err(VerifyError::new(Check::TdReport, expected, hex::encode(found)))
}

#[cfg(test)]
mod tests;
