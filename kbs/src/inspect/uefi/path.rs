//! Device paths (UEFI 2.10 chapter 10), in the text form of section 10.6 where it is short.

use super::cursor::{Cursor, guid, utf16};

/// Most nodes told of one path.
const MAX_NODES: usize = 32;

/// The path, its nodes divided by `/`. What is not known stands as `Path(type,subtype)`.
pub(super) fn text(bytes: &[u8]) -> String {
    let mut cursor = Cursor(bytes);
    let mut nodes = Vec::new();
    for _ in 0..MAX_NODES {
        let Some(node) = next(&mut cursor) else { break };
        match node {
            (0x7f, 0xff, _) => break,
            (0x7f, ..) => nodes.push(",".to_owned()),
            (kind, sub, data) => {
                nodes.push(name(kind, sub, data).unwrap_or_else(|| format!("Path({kind},{sub})")))
            }
        }
    }
    nodes.join("/").replace("/\\", "\\")
}

fn next<'a>(cursor: &mut Cursor<'a>) -> Option<(u8, u8, &'a [u8])> {
    let (kind, sub, length) = (cursor.u8()?, cursor.u8()?, cursor.u16()?);
    let data = cursor.take(usize::from(length).checked_sub(4)?)?;
    Some((kind, sub, data))
}

fn name(kind: u8, sub: u8, data: &[u8]) -> Option<String> {
    let mut cursor = Cursor(data);
    Some(match (kind, sub) {
        (1, 1) => {
            let (function, device) = (cursor.u8()?, cursor.u8()?);
            format!("Pci({device:#x},{function:#x})")
        }
        (1, 3) => {
            let kind = cursor.u32()?;
            format!("MemoryMapped({kind},{:#x},{:#x})", cursor.u64()?, cursor.u64()?)
        }
        (1, 4) | (3, 10) | (4, 3) => format!("Vendor({})", guid(data)?),
        (2, 1) => {
            let (hid, uid) = (cursor.u32()?, cursor.u32()?);
            match hid {
                0x0a03_41d0 => format!("PciRoot({uid:#x})"),
                0x0a08_41d0 => format!("PcieRoot({uid:#x})"),
                _ => format!("Acpi({hid:#x},{uid:#x})"),
            }
        }
        (2, 3) => "AcpiAdr".to_owned(),
        (3, 1) => format!("Ata({},{})", cursor.u8()?, cursor.u8()?),
        (3, 2) => format!("Scsi({},{})", cursor.u16()?, cursor.u16()?),
        (3, 5) => format!("USB({:#x},{:#x})", cursor.u8()?, cursor.u8()?),
        (3, 11) => {
            let address = cursor.take(6)?;
            format!("MAC({})", hex::encode(address))
        }
        (3, 12) => "IPv4".to_owned(),
        (3, 13) => "IPv6".to_owned(),
        (3, 18) => format!("Sata({:#x},{:#x},{:#x})", cursor.u16()?, cursor.u16()?, cursor.u16()?),
        (3, 23) => format!("NVMe({:#x})", cursor.u32()?),
        (3, 24) => format!("Uri({})", super::printable(data)),
        (3, 16) => "UsbWwid".to_owned(),
        (4, 1) => {
            let (number, _start, _size) = (cursor.u32()?, cursor.u64()?, cursor.u64()?);
            let signature = cursor.take(16)?;
            let (_format, kind) = (cursor.u8()?, cursor.u8()?);
            let id = if kind == 2 { guid(signature)? } else { hex::encode(signature.get(..4)?) };
            format!("HD({number},{id})")
        }
        (4, 2) => format!("CDROM({:#x})", cursor.u32()?),
        (4, 4) => utf16(data)?,
        (4, 6) => format!("FvFile({})", guid(data)?),
        (4, 7) => format!("Fv({})", guid(data)?),
        (4, 8) => "Offset".to_owned(),
        (5, 1) => {
            let (_kind, _status) = (cursor.u16()?, cursor.u16()?);
            format!("BBS({})", super::printable(cursor.0))
        }
        _ => return None,
    })
}
