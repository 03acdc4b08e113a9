//! The boot events that a guest must show: taken from the log of one trusted reference boot, and for those that depend on
//! kernel, initrd and command line, recomputed from the files and compared.

use crate::pe::{PeError, as_loaded_by_qemu, authenticode};
use sealpod_evidence::bytes::{HexArray, Sha256Digest};
use sealpod_evidence::reference_values::{BootEvent, BootReference};
use sealpod_evidence::tcg2::{
    ALG_SHA256, BootLog, BootLogError, EV_EFI_BOOT_SERVICES_APPLICATION, EV_EVENT_TAG, Event, event_type_name,
};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

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
    #[error(transparent)]
    Log(#[from] BootLogError),
    /// An event has no SHA-256 digest, so no quote of that bank can cover it.
    #[error("boot log event at {offset} has no SHA-256 digest")]
    NoDigest {
        /// Where the event starts, in bytes.
        offset: usize,
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
    /// No event covers the ACPI tables, so a hostile host could run bytecode of its own in the guest's kernel.
    #[error(
        "the boot log has no PCR 1 EV_PLATFORM_CONFIG_FLAGS \"ACPI DATA\", so the host could give the kernel any ACPI bytecode unseen; boot with firmware that measures ACPI tables (edk2 of 2023 or later), or accept that with --dangerous-unmeasured-acpi"
    )]
    UnmeasuredAcpi,
    /// See [`PeError`].
    #[error(transparent)]
    Pe(#[from] PeError),
}

/// The events of PCRs 0-7 and 9. With `inputs` (a boot through OVMF), kernel, command line and initrd events must agree with
/// the files; without (direct boot), the log says nothing of them and only the launch digest covers them.
///
/// # Errors
///
/// See [`BootError`]; [`BootError::UnmeasuredAcpi`] unless `dangerous_unmeasured_acpi`.
pub fn boot_reference(
    log: &[u8],
    inputs: Option<&BootInputs<'_>>,
    dangerous_unmeasured_acpi: bool,
) -> Result<BootReference, BootError> {
    let log = BootLog::parse(log)?;
    if let Some(inputs) = inputs {
        check(&log, inputs)?;
    }
    let mut map: BTreeMap<u8, Vec<BootEvent>> = BTreeMap::new();
    for event in log.events().filter(|e| matches!(e.pcr, 0..=7 | 9) && e.is_extended()) {
        map.entry(event.pcr as u8).or_default().push(BootEvent {
            event_type: event_type_name(event.event_type).into_owned(),
            sha256: sha256(&event)?,
            description: describe(event.data),
            acpi: event.says_acpi_data(),
        });
    }
    let description = match inputs {
        Some(_) => {
            "OVMF; kernel, command line and initrd events recomputed from files, the rest from a recorded boot"
        }
        None => "direct boot, from a recorded boot; no event covers kernel, command line or initrd",
    };
    let mut reference =
        BootReference { description: description.to_owned(), events: map, dangerous_unmeasured_acpi: false };
    match (reference.measures_acpi(), dangerous_unmeasured_acpi) {
        (true, _) => Ok(reference),
        (false, true) => {
            reference.dangerous_unmeasured_acpi = true;
            Ok(reference)
        }
        (false, false) => Err(BootError::UnmeasuredAcpi),
    }
}

fn check(log: &BootLog<'_>, inputs: &BootInputs<'_>) -> Result<(), BootError> {
    let tagged = |tag: u32| {
        move |e: &Event<'_>| {
            e.pcr == 9 && e.event_type == EV_EVENT_TAG && e.data.starts_with(&tag.to_le_bytes())
        }
    };
    // OVMF's loader appends this word when there is an initrd; the stub measures the text with its terminator.
    let options = format!("{} initrd=initrd\0", inputs.command_line);
    let options: Vec<u8> = options.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let digest = |bytes: &[u8]| -> Sha256Digest { HexArray(Sha256::digest(bytes).into()) };
    compare(log, "PCR 9 LoadOptions (command line)", tagged(LOAD_OPTIONS_TAG), &[digest(&options)])?;
    compare(log, "PCR 9 Linux initrd", tagged(INITRD_TAG), &[digest(inputs.initrd)])?;
    let mut kernels = vec![authenticode(inputs.kernel)?];
    let sizes = (1..MEMORY_MAX_MIB / MEMORY_STEP_MIB + 1).map(|n| n * MEMORY_STEP_MIB);
    let sizes: Vec<u64> = inputs.memory_mib.map_or_else(|| sizes.collect(), |m| vec![m]);
    for size in sizes {
        if let Some(image) = as_loaded_by_qemu(inputs.kernel, inputs.initrd.len(), size) {
            kernels.push(authenticode(&image)?);
        }
    }
    let kernel = |e: &Event<'_>| e.pcr == 4 && e.event_type == EV_EFI_BOOT_SERVICES_APPLICATION;
    compare(log, "PCR 4 EV_EFI_BOOT_SERVICES_APPLICATION (kernel)", kernel, &kernels)
}

/// At least one event matches, and the digest of each is one of those expected.
fn compare(
    log: &BootLog<'_>,
    event: &'static str,
    matches: impl Fn(&Event<'_>) -> bool,
    expected: &[Sha256Digest],
) -> Result<(), BootError> {
    let mut matching = log.events().filter(|e| matches(e));
    let first = matching.next().ok_or(BootError::Missing { event })?;
    for found in std::iter::once(first).chain(matching) {
        let found = sha256(&found)?;
        if !expected.contains(&found) {
            let list = if expected.len() > 1 { " (or another for other memory sizes)" } else { "" };
            let expected = format!("{}{list}", expected[0]);
            return Err(BootError::Differs { event, expected, found });
        }
    }
    Ok(())
}

/// The digest that the reference is about.
fn sha256(event: &Event<'_>) -> Result<Sha256Digest, BootError> {
    let digest = event.digests.get(ALG_SHA256).and_then(|digest| digest.try_into().ok());
    digest.map(HexArray).ok_or(BootError::NoDigest { offset: event.offset })
}

/// Printable text of an event's data, for people.
fn describe(data: &[u8]) -> String {
    let text: String =
        data.iter().filter(|b| b.is_ascii_graphic() || **b == b' ').map(|b| char::from(*b)).collect();
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn recorded(name: &str) -> Option<Vec<u8>> {
        let default = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors"));
        let vectors = std::env::var_os("SEALPOD_VECTORS").map_or(default, PathBuf::from);
        let path = vectors.join("tcg2-eventlog").join(name);
        let log = std::fs::read(&path).ok();
        if log.is_none() {
            eprintln!("skipped: no {} (set SEALPOD_VECTORS)", path.display());
        }
        log
    }

    #[test]
    fn a_recorded_boot_gives_the_extended_events_of_its_registers() {
        let Some(log) = recorded("google__go-attestation/crypto_agile_eventlog") else { return };
        let reference = boot_reference(&log, None, true).unwrap();
        let parsed = BootLog::parse(&log).unwrap();
        let expected = parsed.events().filter(|e| e.is_extended() && matches!(e.pcr, 0..=7 | 9)).count();
        assert_eq!(reference.events.values().map(Vec::len).sum::<usize>(), expected);
        for pcr in 0..=7 {
            assert!(reference.events[&pcr].iter().any(|e| e.event_type == "EV_SEPARATOR"), "PCR {pcr}");
        }
    }

    #[test]
    fn a_boot_of_something_else_is_not_this_image() {
        let Some(log) = recorded("google__go-attestation/crypto_agile_eventlog") else { return };
        let inputs = BootInputs { kernel: b"", initrd: b"", command_line: "quiet", memory_mib: None };
        let event = "PCR 9 LoadOptions (command line)";
        let error = boot_reference(&log, Some(&inputs), true).unwrap_err();
        assert!(matches!(error, BootError::Missing { event: missing } if missing == event));
    }

    #[test]
    fn a_boot_that_no_event_of_covers_acpi_tables_has_to_be_accepted_by_name() {
        let Some(log) = recorded("google__go-attestation/crypto_agile_eventlog") else { return };
        assert!(matches!(boot_reference(&log, None, false), Err(BootError::UnmeasuredAcpi)));
        assert!(boot_reference(&log, None, true).unwrap().dangerous_unmeasured_acpi);
        let Some(log) = recorded("google__go-tpm-tools/confidential-gke-debug-251000_eventlog.bin") else {
            return;
        };
        let measured = boot_reference(&log, None, false).unwrap();
        assert_eq!(measured.events[&1].iter().filter(|event| event.acpi).count(), 3);
        // The weakening is not written down where nothing needs it.
        assert_eq!(boot_reference(&log, None, true).unwrap(), measured);
    }

    #[test]
    fn a_cut_log_is_refused() {
        let Some(log) = recorded("google__go-attestation/crypto_agile_eventlog") else { return };
        let error = boot_reference(&log[..log.len() - 1], None, true).unwrap_err();
        assert!(matches!(error, BootError::Log(BootLogError::Cut(_))));
    }
}
