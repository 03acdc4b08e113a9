//! Steps 13 and 14 by themselves, on logs that are long or go on from a saved place.

use crate::support::valid;
use sealpod_evidence::ima::{Bank, Log};
use sealpod_evidence::initdata::PodPolicy;
use sealpod_evidence::reference_values::{PackedFiles, ReferenceDocument};
use sealpod_testkit::Bundle;
use sealpod_testkit::logs::ImaEntry;
use sealpod_verifier::ima::{ImaEvidence, Measured, Saved, appraise, resume};
use sealpod_verifier::reference::{PackedSet, pack};
use sealpod_verifier::{Check, ReferenceValues, VerifyError};
use std::sync::Arc;

/// A log with its expectations.
struct Logged {
    log: Vec<u8>,
    pcr: [u8; 32],
    boot_pcrs: [[u8; 32]; 10],
    policy: PodPolicy,
    reference: ReferenceValues,
}

impl Logged {
    fn of(bundle: &Bundle, reference: ReferenceValues) -> Self {
        let sealed = bundle.seal();
        let pcrs = &sealed.tpm.pcrs.sha256;
        let mut boot_pcrs: [[u8; 32]; 10] = std::array::from_fn(|at| pcrs[at]);
        // IMA took its boot aggregate before the agent extended initdata.
        boot_pcrs[8] = [0; 32];
        let log = sealed.additional.tpm.ima_log.data.0.clone();
        Self { log, pcr: pcrs[10], boot_pcrs, policy: bundle.policy.clone(), reference }
    }

    fn valid(bundle: &Bundle) -> Self {
        Self::of(bundle, ReferenceValues::from_documents(&[bundle.reference()]).unwrap())
    }

    /// The appraisal of a part of the log against a value of PCR 10.
    fn from(&self, log: &[u8], pcr: [u8; 32], saved: &Saved) -> Result<Measured, VerifyError> {
        resume(&self.evidence(log, pcr), saved)
    }

    fn evidence<'a>(&'a self, log: &'a [u8], pcr: [u8; 32]) -> ImaEvidence<'a> {
        let Self { boot_pcrs, policy, reference, .. } = self;
        ImaEvidence { log, bank: Bank::Sha256, pcr, boot_pcrs, policy, reference }
    }

    fn whole(&self) -> Result<Measured, VerifyError> {
        appraise(&self.evidence(&self.log, self.pcr))
    }

    /// Offsets at which entries end, and PCR 10 there.
    fn places(&self) -> Vec<(usize, [u8; 32])> {
        let mut replay = sealpod_verifier::ima::BankReplay::new(Bank::Sha256);
        let mut entries = Log::new(&self.log, Bank::Sha256, u64::MAX).entries();
        let mut places = Vec::new();
        while let Some(entry) = entries.next() {
            replay.advance(&entry.unwrap(), Bank::Sha256).unwrap();
            places.push((entries.offset(), replay.pcr().try_into().unwrap()));
        }
        places
    }
}

/// Numbers without pattern, the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn an_appraisal_in_pieces_is_that_of_the_whole() {
    let mut bundle = Bundle::with_ima_entries(500);
    // Violations are counted over all pieces.
    bundle.ima_log.entries.insert(100, ImaEntry::violation("/var/log/a"));
    bundle.ima_log.entries.insert(400, ImaEntry::violation("/var/log/b"));
    let reference = ReferenceDocument { dangerous_allow_ima_violations_up_to: 2, ..bundle.reference() };
    let logged = Logged::of(&bundle, ReferenceValues::from_documents(&[reference]).unwrap());
    let whole = logged.whole().unwrap();
    assert_eq!((whole.covered.index, whole.violations, whole.uncovered), (502, 2, 0));
    let places = logged.places();
    let mut numbers = Numbers(1);
    for _ in 0..50 {
        let (mut saved, mut start, mut at) = (Saved::default(), 0, 0);
        let mut last = None;
        while at < places.len() {
            at = (at + 1 + numbers.below(150)).min(places.len());
            // The log may be ahead of the quote by some entries.
            let ahead = (at + numbers.below(3)).min(places.len());
            let (_, pcr) = places[at - 1];
            let part = &logged.log[start..places[ahead - 1].0];
            let measured = logged.from(part, pcr, &saved).unwrap();
            assert_eq!(measured.uncovered as usize, ahead - at);
            assert_eq!(measured.covered.index as usize, at);
            (saved, start) = (measured.saved(), places[at - 1].0);
            last = Some(measured);
        }
        assert_eq!(last.unwrap(), whole);
    }
    // Nothing new is fine too.
    assert_eq!(logged.from(b"", logged.pcr, &whole.saved()).unwrap(), whole);
}

#[test]
fn what_is_refused_in_the_whole_is_refused_in_its_piece() {
    let mut bundle = Bundle::with_ima_entries(50);
    bundle.ima_log.entries.push(ImaEntry::file("/tmp/miner", [0xee; 32]));
    bundle.ima_log.entries.push(ImaEntry::violation("/var/log/b"));
    let logged = Logged::valid(&bundle);
    let places = logged.places();
    let (last, count) = (places.len() - 1, places.len());
    let until = |at: usize, saved: &Saved, start: usize| {
        logged.from(&logged.log[start..places[at - 1].0], places[at - 1].1, saved)
    };
    let before = until(last - 1, &Saved::default(), 0).unwrap();
    let start = places[last - 2].0;
    assert_eq!(until(last, &before.saved(), start).unwrap_err().check, Check::ForeignFile);
    assert_eq!(logged.whole().unwrap_err().check, Check::ForeignFile);
    // From the wrong place: an entry left out, one twice, another PCR, a count that is too low for its PCR.
    let replay = |saved: Saved, start: usize| {
        logged.from(&logged.log[start..], places[count - 1].1, &saved).unwrap_err().check
    };
    assert_eq!(replay(before.saved(), places[last - 1].0), Check::ImaReplay);
    assert_eq!(replay(before.saved(), places[last - 3].0), Check::ImaReplay);
    let mut other = before.saved();
    other.covered.pcr[0] ^= 1;
    assert_eq!(replay(other, start), Check::ImaReplay);
    let mut reset = before.saved();
    reset.covered.index = 0;
    assert_eq!(replay(reset, start), Check::BootAggregate);
}

#[test]
fn files_of_a_packed_set_are_those_of_its_list() {
    let bundle = valid();
    let document = bundle.reference();
    let (mut listed, mut sets) = (document.clone(), Vec::new());
    listed.files.clear();
    for set in &document.files {
        let bytes: Arc<[u8]> = pack(set).unwrap().into();
        let sha256 = PackedSet::parse(bytes.clone()).unwrap().sha256();
        listed.packed_files.push(PackedFiles { image: set.image, description: String::new(), sha256 });
        sets.push(bytes);
    }
    let reference = |sets: &[Arc<[u8]>]| {
        let mut values = ReferenceValues::from_documents(std::slice::from_ref(&listed)).unwrap();
        sets.iter().for_each(|set| values.add_packed(set.clone()).unwrap());
        values
    };
    let of = |bundle: &Bundle, sets: &[Arc<[u8]>]| Logged::of(bundle, reference(sets)).whole();
    assert_eq!(of(&bundle, &sets), Logged::valid(&bundle).whole());
    // A set that was not given has no files.
    for given in 0..2 {
        assert_eq!(of(&bundle, &sets[..given]).unwrap_err().check, Check::FileReference);
    }
    let with = |path: &str, digest, mode| {
        let mut bundle = valid();
        bundle.ima_log.entries.push(ImaEntry { mode, ..ImaEntry::file(path, digest) });
        of(&bundle, &sets).map(|_| ()).map_err(|error| error.check)
    };
    let (crun, app) = (bundle.guest_files["/usr/bin/crun"], bundle.image_files["/bin/app"]);
    assert_eq!(with("/bin/app", app, 0o100_755), Ok(()));
    assert_eq!(with("/bin/app", app, 0o104_755), Err(Check::SetIdFile));
    assert_eq!(with("/usr/bin/crun", crun, 0o104_755), Ok(()));
    assert_eq!(with("/bin/app", [0xee; 32], 0o100_755), Err(Check::ForeignFile));
    assert_eq!(with("/tmp/app", app, 0o100_755), Err(Check::ForeignFile));
    // The guest's programs keep their paths.
    let mut bundle = valid();
    bundle.image_files.insert("/usr/bin/crun".to_owned(), [0xee; 32]);
    bundle.ima_log.entries.push(ImaEntry::file("/usr/bin/crun", [0xee; 32]));
    let mut listed = listed.clone();
    listed.files = vec![bundle.reference().files.pop().unwrap()];
    let mut values = ReferenceValues::from_documents(&[listed]).unwrap();
    values.add_packed(sets[0].clone()).unwrap();
    assert_eq!(Logged::of(&bundle, values).whole().unwrap_err().check, Check::ForeignFile);
}
