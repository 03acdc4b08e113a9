//! Quotes as other tools write them down: files, lines of text, JSON, protocol buffers.
//!
//! Each reader gives the same thing: a key where there is one, quotes with their signatures and PCR values, and the boot log where it
//! travels along. Nothing is verified, and a key that travels beside its quote is nobody's yet.

mod json;
mod key;
mod keylime;
mod protobuf;
mod tools;

pub use json::{go_attestation, guard, trustee};
pub use key::AkPublic;
pub use keylime::keylime;
pub use protobuf::go_tpm_tools;
pub use tools::{parse_pcr_file, parse_signature_file};

use super::{Attest, PcrBanks, Signature, TpmError};
use crate::pem::PemError;
use crate::reader::ReadError;
use thiserror::Error;

/// Most bytes of a container. The boot log in it has up to 128 KiB, and half as much again in hex.
pub const MAX_CONTAINER_LEN: usize = 1 << 20;
/// Most quotes in one container: one for each bank that a TPM may have.
const MAX_QUOTES: usize = 16;

/// Why bytes are not the container that was expected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ContainerError {
    /// Longer than what is read.
    #[error("{found} bytes, at most {expected} are read")]
    TooLong {
        /// The most.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// The bytes end inside a field, or go on after the last one.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A TPM structure in it does not parse.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// PEM that does not parse.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// Something else that is not of its form.
    #[error("{what}: {found}, expected {expected}")]
    Form {
        /// The part.
        what: &'static str,
        /// The form.
        expected: &'static str,
        /// What was found.
        found: String,
    },
}

/// A quote with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainedQuote {
    /// What was signed.
    pub attest: Attest,
    /// The signature over it.
    pub signature: Signature,
    /// The PCR values that came along.
    pub pcrs: PcrBanks,
}

/// What a container holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contained {
    /// The key that is said to have signed.
    pub ak: Option<AkPublic>,
    /// The quotes.
    pub quotes: Vec<ContainedQuote>,
    /// The boot log, empty where there is none.
    pub boot_log: Vec<u8>,
}

fn within(bytes: &[u8]) -> Result<(), ContainerError> {
    match bytes.len() {
        ..=MAX_CONTAINER_LEN => Ok(()),
        found => Err(ContainerError::TooLong { expected: MAX_CONTAINER_LEN, found }),
    }
}

fn form(what: &'static str, expected: &'static str, found: impl std::fmt::Display) -> ContainerError {
    ContainerError::Form { what, expected, found: found.to_string().chars().take(128).collect() }
}

#[cfg(test)]
mod tests;
