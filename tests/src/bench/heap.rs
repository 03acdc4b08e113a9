//! Memory of an appraisal: what it takes from the heap beyond the evidence that it is given.
//!
//! The bench program's allocator counts, so the figures are exact and say nothing of stacks, which are bounded, or of the
//! program itself.

use crate::bench::ima_log::LongLog;
use crate::bench::table::{Goal, Row};
use anyhow::{Context as _, Result};

/// What a piece of work did to the heap.
#[derive(Debug, Clone, Copy)]
pub struct Use {
    /// Most bytes in use above what was in use before.
    pub peak: u64,
    /// Bytes still in use afterwards above what was in use before.
    pub kept: u64,
    /// How often memory was asked for.
    pub allocations: u64,
}

/// Runs work and says what it used.
pub type UsedBy = fn(&mut dyn FnMut()) -> Use;

const ENTRIES: usize = 100_000;
const FEW_ENTRIES: usize = 1_000;

/// The row about the appraisal of a long IMA log.
pub fn rows(used_by: UsedBy) -> Result<Vec<Row>> {
    let (mut log, mut short) = (None, None);
    let long_use = appraisal(used_by, ENTRIES, &mut log)?;
    let short_use = appraisal(used_by, FEW_ENTRIES, &mut short)?;
    let log = log.context("no log")?;
    Ok(vec![Row {
        what: format!("IMA appraisal of {ENTRIES} entries: peak heap above the log"),
        figures: format!(
            "{} B in {} allocations; for {FEW_ENTRIES} entries {} B in {}; the log is {:.1} MiB, the Reference Values {:.1} MiB, shared by all appraisals",
            long_use.peak,
            long_use.allocations,
            short_use.peak,
            short_use.allocations,
            log.mebibytes(),
            log.reference_bytes as f64 / f64::from(1 << 20),
        ),
        value: long_use.peak as f64 / f64::from(1 << 20),
        unit: " MiB",
        goal: Goal::AtMost(20.0),
    }])
}

fn appraisal(used_by: UsedBy, entries: usize, keep: &mut Option<LongLog>) -> Result<Use> {
    let log = keep.insert(LongLog::new(entries, Some(used_by))?);
    let mut result = Ok(0.0);
    let used = used_by(&mut || result = log.appraise_ms());
    result?;
    Ok(used)
}
