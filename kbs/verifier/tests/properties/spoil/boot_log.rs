//! What of a boot log no register covers.

use sealpod_evidence::tcg2::{ALG_SHA1, ALG_SHA256, ALG_SHA384, ALG_SHA512, BootLog};
use std::ops::Range;

/// Where the errata number of the profile stands: behind the header event's PCR, type, digest and size, the signature of 16 bytes, the
/// class and two version numbers (PFP 1.06 table 20).
const ERRATA: Range<usize> = 54..55;

/// The bytes of a TPM's log that may say anything, because SHA-256 registers are what is quoted and compared.
pub fn unmeasured(log: &[u8]) -> Vec<(Range<usize>, &'static str)> {
    outside_of(ALG_SHA256, log, &BootLog::parse(log).unwrap())
}

/// The same of a TD's log, whose registers are SHA-384 ones.
pub fn unmeasured_ccel(log: &[u8]) -> Vec<(Range<usize>, &'static str)> {
    outside_of(ALG_SHA384, log, &BootLog::parse_ccel(log).unwrap())
}

fn outside_of(bank: u16, log: &[u8], parsed: &BootLog<'_>) -> Vec<(Range<usize>, &'static str)> {
    let start = log.as_ptr() as usize;
    let range = |part: &[u8]| {
        let at = part.as_ptr() as usize - start;
        at..at + part.len()
    };
    let mut all = vec![(ERRATA, "the profile's errata number changes nothing in the form of the log")];
    for event in parsed.events() {
        all.push((
            event.offset + 4..event.offset + 8,
            "an event's type is in no register; its digest is what is compared",
        ));
        all.push((range(event.data), "an event's data is in no register; its digest is what is compared"));
        assert!(event.digests.get(bank).is_some());
        for algorithm in [ALG_SHA1, ALG_SHA256, ALG_SHA384, ALG_SHA512] {
            if let Some(digest) = event.digests.get(algorithm).filter(|_| algorithm != bank) {
                all.push((range(digest), "digests of banks that are not quoted"));
            }
        }
    }
    all
}
