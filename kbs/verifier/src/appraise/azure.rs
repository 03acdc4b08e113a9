//! Azure confidential machines, whose paravisor has the vTPM.

use super::not_appraised;
use crate::parts::azure as parts;
use crate::result::BindingLevel;
use crate::result::claims::{self, Findings};
use crate::snp::launch::Launch;
use crate::snp::{self, launch, report};
use crate::tpm::boot;
use crate::{AttestationResult, Check, Input, VerifyError};
use crate::{azure, bound, challenge, ima, workload};
use sealpod_evidence::initdata::Initdata;
use sealpod_evidence::rcar::PCR_WORKLOAD;
use sealpod_evidence::rcar::protocol::Tee;
use sealpod_evidence::reference_values::ParavisorTee;

/// Steps 1 to 16 for SNP under the paravisor. There is no step 10: no credential has to tie the attestation key to an endorsement key,
/// because the hardware's report names the attestation key itself.
pub(super) fn verify_snp(input: &Input<'_>) -> Result<AttestationResult, VerifyError> {
    let Input { attestation, challenge, endorsements, reference, policy, now } = *input;

    let parts = parts::parse_snp(attestation)?; // 1
    let parts::AzureParts { common, evidence, logs, .. } = &parts;
    let (hcl, quote, initdata) = (&evidence.hcl, &evidence.quote, &common.initdata);
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
    let known = known_initdata(initdata, input)?;
    launch::id_block_author(report, &policy.id_block_authors)?;
    azure::runtime_data(hcl, &report.report_data())?; // 9
    policy.require_level(BindingLevel::Paravisor)?;
    azure::vtpm_quote(hcl, quote, &nonce)?; // 11
    let pcrs = parts::pcrs(quote);
    let booted = boot::appraise(&parts.boot_log, &pcrs, initdata.digest(), reference)?; // 12
    let ima = logs.ima(&pcrs, &booted.pcrs, initdata.policy(), reference);
    let measured = ima::appraise(&ima)?; // 13 and 14
    workload::replay(&logs.workload, pcrs.get(PCR_WORKLOAD))?; // 15
    let started = workload::allowed(&logs.workload, initdata)?;
    let launch = Launch { measurement: paravisor.clone(), guest_vmpl: 0, initdata: known.clone() };
    let (_, hardware) = snp::claims::claims(report, &key, &launch);
    let findings = Findings {
        tee: Tee::AzSnpVtpm,
        tee_claims: ("az-snp-vtpm", azure::claims::extend(hardware, hcl, quote, &paravisor)),
        report_data: hex::encode(nonce),
        init_data: initdata.digest().to_string(),
        initdata: known,
        debug: report.policy().debug_allowed(),
        report_id: Some(report.report_id()),
        snp_key: Some(key),
        tdx_platform: None,
        binding_level: BindingLevel::Paravisor,
        boot: booted.description,
        acpi_measured: booted.acpi_measured,
        measured,
        started,
        tpm: None,
    };
    Ok(claims::result(common, findings)) // 16
}

/// Refuses by name: such evidence is not appraised.
pub(super) fn verify_tdx(input: &Input<'_>) -> Result<AttestationResult, VerifyError> {
    Err(not_appraised(input.challenge.tee))
}

/// Step 8. The initdata is a Reference Value. The hardware knows nothing of it; that the guest was given it, PCR 8 says (step 12).
fn known_initdata(initdata: &Initdata, input: &Input<'_>) -> Result<String, VerifyError> {
    let digest = initdata.digest();
    input.reference.is_initdata(&digest.0).map(str::to_owned).ok_or_else(|| {
        let expected = "an initdata digest among the Reference Values";
        VerifyError::new(Check::InitdataReference, expected, digest)
    })
}
