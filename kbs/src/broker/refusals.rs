//! How many refused attestations are written down.
//!
//! Whoever reaches the port can have itself refused as often as it likes. If each refusal were a line, it could fill the disk, and
//! a broker that cannot write down a decision makes none.

use sealpod_verifier::UnixTime;
use std::sync::{Mutex, PoisonError};

/// Refused attestations that are listed in each minute. A line is half a kilobyte, and at worst 25: some 100 MB a day, and at
/// worst 10 GB.
pub const MAX_LISTED: u64 = 300;

/// Counts the refusals of the current minute.
#[derive(Default)]
pub struct Refusals(Mutex<Minute>);

#[derive(Default)]
struct Minute {
    minute: u64,
    refused: u64,
}

impl Refusals {
    /// One more refusal; whether it is to be listed. Call [`Self::unlisted`] first.
    pub fn admit(&self, now: UnixTime) -> bool {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if minute.minute != now / 60 {
            *minute = Minute { minute: now / 60, refused: 0 };
        }
        minute.refused += 1;
        minute.refused <= MAX_LISTED
    }

    /// How many were not listed in the minute before, told once. A clock that is set back ends a minute, too.
    pub fn unlisted(&self, now: UnixTime) -> Option<u64> {
        let mut minute = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if minute.minute == now / 60 {
            return None;
        }
        let unlisted = minute.refused.saturating_sub(MAX_LISTED);
        *minute = Minute { minute: now / 60, refused: 0 };
        (unlisted > 0).then_some(unlisted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_lists_its_first_and_counts_the_rest() {
        let refusals = Refusals::default();
        for start in [600, 660, 120] {
            let listed = (0..MAX_LISTED + 7).filter(|i| refusals.admit(start + i % 60)).count();
            assert_eq!(listed as u64, MAX_LISTED);
            assert_eq!(refusals.unlisted(start + 59), None);
            assert_eq!(refusals.unlisted(start + 60), Some(7));
            assert_eq!(refusals.unlisted(start + 60), None);
        }
        assert!(refusals.admit(0));
        assert_eq!(refusals.unlisted(1000), None);
    }
}
