//! What the broker believes of vendors now: the settings' part, and what was fetched or imported.

use crate::endorsements::content::AmdChain;
use crate::endorsements::need::{self, Platforms};
use crate::endorsements::{Fetcher, Item, Need, PckCa, Record};
use sealpod_evidence::rcar::protocol::{Attestation, Tee};
use sealpod_verifier::tdx::{Collateral, CollateralParts, VerifiedPlatform};
use sealpod_verifier::{Endorsements, UnixTime, VerifiedSnpKey};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// Attestations that wait for endorsements at once; each holds its evidence meanwhile. Others are verified without.
const MAX_WAITING: usize = 128;
/// Chip certificates in memory, of 1.4 KiB each.
const MAX_CHIPS: usize = 16_384;

/// Endorsements with whatever adds to them.
pub(super) struct Endorsed {
    fetcher: Arc<Fetcher>,
    /// Certificates and lists of the settings.
    certificates: Vec<Vec<u8>>,
    crls: Vec<Vec<u8>>,
    state: RwLock<State>,
    platforms: Platforms,
    waiting: Semaphore,
    wait: Duration,
}

struct State {
    /// Changes when a list does, or certificates are taken away: a key verified before is not remembered after.
    generation: u64,
    endorsements: Endorsements,
    standing: BTreeMap<Item, Arc<Record>>,
    /// First and last second of the chip certificates that were added to `endorsements`.
    chips: HashMap<Item, (UnixTime, UnixTime)>,
}

/// The endorsements as of one moment.
pub(super) struct Now<'a>(RwLockReadGuard<'a, State>);

impl Now<'_> {
    pub(super) fn endorsements(&self) -> &Endorsements {
        &self.0.endorsements
    }

    /// For [`Endorsed::remember`].
    pub(super) fn generation(&self) -> u64 {
        self.0.generation
    }
}

impl Endorsed {
    /// Start with the settings' endorsements and what is on disk.
    ///
    /// A list that is past its time is taken, too: the verifier then refuses, instead of forgetting what was revoked.
    pub(super) fn new(endorsements: Endorsements, fetcher: Arc<Fetcher>, wait_seconds: u64) -> Self {
        let endorsed = Self {
            fetcher,
            certificates: endorsements.certificates().to_vec(),
            crls: endorsements.crls().to_vec(),
            state: RwLock::new(State {
                generation: 0,
                endorsements,
                standing: BTreeMap::new(),
                chips: HashMap::new(),
            }),
            platforms: Platforms::default(),
            waiting: Semaphore::new(MAX_WAITING),
            wait: Duration::from_secs(wait_seconds),
        };
        endorsed.reread();
        endorsed
    }

    pub(super) fn now(&self) -> Now<'_> {
        Now(self.read())
    }

    /// Keep what was verified under the endorsements of this generation.
    pub(super) fn remember(
        &self,
        key: Option<Arc<VerifiedSnpKey>>,
        platform: Option<Arc<VerifiedPlatform>>,
        generation: u64,
    ) {
        if key.is_none() && platform.is_none() {
            return;
        }
        let mut state = self.write();
        if state.generation == generation {
            key.into_iter().for_each(|key| state.endorsements.remember(key));
            platform.into_iter().for_each(|platform| state.endorsements.tdx_mut().remember(platform));
        }
    }

    /// What this evidence needs beside what it brings.
    pub(super) fn needs(&self, attestation: &Attestation, tee: Tee, now: UnixTime) -> Vec<Need> {
        let Some(quote) = need::td_quote(attestation, tee) else {
            return need::of_attestation(attestation, tee);
        };
        // Not under the lock: a chain may have to be verified.
        let roots = self.read().endorsements.tdx().roots().to_vec();
        let platform = self.platforms.of_quote(&quote, &roots, now);
        platform.map(|(fmspc, ca)| need::of_tdx(fmspc, &[ca])).unwrap_or_default()
    }

    /// What of these needs is neither held nor on disk, and can be fetched.
    pub(super) fn missing(&self, needs: Vec<Need>, now: UnixTime) -> Vec<Need> {
        let held = |need: &Need| {
            let state = self.read();
            need.0.iter().any(|item| state.holds(item, now))
        };
        let on_disk = |need: &Need| {
            let found =
                need.0.iter().find_map(|item| self.fetcher.cache().get(item).filter(|r| r.is_valid(now)));
            found.map(|record| self.apply(Arc::new(record))).is_some()
        };
        let fetched = |need: &Need| need.0.iter().any(|item| self.fetcher.is_on(item));
        needs.into_iter().filter(|need| !held(need) && !on_disk(need) && fetched(need)).collect()
    }

    /// Fetch what is missing, for a bounded time; what came is then held. Says what did not, and why.
    pub(super) async fn gather(&self, missing: Vec<Need>, source: Option<IpAddr>) -> Vec<String> {
        let Ok(_place) = self.waiting.try_acquire() else {
            return vec![format!("{MAX_WAITING} others wait for endorsements already")];
        };
        let deadline = Instant::now() + self.wait;
        let mut fetches = JoinSet::new();
        for Need(items) in missing {
            let fetcher = self.fetcher.clone();
            fetches.spawn(async move {
                let mut failures = Vec::new();
                for item in items {
                    match fetcher.obtain(item, source).await {
                        Ok(record) => return Ok(record),
                        Err(why) => failures.push(format!("{item}: {why}")),
                    }
                }
                Err(failures)
            });
        }
        let mut notes = Vec::new();
        loop {
            match timeout_at(deadline, fetches.join_next()).await {
                Ok(Some(Ok(Ok(record)))) => self.apply(record),
                Ok(Some(Ok(Err(failures)))) => notes.extend(failures),
                Ok(Some(Err(_))) => notes.push("a fetch was interrupted".to_owned()),
                Ok(None) => return notes,
                // The fetches themselves go on, and the next attestation finds what they bring.
                Err(_) => {
                    notes.push(format!("not all came within {} s; try again", self.wait.as_secs()));
                    return notes;
                }
            }
        }
    }

    /// Take up what other processes imported, and ask for newer versions of what is held, except for single chips' certificates.
    pub(super) async fn keep_fresh(&self, now: UnixTime) {
        self.reread();
        let stale: Vec<Item> = {
            let state = self.read();
            let stale = |(_, record): &(&Item, &Arc<Record>)| record.is_stale(now);
            state.standing.iter().filter(stale).map(|(item, _)| *item).collect()
        };
        let mut refreshes = JoinSet::new();
        for item in stale.into_iter().filter(|item| self.fetcher.is_on(item)) {
            let fetcher = self.fetcher.clone();
            refreshes.spawn(async move { fetcher.refresh(item).await });
        }
        while let Some(refreshed) = refreshes.join_next().await {
            // Failures were said by whoever fetched.
            if let Ok(Ok(record)) = refreshed {
                self.apply(record);
            }
        }
    }

    fn reread(&self) {
        match self.fetcher.cache().standing() {
            Err(error) => eprintln!("sealpod-kbs: {error}"),
            Ok(items) => {
                self.forget_all_but(&items);
                items
                    .iter()
                    .filter_map(|item| self.fetcher.cache().get(item))
                    .for_each(|r| self.apply(Arc::new(r)));
            }
        }
    }

    /// Somebody removed the files of the others. Certificates and collateral stay until a restart; they are judged each time.
    fn forget_all_but(&self, kept: &[Item]) {
        let mut state = self.write();
        let before = state.standing.len();
        state.standing.retain(|item, _| kept.contains(item));
        if state.standing.len() < before {
            state.renew_lists(&self.crls);
        }
    }

    fn apply(&self, record: Arc<Record>) {
        let mut state = self.write();
        if let Item::Vcek { .. } = record.item {
            state.apply_chip(&record, &self.certificates);
            return;
        }
        let before = state.standing.insert(record.item, record.clone());
        if before.is_some_and(|before| before.body == record.body && before.head.chain == record.head.chain) {
            return;
        }
        match record.item {
            // One more certificate takes no ground from a verdict, so none is taken away.
            Item::VcekChain(_) | Item::VlekChain(_) => state.add_chain(&record),
            Item::VcekCrl(_) | Item::VlekCrl(_) => state.renew_lists(&self.crls),
            _ => state.renew_collateral(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn holds(&self, item: &Item, now: UnixTime) -> bool {
        match item {
            Item::Vcek { .. } => self.chips.get(item).is_some_and(|(from, to)| (from..=to).contains(&&now)),
            _ => self.standing.get(item).is_some_and(|record| record.is_valid(now)),
        }
    }

    fn add_chain(&mut self, record: &Record) {
        match AmdChain::from_pem(&record.body) {
            Ok(chain) => {
                let certificates = chain.authority.into_iter().chain(chain.root);
                certificates.for_each(|der| self.endorsements.add_certificate(der));
            }
            Err(error) => eprintln!("sealpod-kbs: {} is not used: {error}", record.item),
        }
    }

    /// Have exactly the lists of the settings and those held.
    fn renew_lists(&mut self, settings: &[Vec<u8>]) {
        let fetched = self.standing.values().filter(|record| is_amd_list(&record.item));
        let crls = settings.iter().cloned().chain(fetched.map(|record| record.body.clone())).collect();
        self.endorsements.set_crls(crls);
        self.generation = self.generation.wrapping_add(1);
    }

    /// Put together what of Intel's is there. What is past its time, too: the verifier says so.
    fn renew_collateral(&mut self) {
        let record = |item| self.standing.get(&item);
        let (Some(identity), Some(root)) = (record(Item::TdxQeIdentity), record(Item::IntelRootCrl)) else {
            return;
        };
        let infos = self.standing.values().filter(|record| matches!(record.item, Item::TdxTcbInfo { .. }));
        let lists: Vec<_> = [PckCa::Platform, PckCa::Processor]
            .map(Item::PckCrl)
            .iter()
            .filter_map(|item| self.standing.get(item))
            .collect();
        let mut found = Vec::new();
        for info in infos {
            for list in &lists {
                let collateral = Collateral::from_parts(CollateralParts {
                    tcb_info: &info.body,
                    tcb_info_issuer_chain: info.chain(),
                    qe_identity: &identity.body,
                    qe_identity_issuer_chain: identity.chain(),
                    pck_crl: &list.body,
                    root_ca_crl: &root.body,
                });
                match collateral {
                    Ok(collateral) => found.push(collateral),
                    Err(error) => eprintln!("sealpod-kbs: {} is not used: found {}", info.item, error.found),
                }
            }
        }
        for collateral in found {
            self.endorsements.tdx_mut().set_collateral(collateral);
        }
        self.generation = self.generation.wrapping_add(1);
    }

    /// Of very many chips all are forgotten; they are on disk.
    fn apply_chip(&mut self, record: &Record, settings: &[Vec<u8>]) {
        if self.chips.len() >= MAX_CHIPS {
            self.chips.clear();
            self.endorsements.set_certificates(settings.to_vec());
            let standing: Vec<_> = self.standing.values().cloned().collect();
            standing
                .iter()
                .filter(|record| is_amd_chain(&record.item))
                .for_each(|record| self.add_chain(record));
            self.generation = self.generation.wrapping_add(1);
        }
        self.endorsements.add_certificate(record.body.clone());
        self.chips.insert(record.item, (record.head.from, record.head.to));
    }
}

fn is_amd_chain(item: &Item) -> bool {
    matches!(item, Item::VcekChain(_) | Item::VlekChain(_))
}

fn is_amd_list(item: &Item) -> bool {
    matches!(item, Item::VcekCrl(_) | Item::VlekCrl(_))
}
