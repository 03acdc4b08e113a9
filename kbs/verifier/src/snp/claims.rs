//! What a report says, as claims.

use super::launch::Launch;
use crate::endorsements::VerifiedSnpKey;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::reference_values::SnpTcb;
use sealpod_evidence::snp::report::Report;
use serde_json::{Value, json};

/// The claims of a report that held, under their name. Names in it are those of policies for the KBS protocol where they have one;
/// byte strings are lower-case hex.
pub(crate) fn claims(report: &Report, key: &VerifiedSnpKey, launch: &Launch) -> (&'static str, Value) {
    ("snp", snp(report, key, launch))
}

fn snp(report: &Report, key: &VerifiedSnpKey, launch: &Launch) -> Value {
    let (policy, platform) = (report.policy(), report.platform_info());
    let tcb = report.reported_tcb().decode(key.product);
    let mut out = json!({
        "version": report.version(),
        "product": key.product.as_str(),
        "signing_key": if key.vlek { "vlek" } else { "vcek" },
        "certificate": HexArray(key.id),
        "measurement": HexArray(report.measurement()),
        "measurement_description": launch.measurement,
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
        "policy_page_swap_disabled": policy.page_swap_disable(),
    });
    let more = json!({
        "platform_smt_enabled": platform.smt_enabled(),
        "platform_tsme_enabled": platform.tsme_enabled(),
        "platform_ecc_enabled": platform.ecc_enabled(),
        "platform_rapl_disabled": platform.rapl_disabled(),
        "platform_ciphertext_hiding_enabled": platform.ciphertext_hiding_enabled(),
        "platform_alias_check_complete": platform.alias_check_complete(),
        "platform_iommu_write_safe": platform.iommu_write_safe(),
        "platform_tio_enabled": platform.tio_enabled(),
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
        let vectors = [
            ("launch_mit_vector", report.launch_mitigation_vector()),
            ("current_mit_vector", report.current_mitigation_vector()),
        ];
        out.extend(vectors.into_iter().filter_map(|(name, it)| Some((name.to_owned(), json!(it?)))));
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
