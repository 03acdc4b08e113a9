//! Changing each byte of a part, and cutting it at each length.

pub mod boot_log;

use sealpod_testkit::hash::sha256;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Mutex;

/// A part of some evidence.
pub struct Part<S> {
    /// For people.
    pub name: &'static str,
    /// Where its bytes are.
    pub bytes: fn(&mut S) -> &mut Vec<u8>,
    /// Bind it again, in the layers around it.
    pub bind: fn(&mut S),
    /// Bytes that may change without a refusal, each range with the reason.
    pub irrelevant: Vec<(Range<usize>, &'static str)>,
}

impl<S> Part<S> {
    /// One in which every byte counts.
    pub fn new(name: &'static str, bytes: fn(&mut S) -> &mut Vec<u8>, bind: fn(&mut S)) -> Self {
        Self { name, bytes, bind, irrelevant: Vec::new() }
    }

    /// The same, but for these bytes.
    pub fn but(mut self, irrelevant: Vec<(Range<usize>, &'static str)>) -> Self {
        self.irrelevant = irrelevant;
        self
    }
}

/// What is appraised, and by whom.
pub struct Case<'a, S> {
    /// Valid evidence.
    pub valid: &'a S,
    /// Whether evidence is accepted.
    pub accepts: &'a (dyn Fn(&S) -> bool + Sync),
}

impl<S: Clone + Sync> Case<'_, S> {
    /// That the evidence is refused whichever one byte of the part changes, but for those that are named; and that each reason is needed.
    #[track_caller]
    pub fn every_byte_counts(&self, part: &Part<S>) {
        let length = self.length(part);
        let accepted = self.try_all(part, 0..length, |bytes, at| bytes[at] ^= mask(part.name, at));
        let reason =
            |at: &usize| part.irrelevant.iter().find(|(range, _)| range.contains(at)).map(|(_, why)| *why);
        let unnamed: Vec<_> = accepted.iter().filter(|at| reason(at).is_none()).collect();
        assert!(unnamed.is_empty(), "{} of {length} bytes: accepted with a change at {unnamed:?}", part.name);
        let needed: BTreeSet<_> = accepted.iter().filter_map(reason).collect();
        let named: BTreeSet<_> = part.irrelevant.iter().map(|(_, why)| *why).collect();
        assert_eq!(needed, named, "{}: reasons that no byte needs", part.name);
    }

    /// That no beginning of the part will do for the part, but for those of these lengths.
    #[track_caller]
    pub fn no_beginning_will_do(&self, part: &Part<S>, step: usize, but: &[usize]) {
        let length = self.length(part);
        let near = |at: &usize| at.is_multiple_of(step) || length - at <= 8 || *at <= 8 || but.contains(at);
        let mut accepted = self.try_all(part, (0..length).filter(near), |bytes, at| bytes.truncate(at));
        for at in but {
            assert!(accepted.remove(at), "{}: refused when cut at {at}", part.name);
        }
        assert!(accepted.is_empty(), "{} of {length} bytes: accepted when cut at {accepted:?}", part.name);
    }

    fn length(&self, part: &Part<S>) -> usize {
        assert!((self.accepts)(self.valid), "the valid evidence is refused");
        let mut copy = self.valid.clone();
        let length = (part.bytes)(&mut copy).len();
        (part.bind)(&mut copy);
        assert!(length > 0 && (self.accepts)(&copy), "{}: refused though nothing changed", part.name);
        length
    }

    /// Where the evidence is accepted although it was changed, found by two threads.
    fn try_all(
        &self,
        part: &Part<S>,
        offsets: impl Iterator<Item = usize>,
        change: impl Fn(&mut Vec<u8>, usize) + Sync,
    ) -> BTreeSet<usize> {
        let offsets: Vec<_> = offsets.collect();
        let accepted = Mutex::new(BTreeSet::new());
        std::thread::scope(|scope| {
            for offsets in [0, 1].map(|first| offsets.iter().skip(first).step_by(2)) {
                let (accepted, change) = (&accepted, &change);
                scope.spawn(move || {
                    for at in offsets {
                        let mut spoiled = self.valid.clone();
                        change((part.bytes)(&mut spoiled), *at);
                        (part.bind)(&mut spoiled);
                        if (self.accepts)(&spoiled) {
                            accepted.lock().unwrap().insert(*at);
                        }
                    }
                });
            }
        });
        accepted.into_inner().unwrap()
    }
}

/// What to change of a byte: never nothing, the same in every run, and of no pattern.
fn mask(name: &str, at: usize) -> u8 {
    sha256(format!("{name} {at}").as_bytes())[0].max(1)
}
