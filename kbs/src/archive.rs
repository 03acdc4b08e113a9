//! The evidence behind each attestation, kept so that a decision can be looked into afterwards.
//!
//! Two rings, accepted and refused, each of bounded count and bytes (the newest record stays whatever its size): whoever sends
//! much that is refused pushes out only what was refused.

use crate::storage::{Storage, StorageError, Table};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// How much is kept of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Attestations.
    pub entries: usize,
    /// Bytes.
    pub bytes: u64,
}

/// The archive of one running broker.
pub struct Archive {
    storage: Arc<dyn Storage>,
    limits: Limits,
    accepted: Mutex<Ring>,
    refused: Mutex<Ring>,
}

/// Names and sizes, oldest first.
#[derive(Default)]
struct Ring {
    entries: VecDeque<(String, u64)>,
    bytes: u64,
}

impl Archive {
    /// Go on with what the store holds. Attestation ids sort by time.
    pub fn open(storage: Arc<dyn Storage>, limits: Limits) -> Result<Self, StorageError> {
        let ring = |table| -> Result<_, StorageError> {
            let entries: VecDeque<_> = storage.list(table)?.into();
            let bytes = entries.iter().map(|(_, size)| size).sum();
            Ok(Mutex::new(Ring { entries, bytes }))
        };
        let (accepted, refused) = (ring(Table::Accepted)?, ring(Table::Refused)?);
        Ok(Self { storage, limits, accepted, refused })
    }

    /// Keep a record, and drop the oldest that are above the limits.
    pub fn put(&self, accepted: bool, id: &str, record: &[u8]) -> Result<(), StorageError> {
        let (table, ring) = match accepted {
            true => (Table::Accepted, &self.accepted),
            false => (Table::Refused, &self.refused),
        };
        // A ring holds names only; one that a panic left half done forgets at most one of them.
        let dropped = ring.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(
            id,
            record.len() as u64,
            self.limits,
        );
        match dropped.split_first() {
            None => self.storage.put(table, id, record)?,
            Some((oldest, more)) => {
                self.storage.supersede(table, oldest, id, record)?;
                for name in more {
                    self.storage.delete(table, name)?;
                }
            }
        }
        Ok(())
    }
}

impl Ring {
    fn push(&mut self, id: &str, size: u64, limits: Limits) -> Vec<String> {
        let mut dropped = Vec::new();
        // The new record itself is always kept: it is what the audit line points to.
        while self.entries.len() >= limits.entries || self.bytes.saturating_add(size) > limits.bytes {
            let Some((name, freed)) = self.entries.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(freed);
            dropped.push(name);
        }
        self.entries.push_back((id.to_owned(), size));
        self.bytes = self.bytes.saturating_add(size);
        dropped
    }
}

/// One archived record, accepted or refused.
pub fn find(storage: &dyn Storage, id: &str) -> Result<Option<Vec<u8>>, StorageError> {
    match storage.get(Table::Accepted, id)? {
        Some(record) => Ok(Some(record)),
        None => storage.get(Table::Refused, id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::FileStorage;

    fn storage() -> (tempfile::TempDir, Arc<dyn Storage>) {
        let directory = tempfile::tempdir().unwrap();
        let storage = FileStorage::create(&directory.path().join("s")).unwrap();
        (directory, Arc::new(storage))
    }

    fn names(storage: &dyn Storage, table: Table) -> Vec<String> {
        storage.list(table).unwrap().into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn the_newest_are_kept_across_a_restart() {
        let (_directory, storage) = storage();
        let limits = Limits { entries: 2, bytes: 100 };
        let archive = Archive::open(storage.clone(), limits).unwrap();
        archive.put(true, "1", b"a").unwrap();
        archive.put(true, "2", b"b").unwrap();
        drop(archive);
        let archive = Archive::open(storage.clone(), limits).unwrap();
        archive.put(true, "3", b"c").unwrap();
        assert_eq!(names(&*storage, Table::Accepted), ["2", "3"]);
        assert_eq!(find(&*storage, "3").unwrap().unwrap(), b"c");
        assert_eq!(find(&*storage, "1").unwrap(), None);
    }

    #[test]
    fn refusals_push_out_refusals_only() {
        let (_directory, storage) = storage();
        let archive = Archive::open(storage.clone(), Limits { entries: 3, bytes: 10 }).unwrap();
        archive.put(true, "good", b"x").unwrap();
        for id in ["1", "2", "3", "4"] {
            archive.put(false, id, b"1234").unwrap();
        }
        assert_eq!(names(&*storage, Table::Refused), ["3", "4"]);
        assert_eq!(names(&*storage, Table::Accepted), ["good"]);
    }
}
