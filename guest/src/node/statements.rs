//! The records of PCR 13 since boot, kept beside the TPM so that every later round can show them.

use super::NodeError;
use crate::files;
use crate::tpm::Tpm;
use crate::workload::digest_of;
use sealpod_evidence::cel::{self, Record};
use sealpod_evidence::node::RoundNonce;
use sealpod_evidence::node::statement::StatementEvent;
use sealpod_evidence::rcar::{PCR_WORKLOAD, PcrValue};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// In memory, like the PCR: both are gone after a reboot.
const PATH: &str = "/run/sealpod/statements.cel";
/// Most bytes of the log: what [`cel::MAX_RECORDS`] statements take.
const MAX_LEN: usize = 2 << 20;

/// The log as it is in PCR 13.
#[derive(Debug)]
pub struct StatementLog {
    path: PathBuf,
    records: Vec<Record>,
}

impl StatementLog {
    /// Read the log and hold it against PCR 13. A record that was written and, because something ended this program, never
    /// extended is dropped.
    ///
    /// # Errors
    ///
    /// [`NodeError::StatementLog`] where the two have gone apart: somebody else extended PCR 13, or the file was changed.
    pub fn open(tpm: &mut Tpm) -> Result<Self, NodeError> {
        let value = tpm
            .read(&[PCR_WORKLOAD])?
            .remove(&PCR_WORKLOAD)
            .unwrap_or(sealpod_evidence::bytes::HexArray([0; 32]));
        Self::read(Path::new(PATH), &value)
    }

    fn read(path: &Path, value: &PcrValue) -> Result<Self, NodeError> {
        let broken = |found: String| NodeError::StatementLog { path: path.display().to_string(), found };
        let bytes = if path.exists() { files::read(path, MAX_LEN)? } else { Vec::new() };
        let mut records = cel::parse(&bytes).map_err(|error| broken(error.to_string()))?;
        if replay(&records) != value.0 {
            records.pop();
        }
        if replay(&records) != value.0 {
            return Err(broken(format!(
                "its {} records replay to another value than {value}",
                records.len()
            )));
        }
        Ok(Self { path: path.to_owned(), records })
    }

    /// Record a statement: first in the file, then in PCR 13. Gives the whole log.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written or the TPM refuses.
    pub fn extend(
        mut self,
        tpm: &mut Tpm,
        nonce: RoundNonce,
        statement: &[u8],
    ) -> Result<Vec<u8>, NodeError> {
        let record = self.next(nonce, statement);
        self.records.push(record.clone());
        let bytes = cel::encode(&self.records);
        self.write(&bytes)?;
        tpm.extend(PCR_WORKLOAD, &digest_of(&record))?;
        Ok(bytes)
    }

    fn next(&self, nonce: RoundNonce, statement: &[u8]) -> Record {
        let content = StatementEvent::of(nonce, statement).to_content();
        let sha256 = Sha256::digest(&content).into();
        Record { recnum: self.records.len() as u64, pcr: PCR_WORKLOAD, sha256, content }
    }

    /// Whole or not at all, whenever this program is ended.
    fn write(&self, bytes: &[u8]) -> Result<(), NodeError> {
        let failed = |operation| {
            let path = self.path.clone();
            move |source| crate::files::FileError::io(operation, path, source)
        };
        if let Some(directory) = self.path.parent() {
            std::fs::create_dir_all(directory).map_err(failed("make the directory of"))?;
        }
        let new = self.path.with_extension("new");
        std::fs::write(&new, bytes).map_err(failed("write"))?;
        std::fs::rename(&new, &self.path).map_err(failed("replace"))?;
        Ok(())
    }
}

fn replay(records: &[Record]) -> [u8; 32] {
    records.iter().fold([0; 32], |pcr, record| {
        Sha256::new().chain_update(pcr).chain_update(record.sha256).finalize().into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpod_evidence::bytes::HexArray;

    fn log_of(path: &Path, count: usize) -> Vec<Record> {
        let mut log = StatementLog { path: path.to_owned(), records: Vec::new() };
        for round in 0..count {
            let record = log.next(RoundNonce::of_challenge(&round.to_string()), b"{}");
            log.records.push(record);
        }
        log.write(&cel::encode(&log.records)).unwrap();
        log.records
    }

    #[test]
    fn the_log_is_what_the_pcr_holds_or_one_record_ahead_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/statements.cel");
        let read = |pcr: [u8; 32]| StatementLog::read(&path, &HexArray(pcr));
        assert!(read([0; 32]).unwrap().records.is_empty(), "no file, no records");
        let records = log_of(&path, 3);
        assert_eq!(read(replay(&records)).unwrap().records, records);
        assert_eq!(
            read(replay(&records[..2])).unwrap().records,
            records[..2],
            "ended before the TPM was told"
        );
        for pcr in [replay(&records[..1]), [0; 32], [7; 32]] {
            assert!(matches!(read(pcr), Err(NodeError::StatementLog { .. })));
        }
        std::fs::write(&path, b"nonsense").unwrap();
        assert!(matches!(read([0; 32]), Err(NodeError::StatementLog { .. })));
    }
}
