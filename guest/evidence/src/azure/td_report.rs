//! `TDREPORT_STRUCT` (Intel TDX Module ABI specification, section "TDREPORT_STRUCT").
//!
//! Its MAC can be checked on the machine that made it and nowhere else, so it proves nothing here by itself. It is held
//! against the quote that was made from it.

use crate::reader::{ReadError, Reader};
use sha2::{Digest as _, Sha384};
use thiserror::Error;

/// Length of a TDREPORT.
pub const TD_REPORT_LEN: usize = 1024;

/// `TEE_TYPE` of a TDX report (`REPORTTYPE`).
const TYPE_TDX: u8 = 0x81;
/// Length of `REPORTMACSTRUCT`.
const MAC_LEN: usize = 256;
/// Length of `TEE_TCB_INFO`.
const TCB_INFO_LEN: usize = 239;
/// Zeros between `TEE_TCB_INFO` and `TDINFO`.
const GAP_LEN: usize = 17;
/// Length of `TDINFO`.
const INFO_LEN: usize = 512;

/// Why bytes are not a TDREPORT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TdReportError {
    /// The bytes end inside a field, or go on after the last one.
    #[error("TDREPORT: {0}")]
    Read(#[from] ReadError),
    /// Another kind or version of report.
    #[error("TDREPORT: report type {found:02x?}, expected 81 00 and version 0 or 1")]
    Type {
        /// Type, subtype, version, reserved.
        found: [u8; 4],
    },
    /// A byte that has to be zero is not.
    #[error("TDREPORT: reserved byte {offset:#x} is set")]
    Reserved {
        /// Where it is.
        offset: usize,
    },
}

/// `TDINFO`: what was launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TdInfo {
    /// `ATTRIBUTES`; bit 0 is debug.
    pub attributes: [u8; 8],
    /// `XFAM`.
    pub xfam: [u8; 8],
    /// Measurement of the initial contents.
    pub mrtd: [u8; 48],
    /// `MRCONFIGID`.
    pub mrconfigid: [u8; 48],
    /// `MROWNER`.
    pub mrowner: [u8; 48],
    /// `MROWNERCONFIG`.
    pub mrownerconfig: [u8; 48],
    /// Runtime measurement registers.
    pub rtmr: [[u8; 48]; 4],
    /// Hash over service TDs; zero in modules that have none.
    pub servtd_hash: [u8; 48],
}

/// A TDREPORT, well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TdReport {
    /// `REPORTTYPE.VERSION`: 1 where service TDs are bound.
    pub version: u8,
    /// `CPUSVN`.
    pub cpu_svn: [u8; 16],
    /// SHA-384 of `TEE_TCB_INFO`, as the processor put it under its MAC.
    pub tee_tcb_info_hash: [u8; 48],
    /// SHA-384 of `TDINFO`, likewise.
    pub tee_info_hash: [u8; 48],
    /// What the guest asked to have reported.
    pub report_data: [u8; 64],
    /// `TEE_TCB_SVN`.
    pub tee_tcb_svn: [u8; 16],
    /// Measurement of the TDX module.
    pub mrseam: [u8; 48],
    /// Signer of the TDX module; zeros for Intel's.
    pub mrsignerseam: [u8; 48],
    /// Attributes of the TDX module.
    pub seam_attributes: [u8; 8],
    /// `TEE_TCB_SVN2`: the module that runs now; zeros in old modules.
    pub tee_tcb_svn2: [u8; 16],
    /// What was launched.
    pub info: TdInfo,
    computed: ([u8; 48], [u8; 48]),
}

impl TdReport {
    /// Takes exactly one TDREPORT; reserved bytes are zero.
    ///
    /// # Errors
    ///
    /// See [`TdReportError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TdReportError> {
        let mut reader = Reader::new(bytes);
        let kind = reader.array::<4>()?;
        let [TYPE_TDX, 0, version @ (0 | 1), 0] = kind else {
            return Err(TdReportError::Type { found: kind });
        };
        reserved(&mut reader, 12)?;
        let (cpu_svn, tee_tcb_info_hash) = (reader.array()?, reader.array()?);
        let (tee_info_hash, report_data) = (reader.array()?, reader.array()?);
        reserved(&mut reader, 32)?;
        // The MAC: of use to its own machine only.
        reader.take(32)?;
        // TEE_TCB_INFO: which of its fields are valid, then the fields.
        reader.take(8)?;
        let (tee_tcb_svn, mrseam, mrsignerseam) = (reader.array()?, reader.array()?, reader.array()?);
        let (seam_attributes, tee_tcb_svn2) = (reader.array()?, reader.array()?);
        reserved(&mut reader, 95)?;
        reserved(&mut reader, GAP_LEN)?;
        let info = info(&mut reader)?;
        reader.finish()?;
        Ok(Self {
            version,
            cpu_svn,
            tee_tcb_info_hash,
            tee_info_hash,
            report_data,
            tee_tcb_svn,
            mrseam,
            mrsignerseam,
            seam_attributes,
            tee_tcb_svn2,
            info,
            computed: hashes(bytes),
        })
    }

    /// SHA-384 of `TEE_TCB_INFO` and of `TDINFO`, computed from the bytes received. In a report that a processor made they
    /// equal [`Self::tee_tcb_info_hash`] and [`Self::tee_info_hash`].
    pub fn computed_hashes(&self) -> ([u8; 48], [u8; 48]) {
        self.computed
    }
}

fn info(reader: &mut Reader<'_>) -> Result<TdInfo, TdReportError> {
    let info = TdInfo {
        attributes: reader.array()?,
        xfam: reader.array()?,
        mrtd: reader.array()?,
        mrconfigid: reader.array()?,
        mrowner: reader.array()?,
        mrownerconfig: reader.array()?,
        rtmr: [reader.array()?, reader.array()?, reader.array()?, reader.array()?],
        servtd_hash: reader.array()?,
    };
    reserved(reader, 64)?;
    Ok(info)
}

fn hashes(bytes: &[u8]) -> ([u8; 48], [u8; 48]) {
    let part = |offset: usize, length: usize| {
        let bytes = bytes.get(offset..offset.saturating_add(length)).unwrap_or_default();
        <[u8; 48]>::from(Sha384::digest(bytes))
    };
    (part(MAC_LEN, TCB_INFO_LEN), part(MAC_LEN + TCB_INFO_LEN + GAP_LEN, INFO_LEN))
}

fn reserved(reader: &mut Reader<'_>, length: usize) -> Result<(), TdReportError> {
    let offset = reader.offset();
    match reader.take(length)?.iter().position(|byte| *byte != 0) {
        Some(at) => Err(TdReportError::Reserved { offset: offset.saturating_add(at) }),
        None => Ok(()),
    }
}
