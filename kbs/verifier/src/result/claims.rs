//! Step 16: what the other steps established, as claims and as an AR4SI vector.

use super::{AttestationResult, BindingLevel, TrustVector};
use crate::endorsements::VerifiedSnpKey;
use crate::ima::Measured;
use crate::parts::Common;
use crate::parts::tpm::TpmPart;
use crate::tdx::VerifiedPlatform;
use crate::workload::Started;
use sealpod_evidence::rcar::protocol::Tee;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// AR4SI claim values (draft-ietf-rats-ar4si, section 2.3.4). 2 is in every claim the plain "as it should
/// be".
const AFFIRMED: i8 = 2;
/// instance-identity 97: the Attesting Environment is not recognized though it should be.
const INSTANCE_NOT_RECOGNIZED: i8 = 97;
/// runtime-opaque 96: objects in memory are visible to the host.
const MEMORY_VISIBLE: i8 = 96;

/// What steps 3 to 15 found, whatever the TEE.
pub(crate) struct Findings<'a> {
    pub tee: Tee,
    /// What the TEE's own report says, under the name that policies for the KBS protocol know it by.
    pub tee_claims: (&'static str, Value),
    /// Lower-case hex.
    pub report_data: String,
    /// What the TEE holds of initdata, lower-case hex.
    pub init_data: String,
    /// The initdata, as its reviewer described it.
    pub initdata: String,
    /// Whether the host may look into the guest, which only a policy that says so lets through.
    pub debug: bool,
    /// What names the guest instance, where the TEE has such a thing.
    pub report_id: Option<[u8; 32]>,
    pub snp_key: Option<Arc<VerifiedSnpKey>>,
    pub tdx_platform: Option<Arc<VerifiedPlatform>>,
    pub binding_level: BindingLevel,
    /// The boot, as its reviewer described it.
    pub boot: String,
    /// Whether an event of the boot covers the ACPI tables.
    pub acpi_measured: bool,
    pub measured: Measured,
    pub started: Started,
    pub tpm: Option<&'a TpmPart>,
}

/// Step 16.
pub(crate) fn result(common: &Common<'_>, findings: Findings<'_>) -> AttestationResult {
    AttestationResult {
        tee: findings.tee,
        trust_vector: trust_vector(findings.binding_level, findings.debug),
        binding_level: findings.binding_level,
        report_id: findings.report_id,
        uncovered_ima_entries: findings.measured.uncovered,
        tee_pubkey: common.tee_pubkey.clone(),
        snp_key: findings.snp_key.clone(),
        tdx_platform: findings.tdx_platform.clone(),
        claims: claims(common, findings),
    }
}

/// Every step held, so each claim that a step stands for is affirmed: hardware (3-6), configuration (8, 12,
/// 15), executables (14), file-system (the measured guest unpacks only images that initdata names),
/// runtime-opaque (memory is encrypted and debugging is off, 6), instance-identity (9, 10). No step says
/// anything about storage that the host keeps or about sourced data.
///
/// Where nobody vouches for the vTPM, the environment that measured executables is unknown, so
/// instance-identity is contraindicated and with it the whole result: whoever still releases something to it
/// has to say so. So is runtime-opaque where the owner lets a guest through that the host can debug.
fn trust_vector(level: BindingLevel, debug: bool) -> TrustVector {
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
        runtime_opaque: Some(if debug { MEMORY_VISIBLE } else { AFFIRMED }),
        storage_opaque: None,
        sourced_data: None,
    }
}

/// `report_data` and `init_data` are where policies for the KBS protocol look for them; names under the TEE's are
/// theirs too where they have one. Byte strings are lower-case hex.
fn claims(common: &Common<'_>, findings: Findings<'_>) -> Value {
    let (name, tee) = findings.tee_claims;
    let rest = json!({
        "report_data": findings.report_data,
        "init_data": findings.init_data,
        "binding_level": findings.binding_level,
        "initdata": { "sha256": common.initdata.digest(), "description": findings.initdata },
        "boot": findings.boot,
        "acpi_measured": findings.acpi_measured,
        "containers": findings.started.containers,
        "ima": {
            "entries": findings.measured.covered.index,
            "uncovered": findings.measured.uncovered,
            "violations": findings.measured.violations,
        },
    });
    let mut out = Map::from_iter([(name.to_owned(), tee)]);
    if let Value::Object(rest) = rest {
        out.extend(rest);
    }
    out.extend(findings.tpm.map(|part| ("tpm".to_owned(), tpm(part))));
    Value::Object(out)
}

fn tpm(part: &TpmPart) -> Value {
    json!({
        "ek_name": hex::encode(part.ek.name().as_bytes()),
        "ak_name": hex::encode(part.ak.name().as_bytes()),
        "reset_count": part.attest.clock_info.reset_count,
        "restart_count": part.attest.clock_info.restart_count,
        "pcrs": part.pcrs.0,
    })
}
