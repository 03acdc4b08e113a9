//! The fields of a report as the `sev` crate's serde writes them, put back into the report's bytes.
//!
//! Reserved bytes are not in that form; they are zero in every report, and the signature says whether they were.

use sealpod_evidence::snp::report::REPORT_LEN;
use serde_json::{Map, Value};

type Object = Map<String, Value>;

/// The report of 1,184 bytes (AMD 56860, table 23).
pub(super) fn report(fields: &Object) -> Option<Vec<u8>> {
    let get =
        |names: &[&str]| names.iter().find_map(|name| fields.get(*name)).filter(|value| !value.is_null());
    let mut out = Out(vec![0; REPORT_LEN]);
    let cpuid: Vec<u64> = ["cpuid_fam_id", "cpuid_mod_id", "cpuid_step"]
        .iter()
        .filter_map(|name| fields.get(*name).and_then(Value::as_u64))
        .collect();
    let turin = cpuid.first() == Some(&0x1a);
    let tcb = |name| get(&[name]).and_then(|value| tcb(value, turin));
    out.number(0x00, 4, get(&["version"])?)?;
    out.number(0x04, 4, get(&["guest_svn"])?)?;
    out.number(0x08, 8, get(&["policy"])?)?;
    out.bytes(0x10, 16, get(&["family_id"])?)?;
    out.bytes(0x20, 16, get(&["image_id"])?)?;
    out.number(0x30, 4, get(&["vmpl"])?)?;
    out.number(0x34, 4, get(&["sig_algo", "signature_algo"])?)?;
    out.put(0x38, &tcb("current_tcb")?)?;
    out.number(0x40, 8, get(&["plat_info", "platform_info"])?)?;
    out.number(0x48, 4, get(&["key_info", "_author_key_en", "author_key_en", "flags"])?)?;
    out.bytes(0x50, 64, get(&["report_data"])?)?;
    out.bytes(0x90, 48, get(&["measurement"])?)?;
    out.bytes(0xc0, 32, get(&["host_data"])?)?;
    out.bytes(0xe0, 48, get(&["id_key_digest"])?)?;
    out.bytes(0x110, 48, get(&["author_key_digest"])?)?;
    out.bytes(0x140, 32, get(&["report_id"])?)?;
    out.bytes(0x160, 32, get(&["report_id_ma"])?)?;
    out.put(0x180, &tcb("reported_tcb")?)?;
    for (offset, byte) in (0x188..).zip(cpuid) {
        out.put(offset, &[u8::try_from(byte).ok()?])?;
    }
    out.bytes(0x1a0, 64, get(&["chip_id"])?)?;
    out.put(0x1e0, &tcb("committed_tcb")?)?;
    for (offset, name) in [(0x1e8, "current"), (0x1ec, "committed")] {
        let nested = get(&[name]).and_then(Value::as_object);
        for (position, part) in (0..).zip(["build", "minor", "major"]) {
            let flat = format!("{name}_{part}");
            let value = nested.and_then(|version| version.get(part)).or_else(|| fields.get(&flat))?;
            out.number(offset + position, 1, value)?;
        }
    }
    out.put(0x1f0, &tcb("launch_tcb")?)?;
    for (offset, names) in [
        (0x1f8, ["launch_mit_vector", "launch_mitigation_vector"]),
        (0x200, ["current_mit_vector", "current_mitigation_vector"]),
    ] {
        if let Some(value) = get(&names) {
            out.number(offset, 8, value)?;
        }
    }
    let signature = get(&["signature"])?.as_object()?;
    out.bytes(0x2a0, 72, signature.get("r")?)?;
    out.bytes(0x2a0 + 72, 72, signature.get("s")?)?;
    Some(out.0)
}

fn tcb(value: &Value, turin: bool) -> Option<[u8; 8]> {
    let part = |name: &str| value.get(name).and_then(Value::as_u64).and_then(|part| u8::try_from(part).ok());
    let (bootloader, tee, snp, microcode) =
        (part("bootloader")?, part("tee")?, part("snp")?, part("microcode")?);
    Some(match (part("fmc"), turin) {
        (None, false) => [bootloader, tee, 0, 0, 0, 0, snp, microcode],
        (fmc, _) => [fmc.unwrap_or(0), bootloader, tee, snp, 0, 0, 0, microcode],
    })
}

struct Out(Vec<u8>);

impl Out {
    fn put(&mut self, offset: usize, bytes: &[u8]) -> Option<()> {
        self.0.get_mut(offset..offset + bytes.len())?.copy_from_slice(bytes);
        Some(())
    }

    /// Little-endian; a number, hex text, or a newtype that serde wrote as a list of one.
    fn number(&mut self, offset: usize, length: usize, value: &Value) -> Option<()> {
        let number = match value {
            Value::Number(number) => number.as_u64()?,
            Value::String(text) => match text.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16).ok()?,
                None => text.parse().ok()?,
            },
            Value::Array(list) => list.first().filter(|_| list.len() == 1)?.as_u64()?,
            _ => return None,
        };
        let bytes = number.to_le_bytes();
        let (used, rest) = bytes.split_at_checked(length)?;
        rest.iter().all(|b| *b == 0).then(|| self.put(offset, used))?
    }

    fn bytes(&mut self, offset: usize, length: usize, value: &Value) -> Option<()> {
        let bytes = super::bytes(value).filter(|bytes| bytes.len() == length)?;
        self.put(offset, &bytes)
    }
}
