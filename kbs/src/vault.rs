//! Secrets at rest: each under its own key, which the key-encryption key wraps.

use crate::crypto::{self, CryptoError, NONCE_LENGTH, TAG_LENGTH};
use crate::secret::{Key, SecretBytes};
use crate::storage::{Storage, StorageError, Table};
use sealpod_evidence::workload::ResourcePath;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Largest secret in bytes: in base64 it fits the 2 MiB that a guest takes as an answer.
pub const MAX_SECRET: usize = 1024 * 1024;

/// First bytes of a record of this form.
const MAGIC: &[u8; 8] = b"SPSEAL1\0";
/// Salt that derives the wrapping key. 24 bytes: two secrets never share one, so the GCM nonce below may be constant.
const SALT: usize = 24;
const WRAPPED: usize = 32 + TAG_LENGTH;
/// Each key that is used with this nonce is used once.
const NONCE: [u8; NONCE_LENGTH] = [0; NONCE_LENGTH];

/// Why a secret was not stored or found.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Too large.
    #[error("the secret is {found} bytes, at most {MAX_SECRET} are kept")]
    Size {
        /// Its size.
        found: usize,
    },
    /// The record was changed, belongs to another path, or is of another key-encryption key.
    #[error("the record of {path} does not open: it was altered or moved, or kek.bin is another broker's")]
    Opening {
        /// Whose record.
        path: ResourcePath,
    },
    /// Sealing failed.
    #[error("the secret could not be sealed")]
    Sealing,
}

impl From<CryptoError> for VaultError {
    fn from(_: CryptoError) -> Self {
        Self::Sealing
    }
}

/// The secrets of one broker.
pub struct Vault {
    storage: Arc<dyn Storage>,
    kek: Key,
}

impl Vault {
    /// Secrets in `storage` under `kek`.
    pub fn new(storage: Arc<dyn Storage>, kek: Key) -> Self {
        Self { storage, kek }
    }

    /// Store or replace a secret. When this returns it is on disk.
    pub fn put(&self, path: &ResourcePath, secret: &SecretBytes) -> Result<(), VaultError> {
        let found = secret.expose().len();
        if found > MAX_SECRET {
            return Err(VaultError::Size { found });
        }
        let record = self.seal(path, secret.expose())?;
        Ok(self.storage.put(Table::Secrets, &path.to_string(), &record)?)
    }

    /// A secret, or `None` where there is none.
    pub fn get(&self, path: &ResourcePath) -> Result<Option<SecretBytes>, VaultError> {
        let Some(record) = self.storage.get(Table::Secrets, &path.to_string())? else { return Ok(None) };
        let secret = self.open(path, &record).ok_or_else(|| VaultError::Opening { path: path.clone() })?;
        Ok(Some(secret))
    }

    /// Forget a secret; whether there was one. Earlier copies of the disk may still hold it.
    pub fn delete(&self, path: &ResourcePath) -> Result<bool, VaultError> {
        Ok(self.storage.delete(Table::Secrets, &path.to_string())?)
    }

    /// Resource paths and the sizes of their records in bytes.
    pub fn list(&self) -> Result<Vec<(String, u64)>, VaultError> {
        Ok(self.storage.list(Table::Secrets)?)
    }

    fn seal(&self, path: &ResourcePath, secret: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let salt: [u8; SALT] = crypto::random()?;
        let data_key = Key::new(crypto::random()?);
        let mut wrapped = Vec::with_capacity(WRAPPED);
        wrapped.extend_from_slice(data_key.expose());
        crypto::seal(self.wrapping_key(&salt).expose(), NONCE, &associated(path), &mut wrapped)?;
        let mut sealed = Vec::with_capacity(secret.len() + TAG_LENGTH);
        sealed.extend_from_slice(secret);
        crypto::seal(data_key.expose(), NONCE, &associated(path), &mut sealed)?;
        Ok([MAGIC.as_slice(), &salt, &wrapped, &sealed].concat())
    }

    fn open(&self, path: &ResourcePath, record: &[u8]) -> Option<SecretBytes> {
        let rest = record.strip_prefix(MAGIC)?;
        let (salt, rest) = rest.split_at_checked(SALT)?;
        let (wrapped, sealed) = rest.split_at_checked(WRAPPED)?;
        let mut data_key = Zeroizing::new(wrapped.to_vec());
        crypto::open(self.wrapping_key(salt).expose(), NONCE, &associated(path), &mut data_key).ok()?;
        let data_key: Zeroizing<[u8; 32]> = Zeroizing::new(data_key.as_slice().try_into().ok()?);
        let mut secret = Zeroizing::new(sealed.to_vec());
        crypto::open(&data_key, NONCE, &associated(path), &mut secret).ok()?;
        Some(SecretBytes::new(std::mem::take(&mut *secret)))
    }

    fn wrapping_key(&self, salt: &[u8]) -> Key {
        crypto::derive(&self.kek, "sealpod secret wrapping v1", salt)
    }
}

/// A record that was moved to another path does not open there.
fn associated(path: &ResourcePath) -> Vec<u8> {
    format!("sealpod secret v1\0{path}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::FileStorage;

    fn vault() -> (tempfile::TempDir, Arc<dyn Storage>, Vault) {
        let directory = tempfile::tempdir().unwrap();
        let storage: Arc<dyn Storage> = Arc::new(FileStorage::create(&directory.path().join("s")).unwrap());
        let vault = Vault::new(storage.clone(), Key::new([1; 32]));
        (directory, storage, vault)
    }

    fn path(text: &str) -> ResourcePath {
        text.parse().unwrap()
    }

    #[test]
    fn secrets_of_any_size_come_back() {
        let (_directory, _storage, vault) = vault();
        for secret in [&b""[..], b"x", &[7; MAX_SECRET]] {
            vault.put(&path("a/b/c"), &SecretBytes::new(secret.to_vec())).unwrap();
            assert!(vault.get(&path("a/b/c")).unwrap().unwrap().expose() == secret);
        }
        let large = SecretBytes::new(vec![0; MAX_SECRET + 1]);
        assert!(matches!(vault.put(&path("a/b/c"), &large), Err(VaultError::Size { .. })));
        assert!(vault.get(&path("a/b/d")).unwrap().is_none());
    }

    #[test]
    fn no_secret_is_readable_on_disk() {
        let (_directory, storage, vault) = vault();
        vault.put(&path("a/b/c"), &SecretBytes::new(b"0123456789abcdef".to_vec())).unwrap();
        let record = storage.get(Table::Secrets, "a/b/c").unwrap().unwrap();
        assert!(!record.windows(8).any(|w| w == b"01234567"));
    }

    #[test]
    fn every_byte_of_a_record_and_its_path_are_authenticated() {
        let (_directory, storage, vault) = vault();
        vault.put(&path("a/b/c"), &SecretBytes::new(b"secret".to_vec())).unwrap();
        let record = storage.get(Table::Secrets, "a/b/c").unwrap().unwrap();
        for at in 0..record.len() {
            let mut spoiled = record.clone();
            spoiled[at] ^= 1;
            assert!(vault.open(&path("a/b/c"), &spoiled).is_none(), "{at}");
            assert!(vault.open(&path("a/b/c"), &record[..at]).is_none(), "{at}");
        }
        storage.put(Table::Secrets, "a/b/d", &record).unwrap();
        assert!(matches!(vault.get(&path("a/b/d")), Err(VaultError::Opening { .. })));
        let other = Vault::new(storage, Key::new([2; 32]));
        assert!(matches!(other.get(&path("a/b/c")), Err(VaultError::Opening { .. })));
    }
}
