//! The boot events that a guest must show: taken from the log of one trusted reference boot, and for those that depend on
//! kernel, initrd and command line, recomputed from the files and compared.
//!
//! Log format: TCG PC Client Platform Firmware Profile 1.06, section 10.2 (crypto agile).

use crate::pe::{PeError, as_loaded_by_qemu, authenticode};
use sealpod_evidence::bytes::{HexArray, Sha256Digest};
use sealpod_evidence::reference_values::{BootEvent, BootReference};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Largest log: real ones have tens of KiB.
const MAX_LOG: usize = 4 << 20;
const EV_NO_ACTION: u32 = 3;
const EV_BOOT_SERVICES_APPLICATION: u32 = 0x8000_0003;
const EV_EVENT_TAG: u32 = 6;
const SHA256: u16 = 0x0b;
/// Linux EFI stub's tags (include/linux/efi.h): initrd and load options.
const INITRD_TAG: u32 = 0x8f3b_22ec;
const LOAD_OPTIONS_TAG: u32 = 0x8f3b_22ed;
/// Memory sizes tried where none is given: multiples of 128 MiB up to the point where q35 keeps 2 GiB low.
const MEMORY_STEP_MIB: u64 = 128;
const MEMORY_MAX_MIB: u64 = 2816;

/// What the computed events are computed from.
#[derive(Debug)]
pub struct BootInputs<'a> {
    /// The kernel file.
    pub kernel: &'a [u8],
    /// The initrd, as booted.
    pub initrd: &'a [u8],
    /// The whole command line given to QEMU.
    pub command_line: &'a str,
    /// Memory of the machine; `None` tries the usual sizes.
    pub memory_mib: Option<u64>,
}

/// Why there is no boot reference.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The log does not parse.
    #[error("boot log offset {offset}: {what}")]
    Log {
        /// Where.
        offset: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A computed event is not in the log.
    #[error("the boot log has no {event}; was it recorded with this --firmware?")]
    Missing {
        /// Which.
        event: &'static str,
    },
    /// A computed event differs.
    #[error(
        "boot log, {event}: expected {expected}, found {found}; record the log again with exactly this kernel, initrd, command line and memory size"
    )]
    Differs {
        /// Which.
        event: &'static str,
        /// The digests that the files give.
        expected: String,
        /// The log's digest.
        found: Sha256Digest,
    },
    /// See [`PeError`].
    #[error(transparent)]
    Pe(#[from] PeError),
}

struct Event<'a> {
    pcr: u32,
    kind: u32,
    sha256: Sha256Digest,
    data: &'a [u8],
}

/// The events of PCRs 0-7 and 9. With `inputs` (a boot through OVMF), kernel, command line and initrd events must agree with
/// the files; without (direct boot), the log says nothing of them and only the launch digest covers them.
pub fn boot_reference(log: &[u8], inputs: Option<&BootInputs<'_>>) -> Result<BootReference, BootError> {
    let events = parse(log)?;
    if let Some(inputs) = inputs {
        check(&events, inputs)?;
    }
    let mut map: BTreeMap<u8, Vec<BootEvent>> = BTreeMap::new();
    for event in events.iter().filter(|e| matches!(e.pcr, 0..=7 | 9) && e.kind != EV_NO_ACTION) {
        map.entry(event.pcr as u8).or_default().push(BootEvent {
            event_type: type_name(event.kind),
            sha256: event.sha256,
            description: describe(event.data),
        });
    }
    let description = match inputs {
        Some(_) => {
            "OVMF; kernel, command line and initrd events recomputed from files, the rest from a recorded boot"
        }
        None => "direct boot, from a recorded boot; no event covers kernel, command line or initrd",
    };
    Ok(BootReference { description: description.to_owned(), events: map })
}

fn check(events: &[Event<'_>], inputs: &BootInputs<'_>) -> Result<(), BootError> {
    let tagged = |tag: u32| {
        move |e: &Event<'_>| e.pcr == 9 && e.kind == EV_EVENT_TAG && e.data.starts_with(&tag.to_le_bytes())
    };
    // OVMF's loader appends this word when there is an initrd; the stub measures the text with its terminator.
    let options = format!("{} initrd=initrd\0", inputs.command_line);
    let options: Vec<u8> = options.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let digest = |bytes: &[u8]| -> Sha256Digest { HexArray(Sha256::digest(bytes).into()) };
    compare(events, "PCR 9 LoadOptions (command line)", tagged(LOAD_OPTIONS_TAG), &[digest(&options)])?;
    compare(events, "PCR 9 Linux initrd", tagged(INITRD_TAG), &[digest(inputs.initrd)])?;
    let mut kernels = vec![authenticode(inputs.kernel)?];
    let sizes = (1..MEMORY_MAX_MIB / MEMORY_STEP_MIB + 1).map(|n| n * MEMORY_STEP_MIB);
    let sizes: Vec<u64> = inputs.memory_mib.map_or_else(|| sizes.collect(), |m| vec![m]);
    for size in sizes {
        if let Some(image) = as_loaded_by_qemu(inputs.kernel, inputs.initrd.len(), size) {
            kernels.push(authenticode(&image)?);
        }
    }
    let kernel = |e: &Event<'_>| e.pcr == 4 && e.kind == EV_BOOT_SERVICES_APPLICATION;
    compare(events, "PCR 4 EV_EFI_BOOT_SERVICES_APPLICATION (kernel)", kernel, &kernels)
}

/// Exactly one event matches, and its digest is one of those expected.
fn compare(
    events: &[Event<'_>],
    event: &'static str,
    matches: impl Fn(&Event<'_>) -> bool,
    expected: &[Sha256Digest],
) -> Result<(), BootError> {
    let mut found = events.iter().filter(|e| matches(e));
    let first = found.next().ok_or(BootError::Missing { event })?;
    for found in std::iter::once(first).chain(found) {
        if !expected.contains(&found.sha256) {
            let list = if expected.len() > 1 { " (or another for other memory sizes)" } else { "" };
            let expected = format!("{}{list}", expected[0]);
            return Err(BootError::Differs { event, expected, found: found.sha256 });
        }
    }
    Ok(())
}

struct Cursor<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], BootError> {
        let end = self.offset.checked_add(len);
        let taken = end.and_then(|end| self.bytes.get(self.offset..end));
        let taken = taken.ok_or(BootError::Log { offset: self.offset, what: "the log is cut" })?;
        self.offset += len;
        Ok(taken)
    }

    fn number(&mut self, len: usize) -> Result<u32, BootError> {
        Ok(self.take(len)?.iter().rev().fold(0, |n, b| n << 8 | u32::from(*b)))
    }
}

fn parse(log: &[u8]) -> Result<Vec<Event<'_>>, BootError> {
    let mut cursor = Cursor { bytes: log, offset: 0 };
    if log.len() > MAX_LOG {
        return Err(BootError::Log { offset: MAX_LOG, what: "the log is longer than 4 MiB" });
    }
    // The first event is in the old form: PCR, type, a SHA-1 digest, and the list of digest sizes.
    cursor.take(28)?;
    let len = cursor.number(4)? as usize;
    let mut spec = Cursor { bytes: cursor.take(len)?, offset: 0 };
    if spec.take(16)? != b"Spec ID Event03\0" {
        return Err(BootError::Log { offset: 32, what: "not a crypto-agile (TCG 2) log" });
    }
    spec.take(8)?;
    let count = spec.number(4)?;
    let sizes = (0..count.min(16))
        .map(|_| Ok((spec.number(2)? as u16, spec.number(2)? as usize)))
        .collect::<Result<BTreeMap<_, _>, BootError>>()?;
    let mut events = Vec::new();
    while cursor.offset < log.len() {
        events.push(event(&mut cursor, &sizes)?);
    }
    Ok(events)
}

fn event<'a>(cursor: &mut Cursor<'a>, sizes: &BTreeMap<u16, usize>) -> Result<Event<'a>, BootError> {
    let start = cursor.offset;
    let bad = |what| BootError::Log { offset: start, what };
    let (pcr, kind, count) = (cursor.number(4)?, cursor.number(4)?, cursor.number(4)?);
    let mut sha256 = None;
    for _ in 0..count {
        let algorithm = cursor.number(2)? as u16;
        let size = *sizes.get(&algorithm).ok_or(bad("a digest algorithm is not in the header"))?;
        let digest = cursor.take(size)?;
        if algorithm == SHA256 {
            sha256 = <[u8; 32]>::try_from(digest).ok().map(HexArray);
        }
    }
    let len = cursor.number(4)? as usize;
    let data = cursor.take(len)?;
    Ok(Event { pcr, kind, sha256: sha256.ok_or(bad("an event has no SHA-256 digest"))?, data })
}

/// Names of the TCG profile's table of event types.
fn type_name(kind: u32) -> String {
    let name = match kind {
        1 => "EV_POST_CODE",
        4 => "EV_SEPARATOR",
        5 => "EV_ACTION",
        6 => "EV_EVENT_TAG",
        7 => "EV_S_CRTM_CONTENTS",
        8 => "EV_S_CRTM_VERSION",
        0xd => "EV_IPL",
        0x8000_0001 => "EV_EFI_VARIABLE_DRIVER_CONFIG",
        0x8000_0002 => "EV_EFI_VARIABLE_BOOT",
        0x8000_0003 => "EV_EFI_BOOT_SERVICES_APPLICATION",
        0x8000_0007 => "EV_EFI_ACTION",
        0x8000_0008 => "EV_EFI_PLATFORM_FIRMWARE_BLOB",
        0x8000_0009 => "EV_EFI_HANDOFF_TABLES",
        other => return format!("0x{other:08x}"),
    };
    name.to_owned()
}

/// Printable text of an event's data, for people.
fn describe(data: &[u8]) -> String {
    let text: String =
        data.iter().filter(|b| b.is_ascii_graphic() || **b == b' ').map(|b| char::from(*b)).collect();
    text.chars().take(80).collect()
}
