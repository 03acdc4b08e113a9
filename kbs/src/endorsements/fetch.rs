//! Getting one endorsement: from disk, from a fetch that is under way, or from its vendor.

use super::cache::Cache;
use super::client::{Answer, Client, ClientError, Roots};
use super::content::Content;
use super::error::FetchError;
use super::item::{Item, Vendor};
use super::patience::Patience;
use super::record::Record;
use super::settings::EndorsementSettings;
use super::url::Url;
use crate::audit::{AuditError, AuditLog, Entry, Verdict};
use crate::clock::{Clock, rfc3339};
use crate::crypto;
use crate::layout::Layout;
use crate::storage::StorageError;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderMap};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, watch};

/// Requests at once, of all vendors.
const AT_ONCE: usize = 8;
/// Longest name of bytes that is kept for asking whether there are newer ones.
const MAX_ETAG: usize = 256;

/// What a fetch ends with.
pub type Landed = Result<Arc<Record>, FetchError>;

/// Why endorsements cannot be kept or fetched.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The cache's directory.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// TLS.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Fetches and caches. Decides nothing: what it hands out is for the verifier to judge.
pub struct Fetcher {
    settings: EndorsementSettings,
    client: Client,
    cache: Cache,
    patience: Patience,
    clock: Arc<dyn Clock>,
    audit: AuditLog,
    /// Fetches that are under way. Whoever wants the same waits for the same.
    flights: Mutex<HashMap<Item, watch::Receiver<Option<Landed>>>>,
    at_once: Semaphore,
}

impl Fetcher {
    /// Open the cache of a broker. Roots for TLS are loaded only where something is fetched with it.
    pub fn open(
        settings: &EndorsementSettings,
        layout: &Layout,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let tls =
            [Vendor::Amd, Vendor::Intel].into_iter().any(|v| settings.base(v).is_some_and(|url| url.tls));
        let file = settings.ca_certificates.as_ref().map(|path| layout.resolve(path));
        let roots = match &file {
            _ if !tls => Roots::None,
            None => Roots::System,
            Some(path) => Roots::File(path),
        };
        Ok(Self {
            settings: settings.clone(),
            client: Client::new(roots, settings.request_seconds)?,
            cache: Cache::open(layout)?,
            patience: Patience::new(settings),
            clock,
            audit: AuditLog::open(&layout.audit())?,
            flights: Mutex::default(),
            at_once: Semaphore::new(AT_ONCE),
        })
    }

    /// The files.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Whether an item can be fetched at all.
    pub fn is_on(&self, item: &Item) -> bool {
        self.settings.base(item.vendor()).is_some()
    }

    /// An item that is good now, from disk or else from its vendor. `source` is the address on whose word it is wanted.
    ///
    /// Whoever stops waiting stops nothing: the fetch goes on, and its result is kept.
    pub async fn obtain(self: &Arc<Self>, item: Item, source: Option<IpAddr>) -> Landed {
        self.land(item, source, false).await
    }

    /// Ask the vendor whether there is a newer one.
    pub async fn refresh(self: &Arc<Self>, item: Item) -> Landed {
        self.land(item, None, true).await
    }

    async fn land(self: &Arc<Self>, item: Item, source: Option<IpAddr>, anew: bool) -> Landed {
        let mut flight = {
            let mut flights = self.flights();
            match flights.get(&item) {
                Some(flight) => flight.clone(),
                None => {
                    let now = self.clock.now();
                    // Under the lock, so that what landed a moment ago is seen.
                    if let Some(record) = self.cache.get(&item).filter(|record| !anew && record.is_valid(now))
                    {
                        return Ok(Arc::new(record));
                    }
                    let url = self
                        .settings
                        .address(&item)
                        .ok_or_else(|| FetchError::Off { item: Box::new(item) })?;
                    self.patience.admit(&item, source, now)?;
                    let (landing, flight) = watch::channel(None);
                    flights.insert(item, flight.clone());
                    let fetcher = self.clone();
                    tokio::spawn(async move {
                        let fetching = Fetching { fetcher, item };
                        let result = fetching.fetcher.request(item, &url).await;
                        // Whoever comes after this sees the cache.
                        drop(fetching);
                        drop(landing.send(Some(result)));
                    });
                    flight
                }
            }
        };
        let landed = flight.wait_for(Option::is_some).await.map_err(|_| FetchError::Interrupted)?.clone();
        landed.unwrap_or(Err(FetchError::Interrupted))
    }

    async fn request(self: &Arc<Self>, item: Item, url: &Url) -> Landed {
        let _place = self.at_once.acquire().await.map_err(|_| FetchError::Interrupted)?;
        let held = self.cache.get(&item);
        let etag = held.as_ref().and_then(|record| record.head.etag.clone());
        let answer = self.client.get(url, etag.as_deref(), item.limit()).await;
        // Files and the audit log are no work for a thread that others wait on.
        let (fetcher, url) = (self.clone(), url.to_string());
        let work = move || {
            let now = fetcher.clock.now();
            let result = answer.and_then(|answer| fetcher.file(item, answer, &url, held.as_ref()));
            match &result {
                Ok(_) => fetcher.patience.succeeded(&item),
                Err(why) => {
                    let [random] = crypto::random().unwrap_or_default();
                    fetcher.patience.failed(&item, why, now, random);
                }
            }
            fetcher.tell(item, &url, held.as_ref(), &result);
            result.map(Arc::new)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| FetchError::Interrupted)?
    }

    /// Look at an answer and keep it.
    fn file(
        &self,
        item: Item,
        answer: Answer,
        url: &str,
        held: Option<&Record>,
    ) -> Result<Record, FetchError> {
        let now = self.clock.now();
        let mut record = match (answer.status, held) {
            (StatusCode::NOT_MODIFIED, Some(held)) => {
                let mut record = held.clone();
                record.confirm(max_age(&answer.headers), now);
                // Its server may say that there is no newer one, but not that it is good.
                require_valid(&record, now)?;
                record
            }
            _ => {
                let content = Content::read(&item, &answer.body, issuer_chain(&item, &answer.headers))?;
                content.require_current(held, now)?;
                let mut record = Record::new(item, content, url.to_owned(), now);
                record.confirm(max_age(&answer.headers), now);
                record
            }
        };
        let etag = answer.headers.get(ETAG).and_then(|value| value.to_str().ok());
        if let Some(etag) = etag.filter(|etag| etag.len() <= MAX_ETAG) {
            record.head.etag = Some(etag.to_owned());
        }
        self.cache.put(&record).map_err(|e| FetchError::Keep(e.to_string()))?;
        Ok(record)
    }

    /// A line in the log of whoever runs the broker, and of what is new or wrong one in the audit log.
    fn tell(&self, item: Item, url: &str, held: Option<&Record>, result: &Result<Record, FetchError>) {
        let name = item.to_string();
        let entry = Entry { subject: Some(&name), ..Entry::new("endorsement-fetch", Verdict::Allow) };
        let written = match result {
            Ok(record) if held.is_some_and(|held| held.body == record.body) => return,
            Ok(record) => {
                eprintln!("sealpod-kbs: fetched {name} from {url}, good until {}", rfc3339(record.head.to));
                self.write(&Entry { found: Some(url), ..entry })
            }
            Err(why) => {
                eprintln!("sealpod-kbs: {name} was not fetched from {url}: {why}");
                // A vendor that is down is nothing that somebody did.
                let (expected, found) = match why {
                    FetchError::Content(error) => error.sides(),
                    FetchError::TooLarge { expected } => {
                        (format!("at most {expected} bytes"), "more".to_owned())
                    }
                    _ => return,
                };
                self.write(&Entry {
                    verdict: Verdict::Refuse,
                    check: Some(why.name()),
                    expected: Some(&expected),
                    found: Some(&found),
                    ..entry
                })
            }
        };
        if let Err(error) = written {
            eprintln!("sealpod-kbs: {error}");
        }
    }

    fn write(&self, entry: &Entry<'_>) -> Result<(), AuditError> {
        self.audit.append(self.clock.now(), entry)?;
        self.audit.sync()
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Item, watch::Receiver<Option<Landed>>>> {
        // A map from which a panic kept one removal: that item's waiters are told that it was interrupted.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a fetch off the list when it has ended, in whatever way.
struct Fetching {
    fetcher: Arc<Fetcher>,
    item: Item,
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.fetcher.flights().remove(&self.item);
    }
}

fn require_valid(record: &Record, now: u64) -> Result<(), FetchError> {
    let (from, to) = (record.head.from, record.head.to);
    if record.is_valid(now) {
        return Ok(());
    }
    Err(FetchError::Content(super::error::ContentError::Validity { now, from, to }))
}

/// `max-age` of Cache-Control (RFC 9111, section 5.2.2), zero where it must be asked for each time.
fn max_age(headers: &HeaderMap) -> Option<u64> {
    let mut age = None;
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().ok()?.split(',').map(str::trim) {
            let directive = directive.to_ascii_lowercase();
            match directive.split_once('=') {
                None if directive == "no-cache" || directive == "no-store" => return Some(0),
                Some(("max-age", seconds)) => age = seconds.trim_matches('"').parse().ok(),
                _ => {}
            }
        }
    }
    age
}

/// The issuer chain of a header, url-decoded.
fn issuer_chain(item: &Item, headers: &HeaderMap) -> Option<String> {
    let value = item.issuer_headers().iter().find_map(|name| headers.get(*name))?;
    percent_decode(value.as_bytes())
}

fn percent_decode(text: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        out.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn the_cache_is_controlled_by_max_age() {
        for (value, age) in [
            ("max-age=7200", Some(7200)),
            ("public, Max-Age=60, must-revalidate", Some(60)),
            ("no-store, max-age=60", Some(0)),
            ("no-cache", Some(0)),
            ("private", None),
            ("max-age=soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(value));
            assert_eq!(max_age(&headers), age, "{value}");
        }
        assert_eq!(max_age(&HeaderMap::new()), None);
    }

    #[test]
    fn issuer_chains_are_url_decoded() {
        let mut headers = HeaderMap::new();
        headers.insert("tcb-info-issuer-chain", HeaderValue::from_static("-----BEGIN%20CERT%0AA+b%3D"));
        let item = Item::TdxTcbInfo { fmspc: [0; 6] };
        assert_eq!(issuer_chain(&item, &headers).as_deref(), Some("-----BEGIN CERT\nA+b="));
        assert_eq!(issuer_chain(&Item::IntelRootCrl, &headers), None);
        for bad in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(percent_decode(bad.as_bytes()), None, "{bad}");
        }
    }
}
