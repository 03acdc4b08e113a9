//! TPM 2.0 structures that travel in evidence (TCG TPM 2.0 Library, Part 2), all big-endian.
//!
//! Parsing only: no signature is checked, and a well-formed quote proves nothing yet.

mod attest;
mod banks;
pub mod containers;
mod hash;
mod public;
mod signature;

pub use attest::{Attest, ClockInfo, PcrSelection, TPM_GENERATED, TPM_ST_ATTEST_QUOTE};
pub use banks::PcrBanks;
pub use hash::{HashAlg, Name};
pub use public::{Attributes, Curve, Public, PublicKey, Scheme, Symmetric};
pub use signature::Signature;

use crate::reader::{ReadError, Reader};
use thiserror::Error;

/// Longest TPM structure that is read. The longest real one, the public area of an RSA-4096 key with a
/// policy, has about 600 bytes.
pub const MAX_LEN: usize = 4096;

/// Why bytes are not the TPM structure that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TpmError {
    /// The bytes end inside a field, or go on after the last one.
    #[error("TPM structure: {0}")]
    Read(#[from] ReadError),
    /// Longer than any structure that is read.
    #[error("TPM structure of {found} bytes, at most {expected} are read")]
    TooLong {
        /// [`MAX_LEN`].
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// Not made by a TPM: whoever signed it signed data from outside.
    #[error("attestation magic is {found:#010x}, expected {TPM_GENERATED:#010x}")]
    Magic {
        /// The magic found.
        found: u32,
    },
    /// An attestation of something other than PCRs.
    #[error("attestation type is {found:#06x}, expected a quote, {TPM_ST_ATTEST_QUOTE:#06x}")]
    AttestType {
        /// The type found.
        found: u16,
    },
    /// An algorithm that is not known in this place.
    #[error("TPM algorithm {found:#06x} is not known as {what}")]
    Algorithm {
        /// What it was to be.
        what: &'static str,
        /// The identifier found (Part 2, TPM_ALG_ID).
        found: u16,
    },
    /// A field of variable length with a length that it cannot have.
    #[error("{what} has {found} bytes, expected {expected}")]
    Size {
        /// The field.
        what: &'static str,
        /// The length expected, or the most.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// A number that is not one of those defined.
    #[error("{what} cannot be {found}")]
    Value {
        /// The field.
        what: &'static str,
        /// The number found.
        found: u32,
    },
    /// A reserved object attribute is set.
    #[error("reserved object attributes {found:#010x} are set")]
    ReservedAttributes {
        /// Those bits.
        found: u32,
    },
}

/// Starts to read one structure.
fn reader(bytes: &[u8]) -> Result<Reader<'_>, TpmError> {
    match bytes.len() {
        ..=MAX_LEN => Ok(Reader::new(bytes)),
        found => Err(TpmError::TooLong { expected: MAX_LEN, found }),
    }
}

/// A `TPM2B`: a u16 length, at most `most`, and that many bytes.
fn sized<'a>(reader: &mut Reader<'a>, what: &'static str, most: usize) -> Result<&'a [u8], TpmError> {
    let found = usize::from(reader.be_u16()?);
    if found > most {
        return Err(TpmError::Size { what, expected: most, found });
    }
    Ok(reader.take(found)?)
}

/// A `TPM2B` of exactly `expected` bytes.
fn exact<'a>(reader: &mut Reader<'a>, what: &'static str, expected: usize) -> Result<&'a [u8], TpmError> {
    let bytes = sized(reader, what, expected)?;
    match bytes.len() {
        found if found != expected => Err(TpmError::Size { what, expected, found }),
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests;
