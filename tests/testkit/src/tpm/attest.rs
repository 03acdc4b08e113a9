//! `TPMS_ATTEST` and `TPMT_SIGNATURE` (TPM 2.0 Part 2, sections 10.12.12 and 11.3.4).

use super::{AkKind, put_sized};
use crate::keys::{Key, Scheme};

/// What a quote says, every field open to be spoiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attest {
    /// TPM_GENERATED_VALUE.
    pub magic: u32,
    /// TPM_ST_ATTEST_QUOTE. Whatever stands here, a quote's fields follow.
    pub kind: u16,
    /// Qualified name of the AK.
    pub qualified_signer: Vec<u8>,
    /// The nonce.
    pub extra_data: Vec<u8>,
    /// Milliseconds.
    pub clock: u64,
    /// Count of resets.
    pub reset_count: u32,
    /// Count of restarts.
    pub restart_count: u32,
    /// Whether the clock never showed a greater value: 1 or 0.
    pub safe: u8,
    /// Vendor's version number.
    pub firmware_version: u64,
    /// PCRs, per bank.
    pub selections: Vec<Selection>,
    /// Digest of their values.
    pub pcr_digest: Vec<u8>,
}

/// PCRs of one bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The bank's hash.
    pub hash: u16,
    /// One bit for each PCR, least significant first.
    pub bits: Vec<u8>,
}

impl Selection {
    /// These PCRs, in 3 bytes as every PC's TPM has it.
    pub fn of(hash: u16, pcrs: &[u8]) -> Self {
        let mut bits = vec![0; 3];
        pcrs.iter().for_each(|pcr| bits[usize::from(pcr / 8)] |= 1 << (pcr % 8));
        Self { hash, bits }
    }
}

impl Attest {
    /// The first four bytes of whatever a TPM itself made.
    pub const MAGIC: u32 = 0xFF54_4347;
    /// A quote.
    pub const QUOTE: u16 = 0x8018;

    /// The bytes that are signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.magic.to_be_bytes().to_vec();
        out.extend(self.kind.to_be_bytes());
        put_sized(&mut out, &self.qualified_signer);
        put_sized(&mut out, &self.extra_data);
        out.extend(self.clock.to_be_bytes());
        out.extend(self.reset_count.to_be_bytes());
        out.extend(self.restart_count.to_be_bytes());
        out.push(self.safe);
        out.extend(self.firmware_version.to_be_bytes());
        out.extend((self.selections.len() as u32).to_be_bytes());
        for selection in &self.selections {
            out.extend(selection.hash.to_be_bytes());
            out.push(selection.bits.len() as u8);
            out.extend(&selection.bits);
        }
        put_sized(&mut out, &self.pcr_digest);
        out
    }
}

/// Sign with any key that fits the kind: `TPMT_SIGNATURE`.
pub fn signature(kind: AkKind, key: Key, message: &[u8]) -> Vec<u8> {
    let (scheme, hash) = kind.ids();
    let mut out = scheme.to_be_bytes().to_vec();
    out.extend(hash.to_be_bytes());
    let signature = key.sign(kind.scheme(), message);
    match kind.scheme() {
        Scheme::Ecdsa => signature.chunks(signature.len() / 2).for_each(|half| put_sized(&mut out, half)),
        _ => put_sized(&mut out, &signature),
    }
    out
}
