//! Signatures: `TPMT_SIGNATURE` (Part 2, section 11.3.4).

use super::public::{ALG_ECDSA, ALG_RSAPSS, ALG_RSASSA};
use super::{HashAlg, TpmError, reader, sized};

/// Longest RSA signature: RSA-4096.
const MAX_RSA: usize = 512;
/// Longest half of an ECDSA signature: P-384.
const MAX_SCALAR: usize = 48;

/// A signature, well formed; nothing is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// RSASSA-PKCS1-v1_5.
    RsaSsa {
        /// Hash of the message.
        hash: HashAlg,
        /// The signature, big-endian.
        signature: Vec<u8>,
    },
    /// RSASSA-PSS.
    RsaPss {
        /// Hash of the message.
        hash: HashAlg,
        /// The signature, big-endian.
        signature: Vec<u8>,
    },
    /// ECDSA.
    Ecdsa {
        /// Hash of the message.
        hash: HashAlg,
        /// R, big-endian; a TPM may leave out zeros in front.
        r: Vec<u8>,
        /// S, likewise.
        s: Vec<u8>,
    },
}

impl Signature {
    /// Takes exactly one signature of a kind that is known here.
    ///
    /// # Errors
    ///
    /// See [`TpmError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TpmError> {
        let mut reader = reader(bytes)?;
        let kind = reader.be_u16()?;
        if ![ALG_RSASSA, ALG_RSAPSS, ALG_ECDSA].contains(&kind) {
            return Err(TpmError::Algorithm { what: "signature", found: kind });
        }
        let hash = HashAlg::read(&mut reader, "signature hash")?;
        let mut field = |what, most| sized(&mut reader, what, most).map(<[u8]>::to_vec);
        let parsed = match kind {
            ALG_RSASSA => Self::RsaSsa { hash, signature: field("RSA signature", MAX_RSA)? },
            ALG_RSAPSS => Self::RsaPss { hash, signature: field("RSA signature", MAX_RSA)? },
            _ => Self::Ecdsa { hash, r: field("ECDSA R", MAX_SCALAR)?, s: field("ECDSA S", MAX_SCALAR)? },
        };
        reader.finish()?;
        Ok(parsed)
    }

    /// The hash of the message: for a quote, also the hash of its PCR digest.
    pub fn hash(&self) -> HashAlg {
        match self {
            Self::RsaSsa { hash, .. } | Self::RsaPss { hash, .. } | Self::Ecdsa { hash, .. } => *hash,
        }
    }
}
