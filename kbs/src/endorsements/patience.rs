//! When to ask, and when not to: budgets for what senders choose, pauses after errors, failures remembered for a while.
//!
//! A guest that makes up chip ids must not make the broker hammer a vendor, and a vendor that is down must not be asked by every
//! guest.

use super::error::FetchError;
use super::item::{Item, Vendor};
use super::settings::EndorsementSettings;
use sealpod_verifier::UnixTime;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// First pause after an error, in seconds; doubled with each further one.
const FIRST_PAUSE: u64 = 2;
/// Longest pause after errors, in seconds.
const LONGEST_PAUSE: u64 = 300;
/// How long something that a vendor does not have, or that is wrong, is not asked for again, in seconds.
const ABSENT: u64 = 600;
/// So many failures of a vendor in a row, and it is not asked at all for a while. One alone may be about one strange chip.
const FAILURES: u32 = 3;

/// What is remembered. Only of this process: the command line asks when its user says so.
pub struct Patience {
    chips_per_minute: u64,
    chips_per_source: u64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    vendors: HashMap<Vendor, Vendors>,
    /// Entries end; as many are added in a minute as chips may be asked for.
    failed: HashMap<Item, Failure>,
    minute: u64,
    chips: u64,
    sources: HashMap<IpAddr, u64>,
}

#[derive(Default)]
struct Vendors {
    /// Failures in a row.
    failures: u32,
    until: UnixTime,
}

struct Failure {
    /// In a row.
    count: u32,
    until: UnixTime,
    why: FetchError,
}

impl Patience {
    /// With the budgets of the settings.
    pub fn new(settings: &EndorsementSettings) -> Self {
        Self {
            chips_per_minute: settings.chips_per_minute,
            chips_per_source: settings.chips_per_source,
            inner: Mutex::default(),
        }
    }

    /// Whether an item may be asked for now. Uses up budget where it may; `source` is the address on whose word it is wanted.
    pub fn admit(&self, item: &Item, source: Option<IpAddr>, now: UnixTime) -> Result<(), FetchError> {
        let mut inner = self.lock();
        if let Some(failure) = inner.failed.get(item).filter(|failure| now < failure.until) {
            return Err(FetchError::Failed { until: failure.until, why: Box::new(failure.why.clone()) });
        }
        let vendor = item.vendor();
        if let Some(pause) = inner.vendors.get(&vendor).filter(|pause| now < pause.until) {
            return Err(FetchError::Paused { vendor, until: pause.until });
        }
        if !item.is_chosen_by_sender() {
            return Ok(());
        }
        if inner.minute != now / 60 {
            inner.minute = now / 60;
            inner.chips = 0;
            inner.sources.clear();
        }
        // The address first: one that is over its own budget must not use up everybody's.
        let source = source.map(network);
        let used = source.and_then(|source| inner.sources.get(&source)).copied().unwrap_or_default();
        if used >= self.chips_per_source {
            return Err(FetchError::TooManyOfSource { expected: self.chips_per_source });
        }
        if inner.chips >= self.chips_per_minute {
            return Err(FetchError::TooManyChips { expected: self.chips_per_minute });
        }
        inner.sources.extend(source.map(|source| (source, used + 1)));
        inner.chips += 1;
        Ok(())
    }

    /// An item was fetched, or confirmed.
    pub fn succeeded(&self, item: &Item) {
        let mut inner = self.lock();
        inner.failed.remove(item);
        inner.vendors.remove(&item.vendor());
    }

    /// An item was not fetched; `random` shortens pauses by up to a half, so that brokers do not come back all at once.
    pub fn failed(&self, item: &Item, why: &FetchError, now: UnixTime, random: u8) {
        let mut inner = self.lock();
        inner.failed.retain(|_, failure| now < failure.until.saturating_add(LONGEST_PAUSE));
        if let FetchError::TooOften { seconds } = why {
            let pause = inner.vendors.entry(item.vendor()).or_default();
            pause.until = pause.until.max(now.saturating_add(*seconds));
            return;
        }
        let count = inner.failed.get(item).map_or(0, |failure| failure.count).saturating_add(1);
        let seconds = if why.is_vendors() { pause(count, random) } else { ABSENT };
        let failure = Failure { count, until: now.saturating_add(seconds), why: why.clone() };
        inner.failed.insert(*item, failure);
        let vendor = inner.vendors.entry(item.vendor()).or_default();
        if !why.is_vendors() {
            // It answered.
            vendor.failures = 0;
            return;
        }
        vendor.failures = vendor.failures.saturating_add(1);
        if let Some(surplus) = vendor.failures.checked_sub(FAILURES) {
            vendor.until = vendor.until.max(now.saturating_add(pause(surplus.saturating_add(1), random)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Counters that a panic left half done are off by one.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds of pause after so many failures.
fn pause(count: u32, random: u8) -> u64 {
    let doubled = FIRST_PAUSE.checked_shl(count.saturating_sub(1)).unwrap_or(LONGEST_PAUSE);
    // Two doublings above the longest pause `checked_shl` would lose bits.
    let full = if count > 16 { LONGEST_PAUSE } else { doubled.min(LONGEST_PAUSE) };
    full - full / 2 * u64::from(random) / 255
}

/// Whom a budget is for: an address, or of IPv6 the network that one subscriber has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpod_evidence::snp::report::Product;

    fn patience() -> Patience {
        let settings = EndorsementSettings {
            chips_per_minute: 3,
            chips_per_source: 2,
            ..EndorsementSettings::default()
        };
        Patience::new(&settings)
    }

    fn chip(id: u8) -> Item {
        Item::Vcek { product: Product::Genoa, chip_id: [id; 64], tcb: [0; 8] }
    }

    const CRL: Item = Item::VcekCrl(Product::Genoa);
    const DOWN: FetchError = FetchError::Status { found: 503 };

    #[test]
    fn chips_are_budgeted_for_each_address_and_in_all() {
        let patience = patience();
        let source = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let (one, two) = (source("2001:db8::1"), source("10.0.0.1"));
        assert_eq!(patience.admit(&chip(1), one, 600), Ok(()));
        assert_eq!(patience.admit(&chip(2), source("2001:db8::2"), 601), Ok(()));
        assert_eq!(patience.admit(&chip(3), one, 602), Err(FetchError::TooManyOfSource { expected: 2 }));
        assert_eq!(patience.admit(&chip(3), two, 603), Ok(()));
        assert_eq!(patience.admit(&chip(4), two, 604), Err(FetchError::TooManyChips { expected: 3 }));
        // What no sender chooses has no budget; and a new minute is a new one.
        assert_eq!(patience.admit(&CRL, two, 605), Ok(()));
        assert_eq!(patience.admit(&chip(4), one, 660), Ok(()));
    }

    #[test]
    fn what_a_vendor_does_not_have_is_not_asked_for_again_soon() {
        let patience = patience();
        let absent = FetchError::Status { found: 404 };
        patience.failed(&chip(1), &absent, 1000, 0);
        let expected = FetchError::Failed { until: 1000 + ABSENT, why: Box::new(absent) };
        assert_eq!(patience.admit(&chip(1), None, 1000 + ABSENT - 1), Err(expected));
        assert_eq!(patience.admit(&chip(2), None, 1001), Ok(()));
        assert_eq!(patience.admit(&chip(1), None, 1000 + ABSENT), Ok(()));
    }

    #[test]
    fn a_vendor_that_says_wait_is_waited_for() {
        let patience = patience();
        patience.failed(&chip(1), &FetchError::TooOften { seconds: 30 }, 1000, 0);
        let paused = Err(FetchError::Paused { vendor: Vendor::Amd, until: 1030 });
        assert_eq!(patience.admit(&chip(1), None, 1029), paused);
        assert_eq!(patience.admit(&CRL, None, 1029), paused);
        assert_eq!(patience.admit(&Item::IntelRootCrl, None, 1029), Ok(()));
        assert_eq!(patience.admit(&CRL, None, 1030), Ok(()));
    }

    #[test]
    fn a_vendor_that_fails_again_and_again_is_left_alone_longer_and_longer() {
        let patience = patience();
        for id in 1..FAILURES as u8 {
            patience.failed(&chip(id), &DOWN, 1000, 0);
        }
        assert_eq!(patience.admit(&CRL, None, 1000), Ok(()));
        let mut pauses = Vec::new();
        for id in 0..12 {
            patience.failed(&chip(100 + id), &DOWN, 1000, 0);
            let Err(FetchError::Paused { until, .. }) = patience.admit(&CRL, None, 1000) else { panic!() };
            pauses.push(until - 1000);
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]);
        patience.succeeded(&CRL);
        assert_eq!(patience.admit(&CRL, None, 1000), Ok(()));
    }

    #[test]
    fn an_answer_of_another_kind_is_no_failure_of_the_vendor() {
        let patience = patience();
        for id in 0..20 {
            patience.failed(&chip(id), &DOWN, 1000, 0);
            patience.failed(&chip(100 + id), &FetchError::Status { found: 404 }, 1000, 0);
        }
        assert_eq!(patience.admit(&CRL, None, 1000), Ok(()));
    }

    #[test]
    fn pauses_are_shortened_by_up_to_a_half() {
        assert_eq!((pause(1, 0), pause(1, 255)), (2, 1));
        assert_eq!((pause(40, 0), pause(40, 255)), (300, 150));
        assert_eq!(pause(u32::MAX, 0), 300);
    }
}
