//! AMD SEV-SNP, with an SVSM's vTPM or none that anybody vouches for.

use crate::parts::snp as parts;
use crate::result::claims::{self, Findings};
use crate::snp::{self, launch, report, svsm};
use crate::tpm::{boot, keys, quote};
use crate::{AttestationResult, Input, VerifyError};
use crate::{bound, challenge, ima, workload};
use sealpod_evidence::rcar::PCR_WORKLOAD;
use sealpod_evidence::rcar::protocol::Tee;
use sealpod_evidence::snp::cert_table::CertTable;

/// Steps 1 to 16.
pub(super) fn verify(input: &Input<'_>) -> Result<AttestationResult, VerifyError> {
    let Input { attestation, challenge, endorsements, reference, policy, now } = *input;

    let parts = parts::parse(attestation)?; // 1
    let parts::SnpParts { common, report, tpm, logs, .. } = &parts;
    let initdata = &common.initdata;
    challenge::check(common.nonce, challenge, now)?; // 2
    let table = CertTable::parse(&parts.certificates).map_err(snp::table_error)?;
    let key = snp::endorse(report, &table, endorsements, policy.require_crl, now)?; // 3
    report::certificate(&key, report)?; // 4
    report::signature(&key, report)?; // 5
    let least = reference.minimum_tcb(key.product());
    report::vmpl(report)?; // 6
    report::fields(&key, report, policy, least)?;
    let quote_nonce = bound::report_data(common, report.report_data())?; // 7
    let launch = launch::appraise(report, initdata.digest(), reference, policy)?; // 8
    let vouched = svsm::Vouched { report, svsm: parts.svsm.as_ref(), ek: &tpm.ek, quote_nonce: &quote_nonce };
    let binding_level = svsm::binding_level(&key, &launch, &vouched, policy, least)?; // 9
    keys::activated(tpm, challenge)?; // 10
    quote::appraise(tpm, &quote_nonce)?; // 11
    let booted = boot::appraise(&tpm.boot_log, &tpm.pcrs, initdata.digest(), reference)?; // 12
    let ima = logs.ima(&tpm.pcrs, &booted.pcrs, initdata.policy(), reference);
    let measured = ima::appraise(&ima)?; // 13 and 14
    workload::replay(&logs.workload, tpm.pcrs.get(PCR_WORKLOAD))?; // 15
    let started = workload::allowed(&logs.workload, initdata)?;
    let findings = Findings {
        tee: Tee::Snp,
        tee_claims: snp::claims::claims(report, &key, &launch),
        report_data: hex::encode(report.report_data()),
        init_data: hex::encode(report.host_data()),
        initdata: launch.initdata,
        debug: report.policy().debug_allowed(),
        report_id: Some(report.report_id()),
        snp_key: Some(key),
        tdx_platform: None,
        binding_level,
        boot: booted.description,
        acpi_measured: booted.acpi_measured,
        measured,
        started,
        tpm: Some(tpm),
    };
    Ok(claims::result(common, findings)) // 16
}
