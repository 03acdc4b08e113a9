//! One running broker: what the handlers share, and the two decisions, attestation and release.

use crate::admin::{Admin, AdminError, load_references};
use crate::archive::Archive;
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::endorse::{self, EndorseError};
use crate::endorsements::{Fetcher, OpenError};
use crate::keys::{self, Keys, KeysError};
use crate::layout::Layout;
use crate::packed;
use crate::release::{POLICY_NAME, Policy, PolicyError};
use crate::sessions::Sessions;
use crate::storage::{Storage, StorageError, Table, Version};
use endorsed::Endorsed;
use sealpod_verifier::{ReferenceValues, UnixTime};
use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::Semaphore;

mod attest;
mod endorsed;
mod node;
mod refusals;
mod release;

pub use attest::{Attested, Begun, Lacking};
pub use node::{NodeChallenge, NodeRound};
pub use refusals::MAX_LISTED;

/// `/attest` bodies at once; with 4 MiB each, a gigabyte. Others wait. A node's evidence takes the places of several.
const MAX_BODIES: usize = 256;

/// Why a broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The owner's records.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The archive.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Endorsements.
    #[error(transparent)]
    Endorse(#[from] EndorseError),
    /// What fetches and keeps them.
    #[error(transparent)]
    Endorsements(#[from] OpenError),
    /// Another server has this directory.
    #[error("another server runs on {}; stop it first", path.display())]
    Running {
        /// The directory.
        path: PathBuf,
    },
    /// The lock file.
    #[error("cannot lock {}: {source}", path.display())]
    Lock {
        /// Which file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
}

/// The broker.
pub struct Broker {
    pub(crate) config: Config,
    pub(crate) layout: Layout,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Keys,
    pub(crate) admin: Admin,
    pub(crate) archive: Archive,
    pub(crate) sessions: Sessions,
    /// `/attest` bodies in memory at once.
    pub(crate) bodies: Arc<Semaphore>,
    /// Appraisals at once: each may hold evidence several times its size.
    pub(crate) appraisals: Arc<Semaphore>,
    refusals: refusals::Refusals,
    nodes: node::Nodes,
    endorsed: Endorsed,
    owner: RwLock<Arc<Owner>>,
    loading: Mutex<()>,
    _lock: File,
}

/// The owner's word in the form that decisions use, as of one version of the store.
pub(crate) struct Owner {
    version: Version,
    /// Reference Values, or why they do not load. Then nothing is accepted.
    pub(crate) reference: Result<ReferenceValues, String>,
    /// Packed sets that could not be loaded, a line each.
    packed: Vec<String>,
    /// The release policy, or why there is none. Then nothing is released.
    pub(crate) policy: Result<Policy, String>,
}

impl Broker {
    /// Open the broker in a directory. The directory is locked against other servers while this lives.
    pub fn open(layout: Layout, config: Config, clock: Box<dyn Clock>) -> Result<Self, StartError> {
        let lock = lock(&layout)?;
        let admin = Admin::open(&layout)?;
        let archive = Archive::open(admin.storage.clone(), config.archive_limits())?;
        let clock: Arc<dyn Clock> = clock.into();
        let endorsements = endorse::load(&config, &layout)?;
        let fetcher = Arc::new(Fetcher::open(&config.endorsements, &layout, clock.clone())?);
        let endorsed = Endorsed::new(endorsements, fetcher, config.endorsements.wait_seconds);
        let owner = Arc::new(Owner::load(&*admin.storage, &layout)?);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            keys: Keys::load(&layout)?,
            config,
            layout,
            clock,
            admin,
            archive,
            sessions: Sessions::default(),
            bodies: Arc::new(Semaphore::new(MAX_BODIES)),
            appraisals: Arc::new(Semaphore::new(2 * cores)),
            refusals: refusals::Refusals::default(),
            nodes: node::Nodes::default(),
            endorsed,
            owner: RwLock::new(owner),
            loading: Mutex::new(()),
            _lock: lock,
        })
    }

    /// What weakens this broker, one line each, for whoever starts it.
    pub fn warnings(&self) -> Vec<String> {
        let mut out = Vec::new();
        let roots = [&self.config.dangerous_trust_test_root, &self.config.dangerous_trust_tdx_test_root];
        for path in roots.into_iter().flatten() {
            let path = path.display();
            out.push(format!(
                "DANGEROUS: the test root {path} is trusted; everybody who has its key can forge evidence"
            ));
        }
        if self.config.dangerous_plain_http {
            out.push("DANGEROUS: serving without TLS".to_owned());
        }
        if self.config.appraisal.dangerous_accept_host_vtpm {
            out.push("DANGEROUS: vTPMs are accepted that only the host vouches for".to_owned());
        }
        if self.config.endorsements.dangerous_plain_http {
            out.push("DANGEROUS: endorsements are fetched without TLS".to_owned());
        }
        let paths = [
            self.layout.kek(),
            self.layout.cookie_key(),
            self.layout.credential_key(),
            self.layout.token_key(),
            self.layout.resolve(&self.config.tls_key),
        ];
        out.extend(paths.iter().filter_map(|path| keys::exposed(path)));
        let owner = self.owner.read().unwrap_or_else(PoisonError::into_inner);
        out.extend(owner.policy.as_ref().ok().and_then(Policy::warning).map(str::to_owned));
        out.extend(owner.packed.iter().cloned());
        out.extend(owner.reference.as_ref().err().map(|why| format!("nothing will be accepted: {why}")));
        out.extend(owner.policy.as_ref().err().map(|why| format!("nothing will be released: {why}")));
        out
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Take up endorsements that other processes imported, and fetch newer versions of those that get old.
    pub async fn keep_endorsements_fresh(&self) {
        self.endorsed.keep_fresh(self.now()).await;
    }

    /// The owner's word as of now: a change by any process counts from the next request on.
    pub(crate) fn owner(&self) -> Result<Arc<Owner>, StorageError> {
        let version = self.admin.storage.version()?;
        let current = || self.owner.read().unwrap_or_else(PoisonError::into_inner).clone();
        let owner = current();
        if owner.version == version {
            return Ok(owner);
        }
        let _one_at_a_time = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if current().version != self.admin.storage.version()? {
            let owner = Arc::new(Owner::load(&*self.admin.storage, &self.layout)?);
            owner.packed.iter().for_each(|warning| eprintln!("sealpod-kbs: {warning}"));
            if let Some(warning) = owner.policy.as_ref().ok().and_then(Policy::warning) {
                eprintln!("sealpod-kbs: {warning}");
            }
            *self.owner.write().unwrap_or_else(PoisonError::into_inner) = owner;
        }
        Ok(current())
    }
}

impl Owner {
    fn load(storage: &dyn Storage, layout: &Layout) -> Result<Self, StorageError> {
        // Before the records: what changes meanwhile is then loaded once more, never missed.
        let version = storage.version()?;
        let mut reference = load_references(storage).map_err(|e| e.to_string()).and_then(|documents| {
            let documents: Vec<_> = documents.into_iter().map(|(_, document)| document).collect();
            ReferenceValues::from_documents(&documents).map_err(|e| e.to_string())
        });
        let packed = reference.as_mut().map_or_else(|_| Vec::new(), |values| packed::give(layout, values));
        let policy = match storage.get(Table::Policies, POLICY_NAME)? {
            None => Err("no release policy is installed".to_owned()),
            Some(text) => String::from_utf8(text)
                .map_err(|e| PolicyError::Syntax(e.to_string()))
                .and_then(|text| Policy::compile(&text))
                .map_err(|e| e.to_string()),
        };
        Ok(Self { version, reference, packed, policy })
    }
}

fn lock(layout: &Layout) -> Result<File, StartError> {
    let path = layout.lock();
    let failed = |source| StartError::Lock { path: path.clone(), source };
    let file = File::options().create(true).append(true).mode(0o600).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Running { path: layout.directory().to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
