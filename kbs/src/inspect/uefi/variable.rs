//! `UEFI_VARIABLE_DATA`, and what is in the variables that matter.

use super::cursor::{Cursor, guid, printable, utf16};
use super::path;

/// Signature types of `EFI_SIGNATURE_LIST` (UEFI 2.10 section 32.4.1).
const CERT_SHA256: &str = "c1c41626-504c-4092-aca9-41f936934328";
const CERT_X509: &str = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072";

/// The variable's name and value.
pub(super) fn describe(data: &[u8]) -> Option<String> {
    let mut cursor = Cursor(data);
    let vendor = guid(cursor.take(16)?)?;
    let (name_length, data_length) =
        (usize::try_from(cursor.u64()?).ok()?, usize::try_from(cursor.u64()?).ok()?);
    let name = utf16(cursor.take(name_length.checked_mul(2)?)?)?;
    let value = cursor.take(data_length.min(cursor.0.len()))?;
    let space = match vendor.as_str() {
        "8be4df61-93ca-11d2-aa0d-00e098032b8c" => String::new(),
        "d719b2cb-3d3a-4596-a3bc-dad00e67656f" => "security database ".to_owned(),
        "605dab50-e046-4300-abb6-3dd810dd8b23" => "shim's ".to_owned(),
        "77fa9abd-0359-4d32-bd60-28f4e78f784b" => "Windows' ".to_owned(),
        _ => format!("{{{vendor}}} "),
    };
    Some(format!("variable {space}{name} {}", content(&name, value)))
}

fn content(name: &str, value: &[u8]) -> String {
    let text = match name {
        "SecureBoot" | "SetupMode" | "AuditMode" | "DeployedMode" => switch(value),
        "PK" | "KEK" | "db" | "dbx" | "dbt" | "dbr" | "MokList" | "MokListX" => {
            signatures(value).or_else(|| single(value))
        }
        "BootOrder" => Some(format!("= {}", order(value))),
        "BootCurrent" | "BootNext" => Some(format!("= {}", order(value))),
        "Timeout" => value.first_chunk().map(|seconds| format!("= {} s", u16::from_le_bytes(*seconds))),
        "Shim" | "Vendor" | "MokListTrusted" | "SbatLevel" => single(value).or_else(|| list_text(value)),
        _ if name.starts_with("Boot") && name.len() == 8 => load_option(value),
        _ => None,
    };
    text.unwrap_or_else(|| match value {
        [] => "is not set".to_owned(),
        _ => format!("= {}", super::other(value)),
    })
}

fn switch(value: &[u8]) -> Option<String> {
    Some(match value {
        [] => "is not set".to_owned(),
        [0] => "= off".to_owned(),
        [1] => "= on".to_owned(),
        _ => return None,
    })
}

fn order(value: &[u8]) -> String {
    let entries = value.as_chunks::<2>().0.iter().map(|entry| format!("{:04x}", u16::from_le_bytes(*entry)));
    entries.collect::<Vec<_>>().join(", ")
}

/// `EFI_LOAD_OPTION`.
fn load_option(value: &[u8]) -> Option<String> {
    let mut cursor = Cursor(value);
    let (attributes, path_length) = (cursor.u32()?, usize::from(cursor.u16()?));
    let name = utf16(cursor.0)?;
    cursor.take((name.encode_utf16().count() + 1) * 2)?;
    let path = path::text(cursor.take(path_length.min(cursor.0.len()))?);
    let off = if attributes & 1 == 0 { ", not active" } else { "" };
    Some(format!("= {name:?} at {path}{off}"))
}

/// A chain of `EFI_SIGNATURE_LIST`s, counted.
fn signatures(value: &[u8]) -> Option<String> {
    let mut cursor = Cursor(value);
    let (mut hashes, mut certificates, mut others, mut names) = (0, 0, 0, Vec::new());
    while !cursor.0.is_empty() {
        let kind = guid(cursor.take(16)?)?;
        let (length, header, size) = (cursor.u32()? as usize, cursor.u32()? as usize, cursor.u32()? as usize);
        let body = cursor.take(length.checked_sub(28)?)?.get(header..)?;
        if size <= 16 {
            return None;
        }
        for entry in body.chunks_exact(size) {
            match kind.as_str() {
                CERT_SHA256 => hashes += 1,
                CERT_X509 => {
                    certificates += 1;
                    let name = entry.get(16..).and_then(crate::inspect::certificates::names);
                    names.extend(name.map(|(subject, _)| subject));
                }
                _ => others += 1,
            }
        }
    }
    let mut parts = Vec::new();
    if certificates > 0 {
        parts.push(format!("{certificates} certificates ({})", names.join("; ")));
    }
    if hashes > 0 {
        parts.push(format!("{hashes} hashes"));
    }
    if others > 0 {
        parts.push(format!("{others} others"));
    }
    Some(if parts.is_empty() { "is not set".to_owned() } else { format!("= {}", parts.join(", ")) })
}

/// One `EFI_SIGNATURE_DATA`, as the authority that allowed an image is measured, or a certificate by itself.
fn single(value: &[u8]) -> Option<String> {
    let names = crate::inspect::certificates::names;
    let (subject, _) = value.get(16..).and_then(names).or_else(|| names(value))?;
    Some(format!("= certificate {subject:?}"))
}

fn list_text(value: &[u8]) -> Option<String> {
    let text = printable(value);
    (text.len() > 2).then(|| format!("= {text:?}"))
}
