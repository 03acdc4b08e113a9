//! A DCAP quote: header, body, signature, and what certifies the key that signed.
//!
//! Read here: version 3 (SGX), 4 (SGX or TDX 1.0) and 5 (SGX or any TDX), signed with ECDSA P-256 by Intel's quoting enclave.
//! Every length inside is exact. What follows the quote may only be zeros, because whoever hands quotes out fills them up to the
//! size of its buffer.

#[cfg(test)]
mod tests;

use super::enclave::{self, EnclaveReport};
use super::report::{TD10_LEN, TD15_EXTENDED_LEN, TD15_LEN, TdReport};
use crate::reader::{ReadError, Reader};
use thiserror::Error;

/// Longest quote read, padding included. One with a PCK chain has 5 KB; 32 KiB is the largest that Linux hands out
/// (`TSM_REPORT_OUTBLOB_MAX` before 6.14).
pub const MAX_LEN: usize = 32 << 10;
/// Length of the header.
pub const HEADER_LEN: usize = 48;
/// ECDSA P-256 with SHA-256, the one kind of attestation key that is read.
pub const KEY_ECDSA_P256: u16 = 2;
/// QE vendor id of Intel, 939a7233-f79c-4ca9-940a-0db3957f0607.
pub const INTEL_QE: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
/// TEE type of SGX.
const TEE_SGX: u32 = 0;
/// TEE type of TDX.
const TEE_TDX: u32 = 0x81;
/// Certification data that wraps the quoting enclave's report, in versions 4 and 5.
const CERTIFICATION_QE_REPORT: u16 = 6;

/// A quote every part of which is well formed. Borrows the bytes it was parsed from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quote<'a> {
    /// What kind of quote it is.
    pub header: Header,
    /// What it is about.
    pub body: Body,
    /// The bytes that [`Self::signature`] covers: header and body as received.
    pub signed: &'a [u8],
    /// R and S, big-endian.
    pub signature: &'a [u8; 64],
    /// The key that signed: X and Y, big-endian.
    pub attestation_key: &'a [u8; 64],
    /// The quoting enclave's report, which must bind [`Self::attestation_key`].
    pub qe_report: EnclaveReport,
    /// The bytes that [`Self::qe_report_signature`] covers.
    pub qe_report_signed: &'a [u8; enclave::LEN],
    /// R and S of the PCK's signature, big-endian.
    pub qe_report_signature: &'a [u8; 64],
    /// What the quoting enclave authenticates beside its key.
    pub qe_authentication_data: &'a [u8],
    /// What certifies the PCK.
    pub certification: Certification<'a>,
    /// Zeros after the quote, in bytes.
    pub padding: usize,
}

/// The fields of the header that are not fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// 3, 4 or 5.
    pub version: u16,
    /// SGX or TDX.
    pub tee: TeeKind,
    /// Security version of the quoting enclave; said in version 3 only. The QE report is what counts.
    pub qe_svn: u16,
    /// Security version of the provisioning certification enclave; said in version 3 only.
    pub pce_svn: u16,
    /// The quoting enclave's own data; its first 16 bytes name the QE.
    pub user_data: [u8; 20],
}

/// The technology that a quote is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TeeKind {
    /// An SGX enclave.
    Sgx,
    /// A TDX trust domain.
    Tdx,
}

impl TeeKind {
    /// As Intel's collateral names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sgx => "SGX",
            Self::Tdx => "TDX",
        }
    }
}

/// What a quote is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// An SGX enclave.
    Enclave(Box<EnclaveReport>),
    /// A trust domain.
    Td(Box<TdReport>),
}

impl Body {
    /// What the enclave or TD asked to be reported.
    pub fn report_data(&self) -> &[u8; 64] {
        match self {
            Self::Enclave(report) => &report.report_data.0,
            Self::Td(report) => &report.report_data.0,
        }
    }
}

/// What certifies the PCK, by "certification data type" (appendix A.4.11 of the quoting library's manual).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certification<'a> {
    /// 1: the platform's id in the clear; the PCK certificate has to be found with it.
    PpidClear(&'a [u8]),
    /// 2: the platform's id, encrypted with RSA-2048.
    PpidRsa2048(&'a [u8]),
    /// 3: the platform's id, encrypted with RSA-3072.
    PpidRsa3072(&'a [u8]),
    /// 4: the PCK certificate alone.
    PckLeaf(&'a [u8]),
    /// 5: the PCK certificate and its issuers. PEM, mostly with one NUL behind.
    PckChain(&'a [u8]),
    /// 7: a manifest that a platform is registered with.
    PlatformManifest(&'a [u8]),
}

impl<'a> Certification<'a> {
    /// Intel's number for it.
    pub fn kind(self) -> u16 {
        match self {
            Self::PpidClear(_) => 1,
            Self::PpidRsa2048(_) => 2,
            Self::PpidRsa3072(_) => 3,
            Self::PckLeaf(_) => 4,
            Self::PckChain(_) => 5,
            Self::PlatformManifest(_) => 7,
        }
    }

    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::PpidClear(_) => "platform id in the clear, no PCK chain",
            Self::PpidRsa2048(_) => "platform id encrypted with RSA-2048, no PCK chain",
            Self::PpidRsa3072(_) => "platform id encrypted with RSA-3072, no PCK chain",
            Self::PckLeaf(_) => "PCK certificate without its issuers",
            Self::PckChain(_) => "PCK certificate chain",
            Self::PlatformManifest(_) => "platform manifest, no PCK chain",
        }
    }

    fn new(kind: u16, data: &'a [u8]) -> Option<Self> {
        Some(match kind {
            1 => Self::PpidClear(data),
            2 => Self::PpidRsa2048(data),
            3 => Self::PpidRsa3072(data),
            4 => Self::PckLeaf(data),
            5 => Self::PckChain(data),
            7 => Self::PlatformManifest(data),
            _ => return None,
        })
    }
}

/// Why bytes are not a quote. Offsets count from the start of the quote, or of the part that is named.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuoteError {
    /// Longer than [`MAX_LEN`].
    #[error("quote is {found} bytes, more than the {expected} allowed")]
    TooLong {
        /// [`MAX_LEN`].
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// A part reaches past the end of what holds it, or does not fill it.
    #[error("{part} of the quote: {read}")]
    Length {
        /// The part.
        part: &'static str,
        /// What is wrong with its length.
        read: ReadError,
    },
    /// A version that is not known.
    #[error("quote version {found} is not known, only 3 to 5")]
    Version {
        /// The version found.
        found: u16,
    },
    /// Another algorithm than ECDSA P-256.
    #[error("attestation key type {found}, expected {KEY_ECDSA_P256} (ECDSA P-256)")]
    KeyType {
        /// The type found.
        found: u16,
    },
    /// Neither SGX nor TDX, or TDX in a version that has none.
    #[error("TEE type {found:#x} in a quote of version {version}")]
    Tee {
        /// The quote's version.
        version: u16,
        /// The type found.
        found: u32,
    },
    /// Reserved bytes of the header that are not zero.
    #[error("reserved bytes of the quote's header must be zero, found {found:#010x}")]
    Reserved {
        /// The bytes, as a little-endian number.
        found: u32,
    },
    /// A quoting enclave of another vendor.
    #[error("QE vendor {found:02x?}, expected Intel's {INTEL_QE:02x?}")]
    Vendor {
        /// The id found.
        found: [u8; 16],
    },
    /// A body type that is not known, or is not of the TEE that the header names, or has another length.
    #[error("quote body of type {kind} with {len} bytes for {}", tee.as_str())]
    BodyType {
        /// The header's TEE.
        tee: TeeKind,
        /// The type found.
        kind: u16,
        /// The length found.
        len: u32,
    },
    /// Certification data of a type that is not known, or not allowed in this place.
    #[error("certification data of type {found} {place}")]
    Certification {
        /// Where.
        place: &'static str,
        /// The type found.
        found: u16,
    },
    /// Something else than zeros after the quote.
    #[error("{left} bytes after the quote's end at {offset}, and not all of them are zero")]
    Trailing {
        /// Where the quote ends.
        offset: usize,
        /// Bytes behind it.
        left: usize,
    },
}

impl<'a> Quote<'a> {
    /// Parses one quote and nothing else but zeros behind it.
    ///
    /// # Errors
    ///
    /// The first defect in the order of the bytes, see [`QuoteError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, QuoteError> {
        if bytes.len() > MAX_LEN {
            return Err(QuoteError::TooLong { expected: MAX_LEN, found: bytes.len() });
        }
        let mut reader = Reader::new(bytes);
        let header = Header::read(&mut reader)?;
        let body = body(&mut reader, header)?;
        let signed = bytes.get(..reader.offset()).unwrap_or_default();
        let signature_len = reader.le_u32().map_err(in_part("signature data"))?;
        let data = reader.take(signature_len as usize).map_err(in_part("signature data"))?;
        let mut data = Reader::new(data);
        let signature = borrow(&mut data, "signature")?;
        let attestation_key = borrow(&mut data, "attestation key")?;
        let certified = if header.version == 3 { data } else { unwrap_qe_report(data)? };
        let qe = QeReport::read(certified)?;
        let rest = reader.rest();
        if rest.iter().any(|byte| *byte != 0) {
            return Err(QuoteError::Trailing { offset: reader.offset(), left: rest.len() });
        }
        Ok(Self {
            header,
            body,
            signed,
            signature,
            attestation_key,
            qe_report: qe.report,
            qe_report_signed: qe.signed,
            qe_report_signature: qe.signature,
            qe_authentication_data: qe.authentication_data,
            certification: qe.certification,
            padding: rest.len(),
        })
    }

    /// The TD that it is about, unless it is about an enclave.
    pub fn td(&self) -> Option<&TdReport> {
        match &self.body {
            Body::Td(report) => Some(report),
            Body::Enclave(_) => None,
        }
    }
}

impl Header {
    fn read(reader: &mut Reader<'_>) -> Result<Self, QuoteError> {
        let cut = in_part("header");
        let version = reader.le_u16().map_err(cut)?;
        if !(3..=5).contains(&version) {
            return Err(QuoteError::Version { found: version });
        }
        let found = reader.le_u16().map_err(cut)?;
        if found != KEY_ECDSA_P256 {
            return Err(QuoteError::KeyType { found });
        }
        // Version 3 has four reserved bytes here, whose zeros read as SGX.
        let tee = match (reader.le_u32().map_err(cut)?, version) {
            (TEE_SGX, _) => TeeKind::Sgx,
            (TEE_TDX, 4 | 5) => TeeKind::Tdx,
            (found, _) => return Err(QuoteError::Tee { version, found }),
        };
        let (qe_svn, pce_svn) = (reader.le_u16().map_err(cut)?, reader.le_u16().map_err(cut)?);
        if version > 3 && (qe_svn, pce_svn) != (0, 0) {
            let found = u32::from(qe_svn) | u32::from(pce_svn) << 16;
            return Err(QuoteError::Reserved { found });
        }
        let found: [u8; 16] = reader.array().map_err(cut)?;
        if found != INTEL_QE {
            return Err(QuoteError::Vendor { found });
        }
        Ok(Self { version, tee, qe_svn, pce_svn, user_data: reader.array().map_err(cut)? })
    }
}

/// The body, in version 5 with its type and length in front.
fn body(reader: &mut Reader<'_>, header: Header) -> Result<Body, QuoteError> {
    let cut = in_part("body");
    let kind = if header.version == 5 {
        let (kind, len) = (reader.le_u16().map_err(cut)?, reader.le_u32().map_err(cut)?);
        let known = match (header.tee, kind) {
            (TeeKind::Sgx, 1) => Some(enclave::LEN),
            (TeeKind::Tdx, 2) => Some(TD10_LEN),
            (TeeKind::Tdx, 3) => Some(TD15_LEN),
            (TeeKind::Tdx, 4) => Some(TD15_EXTENDED_LEN),
            _ => None,
        };
        if known != Some(len as usize) {
            return Err(QuoteError::BodyType { tee: header.tee, kind, len });
        }
        kind
    } else if header.tee == TeeKind::Sgx {
        1
    } else {
        2
    };
    match kind {
        1 => EnclaveReport::read(reader).map(|report| Body::Enclave(Box::new(report))),
        2 => TdReport::read_td10(reader).map(|report| Body::Td(Box::new(report))),
        3 => TdReport::read_td15(reader, false).map(|report| Body::Td(Box::new(report))),
        _ => TdReport::read_td15(reader, true).map(|report| Body::Td(Box::new(report))),
    }
    .map_err(cut)
}

/// In versions 4 and 5 the quoting enclave's report is itself certification data, around the data that certifies the PCK.
fn unwrap_qe_report<'a>(mut data: Reader<'a>) -> Result<Reader<'a>, QuoteError> {
    let (found, content) = certification_data(&mut data)?;
    if found != CERTIFICATION_QE_REPORT {
        return Err(QuoteError::Certification { place: "around the QE report", found });
    }
    data.finish().map_err(in_part("signature data"))?;
    Ok(Reader::new(content))
}

/// The quoting enclave's report, its signature, and what certifies the signer.
struct QeReport<'a> {
    report: EnclaveReport,
    signed: &'a [u8; enclave::LEN],
    signature: &'a [u8; 64],
    authentication_data: &'a [u8],
    certification: Certification<'a>,
}

impl<'a> QeReport<'a> {
    fn read(mut data: Reader<'a>) -> Result<Self, QuoteError> {
        let signed: &[u8; enclave::LEN] = borrow(&mut data, "QE report")?;
        let report = EnclaveReport::parse(signed).map_err(in_part("QE report"))?;
        let signature = borrow(&mut data, "QE report's signature")?;
        let cut = in_part("QE authentication data");
        let len = data.le_u16().map_err(cut)?;
        let authentication_data = data.take(len.into()).map_err(cut)?;
        let (kind, content) = certification_data(&mut data)?;
        data.finish().map_err(in_part("QE certification data"))?;
        let unknown = QuoteError::Certification { place: "of the PCK", found: kind };
        let certification = Certification::new(kind, content).ok_or(unknown)?;
        Ok(Self { report, signed, signature, authentication_data, certification })
    }
}

/// Type, length, and that many bytes.
fn certification_data<'a>(data: &mut Reader<'a>) -> Result<(u16, &'a [u8]), QuoteError> {
    let cut = in_part("certification data");
    let (kind, len) = (data.le_u16().map_err(cut)?, data.le_u32().map_err(cut)?);
    Ok((kind, data.take(len as usize).map_err(cut)?))
}

fn borrow<'a, const N: usize>(
    reader: &mut Reader<'a>,
    part: &'static str,
) -> Result<&'a [u8; N], QuoteError> {
    let offset = reader.offset();
    let bytes = reader.take(N).map_err(in_part(part))?;
    // `take` gave N bytes.
    bytes.try_into().map_err(|_| in_part(part)(ReadError::Truncated { offset, wanted: N, left: bytes.len() }))
}

fn in_part(part: &'static str) -> impl Fn(ReadError) -> QuoteError + Copy {
    move |read| QuoteError::Length { part, read }
}
