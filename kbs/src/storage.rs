//! Where the broker keeps what outlives it.

use std::path::PathBuf;

pub use files::FileStorage;

pub mod files;

/// What kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Sealed secrets by resource path.
    Secrets,
    /// Release policies by name.
    Policies,
    /// Reference Value documents by digest.
    References,
    /// Evidence that was accepted, by attestation id.
    Accepted,
    /// Evidence that was refused, by attestation id.
    Refused,
    /// Enrolled nodes by name.
    Nodes,
    /// Challenges, evidence and reports of nodes, by node and time.
    Rounds,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 7] = [
        Self::Secrets,
        Self::Policies,
        Self::References,
        Self::Accepted,
        Self::Refused,
        Self::Nodes,
        Self::Rounds,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Policies => "policies",
            Self::References => "references",
            Self::Accepted => "evidence-accepted",
            Self::Refused => "evidence-refused",
            Self::Nodes => "nodes",
            Self::Rounds => "rounds",
        }
    }

    /// Whether the records are the owner's word. These are on disk before a write returns, and each write changes
    /// [`Storage::version`]; archived evidence is written often and needs neither.
    pub fn is_configuration(self) -> bool {
        matches!(self, Self::Secrets | Self::Policies | Self::References | Self::Nodes)
    }
}

/// Changes with every write to a configuration table, by whichever process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(pub [u8; 16]);

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The operating system refused.
    #[error("{operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Its answer.
        source: std::io::Error,
    },
    /// A name that cannot be a record's.
    #[error("expected a name of letters, digits, `_`, `-`, `.` and `/`, found {found:?}")]
    Name {
        /// The name.
        found: String,
    },
    /// The version record is not one.
    #[error("{}: expected {expected} bytes, found {found}; restore the file or write any record", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Right length.
        expected: usize,
        /// Length found.
        found: usize,
    },
    /// No random bytes for a file name or version.
    #[error("no random bytes")]
    Random,
}

/// A store of named records. Several processes may use one store at the same time.
///
/// It keeps bytes and promises nothing about who wrote them: secrets come sealed ([`crate::vault`]).
pub trait Storage: Send + Sync + 'static {
    /// Changes whenever the owner's records do. Read it *before* the records that are cached under it.
    fn version(&self) -> Result<Version, StorageError>;

    /// One record, or `None` where there is none.
    fn get(&self, table: Table, name: &str) -> Result<Option<Vec<u8>>, StorageError>;

    /// Write or replace a record: afterwards readers see all of the new bytes, before all of the old.
    fn put(&self, table: Table, name: &str, bytes: &[u8]) -> Result<(), StorageError>;

    /// Remove a record; whether there was one.
    fn delete(&self, table: Table, name: &str) -> Result<bool, StorageError>;

    /// Write `new` and remove `old`, of a table that is no configuration. A crash may lose both.
    fn supersede(&self, table: Table, old: &str, new: &str, bytes: &[u8]) -> Result<(), StorageError> {
        self.put(table, new, bytes)?;
        self.delete(table, old).map(|_| ())
    }

    /// Names and sizes in bytes, sorted by name.
    fn list(&self, table: Table) -> Result<Vec<(String, u64)>, StorageError>;
}
