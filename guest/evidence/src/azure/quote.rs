//! The vTPM's quote: all 24 PCRs of the SHA-256 bank, and a bare RSA signature.

use crate::reader::{ReadError, Reader};
use crate::tpm::{Attest, TpmError};
use thiserror::Error;

/// PCRs that every quote of the wire evidence has a value for.
pub const PCR_COUNT: usize = 24;

/// Longest signature: RSA-4096.
const MAX_SIGNATURE: usize = 512;

/// Why a quote is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuoteError {
    /// The bytes end inside a field, or go on after the last one.
    #[error("vTPM quote: {0}")]
    Read(#[from] ReadError),
    /// The message is not one quote.
    #[error("vTPM quote: {0}")]
    Message(#[from] TpmError),
    /// A part with a length that it cannot have.
    #[error("vTPM quote: {what} of {found}, expected {expected}")]
    Size {
        /// The part.
        what: &'static str,
        /// The length expected, or the most.
        expected: usize,
        /// The length found.
        found: u64,
    },
}

/// A quote, well formed; nothing is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VtpmQuote {
    /// What the vTPM signed.
    pub attest: Attest,
    /// RSASSA-PKCS1-v1_5 with SHA-256, big-endian: the paravisor's key signs in no other scheme, and the wire names none.
    pub signature: Vec<u8>,
    /// PCR 0 to 23 of the SHA-256 bank.
    pub pcrs: [[u8; 32]; PCR_COUNT],
}

impl VtpmQuote {
    /// Takes the three parts.
    ///
    /// # Errors
    ///
    /// See [`QuoteError`].
    pub fn new(signature: &[u8], message: &[u8], pcrs: &[Vec<u8>]) -> Result<Self, QuoteError> {
        if signature.is_empty() || signature.len() > MAX_SIGNATURE {
            return Err(size("signature bytes", MAX_SIGNATURE, signature.len()));
        }
        let mut values = [[0; 32]; PCR_COUNT];
        if pcrs.len() != PCR_COUNT {
            return Err(size("PCR count", PCR_COUNT, pcrs.len()));
        }
        for (to, from) in values.iter_mut().zip(pcrs) {
            *to = from.as_slice().try_into().map_err(|_| size("PCR bytes", 32, from.len()))?;
        }
        Ok(Self { attest: Attest::parse(message)?, signature: signature.to_vec(), pcrs: values })
    }

    /// Takes a quote as the library `az-cvm-vtpm` stores it in a file (bincode 1): length and signature, length and message, count and
    /// PCR values, with lengths of eight bytes, least significant first.
    ///
    /// # Errors
    ///
    /// See [`QuoteError`].
    pub fn from_bincode(bytes: &[u8]) -> Result<Self, QuoteError> {
        let mut reader = Reader::new(bytes);
        let length = counted(&mut reader, "signature bytes", MAX_SIGNATURE)?;
        let signature = reader.take(length)?;
        let length = counted(&mut reader, "message bytes", crate::tpm::MAX_LEN)?;
        let message = reader.take(length)?;
        let count = counted(&mut reader, "PCR count", PCR_COUNT)?;
        let pcrs: Vec<_> =
            (0..count).map(|_| reader.take(32).map(<[u8]>::to_vec)).collect::<Result<_, _>>()?;
        reader.finish()?;
        Self::new(signature, message, &pcrs)
    }
}

fn counted(reader: &mut Reader<'_>, what: &'static str, expected: usize) -> Result<usize, QuoteError> {
    let found = u64::from_le_bytes(reader.array()?);
    usize::try_from(found).ok().filter(|length| *length <= expected).ok_or(QuoteError::Size {
        what,
        expected,
        found,
    })
}

fn size(what: &'static str, expected: usize, found: usize) -> QuoteError {
    QuoteError::Size { what, expected, found: u64::try_from(found).unwrap_or(u64::MAX) }
}
