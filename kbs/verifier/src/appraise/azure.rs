//! Azure confidential machines, whose paravisor has the vTPM.
//!
//! There is no step 10: no credential has to tie the attestation key to an endorsement key, because the hardware's report names the
//! attestation key itself.

use crate::ima::Measured;
use crate::parts::Common;
use crate::parts::azure::{self as parts, AzureParts};
use crate::result::BindingLevel;
use crate::result::claims::{self, Findings};
use crate::snp::launch::Launch;
use crate::snp::{self, launch, report};
use crate::tpm::boot::{self, Booted};
use crate::workload::Started;
use crate::{AttestationResult, Check, Input, VerifyError};
use crate::{azure, bound, challenge, ima, tdx, workload};
use sealpod_evidence::azure::{HclReport, VtpmQuote};
use sealpod_evidence::rcar::PCR_WORKLOAD;
use sealpod_evidence::rcar::protocol::Tee;
use sealpod_evidence::reference_values::ParavisorTee;
use serde_json::Value;

/// Steps 1 to 16 for SNP under the paravisor.
pub(super) fn verify_snp(input: &Input<'_>) -> Result<AttestationResult, VerifyError> {
    let Input { attestation, challenge, endorsements, reference, policy, now } = *input;

    let parts = parts::parse_snp(attestation)?; // 1
    let AzureParts { common, evidence, .. } = &parts;
    let (hcl, quote) = (&evidence.hcl, &evidence.quote);
    let report = parts::snp_report(hcl)?;
    challenge::check(common.nonce, challenge, now)?; // 2
    let leaf = azure::leaf(evidence);
    let key = snp::endorse_remembered(leaf, &[], endorsements, policy.require_crl, now)?; // 3
    report::certificate(&key, report)?; // 4
    report::signature(&key, report)?; // 5
    azure::vmpl(report)?; // 6
    report::fields(&key, report, policy, reference.minimum_tcb(key.product()))?;
    let nonce = bound::whole(common)?; // 7
    azure::user_data(hcl, &nonce, policy)?;
    let paravisor = azure::launch(ParavisorTee::Snp, &report.measurement(), reference)?; // 8
    let initdata = known_initdata(common, input)?;
    launch::id_block_author(report, &policy.id_block_authors)?;
    azure::runtime_data(hcl, &report.report_data())?; // 9
    policy.require_level(BindingLevel::Paravisor)?;
    let guest = guest(&parts, hcl, quote, &nonce, input)?; // 11 to 15
    let launch = Launch { measurement: paravisor.clone(), guest_vmpl: 0, initdata: initdata.clone() };
    let (_, hardware) = snp::claims::claims(report, &key, &launch);
    let hardware = ("az-snp-vtpm", azure::claims::extend(hardware, hcl, quote, &paravisor));
    let debug = report.policy().debug_allowed();
    let findings = Findings {
        report_id: Some(report.report_id()),
        snp_key: Some(key),
        ..findings(Tee::AzSnpVtpm, hardware, debug, common, guest, &nonce, initdata)
    };
    Ok(claims::result(common, findings)) // 16
}

/// Steps 1 to 16 for TDX under the paravisor.
pub(super) fn verify_tdx(input: &Input<'_>) -> Result<AttestationResult, VerifyError> {
    let Input { attestation, challenge, endorsements, reference, policy, now } = *input;

    let parts = parts::parse_tdx(attestation)?; // 1
    let AzureParts { common, evidence, .. } = &parts;
    let (hcl, quote) = (&evidence.hcl, &evidence.quote);
    let report = parts::td_report(hcl)?;
    let signed = tdx::parse(&evidence.td_quote)?;
    challenge::check(common.nonce, challenge, now)?; // 2
    let platform = tdx::endorse(&signed, endorsements.tdx(), now)?; // 3
    tdx::qe_report(&signed, platform.pck())?; // 4
    let verdict = tdx::evaluate(&signed, platform.pck(), platform.collateral())?;
    tdx::accept(&verdict, &policy.tdx)?;
    tdx::signature(&signed)?; // 5
    let td = tdx::td(&signed)?; // 6
    tdx::attributes(td, policy)?;
    let nonce = bound::whole(common)?; // 7
    azure::user_data(hcl, &nonce, policy)?;
    let paravisor = azure::launch(ParavisorTee::Tdx, &td.mr_td.0, reference)?; // 8
    azure::registers(td)?;
    let initdata = known_initdata(common, input)?;
    azure::td_report(report)?; // 9
    azure::td_quote(report, td)?;
    azure::runtime_data(hcl, &td.report_data.0)?;
    policy.require_level(BindingLevel::Paravisor)?;
    let guest = guest(&parts, hcl, quote, &nonce, input)?; // 11 to 15
    let (_, hardware) = tdx::claims::claims(&signed, td, &platform, &verdict, &paravisor);
    let hardware = ("az-tdx-vtpm", azure::claims::extend(hardware, hcl, quote, &paravisor));
    let debug = td.td_attributes.under_debug();
    let findings = Findings {
        tdx_platform: Some(platform),
        ..findings(Tee::AzTdxVtpm, hardware, debug, common, guest, &nonce, initdata)
    };
    Ok(claims::result(common, findings)) // 16
}

/// Step 8. The initdata is a Reference Value. The hardware knows nothing of it; that the guest was given it, PCR 8 says (step 12).
fn known_initdata(common: &Common<'_>, input: &Input<'_>) -> Result<String, VerifyError> {
    let digest = common.initdata.digest();
    input.reference.is_initdata(&digest.0).map(str::to_owned).ok_or_else(|| {
        let expected = "an initdata digest among the Reference Values";
        VerifyError::new(Check::InitdataReference, expected, digest)
    })
}

/// What steps 11 to 15 found of the guest.
struct Guest {
    booted: Booted,
    measured: Measured,
    started: Started,
}

/// Steps 11 to 15: what the paravisor's vTPM says of the guest.
fn guest<P>(
    parts: &AzureParts<'_, P>,
    hcl: &HclReport,
    quote: &VtpmQuote,
    nonce: &[u8],
    input: &Input<'_>,
) -> Result<Guest, VerifyError> {
    let (logs, initdata) = (&parts.logs, &parts.common.initdata);
    azure::vtpm_quote(hcl, quote, nonce)?; // 11
    let pcrs = parts::pcrs(quote);
    let booted = boot::appraise(&parts.boot_log, &pcrs, initdata.digest(), input.reference)?; // 12
    let measured = ima::appraise(&logs.ima(&pcrs, &booted.pcrs, initdata.policy(), input.reference))?; // 13 and 14
    workload::replay(&logs.workload, pcrs.get(PCR_WORKLOAD))?; // 15
    let started = workload::allowed(&logs.workload, initdata)?;
    Ok(Guest { booted, measured, started })
}

/// What both TEEs have in the same form. Which key signed is for the caller to fill in.
fn findings<'a>(
    tee: Tee,
    tee_claims: (&'static str, Value),
    debug: bool,
    common: &Common<'_>,
    guest: Guest,
    nonce: &[u8],
    initdata: String,
) -> Findings<'a> {
    Findings {
        tee,
        tee_claims,
        report_data: hex::encode(nonce),
        init_data: common.initdata.digest().to_string(),
        initdata,
        debug,
        report_id: None,
        snp_key: None,
        tdx_platform: None,
        binding_level: BindingLevel::Paravisor,
        boot: guest.booted.description,
        acpi_measured: guest.booted.acpi_measured,
        measured: guest.measured,
        started: guest.started,
        tpm: None,
    }
}
