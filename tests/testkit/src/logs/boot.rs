//! A boot log like OVMF's with measured boot and Linux's EFI stub (TCG PC Client Platform Firmware Profile 1.06, section 10).

use crate::tpm::{Digests, Pcrs, alg};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::reference_values;
use sealpod_evidence::tcg2::event_type_name;
use std::collections::BTreeMap;

/// EV_NO_ACTION.
pub const EV_NO_ACTION: u32 = 3;
/// EV_SEPARATOR.
pub const EV_SEPARATOR: u32 = 4;
/// EV_EVENT_TAG.
pub const EV_EVENT_TAG: u32 = 6;
/// EV_S_CRTM_VERSION.
pub const EV_S_CRTM_VERSION: u32 = 8;
/// EV_PLATFORM_CONFIG_FLAGS.
pub const EV_PLATFORM_CONFIG_FLAGS: u32 = 0xA;
/// EV_EFI_VARIABLE_DRIVER_CONFIG.
pub const EV_EFI_VARIABLE_DRIVER_CONFIG: u32 = 0x8000_0001;
/// EV_EFI_VARIABLE_BOOT.
pub const EV_EFI_VARIABLE_BOOT: u32 = 0x8000_0002;
/// EV_EFI_BOOT_SERVICES_APPLICATION.
pub const EV_EFI_BOOT_SERVICES_APPLICATION: u32 = 0x8000_0003;
/// EV_EFI_ACTION.
pub const EV_EFI_ACTION: u32 = 0x8000_0007;
/// EV_EFI_PLATFORM_FIRMWARE_BLOB.
pub const EV_EFI_PLATFORM_FIRMWARE_BLOB: u32 = 0x8000_0008;

/// Tags of the EFI stub's events in PCR 9 (Linux, drivers/firmware/efi/libstub/efistub.h).
const INITRD_TAG: u32 = 0x8F3B_22EC;
const LOAD_OPTIONS_TAG: u32 = 0x8F3B_22ED;
/// 8be4df61-93ca-11d2-aa0d-00e098032b8c, EFI_GLOBAL_VARIABLE, as it is in memory.
const GLOBAL_VARIABLE: [u8; 16] =
    [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootEvent {
    /// The PCR that it extends.
    pub pcr: u32,
    /// TCG event type.
    pub event_type: u32,
    /// What it extends with.
    pub digests: Digests,
    /// The event's own data.
    pub data: Vec<u8>,
}

impl BootEvent {
    /// An event whose digest is that of something measured.
    pub fn new(pcr: u32, event_type: u32, measured: &[u8], data: &[u8]) -> Self {
        Self { pcr, event_type, digests: Digests::of(measured), data: data.to_vec() }
    }

    /// An event whose digest is that of its data.
    pub fn of_data(pcr: u32, event_type: u32, data: &[u8]) -> Self {
        Self::new(pcr, event_type, data, data)
    }

    /// The separator that ends firmware's use of a PCR.
    pub fn separator(pcr: u32) -> Self {
        Self::of_data(pcr, EV_SEPARATOR, &[0; 4])
    }

    /// A variable of the secure boot configuration.
    pub fn variable(name: &str, value: &[u8]) -> Self {
        Self::of_data(7, EV_EFI_VARIABLE_DRIVER_CONFIG, &variable_data(name, value))
    }

    /// A variable of the boot manager; its digest is that of the value alone.
    fn boot_variable(name: &str, value: &[u8]) -> Self {
        Self::new(1, EV_EFI_VARIABLE_BOOT, value, &variable_data(name, value))
    }

    /// ACPI tables of the host, as EDK2 measures them: the digest is that of the tables.
    pub fn acpi(tables: &[u8]) -> Self {
        Self::new(1, EV_PLATFORM_CONFIG_FLAGS, tables, b"ACPI DATA")
    }

    /// What the EFI stub measures into PCR 9 (`TCG_PCClientTaggedEvent`).
    fn tagged(tag: u32, what: &[u8], measured: &[u8]) -> Self {
        let mut data = tag.to_le_bytes().to_vec();
        data.extend((what.len() as u32).to_le_bytes());
        data.extend(what);
        Self::new(9, EV_EVENT_TAG, measured, &data)
    }
}

/// `UEFI_VARIABLE_DATA` (section 10.2.6).
fn variable_data(name: &str, value: &[u8]) -> Vec<u8> {
    let wide: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut data = GLOBAL_VARIABLE.to_vec();
    data.extend((name.encode_utf16().count() as u64).to_le_bytes());
    data.extend((value.len() as u64).to_le_bytes());
    data.extend(wide);
    data.extend(value);
    data
}

/// A log before it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootLog {
    /// The banks that the log has digests for.
    pub algorithms: Vec<u16>,
    /// A StartupLocality event with this locality; OVMF writes none.
    pub startup_locality: Option<u8>,
    /// The events in order.
    pub events: Vec<BootEvent>,
}

impl Default for BootLog {
    /// An OVMF boot of a kernel, with SHA-1 and SHA-256 digests.
    fn default() -> Self {
        Self { algorithms: vec![alg::SHA1, alg::SHA256], startup_locality: None, events: ovmf_boot() }
    }
}

fn ovmf_boot() -> Vec<BootEvent> {
    let action = |pcr, text: &str| BootEvent::of_data(pcr, EV_EFI_ACTION, text.as_bytes());
    let mut events = vec![
        BootEvent::of_data(0, EV_S_CRTM_VERSION, b"t\0e\0s\0t\0\0\0"),
        BootEvent::new(0, EV_EFI_PLATFORM_FIRMWARE_BLOB, b"PEI volume", &[0x11; 16]),
        BootEvent::new(0, EV_EFI_PLATFORM_FIRMWARE_BLOB, b"DXE volume", &[0x22; 16]),
        BootEvent::variable("SecureBoot", &[0]),
    ];
    events.extend(["PK", "KEK", "db", "dbx"].map(|name| BootEvent::variable(name, b"")));
    events.extend([
        BootEvent::separator(7),
        BootEvent::acpi(b"table loader"),
        BootEvent::acpi(b"tables"),
        BootEvent::boot_variable("BootOrder", &[0, 0]),
        action(4, "Calling EFI Application from Boot Option"),
    ]);
    events.extend((0..=6).map(BootEvent::separator));
    events.extend([
        BootEvent::new(4, EV_EFI_BOOT_SERVICES_APPLICATION, b"kernel", &[0; 32]),
        BootEvent::tagged(LOAD_OPTIONS_TAG, b"LOADED_IMAGE::LoadOptions\0", b"console=hvc0"),
        BootEvent::tagged(INITRD_TAG, b"Linux initrd\0", b"initrd"),
        action(5, "Exit Boot Services Invocation"),
        action(5, "Exit Boot Services Returned with Success"),
    ]);
    events
}

impl BootLog {
    /// The bytes that securityfs gives.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.header();
        let mut events = Vec::new();
        events.extend(self.startup_locality.map(|locality| {
            let data = [b"StartupLocality\0".as_slice(), &[locality]].concat();
            BootEvent { pcr: 0, event_type: EV_NO_ACTION, digests: Digests::filled(0), data }
        }));
        for event in events.iter().chain(&self.events) {
            self.put(&mut out, event);
        }
        out
    }

    /// Extend what the log says.
    pub fn replay(&self, pcrs: &mut Pcrs) {
        if let Some(locality) = self.startup_locality {
            pcrs.start_at_locality(locality);
        }
        for event in self.events.iter().filter(|event| event.event_type != EV_NO_ACTION) {
            pcrs.extend(event.pcr as usize, &event.digests);
        }
    }

    /// The Reference Value that takes this boot and no other.
    pub fn reference(&self) -> reference_values::BootReference {
        let mut events = BTreeMap::<u8, Vec<reference_values::BootEvent>>::new();
        for event in self.events.iter().filter(|event| event.event_type != EV_NO_ACTION) {
            events.entry(event.pcr as u8).or_default().push(reference_values::BootEvent {
                event_type: event_type_name(event.event_type).into_owned(),
                sha256: HexArray(event.digests.sha256),
                description: format!("test event of {} bytes", event.data.len()),
                acpi: event.event_type == EV_PLATFORM_CONFIG_FLAGS && event.data == b"ACPI DATA",
            });
        }
        reference_values::BootReference {
            description: "test boot".to_owned(),
            events,
            dangerous_unmeasured_acpi: false,
        }
    }

    /// The Spec ID event, in the form of TPM 1.2 (section 10.4.5.1).
    fn header(&self) -> Vec<u8> {
        let mut data = b"Spec ID Event03\0".to_vec();
        data.extend(0_u32.to_le_bytes());
        // Version 2.0, no errata, UINTN of 8 bytes (in units of 4).
        data.extend([0, 2, 0, 2]);
        data.extend((self.algorithms.len() as u32).to_le_bytes());
        for algorithm in &self.algorithms {
            data.extend(algorithm.to_le_bytes());
            data.extend((size(*algorithm) as u16).to_le_bytes());
        }
        data.push(0);
        let mut out = 0_u32.to_le_bytes().to_vec();
        out.extend(EV_NO_ACTION.to_le_bytes());
        out.extend([0; 20]);
        out.extend((data.len() as u32).to_le_bytes());
        out.extend(data);
        out
    }

    /// One `TCG_PCR_EVENT2`.
    fn put(&self, out: &mut Vec<u8>, event: &BootEvent) {
        out.extend(event.pcr.to_le_bytes());
        out.extend(event.event_type.to_le_bytes());
        out.extend((self.algorithms.len() as u32).to_le_bytes());
        for algorithm in &self.algorithms {
            out.extend(algorithm.to_le_bytes());
            match *algorithm {
                alg::SHA1 => out.extend(event.digests.sha1),
                alg::SHA256 => out.extend(event.digests.sha256),
                other => panic!("algorithm {other:#06x} is not one of the TPM's banks"),
            }
        }
        out.extend((event.data.len() as u32).to_le_bytes());
        out.extend(&event.data);
    }
}

fn size(algorithm: u16) -> usize {
    if algorithm == alg::SHA1 { 20 } else { 32 }
}
