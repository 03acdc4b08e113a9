//! PCR values by bank.

use super::{HashAlg, PcrSelection, TpmError};
use std::collections::BTreeMap;

/// PCRs of a PC client TPM (TCG PC Client PTP, section 4.6).
const PCRS: u8 = 24;

/// PCR values of any banks. Each has its bank's length and is there once; what they are, only a quote says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PcrBanks(BTreeMap<HashAlg, BTreeMap<u8, Vec<u8>>>);

impl PcrBanks {
    /// Adds one value.
    ///
    /// # Errors
    ///
    /// [`TpmError::Size`] for a value that is not as long as its bank's digests, [`TpmError::Value`] for a PCR that no TPM has or that is
    /// there already.
    pub fn insert(&mut self, bank: HashAlg, pcr: u8, value: &[u8]) -> Result<(), TpmError> {
        if value.len() != bank.size() {
            return Err(TpmError::Size { what: "PCR value", expected: bank.size(), found: value.len() });
        }
        let values = self.0.entry(bank).or_default();
        if pcr >= PCRS || values.contains_key(&pcr) {
            return Err(TpmError::Value { what: "a PCR given once", found: pcr.into() });
        }
        values.insert(pcr, value.to_vec());
        Ok(())
    }

    /// One value.
    pub fn get(&self, bank: HashAlg, pcr: u8) -> Option<&[u8]> {
        self.0.get(&bank).and_then(|values| values.get(&pcr)).map(Vec::as_slice)
    }

    /// The banks that have values.
    pub fn banks(&self) -> impl Iterator<Item = HashAlg> {
        self.0.keys().copied()
    }

    /// The values of one bank, by PCR.
    pub fn values(&self, bank: HashAlg) -> impl Iterator<Item = (u8, &[u8])> {
        self.0.get(&bank).into_iter().flatten().map(|(pcr, value)| (*pcr, value.as_slice()))
    }

    /// The PCRs that there are values for, as a quote of exactly these would have them: banks in order of their identifiers.
    pub fn selections(&self) -> Vec<PcrSelection> {
        let bitmap =
            |values: &BTreeMap<u8, Vec<u8>>| values.keys().fold(0_u32, |map, pcr| map | 1 << (pcr & 31));
        self.0.iter().map(|(hash, values)| PcrSelection { hash: *hash, bitmap: bitmap(values) }).collect()
    }

    /// The values that a quote's selections name, in the order in which the TPM hashes them; the first that is missing where one
    /// is.
    ///
    /// # Errors
    ///
    /// The bank and the PCR that there is no value for.
    pub fn selected(&self, selections: &[PcrSelection]) -> Result<Vec<&[u8]>, (HashAlg, u8)> {
        let pcrs = selections.iter().flat_map(|bank| bank.pcrs().map(|pcr| (bank.hash, pcr)));
        pcrs.map(|(bank, pcr)| self.get(bank, pcr).ok_or((bank, pcr))).collect()
    }
}
