//! What boot events say, in words (PFP 1.06 section 10; UEFI 2.10).
//!
//! An event's data is what the firmware says about what it measured. For variables, actions and separators the digest is the
//! data's own and can be recomputed, which [`digest_is_of_data`] does; for the rest nothing vouches for it.

mod cursor;
mod path;
mod variable;
mod windows;

use cursor::Cursor;
use sealpod_evidence::tcg2::{Event, event_type_name};
use sealpod_evidence::tpm::HashAlg;

pub use cursor::{guid, printable, utf16};

/// One event in one line.
pub fn describe(event: &Event<'_>) -> String {
    let name = event_type_name(event.event_type);
    let data = event.data;
    let text = match name.as_ref() {
        "EV_SEPARATOR" => separator(data),
        "EV_NO_ACTION" => no_action(data),
        "EV_S_CRTM_VERSION" => version(data),
        "EV_EFI_VARIABLE_DRIVER_CONFIG"
        | "EV_EFI_VARIABLE_BOOT"
        | "EV_EFI_VARIABLE_BOOT2"
        | "EV_EFI_VARIABLE_AUTHORITY" => variable::describe(data),
        "EV_EFI_BOOT_SERVICES_APPLICATION"
        | "EV_EFI_BOOT_SERVICES_DRIVER"
        | "EV_EFI_RUNTIME_SERVICES_DRIVER" => image(data),
        "EV_EFI_GPT_EVENT" | "EV_EFI_GPT_EVENT2" => partitions(data),
        "EV_EFI_PLATFORM_FIRMWARE_BLOB" => blob(data),
        "EV_EFI_PLATFORM_FIRMWARE_BLOB2" => described_blob(data),
        "EV_EFI_HANDOFF_TABLES" => tables(data),
        "EV_EFI_HANDOFF_TABLES2" => described_tables(data),
        "EV_EVENT_TAG" => windows::tagged(data).or_else(|| linux_tag(data)),
        "EV_POST_CODE" => blob(data).filter(|_| data.len() == 16),
        _ => None,
    };
    text.unwrap_or_else(|| other(data))
}

/// Whether the digest of an algorithm is that of the event's data; `None` where the type does not say so or the algorithm is not
/// computed here.
pub fn digest_is_of_data(event: &Event<'_>, bank: HashAlg) -> Option<bool> {
    const HASHED: [&str; 6] = [
        "EV_SEPARATOR",
        "EV_ACTION",
        "EV_EFI_ACTION",
        "EV_EFI_VARIABLE_DRIVER_CONFIG",
        "EV_EFI_VARIABLE_BOOT2",
        "EV_EFI_GPT_EVENT",
    ];
    if !HASHED.contains(&event_type_name(event.event_type).as_ref()) {
        return None;
    }
    let digest = event.digests.get(bank.id())?;
    Some(bank.digest(&[event.data])? == digest)
}

fn separator(data: &[u8]) -> Option<String> {
    Some(match data {
        [0, 0, 0, 0] => "separator: from here on not the firmware's own".to_owned(),
        [0xff, 0xff, 0xff, 0xff] => "separator".to_owned(),
        [1, 0, 0, 0] => "separator: an error was found".to_owned(),
        b"WBCL" => "separator: Windows begins".to_owned(),
        _ => return None,
    })
}

fn no_action(data: &[u8]) -> Option<String> {
    if let Some(locality) = data.strip_prefix(b"StartupLocality\0") {
        return Some(format!("the TPM was started from locality {}", locality.first()?));
    }
    let signature = data.get(..16)?;
    let known = [
        (&b"SP800-155 Event"[..], "platform and reference manifest (SP 800-155)"),
        (b"SP800-155 Event3", "platform and reference manifest (SP 800-155, version 3)"),
        (b"Spec ID Event", "header"),
        (b"NvIndexInstance", "NV index"),
        (b"NvIndexDynamic", "NV index"),
        (b"WBCL", "Windows boot configuration log"),
    ];
    let name =
        known.iter().find(|(magic, _)| signature.starts_with(magic)).map(|(_, name)| (*name).to_owned());
    name.or_else(|| windows::tagged(data))
        .or_else(|| Some(printable(signature)).filter(|text| text.len() > 3))
}

/// UTF-16, a GUID, or a text.
fn version(data: &[u8]) -> Option<String> {
    utf16(data).filter(|text| !text.is_empty()).map(|text| format!("version {text:?}")).or_else(|| match data
        .len()
    {
        16 => Some(format!("version {}", guid(data)?)),
        _ => None,
    })
}

/// `UEFI_IMAGE_LOAD_EVENT`.
fn image(data: &[u8]) -> Option<String> {
    let mut cursor = Cursor(data);
    let (base, length) = (cursor.u64()?, cursor.u64()?);
    let _link_time_base = cursor.u64()?;
    let path_length = usize::try_from(cursor.u64()?).ok()?;
    let path = path::text(cursor.take(path_length)?);
    let path = if path.is_empty() { "no path".to_owned() } else { path };
    Some(format!("image {path} ({length} bytes at {base:#x})"))
}

/// `UEFI_GPT_DATA`: a header, a count, and entries.
fn partitions(data: &[u8]) -> Option<String> {
    const HEADER: usize = 92;
    const DISK_GUID: usize = 56;
    const ENTRY: usize = 128;
    let header = data.get(..HEADER).filter(|header| header.starts_with(b"EFI PART"))?;
    let disk = guid(header.get(DISK_GUID..DISK_GUID + 16)?)?;
    let mut cursor = Cursor(data.get(HEADER..)?);
    let count = usize::try_from(cursor.u64()?).ok()?;
    let mut names = Vec::new();
    for _ in 0..count.min(16) {
        let Some(entry) = cursor.take(ENTRY) else { break };
        let name = utf16(entry.get(56..)?).unwrap_or_default();
        names.push(if name.is_empty() { guid(entry.get(..16)?)? } else { format!("{name:?}") });
    }
    Some(format!("disk {disk} with {count} partitions: {}", names.join(", ")))
}

fn blob(data: &[u8]) -> Option<String> {
    let mut cursor = Cursor(data);
    let (base, length) = (cursor.u64()?, cursor.u64()?);
    cursor.0.is_empty().then(|| format!("firmware of {length} bytes at {base:#x}"))
}

fn described_blob(data: &[u8]) -> Option<String> {
    let mut cursor = Cursor(data);
    let length = usize::from(cursor.u8()?);
    let name = printable(cursor.take(length)?);
    let (base, length) = (cursor.u64()?, cursor.u64()?);
    Some(format!("firmware {name:?} of {length} bytes at {base:#x}"))
}

fn tables(data: &[u8]) -> Option<String> {
    let mut cursor = Cursor(data);
    let count = cursor.u64()?;
    let mut names = Vec::new();
    for _ in 0..count.min(8) {
        names.push(known_guid(cursor.take(16)?)?);
        cursor.u64()?;
    }
    Some(format!("tables handed to the system: {}", names.join(", ")))
}

fn described_tables(data: &[u8]) -> Option<String> {
    let mut cursor = Cursor(data);
    let length = usize::from(cursor.u8()?);
    let name = printable(cursor.take(length)?);
    Some(format!("table {name:?}: {}", tables(cursor.0)?))
}

fn known_guid(bytes: &[u8]) -> Option<String> {
    let text = guid(bytes)?;
    let known = [
        ("eb9d2d31-2d88-11d3-9a16-0090273fc14d", "SMBIOS"),
        ("f2fd1544-9794-4a2c-992e-e5bbcf20e394", "SMBIOS 3"),
        ("8868e871-e4f1-11d3-bc22-0080c73c8881", "ACPI 2.0"),
        ("eb9d2d30-2d88-11d3-9a16-0090273fc14d", "ACPI 1.0"),
        ("bb93ae8f-b9f2-4eb8-9462-e0ba74564236", "ACPI of the host"),
    ];
    Some(known.iter().find(|(id, _)| *id == text).map_or(text, |(_, name)| (*name).to_owned()))
}

/// Linux measures its command line and initrd as tagged events (EFI stub, `efi_measure_tagged_event`).
fn linux_tag(data: &[u8]) -> Option<String> {
    let mut cursor = Cursor(data);
    let (id, length) = (cursor.u32()?, cursor.u32()?);
    let text = cursor.take(usize::try_from(length).ok()?)?;
    let name = match id {
        0x8f3b_22ec => "Linux initrd",
        0x8f3b_22ed => "Linux command line",
        0xf5bc_582a => "systemd load options",
        _ => return Some(format!("tag {id:#010x}: {}", other(text))),
    };
    Some(format!("{name}: {}", other(text)))
}

/// A text where it is one, else its length and start.
fn other(data: &[u8]) -> String {
    let trimmed = data.strip_suffix(&[0]).unwrap_or(data);
    if trimmed.is_empty() {
        return "no data".to_owned();
    }
    if let Ok(text) = std::str::from_utf8(trimmed)
        && !text.contains(|c: char| c.is_control() && c != '\n' && c != '\t')
    {
        return cut(&format!("{text:?}"));
    }
    if let Some(text) = utf16(data).filter(|text| text.chars().count() > 2 && text.is_ascii()) {
        return cut(&format!("{text:?}"));
    }
    let start = data.get(..data.len().min(32)).unwrap_or_default();
    let more = if data.len() > start.len() { "…" } else { "" };
    format!("{} bytes: {}{more}", data.len(), hex::encode(start))
}

/// Texts of the log are anybody's; one line has room for this much.
const MAX_LINE: usize = 320;

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_LINE) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_partitions_and_blobs_are_told() {
        let mut image_event = [0x1000_u64, 0x2000, 0, 16].map(u64::to_le_bytes).concat();
        // A file path node "\a" and the end.
        image_event.extend([4, 4, 10, 0, b'\\', 0, b'a', 0, 0, 0, 0x7f, 0xff, 4, 0, 0, 0]);
        assert_eq!(image(&image_event).as_deref(), Some("image \\a (8192 bytes at 0x1000)"));
        assert_eq!(blob(&[0; 16]).as_deref(), Some("firmware of 0 bytes at 0x0"));
        assert_eq!(separator(&[0; 4]).as_deref(), Some("separator: from here on not the firmware's own"));
        assert!(no_action(b"StartupLocality\0\x03").is_some_and(|text| text.ends_with("locality 3")));
    }

    #[test]
    fn data_that_is_cut_is_still_told() {
        for decode in
            [image, partitions, blob, described_blob, tables, described_tables, linux_tag, version, no_action]
        {
            for length in 0..200 {
                decode(&vec![0xff; length]);
                decode(&vec![0; length]);
            }
        }
        assert_eq!(other(&[]), "no data");
        assert_eq!(other(b"grub_cmd: linux\0"), "\"grub_cmd: linux\"");
        assert_eq!(other(&[1, 2]), "2 bytes: 0102");
    }
}
