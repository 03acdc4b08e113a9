//! Intel TDX, without a TPM or with one that nobody vouches for.

use crate::parts::tdx as parts;
use crate::parts::tpm::{Logs, TpmPart};
use crate::result::BindingLevel;
use crate::result::claims::{self, Findings};
use crate::tdx;
use crate::tpm::{boot, keys, quote};
use crate::{AttestationResult, Check, Input, VerifyError};
use crate::{bound, challenge, ima, workload};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::initdata::Initdata;
use sealpod_evidence::rcar::PCR_WORKLOAD;
use sealpod_evidence::rcar::protocol::Tee;
use sealpod_evidence::tdx::report::TdReport;

/// Steps 1 to 16.
pub(super) fn verify(input: &Input<'_>) -> Result<AttestationResult, VerifyError> {
    let Input { attestation, challenge, endorsements, reference, policy, now } = *input;

    let parts = parts::parse(attestation)?; // 1
    let parts::TdxParts { common, tpm, logs, .. } = &parts;
    let initdata = &common.initdata;
    challenge::check(common.nonce, challenge, now)?; // 2
    let signed = tdx::parse(&parts.quote)?;
    let platform = tdx::endorse(&signed, endorsements.tdx(), now)?; // 3
    tdx::qe_report(&signed, platform.pck())?; // 4
    let verdict = tdx::evaluate(&signed, platform.pck(), platform.collateral())?;
    tdx::accept(&verdict, &policy.tdx)?;
    tdx::signature(&signed)?; // 5
    let td = tdx::td(&signed)?; // 6
    tdx::attributes(td, policy)?;
    let quote_nonce = bound::report_data(common, td.report_data.0)?; // 7
    let launch = tdx::launch(td, reference)?; // 8
    tdx::config_id(td, &tdx::initdata_digest(initdata), &initdata.digest())?;
    let known = reference.is_initdata(&initdata.digest().0).ok_or_else(|| {
        let expected = "an initdata digest among the Reference Values";
        VerifyError::new(Check::InitdataReference, expected, initdata.digest())
    })?;
    let binding_level = if tpm.is_some() { BindingLevel::Host } else { BindingLevel::GuestKernel };
    policy.require_level(binding_level)?; // 9
    let guest = match tpm {
        Some(tpm) => {
            keys::activated(tpm, challenge)?; // 10
            quote::appraise(tpm, &quote_nonce)?; // 11
            tdx::boot_log(td, &parts.ccel)?; // 12
            with_tpm(td, tpm, logs, initdata, input)?
        }
        None => {
            tdx::boot_log(td, &parts.ccel)?; // 12
            without_tpm(td, logs, initdata, input)?
        }
    };
    let findings = Findings {
        tee: Tee::Tdx,
        tee_claims: tdx::claims::claims(&signed, td, &platform, &verdict, &launch.description),
        report_data: td.report_data.to_string(),
        init_data: td.mr_config_id.to_string(),
        initdata: known.to_owned(),
        debug: td.td_attributes.under_debug(),
        report_id: None,
        snp_key: None,
        tdx_platform: Some(platform),
        binding_level,
        boot: launch.description.clone(),
        acpi_measured: !launch.dangerous_unmeasured_acpi,
        measured: guest.measured,
        started: guest.started,
        tpm: tpm.as_ref(),
    };
    Ok(claims::result(common, findings)) // 16
}

/// What steps 12 to 15 found of the guest.
struct Guest {
    measured: ima::Measured,
    started: workload::Started,
}

/// Steps 12 to 15 where a TPM saw the logs. The agent extends that, and leaves RTMR3 alone.
fn with_tpm(
    td: &TdReport,
    tpm: &TpmPart,
    logs: &Logs,
    initdata: &Initdata,
    input: &Input<'_>,
) -> Result<Guest, VerifyError> {
    let [.., rtmr3] = td.rtmr;
    if rtmr3 != HexArray([0; 48]) {
        let expected = "RTMR3 zero, because there is a TPM";
        return Err(VerifyError::new(Check::WorkloadReplay, expected, rtmr3));
    }
    let booted = boot::appraise(&tpm.boot_log, &tpm.pcrs, initdata.digest(), input.reference)?; // 12
    let log = logs.ima(&tpm.pcrs, &booted.pcrs, initdata.policy(), input.reference);
    let measured = ima::appraise(&log)?; // 13 and 14
    workload::replay(&logs.workload, tpm.pcrs.get(PCR_WORKLOAD))?; // 15
    Ok(Guest { measured, started: workload::allowed(&logs.workload, initdata)? })
}

/// Steps 13 to 15 where the measured kernel and agent alone vouch for the logs.
fn without_tpm(
    td: &TdReport,
    logs: &Logs,
    initdata: &Initdata,
    input: &Input<'_>,
) -> Result<Guest, VerifyError> {
    let measured =
        ima::appraise_unanchored(&logs.ima_log, logs.ima_bank, initdata.policy(), input.reference)?; // 13 and 14
    tdx::workload_log(td, &tdx::initdata_digest(initdata), &logs.workload)?; // 15
    Ok(Guest { measured, started: workload::allowed(&logs.workload, initdata)? })
}
