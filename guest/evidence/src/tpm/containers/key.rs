//! A public key in any of the forms in which it is handed over.

use super::{ContainerError, form};
use crate::pem;
use crate::tpm::{MAX_LEN, Public};

/// A public key of a TPM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AkPublic {
    /// With its attributes and its scheme.
    Tpm(Public),
    /// The bare key, DER `SubjectPublicKeyInfo` (RFC 5280, section 4.1): nothing says that a TPM restricts it. Not parsed.
    Spki(Vec<u8>),
}

impl AkPublic {
    /// Recognises `TPM2B_PUBLIC`, `TPMT_PUBLIC`, DER and PEM. The first byte of each differs, but for the first two, and of those
    /// one that could be both does not exist: the length in front of a `TPM2B_PUBLIC` is more than 35, the number of the last key
    /// type.
    ///
    /// # Errors
    ///
    /// See [`ContainerError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ContainerError> {
        /// DER tag of a SEQUENCE.
        const SEQUENCE: u8 = 0x30;
        match bytes {
            [b'-', ..] => {
                let text = std::str::from_utf8(bytes).map_err(|error| form("a public key", "PEM", error))?;
                Ok(Self::Spki(pem::decode(text, "PUBLIC KEY")?))
            }
            [SEQUENCE, ..] if bytes.len() <= MAX_LEN => Ok(Self::Spki(bytes.to_vec())),
            [high, low, area @ ..] if usize::from(u16::from_be_bytes([*high, *low])) == area.len() => {
                Ok(Self::Tpm(Public::parse(area)?))
            }
            _ => Ok(Self::Tpm(Public::parse(bytes)?)),
        }
    }
}
