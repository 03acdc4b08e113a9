//! What an appraisal of an IMA log takes from the heap does not depend on the log's length.
//!
//! The allocator counts for each thread by itself, so tests that run beside this one do not disturb it.

use sealpod_evidence::ima::Bank;
use sealpod_evidence::reference_values::PackedFiles;
use sealpod_testkit::Bundle;
use sealpod_verifier::ReferenceValues;
use sealpod_verifier::ima::{ImaEvidence, appraise};
use sealpod_verifier::reference::{PackedSet, pack};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to the system's allocator as it came, and that one keeps the trait's contract. Counting touches
// only thread-local cells that are made without an allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Where a thread ends its cells are gone already; what it asks for then is not counted.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        let _ = BYTES.try_with(|count| count.set(count.get() + layout.size() as u64));
        // SAFETY: the caller keeps the contract of `alloc`, which is that of the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above; the block came from the system's allocator.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Allocations, and the bytes asked for in all of them, of one appraisal of a log of that many files.
fn appraisal(entries: usize, packed: bool) -> (u64, u64) {
    let bundle = Bundle::with_ima_entries(entries);
    let mut document = bundle.reference();
    let mut sets: Vec<Arc<[u8]>> = Vec::new();
    if packed {
        for set in std::mem::take(&mut document.files) {
            let bytes: Arc<[u8]> = pack(&set).unwrap().into();
            let sha256 = PackedSet::parse(bytes.clone()).unwrap().sha256();
            document.packed_files.push(PackedFiles { image: set.image, description: String::new(), sha256 });
            sets.push(bytes);
        }
    }
    let mut reference = ReferenceValues::from_documents(&[document]).unwrap();
    sets.into_iter().for_each(|set| reference.add_packed(set).unwrap());
    let sealed = bundle.seal();
    let pcrs = &sealed.tpm.pcrs.sha256;
    let mut boot_pcrs: [[u8; 32]; 10] = std::array::from_fn(|at| pcrs[at]);
    boot_pcrs[8] = [0; 32];
    let evidence = ImaEvidence {
        log: &sealed.additional.tpm.ima_log.data.0,
        bank: Bank::Sha256,
        pcr: pcrs[10],
        boot_pcrs: &boot_pcrs,
        policy: &bundle.policy,
        reference: &reference,
    };
    let before = (ALLOCATIONS.get(), BYTES.get());
    let measured = appraise(&evidence).unwrap();
    let used = (ALLOCATIONS.get() - before.0, BYTES.get() - before.1);
    assert_eq!(measured.covered.index as usize, entries);
    used
}

#[test]
fn an_appraisal_allocates_the_same_for_few_entries_and_for_many() {
    for packed in [false, true] {
        let (few, many) = (appraisal(100, packed), appraisal(20_000, packed));
        assert_eq!(few, many);
        let (allocations, bytes) = many;
        assert!(allocations > 0 && allocations < 16 && bytes < 16 * 1024, "{many:?}");
    }
}
