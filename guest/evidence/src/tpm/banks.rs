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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_there_once_and_as_long_as_its_bank_has_it() {
        let mut banks = PcrBanks::default();
        banks.insert(HashAlg::Sha256, 23, &[1; 32]).unwrap();
        banks.insert(HashAlg::Sha1, 0, &[2; 20]).unwrap();
        banks.insert(HashAlg::Sha1, 10, &[3; 20]).unwrap();
        let twice = TpmError::Value { what: "a PCR given once", found: 10 };
        assert_eq!(banks.insert(HashAlg::Sha1, 10, &[3; 20]), Err(twice));
        let none = TpmError::Value { what: "a PCR given once", found: 24 };
        assert_eq!(banks.insert(HashAlg::Sha1, 24, &[3; 20]), Err(none));
        let size = TpmError::Size { what: "PCR value", expected: 48, found: 32 };
        assert_eq!(banks.insert(HashAlg::Sha384, 0, &[0; 32]), Err(size));
        assert_eq!(banks.get(HashAlg::Sha1, 10), Some(&[3; 20][..]));
        assert_eq!((banks.get(HashAlg::Sha1, 1), banks.get(HashAlg::Sha512, 0)), (None, None));
        assert_eq!(banks.banks().collect::<Vec<_>>(), [HashAlg::Sha1, HashAlg::Sha256]);
        let of = |hash, bitmap| PcrSelection { hash, bitmap };
        assert_eq!(banks.selections(), [of(HashAlg::Sha1, 0x401), of(HashAlg::Sha256, 1 << 23)]);
        assert_eq!(banks.values(HashAlg::Sha1).map(|(pcr, _)| pcr).collect::<Vec<_>>(), [0, 10]);
    }
}
