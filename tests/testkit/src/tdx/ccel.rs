//! A TD's boot log (CCEL), as OVMF writes it.

use crate::hash::sha384;
use crate::logs::boot::{
    EV_EFI_ACTION, EV_EFI_BOOT_SERVICES_APPLICATION, EV_EFI_VARIABLE_DRIVER_CONFIG, EV_EVENT_TAG,
    EV_NO_ACTION, EV_PLATFORM_CONFIG_FLAGS, EV_SEPARATOR,
};

const SHA384: u16 = 0x0c;
/// Bytes of the area that firmware reserved.
const AREA: usize = 64 << 10;

/// One event; its digest is that of its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CcelEvent {
    /// Measurement register: 1 for RTMR0.
    pub register: u32,
    /// TCG event type.
    pub event_type: u32,
    /// The event's data.
    pub data: Vec<u8>,
}

/// A log before it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ccel(pub Vec<CcelEvent>);

impl Default for Ccel {
    /// A boot of a kernel.
    fn default() -> Self {
        let event =
            |register, event_type, data: &[u8]| CcelEvent { register, event_type, data: data.to_vec() };
        Self(vec![
            event(1, EV_EFI_VARIABLE_DRIVER_CONFIG, b"SecureBoot"),
            event(1, EV_SEPARATOR, &[0; 4]),
            event(1, EV_PLATFORM_CONFIG_FLAGS, b"ACPI DATA"),
            event(2, EV_EFI_ACTION, b"Calling EFI Application from Boot Option"),
            event(2, EV_SEPARATOR, &[0; 4]),
            event(2, EV_EFI_BOOT_SERVICES_APPLICATION, b"kernel"),
            event(3, EV_EVENT_TAG, b"LOADED_IMAGE::LoadOptions\0"),
            event(3, EV_EVENT_TAG, b"Linux initrd\0"),
            event(2, EV_EFI_ACTION, b"Exit Boot Services Invocation"),
            event(2, EV_EFI_ACTION, b"Exit Boot Services Returned with Success"),
        ])
    }
}

impl Ccel {
    /// RTMR0 to RTMR3 after the events.
    pub fn replay(&self) -> [[u8; 48]; 4] {
        let mut rtmr = [[0; 48]; 4];
        for event in &self.0 {
            let register = &mut rtmr[event.register as usize - 1];
            *register = sha384(&[*register, sha384(&event.data)].concat());
        }
        rtmr
    }

    /// The whole area, padded with ones.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut header = b"Spec ID Event03\0".to_vec();
        header.extend(0_u32.to_le_bytes());
        // Version 2.0, no errata, UINTN of 8 bytes (in units of 4).
        header.extend([0, 2, 0, 2]);
        header.extend(1_u32.to_le_bytes());
        header.extend(SHA384.to_le_bytes());
        header.extend(48_u16.to_le_bytes());
        header.push(0);
        let mut out = 1_u32.to_le_bytes().to_vec();
        out.extend(EV_NO_ACTION.to_le_bytes());
        out.extend([0; 20]);
        out.extend((header.len() as u32).to_le_bytes());
        out.extend(header);
        for event in &self.0 {
            out.extend(event.register.to_le_bytes());
            out.extend(event.event_type.to_le_bytes());
            out.extend(1_u32.to_le_bytes());
            out.extend(SHA384.to_le_bytes());
            out.extend(sha384(&event.data));
            out.extend((event.data.len() as u32).to_le_bytes());
            out.extend(&event.data);
        }
        out.resize(AREA, 0xff);
        out
    }
}
