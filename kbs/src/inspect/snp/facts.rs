//! What a report says, by name, for programs. Nothing here is believed: the same names are there for a report that is refused.

use super::super::certificates::VekFacts;
use sealpod_evidence::snp::report::{Product, REPORT_LEN};
use sealpod_evidence::tpm::HashAlg;
use serde_json::{Map, Value, json};

/// Bit of the guest policy that lets the host debug, and of the key information that hides the chip.
const POLICY_DEBUG: u32 = 19;
const MASK_CHIP_KEY: u32 = 1;
/// First version with CPUID fields.
const VERSION_CPUID: u32 = 3;

/// Facts of a report of the right length, whatever its version.
pub(super) fn of(report: &[u8; REPORT_LEN], vek: Option<&VekFacts>) -> Map<String, Value> {
    let hex = |from: usize, length: usize| hex::encode(report.get(from..from + length).unwrap_or_default());
    let word = |at: usize| {
        report.get(at..at + 4).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
    };
    let policy = u64::from(word(8)) | u64::from(word(12)) << 32;
    let version = word(0);
    let key = word(0x48);
    let signing_key = match key >> 2 & 7 {
        0 => "VCEK".to_owned(),
        1 => "VLEK".to_owned(),
        7 => "NONE".to_owned(),
        other => format!("RESERVED-{other}"),
    };
    let chip_id = report.get(0x1a0..0x1e0).unwrap_or_default();
    let used = chip_id.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    let cpuid = (version >= VERSION_CPUID).then(|| hex(0x188, 3));
    let product = cpuid
        .as_ref()
        .and_then(|_| Product::from_cpuid(*report.get(0x188)?, *report.get(0x189)?).map(Product::as_str));
    let chip = product.map(str::to_owned).or_else(|| vek.and_then(|vek| vek.line.clone()));
    let mut facts = json!({
        "version": version,
        "policy": format!("{policy:#x}"),
        "debug": policy >> POLICY_DEBUG & 1 == 1,
        "vmpl": word(0x30),
        "signing_key": signing_key,
        "mask_chip": key >> MASK_CHIP_KEY & 1 == 1,
        "report_data": hex(0x50, 64),
        "measurement": hex(0x90, 48),
        "host_data": hex(0xc0, 32),
        "id_key_digest": hex(0xe0, 48),
        "author_key_digest": hex(0x110, 48),
        "report_id": hex(0x140, 32),
        "reported_tcb": hex(0x180, 8),
        "cpuid": cpuid,
        "chip_id": hex::encode(chip_id.get(..used).unwrap_or_default()),
        "sha256": hex::encode(HashAlg::Sha256.digest(&[report.as_slice()]).unwrap_or_default()),
        "chip": chip,
        "tcbs": {
            "cur": hex(0x38, 8),
            "committed": hex(0x1e0, 8),
            "launch": hex(0x1f0, 8),
            "reported": hex(0x180, 8),
        },
    });
    let mut facts = facts.as_object_mut().map(std::mem::take).unwrap_or_default();
    if let Some(vek) = vek {
        facts.extend(vek_facts(report, vek));
    }
    facts
}

fn vek_facts(report: &[u8; REPORT_LEN], vek: &VekFacts) -> Map<String, Value> {
    let chip_id = report.get(0x1a0..0x1e0).unwrap_or_default();
    let same_chip = vek.hardware_id.as_deref().is_some_and(|id| {
        let (head, rest) = chip_id.split_at_checked(id.len()).unwrap_or_default();
        !id.is_empty() && head == id && rest.iter().all(|b| *b == 0)
    });
    let facts = json!({
        "vek_product": vek.product_extension,
        "vek_tcb": vek.tcb.as_ref().map(|tcb| json!({
            "bl": tcb.bootloader, "tee": tcb.tee, "snp": tcb.snp, "ucode": tcb.microcode, "fmc": tcb.fmc,
        })),
        "hwid_match": same_chip,
        "tcb_match": vek.tcb_bytes.is_some_and(|tcb| report.get(0x180..0x188) == Some(&tcb)),
        "vek_not_before": vek.not_before,
        "vek_not_after": vek.not_after,
        "csp": vek.csp,
    });
    facts.as_object().cloned().unwrap_or_default()
}
