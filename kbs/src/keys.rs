//! The broker's keys, as `init` made them.

use crate::crypto::{self, CryptoError};
use crate::jwt::{AdminVerifier, KeyError, TokenSigner};
use crate::layout::Layout;
use crate::secret::Key;
use sealpod_verifier::CredentialKey;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Why a key was not loaded.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file is not readable.
    #[error("cannot read {}: {source}; is this a directory that `sealpod-kbs init` made?", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// The file is not a key of 32 bytes.
    #[error("{}: expected 32 bytes, found {found}", path.display())]
    Length {
        /// Which file.
        path: PathBuf,
        /// Its length.
        found: usize,
    },
    /// The file is not a key of its kind.
    #[error("{}: {source}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: KeyError,
    },
}

/// What the server needs. The administration key's private half and the CA's are not among it.
pub struct Keys {
    /// Seals session cookies.
    pub cookie: Key,
    /// Makes vTPM credentials.
    pub credential: CredentialKey,
    /// Signs tokens.
    pub token: TokenSigner,
    /// Knows administrators.
    pub admin: AdminVerifier,
}

impl Keys {
    /// Read all of them.
    pub fn load(layout: &Layout) -> Result<Self, KeysError> {
        let token = layout.token_key();
        let admin = layout.admin_public();
        Ok(Self {
            cookie: load_key(&layout.cookie_key())?,
            credential: CredentialKey::new(load_key(&layout.credential_key())?.expose()),
            token: TokenSigner::from_pkcs8(&read(&token)?)
                .map_err(|source| KeysError::Key { path: token.clone(), source })?,
            admin: AdminVerifier::from_spki(&read(&admin)?)
                .map_err(|source| KeysError::Key { path: admin.clone(), source })?,
        })
    }
}

/// The key-encryption key.
pub fn load_kek(layout: &Layout) -> Result<Key, KeysError> {
    load_key(&layout.kek())
}

/// A new 256-bit key's bytes.
pub fn generate() -> Result<Zeroizing<[u8; 32]>, CryptoError> {
    crypto::random().map(Zeroizing::new)
}

/// A warning where others than its owner may use a key file; one that cannot be looked at is told of by whoever reads it.
pub fn exposed(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    let path = path.display();
    (mode & 0o077 != 0)
        .then(|| format!("DANGEROUS: {path} has mode {mode:04o}, others may use this key; chmod 600 it"))
}

fn load_key(path: &Path) -> Result<Key, KeysError> {
    let bytes = read(path)?;
    let key = bytes.as_slice().try_into();
    key.map(Key::new).map_err(|_| KeysError::Length { path: path.to_owned(), found: bytes.len() })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeysError> {
    let bytes = std::fs::read(path);
    bytes.map(Zeroizing::new).map_err(|source| KeysError::Io { path: path.to_owned(), source })
}
