//! Platform Configuration Registers.

use crate::hash::{sha1, sha256};
use std::collections::BTreeMap;

/// PCRs per bank.
const COUNT: usize = 24;
/// The PCRs of a dynamic launch, which start as all ones (TCG PC Client PTP, section 3.3).
const DYNAMIC: std::ops::RangeInclusive<usize> = 17..=22;

/// What one event extends each bank with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digests {
    /// For the SHA-1 bank.
    pub sha1: [u8; 20],
    /// For the SHA-256 bank.
    pub sha256: [u8; 32],
}

impl Digests {
    /// The digests of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { sha1: sha1(bytes), sha256: sha256(bytes) }
    }

    /// The same byte throughout.
    pub fn filled(byte: u8) -> Self {
        Self { sha1: [byte; 20], sha256: [byte; 32] }
    }
}

/// Both banks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pcrs {
    /// The SHA-1 bank.
    pub sha1: [[u8; 20]; COUNT],
    /// The SHA-256 bank.
    pub sha256: [[u8; 32]; COUNT],
}

impl Default for Pcrs {
    /// As after a reset.
    fn default() -> Self {
        let mut out = Self { sha1: [[0; 20]; COUNT], sha256: [[0; 32]; COUNT] };
        out.sha1[DYNAMIC].fill([0xff; 20]);
        out.sha256[DYNAMIC].fill([0xff; 32]);
        out
    }
}

impl Pcrs {
    /// Extend one PCR in both banks.
    pub fn extend(&mut self, pcr: usize, digests: &Digests) {
        self.sha1[pcr] = sha1(&[self.sha1[pcr].as_slice(), &digests.sha1].concat());
        self.sha256[pcr] = sha256(&[self.sha256[pcr].as_slice(), &digests.sha256].concat());
    }

    /// What PCR 0 starts with when the TPM was started from this locality (TPM 2.0 Part 1, section 34.4).
    pub fn start_at_locality(&mut self, locality: u8) {
        self.sha1[0][19] = locality;
        self.sha256[0][31] = locality;
    }

    /// Values of the SHA-256 bank, in hex, as evidence carries them.
    pub fn values(&self, pcrs: &[u8]) -> BTreeMap<u8, String> {
        pcrs.iter().map(|pcr| (*pcr, hex::encode(self.sha256[usize::from(*pcr)]))).collect()
    }
}
