//! From events to register values (TPM 2.0 Part 1 section 17.2; the same rule extends an RTMR).

use super::{ALG_SHA1, ALG_SHA256, ALG_SHA384, BootLog, BootLogError};
use sha1::Sha1;
use sha2::digest::Output;
use sha2::{Digest, Sha256, Sha384};

/// Number of PCRs of a PC Client TPM.
pub const REGISTERS: usize = 24;

impl BootLog<'_> {
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
