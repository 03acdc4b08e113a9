//! Records as files: written beside, synced, renamed. See docs/decisions/0006.

use super::{Storage, StorageError, Table, Version};
use crate::crypto;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

const VERSION_FILE: &str = "version";
/// Stands for `/` in a file name; no record name contains it.
const SEPARATOR: &str = "+";
/// Longest name, under the 255 bytes that file systems take.
const MAX_NAME: usize = 250;

/// One directory per table, one file per record.
#[derive(Debug)]
pub struct FileStorage {
    root: PathBuf,
}

impl FileStorage {
    /// Make a new, empty store; `root` must not exist.
    pub fn create(root: &Path) -> Result<Self, StorageError> {
        let make =
            |path: &Path| fs::DirBuilder::new().mode(0o700).create(path).map_err(io("cannot make", path));
        make(root)?;
        for table in Table::ALL {
            make(&root.join(table.name()))?;
        }
        let storage = Self { root: root.to_owned() };
        storage.bump()?;
        Ok(storage)
    }

    /// Open a store that [`Self::create`] made.
    pub fn open(root: &Path) -> Result<Self, StorageError> {
        let storage = Self { root: root.to_owned() };
        storage.version()?;
        // A store that an earlier release made lacks the tables that came since.
        for table in Table::ALL {
            let path = root.join(table.name());
            if !path.exists() {
                fs::DirBuilder::new()
                    .mode(0o700)
                    .recursive(true)
                    .create(&path)
                    .map_err(io("cannot make", &path))?;
            }
        }
        Ok(storage)
    }

    fn path(&self, table: Table, name: &str) -> Result<PathBuf, StorageError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/');
        // A name that starts with a dot could be `..`, or a temporary file.
        if name.is_empty() || name.len() > MAX_NAME || name.starts_with('.') || !name.bytes().all(plain) {
            return Err(StorageError::Name { found: name.chars().take(128).collect() });
        }
        Ok(self.root.join(table.name()).join(name.replace('/', SEPARATOR)))
    }

    /// A writer that dies before this leaves a record that a running server sees only after the next change. It never
    /// reported success, so either is right.
    fn bump(&self) -> Result<(), StorageError> {
        let version: [u8; 16] = crypto::random().map_err(|_| StorageError::Random)?;
        write_atomic(&self.root.join(VERSION_FILE), &version, Durability::Synced)
    }
}

impl Storage for FileStorage {
    fn version(&self) -> Result<Version, StorageError> {
        let path = self.root.join(VERSION_FILE);
        let bytes = fs::read(&path).map_err(io("cannot read", &path))?;
        let found = bytes.len();
        bytes.try_into().map(Version).map_err(|_| StorageError::Version { path, expected: 16, found })
    }

    fn get(&self, table: Table, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        let path = self.path(table, name)?;
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io("cannot read", &path)(e)),
        }
    }

    fn put(&self, table: Table, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        let path = self.path(table, name)?;
        if !table.is_configuration() {
            return write_atomic(&path, bytes, Durability::Cached);
        }
        write_atomic(&path, bytes, Durability::Synced)?;
        self.bump()
    }

    fn delete(&self, table: Table, name: &str) -> Result<bool, StorageError> {
        let path = self.path(table, name)?;
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(io("cannot remove", &path)(e)),
        }
        if table.is_configuration() {
            sync_parent(&path)?;
            self.bump()?;
        }
        Ok(true)
    }

    /// Reuses the file: making and removing one costs several times what writing it costs.
    fn supersede(&self, table: Table, old: &str, new: &str, bytes: &[u8]) -> Result<(), StorageError> {
        let (old, new) = (self.path(table, old)?, self.path(table, new)?);
        // Nobody may see the new bytes, or half of them, under either name.
        let temporary = temporary(&old)?;
        match fs::rename(&old, &temporary) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => {
                return write_atomic(&new, bytes, Durability::Cached);
            }
            Err(e) => return Err(io("cannot rename", &old)(e)),
        }
        let written = fs::write(&temporary, bytes).map_err(io("cannot write", &temporary));
        finish(&temporary, &new, written)
    }

    fn list(&self, table: Table) -> Result<Vec<(String, u64)>, StorageError> {
        let directory = self.root.join(table.name());
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).map_err(io("cannot list", &directory))? {
            let entry = entry.map_err(io("cannot list", &directory))?;
            let Some(name) = entry.file_name().to_str().map(|name| name.replace(SEPARATOR, "/")) else {
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            // A record that another process removed meanwhile is no longer listed.
            if let Ok(metadata) = entry.metadata() {
                found.push((name, metadata.len()));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// When a written file is safe from a power failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Before the call returns.
    Synced,
    /// When the operating system comes to it. Safe from the death of this process all the same.
    Cached,
}

/// Replace `path` by a file of mode 0600 with these bytes: whole, or not at all.
pub fn write_atomic(path: &Path, bytes: &[u8], durability: Durability) -> Result<(), StorageError> {
    let temporary = temporary(path)?;
    finish(&temporary, path, write_new(&temporary, bytes, durability))?;
    if durability == Durability::Synced { sync_parent(path) } else { Ok(()) }
}

/// A new name beside `path` that no record has.
fn temporary(path: &Path) -> Result<PathBuf, StorageError> {
    let suffix: [u8; 8] = crypto::random().map_err(|_| StorageError::Random)?;
    Ok(path.with_file_name(format!(".{}", hex::encode(suffix))))
}

/// Give a temporary file its name if it was written, and else remove it.
fn finish(temporary: &Path, path: &Path, written: Result<(), StorageError>) -> Result<(), StorageError> {
    let done = written.and_then(|()| fs::rename(temporary, path).map_err(io("cannot replace", path)));
    if done.is_err() {
        // The error that matters is the first one.
        drop(fs::remove_file(temporary));
    }
    done
}

/// Write a file of mode 0600 that must not exist yet.
pub fn write_new(path: &Path, bytes: &[u8], durability: Durability) -> Result<(), StorageError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io("cannot create", path))?;
    file.write_all(bytes).map_err(io("cannot write", path))?;
    if durability == Durability::Synced {
        file.sync_all().map_err(io("cannot sync", path))?;
    }
    Ok(())
}

/// Have the directory entry of `path` on disk.
pub fn sync_parent(path: &Path) -> Result<(), StorageError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    File::open(parent).and_then(|directory| directory.sync_all()).map_err(io("cannot sync", parent))
}

fn io(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StorageError {
    let path = path.to_owned();
    move |source| StorageError::Io { operation, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn storage() -> (tempfile::TempDir, FileStorage) {
        let directory = tempfile::tempdir().unwrap();
        let storage = FileStorage::create(&directory.path().join("store")).unwrap();
        (directory, storage)
    }

    #[test]
    fn what_is_put_is_got_by_another_handle() {
        let (directory, storage) = storage();
        storage.put(Table::Secrets, "a/b/c.d", b"one").unwrap();
        storage.put(Table::Secrets, "a/b/c.d", b"two").unwrap();
        let other = FileStorage::open(&directory.path().join("store")).unwrap();
        assert_eq!(other.get(Table::Secrets, "a/b/c.d").unwrap().unwrap(), b"two");
        assert_eq!(other.get(Table::Policies, "a/b/c.d").unwrap(), None);
        assert_eq!(other.list(Table::Secrets).unwrap(), [("a/b/c.d".to_owned(), 3)]);
        assert!(other.delete(Table::Secrets, "a/b/c.d").unwrap());
        assert!(!other.delete(Table::Secrets, "a/b/c.d").unwrap());
        assert_eq!(storage.get(Table::Secrets, "a/b/c.d").unwrap(), None);
    }

    #[test]
    fn the_version_changes_with_the_owners_records_only() {
        let (directory, storage) = storage();
        let other = FileStorage::open(&directory.path().join("store")).unwrap();
        let first = other.version().unwrap();
        storage.put(Table::Accepted, "x", b"").unwrap();
        assert_eq!(other.version().unwrap(), first);
        storage.put(Table::Policies, "x", b"").unwrap();
        let second = other.version().unwrap();
        assert_ne!(second, first);
        storage.delete(Table::Policies, "x").unwrap();
        assert_ne!(other.version().unwrap(), second);
    }

    #[test]
    fn no_name_leaves_its_table() {
        let (_directory, storage) = storage();
        for bad in ["", ".", "..", "../policies/x", "a+b", "a\0", "ä", &"a".repeat(251)] {
            assert!(matches!(storage.get(Table::Secrets, bad), Err(StorageError::Name { .. })), "{bad}");
        }
    }

    #[test]
    fn a_writer_that_died_leaves_nothing_that_is_listed() {
        let (directory, storage) = storage();
        fs::write(directory.path().join("store/secrets/.0123"), b"half").unwrap();
        assert_eq!(storage.list(Table::Secrets).unwrap(), []);
    }

    #[test]
    fn a_superseded_record_is_gone_and_the_new_one_whole() {
        let (_directory, storage) = storage();
        storage.put(Table::Refused, "1", b"a long record").unwrap();
        storage.supersede(Table::Refused, "1", "2", b"short").unwrap();
        storage.supersede(Table::Refused, "absent", "3", b"x").unwrap();
        assert_eq!(storage.get(Table::Refused, "1").unwrap(), None);
        assert_eq!(storage.get(Table::Refused, "2").unwrap().unwrap(), b"short");
        let names: Vec<_> = storage.list(Table::Refused).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["2", "3"]);
    }

    #[test]
    fn records_are_for_the_owner_only() {
        let (directory, storage) = storage();
        storage.put(Table::Secrets, "a/b/c", b"x").unwrap();
        for (path, mode) in [("store", 0o700), ("store/secrets", 0o700), ("store/secrets/a+b+c", 0o600)] {
            let found = fs::metadata(directory.path().join(path)).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{path}");
        }
    }
}
