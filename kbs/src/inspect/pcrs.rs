//! PCR values in the forms that tools print them.

use super::piece::Pcrs;
use super::text;
use sealpod_evidence::tpm::HashAlg;
use serde_json::Value;

/// Reads a list of PCR values as text: `tpm2_pcrread`'s, `sha256:10=hex` and `sha256.10 hex` lines, sysfs' `PCR-10: 0A …`,
/// `PCR 10: 0a …`, JSON. A value without a bank's name is of the bank that has its length.
pub fn parse(bytes: &[u8]) -> Option<Pcrs> {
    let text = text::of(bytes)?;
    let pcrs = match serde_json::from_str::<Value>(&text) {
        Ok(value) => json(&value)?,
        Err(_) => lines(&text)?,
    };
    (!pcrs.is_empty()).then_some(pcrs)
}

/// Puts a value in; `None` where index or length are no PCR's, or the value contradicts an earlier one.
pub fn insert(pcrs: &mut Pcrs, bank: Option<HashAlg>, index: u64, value: Vec<u8>) -> Option<()> {
    let bank = bank.or_else(|| by_length(value.len()))?;
    let index = u8::try_from(index).ok().filter(|index| *index < 32)?;
    if value.len() != bank.size() {
        return None;
    }
    let known = pcrs.entry(bank).or_default().entry(index).or_insert_with(|| value.clone());
    (*known == value).then_some(())
}

/// The bank of a name in any tool's spelling, or of a TPM identifier in decimal or hex.
pub fn bank(name: &str) -> Option<HashAlg> {
    let name = name.trim().trim_matches('"').to_ascii_lowercase().replace(['-', '_'], "");
    let name = name.strip_prefix("tpmalg").or_else(|| name.strip_prefix("alg")).unwrap_or(&name);
    Some(match name {
        "sha1" | "4" | "0x4" | "0x04" | "0x0004" => HashAlg::Sha1,
        "sha256" | "11" | "0xb" | "0x0b" | "0x000b" => HashAlg::Sha256,
        "sha384" | "12" | "0xc" | "0x0c" | "0x000c" => HashAlg::Sha384,
        "sha512" | "13" | "0xd" | "0x0d" | "0x000d" => HashAlg::Sha512,
        "sm3" | "sm3256" | "18" | "0x12" | "0x0012" => HashAlg::Sm3_256,
        _ => return None,
    })
}

/// The bank with digests of this length; SHA-256 where SM3 has the same.
pub fn by_length(length: usize) -> Option<HashAlg> {
    [HashAlg::Sha1, HashAlg::Sha256, HashAlg::Sha384, HashAlg::Sha512]
        .into_iter()
        .find(|alg| alg.size() == length)
}

/// A list of values from PCR 0 on, a map from index to value, a map from bank to one of these, or go-attestation's list of
/// objects.
pub fn json(value: &Value) -> Option<Pcrs> {
    let mut pcrs = Pcrs::new();
    add_json(&mut pcrs, None, value)?;
    (!pcrs.is_empty()).then_some(pcrs)
}

/// The same, of a bank that is known.
pub fn json_of(bank: Option<HashAlg>, value: &Value) -> Option<Pcrs> {
    let mut pcrs = Pcrs::new();
    add_json(&mut pcrs, bank, value)?;
    Some(pcrs)
}

fn add_json(pcrs: &mut Pcrs, of: Option<HashAlg>, value: &Value) -> Option<()> {
    match value {
        Value::Array(list) => {
            for (position, entry) in (0..).zip(list) {
                match entry {
                    Value::Object(object) => {
                        let get = |names: [&str; 2]| names.iter().find_map(|name| object.get(*name));
                        let index = get(["Index", "index"])?.as_u64()?;
                        insert(pcrs, of, index, digest(get(["Digest", "digest"])?)?)?;
                    }
                    value => insert(pcrs, of, position, digest(value)?)?,
                }
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                if let Some(index) = index(key).filter(|_| !value.is_object() && digest(value).is_some()) {
                    insert(pcrs, of, index, digest(value)?)?;
                } else if let Some(bank) = bank(key) {
                    add_json(pcrs, Some(bank), value)?;
                } else if let Some((name, number)) = key.split_once([':', '.', '/']) {
                    insert(pcrs, Some(bank(name)?), index(number)?, digest(value)?)?;
                } else if matches!(key.as_str(), "pcrs" | "PCRs" | "measurements") {
                    add_json(pcrs, of, value)?;
                } else {
                    return None;
                }
            }
        }
        _ => return None,
    }
    Some(())
}

/// A digest in JSON: hex, base64 or a list of bytes.
pub fn digest(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => {
            let plausible = |bytes: &Vec<u8>| by_length(bytes.len()).is_some();
            text::hex_bytes(text).filter(plausible).or_else(|| text::base64_bytes(text).filter(plausible))
        }
        Value::Array(list) => {
            list.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect()
        }
        _ => None,
    }
}

fn index(text: &str) -> Option<u64> {
    let text = text.trim().trim_matches('"');
    let rest = ["PCR-", "PCR", "pcr", "Pcr"].iter().find_map(|p| text.strip_prefix(p)).unwrap_or(text);
    rest.trim().trim_start_matches(['-', '_', '[']).trim_end_matches(']').parse().ok()
}

fn lines(text: &str) -> Option<Pcrs> {
    let mut pcrs = Pcrs::new();
    let mut current = None;
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || line == "---" || line == "pcrs:" {
            continue;
        }
        if let Some(name) = line.strip_suffix(':').or(Some(line)).and_then(bank) {
            current = Some(name);
            continue;
        }
        let (key, value) = split(line)?;
        let value = value.trim().trim_matches(['"', '\'']);
        let value = text::hex_bytes(value)?;
        match key.rsplit_once([':', '.', '/']) {
            Some((name, number)) => insert(&mut pcrs, Some(bank(name)?), index(number)?, value)?,
            None => {
                let of = current.filter(|bank: &HashAlg| bank.size() == value.len());
                insert(&mut pcrs, of, index(key)?, value)?;
            }
        }
    }
    (!pcrs.is_empty()).then_some(pcrs)
}

/// Key and value of a line, at `=`, at the last `:` that is not one between hex digits, or at a space.
fn split(line: &str) -> Option<(&str, &str)> {
    if let Some((key, value)) = line.split_once('=') {
        return Some((key.trim(), value));
    }
    if let Some((key, value)) = line.split_once(": ").or_else(|| line.split_once(":0x")) {
        return Some((key.trim(), value));
    }
    if let Some((key, value)) = line.split_once(char::is_whitespace)
        && index(key.rsplit([':', '.', '/']).next()?).is_some()
    {
        return Some((key, value));
    }
    let (key, value) = line.split_once(':')?;
    Some((key.trim(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Vec<(HashAlg, u8, u8)>> {
        let pcrs = parse(text.as_bytes())?;
        let flat = pcrs.iter().flat_map(|(bank, values)| values.iter().map(|(i, v)| (*bank, *i, v[0])));
        Some(flat.collect())
    }

    #[test]
    fn the_forms_of_every_tool_are_read() {
        let hex = "ab".repeat(32);
        let upper = "AB ".repeat(32);
        for text in [
            format!("sha256:10={hex}\n"),
            format!("sha256:10 = 0x{hex}\r\n"),
            format!("sha256.10 {hex}"),
            format!("# a comment\nsha256:\n  10: 0x{}\n", hex.to_uppercase()),
            format!("  sha256:\n    10: 0x{hex}\n"),
            format!("PCR-10: {upper}\n"),
            format!(" PCR 10: {upper}\n"),
            format!("10: {hex}"),
            format!("10:{hex}"),
            format!("{{\"sha256\": {{\"10\": \"{hex}\"}}}}"),
            format!("{{\"10\": \"{hex}\"}}"),
            format!("{{\"sha256:10\": \"{hex}\"}}"),
            format!("{{\"pcrs\": {{\"11\": {{\"10\": \"{hex}\"}}}}}}"),
            format!("[{{\"Index\": 10, \"Digest\": \"{hex}\", \"DigestAlg\": 5}}]"),
        ] {
            assert_eq!(of(&text), Some(vec![(HashAlg::Sha256, 10, 0xab)]), "{text}");
        }
    }

    #[test]
    fn a_list_counts_from_pcr_0() {
        let (a, b) = ("01".repeat(20), "02".repeat(20));
        assert_eq!(
            of(&format!("[\"{a}\",\"{b}\"]")),
            Some(vec![(HashAlg::Sha1, 0, 1), (HashAlg::Sha1, 1, 2)])
        );
    }

    #[test]
    fn what_is_no_list_of_pcrs_is_refused() {
        let hex = "ab".repeat(32);
        let other = "cd".repeat(32);
        for text in [
            String::new(),
            "hello".to_owned(),
            "10".to_owned(),
            "{}".to_owned(),
            format!("sha256:10={}", "ab".repeat(31)),
            format!("sha256:99={hex}"),
            format!("md5:10={hex}"),
            format!("sha256:10={hex}\nsha256:10={other}"),
        ] {
            assert_eq!(of(&text), None, "{text}");
        }
    }
}
