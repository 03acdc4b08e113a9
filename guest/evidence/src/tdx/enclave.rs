//! The report body of an SGX enclave: of the quoting enclave inside every quote, and of what an SGX quote is about.

use crate::bytes::HexArray;
use crate::reader::{ReadError, Reader};

/// Length of a report body in bytes (Intel SDM volume 3D, section 38.15, first 384 bytes of REPORT).
pub const LEN: usize = 384;

/// An SGX report body. What it says is true once the signature over its raw bytes verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnclaveReport {
    /// Security versions of processor and microcode, in Intel's own encoding.
    pub cpu_svn: HexArray<16>,
    /// Bit field of optional state in the enclave's save area.
    pub misc_select: u32,
    /// The enclave's attributes: flags, then XFRM.
    pub attributes: HexArray<16>,
    /// Measurement of code and data.
    pub mr_enclave: HexArray<32>,
    /// SHA-256 of the key that signed the enclave.
    pub mr_signer: HexArray<32>,
    /// Product id that the signer gave.
    pub isv_prod_id: u16,
    /// Security version that the signer gave.
    pub isv_svn: u16,
    /// What the enclave asked to be reported.
    pub report_data: HexArray<64>,
    /// Whether the reserved bytes are all zero. Key separation and sharing (KSS) uses some of them in other enclaves than the
    /// quoting enclave, so it is the verifier's to judge.
    pub reserved_is_zero: bool,
}

impl EnclaveReport {
    /// ATTRIBUTES.DEBUG: a debugger can look into the enclave (Intel SDM volume 3D, table 35-3).
    pub fn debug(&self) -> bool {
        let HexArray([flags, ..]) = self.attributes;
        flags & 2 != 0
    }

    /// Takes exactly [`LEN`] bytes.
    ///
    /// # Errors
    ///
    /// [`ReadError`] for any other length.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReadError> {
        let mut reader = Reader::new(bytes);
        let report = Self::read(&mut reader)?;
        reader.finish().map(|()| report)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, ReadError> {
        let mut reserved_is_zero = true;
        let mut reserved = |bytes: &[u8]| reserved_is_zero &= bytes.iter().all(|byte| *byte == 0);
        let cpu_svn = HexArray(reader.array()?);
        let misc_select = reader.le_u32()?;
        reserved(reader.take(28)?);
        let attributes = HexArray(reader.array()?);
        let mr_enclave = HexArray(reader.array()?);
        reserved(reader.take(32)?);
        let mr_signer = HexArray(reader.array()?);
        reserved(reader.take(96)?);
        let (isv_prod_id, isv_svn) = (reader.le_u16()?, reader.le_u16()?);
        reserved(reader.take(60)?);
        let report_data = HexArray(reader.array()?);
        Ok(Self {
            cpu_svn,
            misc_select,
            attributes,
            mr_enclave,
            mr_signer,
            isv_prod_id,
            isv_svn,
            report_data,
            reserved_is_zero,
        })
    }
}
