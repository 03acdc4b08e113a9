//! From events to register values (TPM 2.0 Part 1 section 17.2; the same rule extends an RTMR).

use super::{ALG_SHA1, ALG_SHA256, ALG_SHA384, ALG_SHA512, BootLog, BootLogError};
use crate::tpm::HashAlg;
use sha1::Sha1;
use sha2::digest::Output;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Number of PCRs of a PC Client TPM.
pub const REGISTERS: usize = 24;

/// What one bank's register holds after the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Register {
    /// No event extended it.
    Untouched,
    /// Its value, from zero or, for PCR 0, from the startup locality.
    Value(Vec<u8>),
    /// An event extended it, at this offset in the log, and the log has no digest of this bank for it: nothing can be said.
    Unknown {
        /// Where the event starts, in bytes.
        offset: usize,
    },
}

impl BootLog<'_> {
    /// Each register of any bank after all events, for logs that lack digests of some events only: Windows logs SHA-1 digests
    /// of its firmware's events and not of its own.
    ///
    /// Proves nothing until the values are compared with quoted ones, and nothing at all about a register that is
    /// [`Register::Unknown`].
    ///
    /// # Errors
    ///
    /// [`BootLogError::NoBank`] where the log has no digests by this algorithm, or where it is not computed here (SM3).
    pub fn registers(&self, bank: HashAlg) -> Result<Vec<Register>, BootLogError> {
        let mut registers = vec![Register::Untouched; REGISTERS];
        if bank == HashAlg::Sm3_256 || self.spec().algorithms.size(bank.id()).is_none() {
            return Err(BootLogError::NoBank { expected: bank.id() });
        }
        let mut start = vec![0; bank.size()];
        for event in self.events().filter(super::Event::is_extended) {
            // Parsing refused extended events of higher registers.
            let Some(register) = registers.get_mut(event.pcr as usize) else { continue };
            if let Some(last) = start.last_mut() {
                *last = if event.pcr == 0 { self.startup_locality() } else { 0 };
            }
            let value = match register {
                Register::Untouched => start.as_slice(),
                Register::Value(value) => value.as_slice(),
                Register::Unknown { .. } => continue,
            };
            let extended = event.digests.get(bank.id()).and_then(|digest| bank.digest(&[value, digest]));
            *register = extended.map_or(Register::Unknown { offset: event.offset }, Register::Value);
        }
        Ok(registers)
    }

    /// The SHA-1 PCRs after all events.
    ///
    /// # Errors
    ///
    /// [`BootLogError::NoBank`] and [`BootLogError::NoDigest`], as for [`Self::replay_sha256`].
    pub fn replay_sha1(&self) -> Result<[[u8; 20]; REGISTERS], BootLogError> {
        self.replay::<Sha1, 20>(ALG_SHA1)
    }

    /// The SHA-256 PCRs after all events, from zero or, for PCR 0, from the startup locality. PCRs 17 to 22 are
    /// computed from zero too, which is right only after a dynamic launch.
    ///
    /// Proves nothing until the values are compared with quoted ones.
    ///
    /// # Errors
    ///
    /// [`BootLogError::NoBank`] where the log has no SHA-256 digests, [`BootLogError::NoDigest`] where an extended
    /// event lacks one: leaving such an event out would present it beside PCRs that do not cover it.
    pub fn replay_sha256(&self) -> Result<[[u8; 32]; REGISTERS], BootLogError> {
        self.replay::<Sha256, 32>(ALG_SHA256)
    }

    /// The SHA-384 PCRs after all events; for a CCEL, elements 1 to 4 are RTMR0 to RTMR3 and element 0 means nothing.
    ///
    /// # Errors
    ///
    /// [`BootLogError::NoBank`] and [`BootLogError::NoDigest`], as for [`Self::replay_sha256`].
    pub fn replay_sha384(&self) -> Result<[[u8; 48]; REGISTERS], BootLogError> {
        self.replay::<Sha384, 48>(ALG_SHA384)
    }

    /// The SHA-512 PCRs after all events.
    ///
    /// # Errors
    ///
    /// [`BootLogError::NoBank`] and [`BootLogError::NoDigest`], as for [`Self::replay_sha256`].
    pub fn replay_sha512(&self) -> Result<[[u8; 64]; REGISTERS], BootLogError> {
        self.replay::<Sha512, 64>(ALG_SHA512)
    }

    fn replay<D: Digest, const N: usize>(&self, algorithm: u16) -> Result<[[u8; N]; REGISTERS], BootLogError>
    where
        Output<D>: Into<[u8; N]>,
    {
        if self.spec().algorithms.size(algorithm).is_none() {
            return Err(BootLogError::NoBank { expected: algorithm });
        }
        let mut registers = [[0; N]; REGISTERS];
        let [pcr_0, ..] = &mut registers;
        if let Some(last) = pcr_0.last_mut() {
            *last = self.startup_locality();
        }
        for event in self.events().filter(super::Event::is_extended) {
            let missing = BootLogError::NoDigest { offset: event.offset, expected: algorithm };
            let digest = event.digests.get(algorithm).ok_or(missing)?;
            // Parsing refused extended events of higher registers.
            if let Some(value) = registers.get_mut(event.pcr as usize) {
                *value = D::new().chain_update(&value[..]).chain_update(digest).finalize().into();
            }
        }
        Ok(registers)
    }
}
