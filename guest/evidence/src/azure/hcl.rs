//! The HCL report: a header, a hardware report, a header for the runtime data, and the runtime data.

use super::runtime::{RuntimeData, RuntimeError};
use super::td_report::{TD_REPORT_LEN, TdReport, TdReportError};
use crate::reader::{ReadError, Reader};
use crate::snp::report::{REPORT_LEN, Report, ReportError};
use std::fmt;
use thiserror::Error;

/// Most bytes of an HCL report. The vTPM's index that holds it has 2,600; this leaves room for longer runtime data.
pub const MAX_HCL_LEN: usize = 8192;

/// "HCLA", first in every report (`ATTESTATION_SIGNATURE`).
const SIGNATURE: [u8; 4] = *b"HCLA";
/// Length of the first header.
const HEADER_LEN: usize = 32;
/// Length of the field for the hardware report: the longest there is, SNP's.
const HARDWARE_LEN: usize = REPORT_LEN;
/// Length of the runtime data's header, in version 1 and but for the capabilities in version 2.
const DATA_HEADER_LEN: usize = 20;
/// What version 2 of that header adds: a bit map of what the requester can do.
const CAPABILITIES_LEN: usize = 4;
/// The request that the vTPM's report answers (`AK_CERT_REQUEST`); those for keys go to the host alone.
const REQUEST_AK_CERT: u32 = 2;
/// Report types (`IgvmAttestReportType`).
const TYPE_SNP: u32 = 2;
const TYPE_TDX: u32 = 4;

/// Why bytes are not an HCL report.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HclError {
    /// The bytes end inside a field.
    #[error("HCL report: {0}")]
    Read(#[from] ReadError),
    /// Longer than any report that is read.
    #[error("HCL report of {found} bytes, at most {expected} are read")]
    TooLong {
        /// [`MAX_HCL_LEN`].
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// Another signature in front.
    #[error("HCL report starts with {found:02x?}, expected {SIGNATURE:02x?}")]
    Signature {
        /// The bytes found.
        found: [u8; 4],
    },
    /// A number that is not one of those defined, or not the one that the rest calls for.
    #[error("HCL report: {field} is {found}, expected {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// What would be read.
        expected: String,
        /// The number found.
        found: u32,
    },
    /// A byte that has to be zero is not.
    #[error("HCL report: reserved byte {offset:#x} is set")]
    Reserved {
        /// Where it is.
        offset: usize,
    },
    /// The SNP report in it does not parse.
    #[error("HCL report: {0}")]
    Snp(#[from] ReportError),
    /// The TDREPORT in it does not parse.
    #[error("HCL report: {0}")]
    Tdx(#[from] TdReportError),
    /// The runtime data does not parse.
    #[error("HCL report: {0}")]
    Runtime(#[from] RuntimeError),
}

/// The hash with which the hardware report covers the runtime data, as the *unmeasured* header has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeHash {
    /// The one that Azure uses.
    Sha256,
    /// Defined, not seen.
    Sha384,
    /// Defined, not seen.
    Sha512,
}

impl fmt::Display for RuntimeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        })
    }
}

/// The hardware's report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hardware {
    /// AMD SEV-SNP: signed by the chip.
    Snp(Box<Report>),
    /// Intel TDX: only its own machine could check this one; the quote made from it is what counts.
    Tdx(Box<TdReport>),
}

/// An HCL report, well formed. Its headers are covered by no signature; the runtime data is what the hardware report's
/// report data says, and that is for the verifier to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HclReport {
    version: u32,
    hardware: Hardware,
    hash: RuntimeHash,
    runtime: RuntimeData,
}

impl HclReport {
    /// Takes one report and the zeros that fill the vTPM's index behind it.
    ///
    /// # Errors
    ///
    /// See [`HclError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, HclError> {
        if bytes.len() > MAX_HCL_LEN {
            return Err(HclError::TooLong { expected: MAX_HCL_LEN, found: bytes.len() });
        }
        let mut reader = Reader::new(bytes);
        let (version, report_size) = header(&mut reader)?;
        let hardware = reader.take(HARDWARE_LEN)?;
        let data = DataHeader::read(&mut reader)?;
        let runtime = reader.take(data.runtime_len)?;
        let size = HEADER_LEN.saturating_add(HARDWARE_LEN).saturating_add(data.size);
        expect("report size", u32::try_from(size).unwrap_or(u32::MAX), report_size)?;
        zeros(bytes, reader.offset())?;
        let hardware = match data.report_type {
            TYPE_SNP => Hardware::Snp(Box::new(Report::parse(hardware)?)),
            _ => {
                let (report, padding) = hardware.split_at_checked(TD_REPORT_LEN).unwrap_or_default();
                if let Some(at) = padding.iter().position(|byte| *byte != 0) {
                    let offset = HEADER_LEN.saturating_add(TD_REPORT_LEN).saturating_add(at);
                    return Err(HclError::Reserved { offset });
                }
                Hardware::Tdx(Box::new(TdReport::parse(report)?))
            }
        };
        Ok(Self { version, hardware, hash: data.hash, runtime: RuntimeData::parse(runtime)? })
    }

    /// Version of the first header, 1 or 2.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The hardware's report.
    pub fn hardware(&self) -> &Hardware {
        &self.hardware
    }

    /// The hash that the header names for the runtime data.
    pub fn hash(&self) -> RuntimeHash {
        self.hash
    }

    /// What the paravisor says of itself and its vTPM.
    pub fn runtime(&self) -> &RuntimeData {
        &self.runtime
    }
}

/// Version and report size of the first header (`IgvmAttestRequestHeader`).
fn header(reader: &mut Reader<'_>) -> Result<(u32, u32), HclError> {
    let found = reader.array::<4>()?;
    if found != SIGNATURE {
        return Err(HclError::Signature { found });
    }
    let version = reader.le_u32()?;
    one_of("version", &[1, 2], version)?;
    let report_size = reader.le_u32()?;
    expect("request type", REQUEST_AK_CERT, reader.le_u32()?)?;
    expect("status", 0, reader.le_u32()?)?;
    let offset = reader.offset();
    match reader.array::<12>()?.iter().position(|byte| *byte != 0) {
        Some(at) => Err(HclError::Reserved { offset: offset.saturating_add(at) }),
        None => Ok((version, report_size)),
    }
}

/// `IgvmAttestRequestData`.
struct DataHeader {
    /// Of this header and the runtime data.
    size: usize,
    report_type: u32,
    hash: RuntimeHash,
    runtime_len: usize,
}

impl DataHeader {
    fn read(reader: &mut Reader<'_>) -> Result<Self, HclError> {
        let size = reader.le_u32()?;
        let version = reader.le_u32()?;
        one_of("data version", &[1, 2], version)?;
        let report_type = reader.le_u32()?;
        one_of("report type", &[TYPE_SNP, TYPE_TDX], report_type)?;
        let hash = match reader.le_u32()? {
            1 => RuntimeHash::Sha256,
            2 => RuntimeHash::Sha384,
            3 => RuntimeHash::Sha512,
            found => return Err(field("hash type", "1, 2 or 3", found)),
        };
        let runtime_len = reader.le_u32()?;
        let mut before = DATA_HEADER_LEN;
        if version == 2 {
            // What the requester can do says nothing about what it is; new bits come with new versions of the host.
            reader.take(CAPABILITIES_LEN)?;
            before = before.saturating_add(CAPABILITIES_LEN);
        }
        let runtime_len = usize::try_from(runtime_len).unwrap_or(usize::MAX);
        let expected = before.saturating_add(runtime_len);
        expect("data size", u32::try_from(expected).unwrap_or(u32::MAX), size)?;
        Ok(Self { size: expected, report_type, hash, runtime_len })
    }
}

fn one_of(name: &'static str, expected: &[u32], found: u32) -> Result<(), HclError> {
    if expected.contains(&found) {
        return Ok(());
    }
    let list: Vec<_> = expected.iter().map(u32::to_string).collect();
    Err(field(name, &list.join(" or "), found))
}

fn expect(name: &'static str, expected: u32, found: u32) -> Result<(), HclError> {
    one_of(name, &[expected], found)
}

fn field(field: &'static str, expected: &str, found: u32) -> HclError {
    HclError::Field { field, expected: expected.to_owned(), found }
}

/// Only zeros from `offset` on.
fn zeros(bytes: &[u8], offset: usize) -> Result<(), HclError> {
    match bytes.iter().skip(offset).position(|byte| *byte != 0) {
        Some(at) => Err(HclError::Reserved { offset: offset.saturating_add(at) }),
        None => Ok(()),
    }
}
