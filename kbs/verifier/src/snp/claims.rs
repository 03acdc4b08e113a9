//! Step 16: what the other steps established, as claims and as an AR4SI vector.

use super::launch::Launch;
use crate::endorsements::VerifiedSnpKey;
use crate::ima::Measured;
use crate::parts::Parts;
use crate::result::{AttestationResult, BindingLevel, TrustVector};
use crate::tpm::Booted;
use crate::workload::Started;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::rcar::protocol::Tee;
use sealpod_evidence::reference_values::SnpTcb;
use sealpod_evidence::snp::report::Report;
use serde_json::{Value, json};
use std::sync::Arc;

/// AR4SI claim values (draft-ietf-rats-ar4si, section 2.3.4). 2 is in every claim the plain "as it should
/// be".
const AFFIRMED: i8 = 2;
/// instance-identity 97: the Attesting Environment is not recognized though it should be.
const INSTANCE_NOT_RECOGNIZED: i8 = 97;

/// What steps 3 to 15 found.
pub(crate) struct Findings {
    pub key: Arc<VerifiedSnpKey>,
    pub launch: Launch,
    pub binding_level: BindingLevel,
    pub booted: Booted,
    pub measured: Measured,
    pub started: Started,
}

/// Step 16.
pub(crate) fn result(parts: Parts<'_>, findings: Findings) -> AttestationResult {
    AttestationResult {
        tee: Tee::Snp,
        claims: claims(&parts, &findings),
        trust_vector: trust_vector(findings.binding_level),
        binding_level: findings.binding_level,
        report_id: parts.report.report_id(),
        uncovered_ima_entries: findings.measured.uncovered,
        snp_key: findings.key,
        tee_pubkey: parts.tee_pubkey,
    }
}

/// Every step held, so each claim that a step stands for is affirmed: hardware (3-6), configuration (8, 12,
/// 15), executables (14), file-system (the measured guest unpacks only images that initdata names),
/// runtime-opaque (memory is encrypted and debugging is off, 6), instance-identity (9, 10). No step says
/// anything about storage that the host keeps or about sourced data.
///
/// Where nobody vouches for the vTPM, the environment that measured executables is unknown, so
/// instance-identity is contraindicated and with it the whole result: whoever still releases something to it
/// has to say so.
fn trust_vector(level: BindingLevel) -> TrustVector {
    let instance = match level {
        BindingLevel::Host => INSTANCE_NOT_RECOGNIZED,
        BindingLevel::GuestKernel | BindingLevel::Paravisor | BindingLevel::Svsm => AFFIRMED,
    };
    TrustVector {
        instance_identity: Some(instance),
        configuration: Some(AFFIRMED),
        executables: Some(AFFIRMED),
        file_system: Some(AFFIRMED),
        hardware: Some(AFFIRMED),
        runtime_opaque: Some(AFFIRMED),
        storage_opaque: None,
        sourced_data: None,
    }
}

/// `report_data` and `init_data` are where policies for the KBS protocol look for them; names under `snp` are
/// theirs too where they have one. Byte strings are lower-case hex.
fn claims(parts: &Parts<'_>, findings: &Findings) -> Value {
    let report = &parts.report;
    json!({
        "snp": snp(report, findings),
        "report_data": HexArray(report.report_data()),
        "init_data": HexArray(report.host_data()),
        "binding_level": findings.binding_level,
        "initdata": { "sha256": parts.initdata.digest(), "description": findings.launch.initdata },
        "boot": findings.booted.description,
        "acpi_measured": findings.booted.acpi_measured,
        "containers": findings.started.containers,
        "ima": {
            "entries": findings.measured.covered.index,
            "uncovered": findings.measured.uncovered,
            "violations": findings.measured.violations,
        },
        "tpm": {
            "ek_name": hex::encode(parts.ek.name().as_bytes()),
            "ak_name": hex::encode(parts.ak.name().as_bytes()),
            "reset_count": parts.attest.clock_info.reset_count,
            "restart_count": parts.attest.clock_info.restart_count,
            "pcrs": parts.pcrs.0,
        },
    })
}

fn snp(report: &Report, findings: &Findings) -> Value {
    let (policy, platform, key) = (report.policy(), report.platform_info(), &findings.key);
    let tcb = report.reported_tcb().decode(key.product);
    let mut out = json!({
        "version": report.version(),
        "product": key.product.as_str(),
        "signing_key": if key.vlek { "vlek" } else { "vcek" },
        "certificate": HexArray(key.id),
        "measurement": HexArray(report.measurement()),
        "measurement_description": findings.launch.measurement,
        "host_data": HexArray(report.host_data()),
        "report_data": HexArray(report.report_data()),
        "report_id": HexArray(report.report_id()),
        "chip_id": HexArray(report.chip_id()),
        "family_id": HexArray(report.family_id()),
        "image_id": HexArray(report.image_id()),
        "id_key_digest": HexArray(report.id_key_digest()),
        "author_key_digest": HexArray(report.author_key_digest()),
        "guest_svn": report.guest_svn(),
        "vmpl": report.vmpl(),
        "policy_abi_major": policy.abi_major(),
        "policy_abi_minor": policy.abi_minor(),
        "policy_smt_allowed": policy.smt_allowed(),
        "policy_migrate_ma": policy.migration_agent_allowed(),
        "policy_debug_allowed": policy.debug_allowed(),
        "policy_single_socket": policy.single_socket_required(),
        "policy_cxl_allowed": policy.cxl_allowed(),
        "policy_mem_aes_256_xts": policy.mem_aes_256_xts(),
        "policy_rapl_dis": policy.rapl_dis(),
        "policy_ciphertext_hiding": policy.ciphertext_hiding(),
    });
    let more = json!({
        "platform_smt_enabled": platform.smt_enabled(),
        "platform_tsme_enabled": platform.tsme_enabled(),
        "platform_ecc_enabled": platform.ecc_enabled(),
        "platform_rapl_disabled": platform.rapl_disabled(),
        "platform_ciphertext_hiding_enabled": platform.ciphertext_hiding_enabled(),
        "platform_alias_check_complete": platform.alias_check_complete(),
        "reported_tcb_bootloader": tcb.bootloader,
        "reported_tcb_tee": tcb.tee,
        "reported_tcb_snp": tcb.snp,
        "reported_tcb_microcode": tcb.microcode,
        "current_tcb": tcb_claim(report.current_tcb().decode(key.product)),
        "committed_tcb": tcb_claim(report.committed_tcb().decode(key.product)),
        "launch_tcb": tcb_claim(report.launch_tcb().decode(key.product)),
    });
    if let (Value::Object(out), Value::Object(more)) = (&mut out, more) {
        out.extend(more);
        out.extend(tcb.fmc.map(|fmc| ("reported_tcb_fmc".to_owned(), json!(fmc))));
        out.extend(key.csp_id.as_ref().map(|csp| ("csp_id".to_owned(), json!(csp))));
    }
    out
}

fn tcb_claim(tcb: SnpTcb) -> Value {
    json!({
        "fmc": tcb.fmc,
        "bootloader": tcb.bootloader,
        "tee": tcb.tee,
        "snp": tcb.snp,
        "microcode": tcb.microcode,
    })
}
