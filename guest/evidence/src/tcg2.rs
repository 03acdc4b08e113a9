//! The boot log: what firmware, boot loader and kernel say that they measured.
//!
//! Format: TCG PC Client Platform Firmware Profile (PFP) 1.06 section 10, crypto agile form. The confidential
//! computing log of a TDX guest (CCEL; UEFI 2.10 chapter 38) has the same records with a measurement register
//! index in the place of the PCR index.
//!
//! A log that parses is well formed and says nothing true yet: its digests count once they replay to registers
//! that a quote or report vouches for, and an event's *data* only where its digest is recomputed from it.
//! Windows writes the same form (WBCL) and appends its own events, in PCR 11 to 14 and for no register at all.
//! Events of type `EV_NO_ACTION` are extended nowhere, so no register ever vouches for them.

mod event;
mod header;
mod legacy;
mod names;
mod replay;
#[cfg(test)]
mod tests;
mod text;

pub use event::{Digests, Event, Events};
pub use header::{Algorithms, SpecId};
pub use names::{
    EV_ACTION, EV_COMPACT_HASH, EV_EFI_ACTION, EV_EFI_BOOT_SERVICES_APPLICATION, EV_EFI_BOOT_SERVICES_DRIVER,
    EV_EFI_RUNTIME_SERVICES_DRIVER, EV_EFI_VARIABLE_DRIVER_CONFIG, EV_EVENT_TAG, EV_IPL, EV_NO_ACTION,
    EV_PLATFORM_CONFIG_FLAGS, EV_SEPARATOR, event_type_name,
};
pub use replay::{REGISTERS, Register};
pub use text::binary;

use crate::reader::{ReadError, Reader};
use thiserror::Error;

/// TPM_ALG_SHA1 (TPM 2.0 Part 2 section 6.3).
pub const ALG_SHA1: u16 = 0x04;
/// TPM_ALG_SHA256.
pub const ALG_SHA256: u16 = 0x0b;
/// TPM_ALG_SHA384.
pub const ALG_SHA384: u16 = 0x0c;
/// TPM_ALG_SHA512.
pub const ALG_SHA512: u16 = 0x0d;

/// Longest log read, in bytes. Firmware reserves 64 KiB to 1 MiB and real logs fill up to 64 KiB of it. Parsing
/// allocates nothing, so this only bounds time; a caller with a smaller budget checks the length first.
pub const MAX_LEN: usize = 4 << 20;
/// Most events read. Real logs have up to 120.
pub const MAX_EVENTS: u32 = 16_384;
/// Most digest algorithms, hence digests per event. TPMs have up to four banks.
pub const MAX_ALGORITHMS: u32 = 8;

/// Highest PCR of a PC Client TPM.
const MAX_PCR: u32 = 23;
/// Highest measurement register of a TD: 0 is MRTD, 1 to 4 are RTMR0 to RTMR3 (UEFI 2.10 chapter 38).
const MAX_MR: u32 = 4;

/// A boot log every record of which is well formed. Borrows the bytes it was parsed from.
#[derive(Debug, Clone)]
pub struct BootLog<'a> {
    spec: SpecId<'a>,
    layout: Layout,
    records: Reader<'a>,
    count: u32,
    unused: usize,
    startup_locality: u8,
}

/// The form of a log, and what the index of its events names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Of a TPM, crypto agile.
    Tpm,
    /// Of a TPM, in the form of TPM 1.2 with SHA-1 digests only (PFP 1.06 section 10.2.1).
    TpmSha1,
    /// Of a TD: measurement registers.
    Ccel,
}

/// Why bytes are not a boot log. Offsets count from the start of the log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BootLogError {
    /// Longer than [`MAX_LEN`].
    #[error("boot log is {found} bytes, more than the {expected} allowed")]
    TooLong {
        /// The limit.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// A record reaches past the end.
    #[error("boot log is cut: {0}")]
    Cut(#[from] ReadError),
    /// The log starts like one in the SHA-1-only form of TPM 1.2, which is not accepted.
    #[error(
        "boot log is not crypto agile: it starts with an event of type {found:#010x} without \"Spec ID Event03\""
    )]
    Legacy {
        /// Type of the first event.
        found: u32,
    },
    /// The Spec ID event has the wrong length for what it holds.
    #[error("boot log header: {0}")]
    HeaderLength(#[source] ReadError),
    /// The Spec ID event is not an unextended event of the first register.
    #[error(
        "boot log header: expected event type 3 with a zero digest, found {event_type:#010x} for register {register}"
    )]
    HeaderEvent {
        /// The type found.
        event_type: u32,
        /// The register found.
        register: u32,
    },
    /// A field of the Spec ID event has a value that is not known.
    #[error("boot log header: {field} is {found}")]
    HeaderField {
        /// The field, as PFP names it.
        field: &'static str,
        /// Its value.
        found: u64,
    },
    /// The header's algorithm table has an entry twice, or with a size that is not the algorithm's.
    #[error("boot log header: algorithm {algorithm:#06x} with digests of {found} bytes")]
    HeaderAlgorithm {
        /// TPM_ALG_ID.
        algorithm: u16,
        /// The digest size given for it.
        found: u16,
    },
    /// More events than [`MAX_EVENTS`].
    #[error("boot log has more than {expected} events")]
    TooManyEvents {
        /// The limit.
        expected: u32,
    },
    /// An extended event names a register that cannot be extended.
    #[error("boot log event at {offset}: register {found} is not one of those up to {expected}")]
    Register {
        /// Where the event starts.
        offset: usize,
        /// The highest index.
        expected: u32,
        /// The index found.
        found: u32,
    },
    /// An event has no digest or more digests than the header has algorithms.
    #[error("boot log event at {offset}: {found} digests, expected 1 to {expected}")]
    DigestCount {
        /// Where the event starts.
        offset: usize,
        /// The number of algorithms.
        expected: u32,
        /// The number of digests.
        found: u32,
    },
    /// An event has a digest by an algorithm that the header does not list, or that it has already.
    #[error("boot log event at {offset}: unexpected digest algorithm {found:#06x}")]
    DigestAlgorithm {
        /// Where the event starts.
        offset: usize,
        /// TPM_ALG_ID.
        found: u16,
    },
    /// A StartupLocality event that is not one (PFP 1.06 section 10.4.5.3), is repeated, comes after PCR 0 was extended, or is in a
    /// log of the form that has none.
    #[error("boot log event at {offset}: StartupLocality {found:02x?} is malformed or misplaced")]
    StartupLocality {
        /// Where the event starts.
        offset: usize,
        /// The last byte of the event's data.
        found: u8,
    },
    /// The text is the JSON of an attestation by a TPM 1.2.
    #[error("evidence of a TPM 1.2, which is not accepted: expected TPMVersion 2, found {found}")]
    Tpm12 {
        /// The version found.
        found: u64,
    },
    /// The text is JSON, and no boot log.
    #[error("JSON text, expected a boot log")]
    Json,
    /// The text looks like base64 and is none.
    #[error("a text that is not base64")]
    Base64,
    /// Replay was asked for an algorithm that the header does not list, or that is not computed here.
    #[error("boot log has no digests by algorithm {expected:#06x}")]
    NoBank {
        /// TPM_ALG_ID.
        expected: u16,
    },
    /// Replay met an extended event without a digest for the bank: that bank would not vouch for it.
    #[error("boot log event at {offset}: no digest by algorithm {expected:#06x}")]
    NoDigest {
        /// Where the event starts.
        offset: usize,
        /// TPM_ALG_ID.
        expected: u16,
    },
}

impl<'a> BootLog<'a> {
    /// Parses a TPM's log, as Linux gives it in `binary_bios_measurements`: no byte may follow the last event.
    ///
    /// # Errors
    ///
    /// The first defect of any record; iteration afterwards cannot fail.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BootLogError> {
        Self::read(bytes, Layout::Tpm, false)
    }

    /// Parses a TPM's log of either form. One in the SHA-1-only form replays to SHA-1 PCRs and to nothing else, so it
    /// never satisfies an appraisal; it can only be read.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`], but for [`BootLogError::Legacy`].
    pub fn parse_any(bytes: &'a [u8]) -> Result<Self, BootLogError> {
        match Self::read(bytes, Layout::Tpm, false) {
            Err(BootLogError::Legacy { .. }) => Self::read(bytes, Layout::TpmSha1, false),
            result => result,
        }
    }

    /// Parses a TPM's log in the area that firmware reserved for it: see [`Self::parse_ccel`] for the padding.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`].
    pub fn parse_area(bytes: &'a [u8]) -> Result<Self, BootLogError> {
        Self::read(bytes, Layout::Tpm, true)
    }

    /// Parses the log area of the CCEL ACPI table, where [`Event::pcr`] is a measurement register index (0 MRTD,
    /// 1 to 4 RTMR0 to RTMR3). The log ends where everything up to the end of the area is 0x00 or everything
    /// is 0xFF; neither can be an event. Anything else after the last event is an error.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`].
    pub fn parse_ccel(bytes: &'a [u8]) -> Result<Self, BootLogError> {
        Self::read(bytes, Layout::Ccel, true)
    }

    /// The events, without the Spec ID event that heads a crypto agile log. Allocates nothing.
    pub fn events(&self) -> Events<'a> {
        Events::new(self.records.clone(), self.count, self.layout, self.spec.algorithms)
    }

    /// Its form.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The header. A log in the SHA-1-only form has none: then it is what such a header would say.
    pub fn spec(&self) -> &SpecId<'a> {
        &self.spec
    }

    /// Number of [`Self::events`].
    pub fn event_count(&self) -> u32 {
        self.count
    }

    /// Bytes of padding after the last event.
    pub fn unused(&self) -> usize {
        self.unused
    }

    /// The locality that started the TPM, which is the initial value of PCR 0: 0, 3, or 4 after an H-CRTM sequence.
    /// Claimed by an event that is not extended; it is established by PCR 0 replaying to its quoted value.
    pub fn startup_locality(&self) -> u8 {
        self.startup_locality
    }

    fn read(bytes: &'a [u8], layout: Layout, padded: bool) -> Result<Self, BootLogError> {
        if bytes.len() > MAX_LEN {
            return Err(BootLogError::TooLong { expected: MAX_LEN, found: bytes.len() });
        }
        let mut reader = Reader::new(bytes);
        let spec = if layout == Layout::TpmSha1 { legacy::SPEC } else { SpecId::read(&mut reader, layout)? };
        let records = reader.clone();
        let mut checks = Checks { layout, locality: None, register_0_extended: false };
        let mut count = 0;
        let ended = |rest: &[u8]| rest.is_empty() || (padded && is_padding(rest));
        while !ended(reader.rest()) {
            if count == MAX_EVENTS {
                return Err(BootLogError::TooManyEvents { expected: MAX_EVENTS });
            }
            checks.event(&Event::read(&mut reader, layout, spec.algorithms)?)?;
            count += 1;
        }
        let startup_locality = checks.locality.unwrap_or(0);
        Ok(Self { spec, layout, records, count, unused: reader.rest().len(), startup_locality })
    }
}

/// What no single record shows.
struct Checks {
    layout: Layout,
    locality: Option<u8>,
    register_0_extended: bool,
}

impl Checks {
    fn event(&mut self, event: &Event<'_>) -> Result<(), BootLogError> {
        let Event { offset, pcr, .. } = *event;
        if event.is_extended() {
            // MRTD is fixed at launch: no event extends it.
            let ccel = self.layout == Layout::Ccel;
            let expected = if ccel { MAX_MR } else { MAX_PCR };
            if pcr > expected || (ccel && pcr == 0) {
                return Err(BootLogError::Register { offset, expected, found: pcr });
            }
            self.register_0_extended |= pcr == 0;
        } else if let Some(value) = event.data.strip_prefix(b"StartupLocality\0") {
            match value {
                &[locality @ (0 | 3 | 4)]
                    if self.layout != Layout::TpmSha1
                        && pcr == 0
                        && self.locality.is_none()
                        && !self.register_0_extended =>
                {
                    self.locality = Some(locality);
                }
                _ => {
                    let found = value.last().copied().unwrap_or(0);
                    return Err(BootLogError::StartupLocality { offset, found });
                }
            }
        }
        Ok(())
    }
}

/// Whether all of `rest` is one of the two padding bytes. The first bytes decide for every real event, so the
/// whole is looked at once at most.
fn is_padding(rest: &[u8]) -> bool {
    let all = |byte: u8| rest.iter().all(|b| *b == byte);
    // An event of register 0, type 0 without digests is refused as an event, and type 0xFFFFFFFF is nobody's.
    all(0x00) || all(0xff)
}
