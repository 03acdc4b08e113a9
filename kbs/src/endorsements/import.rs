//! Endorsements from files, for brokers that reach no vendor.

use super::cache::Cache;
use super::content::{AmdChain, AmdFile, Collateral, Content, IntelFile, pem_sections, to_pem};
use super::error::ContentError;
use super::item::Item;
use super::record::Record;
use crate::storage::StorageError;
use rustls_pki_types::pem::SectionKind;
use sealpod_evidence::snp::report::Product;
use sealpod_verifier::UnixTime;
use sealpod_verifier::snp::Role;
use std::collections::{BTreeMap, HashMap};

/// Largest file: a chain, lists and collateral in one document.
pub const MAX_FILE: usize = 1 << 20;

/// Why files were not imported. Then none of them was.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Too large for anything of its kind.
    #[error("{file}: expected at most {MAX_FILE} bytes, found {found}")]
    Size {
        /// Which.
        file: String,
        /// Its length.
        found: usize,
    },
    /// Nothing that is known.
    #[error(
        "{file}: expected an endorsement of AMD or Intel (certificate or revocation list in DER or PEM, collateral in JSON), found {found}"
    )]
    Unknown {
        /// Which.
        file: String,
        /// What is wrong with it.
        found: String,
    },
    /// A VLEK.
    #[error(
        "{file}: a VLEK comes with the evidence of its provider's guests and is not kept; import its ASVK and ARK"
    )]
    Vlek {
        /// Which.
        file: String,
    },
    /// One half of a chain without the other.
    #[error("{item}: {source}; import both together")]
    Chain {
        /// Which chain.
        item: Box<Item>,
        /// What is missing.
        source: ContentError,
    },
    /// Collateral without the certificates of whoever signed it.
    #[error(
        "{item}: expected the certificate {expected:?} of whoever signed it among the files, found none; it comes in a header of the service's answer"
    )]
    Signer {
        /// Which.
        item: Box<Item>,
        /// The certificate's name.
        expected: &'static str,
    },
    /// Not good now, or older than what is held.
    #[error("{item}: {source}")]
    Content {
        /// Which.
        item: Box<Item>,
        /// Why.
        source: ContentError,
    },
    /// The cache.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Keep what these files (name and bytes) hold; all or, when one is not good, nothing.
pub fn import(cache: &Cache, files: &[(String, Vec<u8>)], now: UnixTime) -> Result<Vec<Record>, ImportError> {
    let mut loose = Loose::default();
    for (file, bytes) in files {
        if bytes.len() > MAX_FILE {
            return Err(ImportError::Size { file: file.clone(), found: bytes.len() });
        }
        loose.add_file(file, bytes)?;
    }
    let mut records = Vec::new();
    for (item, (file, content)) in loose.complete(cache)? {
        let held = cache.get(&item);
        let current = content.require_current(held.as_ref(), now);
        current.map_err(|source| ImportError::Content { item: Box::new(item), source })?;
        records.push(Record::new(item, content, file, now));
    }
    for record in &records {
        cache.put(record)?;
    }
    Ok(records)
}

/// What was found so far, with the file that it is from.
#[derive(Default)]
struct Loose {
    items: BTreeMap<Item, (String, Content)>,
    /// Chains, true for VLEKs'.
    chains: BTreeMap<(Product, bool), (String, AmdChain)>,
    roots: BTreeMap<Product, (String, Vec<u8>)>,
    /// Intel's, by subject: issuer and certificate.
    certificates: HashMap<String, (String, Vec<u8>)>,
}

impl Loose {
    fn add_file(&mut self, file: &str, bytes: &[u8]) -> Result<(), ImportError> {
        let unknown = |e: ContentError| ImportError::Unknown { file: file.to_owned(), found: e.to_string() };
        let text = bytes.trim_ascii();
        if text.starts_with(b"{") {
            return self.add_json(file, text);
        }
        if !text.starts_with(b"-") && !bytes.starts_with(&[0x30]) {
            return Err(unknown(pem_sections(bytes).err().unwrap_or(ContentError::Syntax {
                expected: "PEM from the start",
                found: "other text first".to_owned(),
            })));
        }
        if !text.starts_with(b"-") {
            return self.add_der(file, bytes);
        }
        for (kind, der) in pem_sections(bytes).map_err(unknown)? {
            debug_assert!(matches!(kind, SectionKind::Certificate | SectionKind::Crl));
            self.add_der(file, &der)?;
        }
        Ok(())
    }

    fn add_json(&mut self, file: &str, text: &[u8]) -> Result<(), ImportError> {
        let unknown = |found: String| ImportError::Unknown { file: file.to_owned(), found };
        if let Some(collateral) = Collateral::read(text) {
            for (item, content) in collateral.items().map_err(|e| unknown(e.to_string()))? {
                self.items.insert(item, (file.to_owned(), content));
            }
            return Ok(());
        }
        match IntelFile::read_json(text) {
            Some(IntelFile::Item(item, content)) => {
                self.items.insert(item, (file.to_owned(), content));
                Ok(())
            }
            _ => Err(unknown("other JSON".to_owned())),
        }
    }

    fn add_der(&mut self, file: &str, der: &[u8]) -> Result<(), ImportError> {
        match AmdFile::read(der) {
            Some(AmdFile::Item(item, content)) => {
                self.items.insert(item, (file.to_owned(), content));
                return Ok(());
            }
            // One root withdraws both kinds of authority in one list.
            Some(AmdFile::List(product, content)) => {
                for item in [Item::VcekCrl(product), Item::VlekCrl(product)] {
                    self.items.insert(item, (file.to_owned(), content.clone()));
                }
                return Ok(());
            }
            Some(AmdFile::Above(role)) => {
                self.add_above(file, role, der);
                return Ok(());
            }
            Some(AmdFile::Vlek) => return Err(ImportError::Vlek { file: file.to_owned() }),
            None => {}
        }
        match IntelFile::read_der(der) {
            Some(IntelFile::Item(item, content)) => {
                self.items.insert(item, (file.to_owned(), content));
            }
            Some(IntelFile::Certificate { subject, issuer }) => {
                self.certificates.insert(subject, (issuer, der.to_vec()));
            }
            None => {
                let found = format!("{} bytes of another kind", der.len());
                return Err(ImportError::Unknown { file: file.to_owned(), found });
            }
        }
        Ok(())
    }

    fn add_above(&mut self, file: &str, role: Role, der: &[u8]) {
        let (product, vlek) = match role {
            Role::Ark(product) => {
                self.roots.insert(product, (file.to_owned(), der.to_vec()));
                return;
            }
            Role::Ask(product) => (product, false),
            Role::Asvk(product) => (product, true),
            Role::Vcek | Role::Vlek => return,
        };
        let chain = AmdChain { authority: Some(der.to_vec()), root: None };
        self.chains.insert((product, vlek), (file.to_owned(), chain));
    }

    /// Put halves together, those of the cache included.
    fn complete(mut self, cache: &Cache) -> Result<BTreeMap<Item, (String, Content)>, ImportError> {
        for (product, (file, _)) in &self.roots {
            let named = [false, true].into_iter().any(|vlek| self.chains.contains_key(&(*product, vlek)));
            if !named {
                let chain = (file.clone(), AmdChain::default());
                self.chains.insert((*product, false), chain);
            }
        }
        for ((product, vlek), (file, mut chain)) in std::mem::take(&mut self.chains) {
            let item = if vlek { Item::VlekChain(product) } else { Item::VcekChain(product) };
            let held = cache.get(&item).and_then(|record| AmdChain::from_pem(&record.body).ok());
            let held = held.unwrap_or_default();
            let root = self.roots.get(&product).map(|(_, der)| der.clone());
            chain = AmdChain { authority: chain.authority.or(held.authority), root: root.or(held.root) };
            let content =
                chain.content().map_err(|source| ImportError::Chain { item: Box::new(item), source })?;
            self.items.insert(item, (file, content));
        }
        for (item, (_, content)) in &mut self.items {
            if let (Some(signer), None) = (IntelFile::signer(item), &content.chain) {
                let chain = issuer_chain(&self.certificates, signer);
                let chain = chain.ok_or(ImportError::Signer { item: Box::new(*item), expected: signer })?;
                content.chain = Some(chain);
            }
        }
        Ok(self.items)
    }
}

/// PEM of the certificate of this name and those above it.
fn issuer_chain(certificates: &HashMap<String, (String, Vec<u8>)>, signer: &str) -> Option<String> {
    let (issuer, der) = certificates.get(signer)?;
    let above = certificates.get(issuer).filter(|_| issuer != signer).map(|(_, der)| der.as_slice());
    to_pem([der.as_slice()].into_iter().chain(above)).ok()
}
