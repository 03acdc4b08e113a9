//! What the owner does: secrets, the release policy, Reference Values. The command line and the HTTP interface both call this.

use crate::audit::{AuditError, AuditLog, Entry, Verdict};
use crate::crypto;
use crate::keys::{self, KeysError};
use crate::layout::Layout;
use crate::packed;
use crate::release::{POLICY_NAME, Policy, PolicyError};
use crate::secret::SecretBytes;
use crate::storage::{FileStorage, Storage, StorageError, Table};
use crate::vault::{Vault, VaultError};
use sealpod_evidence::reference_values::ReferenceDocument;
use sealpod_evidence::workload::ResourcePath;
use sealpod_verifier::{ReferenceError, ReferenceValues, UnixTime};
use std::sync::Arc;

/// Longest Reference Value document in bytes: some 100,000 files at 150 bytes each.
pub const MAX_REFERENCE: usize = 16 * 1024 * 1024;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A secret could not be kept.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The change was made, but the audit log has no line of it.
    #[error("{0}; the change itself was made")]
    Audit(#[source] AuditError),
    /// A key is missing.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Not a policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Not a Reference Value document.
    #[error("not a Reference Value document: {0}")]
    Document(String),
    /// A packed set could not be kept.
    #[error(transparent)]
    Packed(#[from] packed::KeepError),
    /// A document that the verifier does not take.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
}

/// The owner's hand on one store.
pub struct Admin {
    /// The records.
    pub storage: Arc<dyn Storage>,
    /// The secrets among them.
    pub vault: Vault,
    /// Who did what.
    pub audit: AuditLog,
}

/// Who does something, and when.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// Address of an administrator that came over the network.
    pub peer: Option<&'a str>,
    /// The time.
    pub now: UnixTime,
}

impl Admin {
    /// Open the store of a broker, whether its server runs or not.
    pub fn open(layout: &Layout) -> Result<Self, AdminError> {
        let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(&layout.store())?);
        let vault = Vault::new(storage.clone(), keys::load_kek(layout)?);
        let audit = AuditLog::open(&layout.audit()).map_err(AdminError::Audit)?;
        Ok(Self { storage, vault, audit })
    }

    /// Store or replace a secret.
    pub fn set_secret(
        &self,
        by: By<'_>,
        path: &ResourcePath,
        secret: &SecretBytes,
    ) -> Result<(), AdminError> {
        self.vault.put(path, secret)?;
        self.record(by, "secret-set", &path.to_string())
    }

    /// Remove a secret; whether there was one.
    pub fn delete_secret(&self, by: By<'_>, path: &ResourcePath) -> Result<bool, AdminError> {
        let found = self.vault.delete(path)?;
        if found {
            self.record(by, "secret-delete", &path.to_string())?;
        }
        Ok(found)
    }

    /// Install a release policy; the one before is replaced. Gives its SHA-256 in hex.
    pub fn set_policy(&self, by: By<'_>, text: &str) -> Result<String, AdminError> {
        let id = hex::encode(Policy::compile(text)?.sha256());
        self.storage.put(Table::Policies, POLICY_NAME, text.as_bytes())?;
        self.record(by, "policy-set", &id)?;
        Ok(id)
    }

    /// The release policy's text.
    pub fn policy(&self) -> Result<Option<String>, AdminError> {
        let bytes = self.storage.get(Table::Policies, POLICY_NAME)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Add a Reference Value document. Gives its id, the SHA-256 of its bytes in hex.
    pub fn add_reference(&self, by: By<'_>, bytes: &[u8]) -> Result<String, AdminError> {
        let document = parse_reference(bytes)?;
        ReferenceValues::from_documents(&[document])?;
        let id = hex::encode(crypto::sha256(bytes));
        self.storage.put(Table::References, &id, bytes)?;
        self.record(by, "reference-add", &id)?;
        Ok(id)
    }

    /// Keep a packed set of files that documents list, or will. Gives its SHA-256 in hex.
    pub fn add_packed(&self, by: By<'_>, layout: &Layout, bytes: Vec<u8>) -> Result<String, AdminError> {
        let sha256 = packed::keep(layout, bytes)?;
        self.record(by, "packed-add", &sha256)?;
        // A server that runs looks at its Reference Values again when a document is written.
        for (id, document) in self.references()? {
            let lists = document.packed_files.iter().any(|set| set.sha256.to_string() == sha256);
            if let (true, Some(bytes)) = (lists, self.storage.get(Table::References, &id)?) {
                self.storage.put(Table::References, &id, &bytes)?;
            }
        }
        Ok(sha256)
    }

    /// Remove a document by its id; whether there was one.
    pub fn remove_reference(&self, by: By<'_>, id: &str) -> Result<bool, AdminError> {
        let found = self.storage.delete(Table::References, id)?;
        if found {
            self.record(by, "reference-remove", id)?;
        }
        Ok(found)
    }

    /// All documents with their ids.
    pub fn references(&self) -> Result<Vec<(String, ReferenceDocument)>, AdminError> {
        load_references(&*self.storage)
    }

    fn record(&self, by: By<'_>, action: &str, subject: &str) -> Result<(), AdminError> {
        let entry = Entry { subject: Some(subject), peer: by.peer, ..Entry::new(action, Verdict::Allow) };
        self.audit.append(by.now, &entry).map_err(AdminError::Audit)?;
        self.audit.sync().map_err(AdminError::Audit)
    }
}

/// All Reference Value documents of a store.
pub fn load_references(storage: &dyn Storage) -> Result<Vec<(String, ReferenceDocument)>, AdminError> {
    let mut documents = Vec::new();
    for (id, _) in storage.list(Table::References)? {
        // One that was removed since the listing is no longer expected.
        if let Some(bytes) = storage.get(Table::References, &id)? {
            documents.push((id, parse_reference(&bytes)?));
        }
    }
    Ok(documents)
}

fn parse_reference(bytes: &[u8]) -> Result<ReferenceDocument, AdminError> {
    if bytes.len() > MAX_REFERENCE {
        return Err(AdminError::Document(format!(
            "{} bytes, at most {MAX_REFERENCE} are taken",
            bytes.len()
        )));
    }
    serde_json::from_slice(bytes).map_err(|e| AdminError::Document(e.to_string()))
}
