//! Windows' tagged events (WBCL): the ones that say how Windows was started.

use super::cursor::{Cursor, utf16};

/// Most events told of one container.
const MAX_EVENTS: usize = 12;
/// Event types with this bit contain others.
const CONTAINER: u32 = 0x4000_0000;

/// `SIPAEVENT`s one after the other: type, length, value.
pub(super) fn tagged(data: &[u8]) -> Option<String> {
    let mut told = Vec::new();
    let mut cursor = Cursor(data);
    let mut count = 0;
    while !cursor.0.is_empty() {
        let (kind, length) = (cursor.u32()?, usize::try_from(cursor.u32()?).ok()?);
        let value = cursor.take(length)?;
        let known = matches!(kind >> 16 & 0xfff, 1..=0xf) && kind & 0x8000_0000 == 0;
        if !known {
            return None;
        }
        count += 1;
        if told.len() < MAX_EVENTS {
            told.push(if kind & CONTAINER != 0 {
                tagged(value).unwrap_or_else(|| format!("{kind:#x}"))
            } else {
                one(kind, value)
            });
        }
    }
    (count > 0).then(|| told.join("; "))
}

fn one(kind: u32, value: &[u8]) -> String {
    let name = match kind {
        0x0002_0001 => "information",
        0x0002_0002 => "boot counter",
        0x0002_0003 => "transfer of control",
        0x0002_0004 => "application returned",
        0x0002_0005 => "BitLocker unlock",
        0x0002_0006 => "event counter",
        0x0002_0007 => "counter id",
        0x0002_0009 => "application SVN",
        0x0002_000a => "SVN chain status",
        0x0004_0001 => "boot debugging",
        0x0004_0002 => "boot revocation list",
        0x0005_0001 => "OS kernel debugging",
        0x0005_0002 => "code integrity",
        0x0005_0003 => "test signing",
        0x0005_0004 => "data execution prevention",
        0x0005_0005 => "safe mode",
        0x0005_0006 => "Windows PE",
        0x0005_0007 => "physical address extension",
        0x0005_0009 => "system root",
        0x0005_000a => "hypervisor launch type",
        0x0005_000d => "hypervisor debugging",
        0x0007_0001 => "file",
        0x0007_0002 => "image size",
        0x0007_0004 => "image hash",
        0x0007_0005 => "image issuer",
        0x0007_0008 => "image signer",
        0x0007_000a => "image validated",
        _ => return format!("{kind:#x} of {} bytes", value.len()),
    };
    let text = match value {
        [0] => "no".to_owned(),
        [1] => "yes".to_owned(),
        _ if matches!(kind, 0x0005_0009 | 0x0007_0001 | 0x0007_0005 | 0x0007_0008) => {
            utf16(value).map_or_else(|| hex::encode(value), |text| format!("{text:?}"))
        }
        _ if value.len() == 8 => value.first_chunk().map_or(0, |b| u64::from_le_bytes(*b)).to_string(),
        _ if value.len() <= 32 => hex::encode(value),
        _ => format!("{} bytes", value.len()),
    };
    format!("{name} {text}")
}
