//! What `scripts/bench` measures. Every row is a ratio, or a figure beside its goal, taken in one run.

use crate::process::Programs;
use anyhow::Result;
use table::Row;

pub mod broker_rate;
pub mod heap;
pub mod ima_log;
pub mod load;
pub mod pod;
pub mod ready_pod;
pub mod snp;
pub mod table;
pub mod tdx;
pub mod verification;

/// A part of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// The verifier alone, in this process.
    Verification,
    /// A broker under load.
    Broker,
    /// Guests, booted.
    Guests,
}

/// The rows of these parts; `used_by` measures memory, `say` is told each phase as it begins.
pub fn rows(parts: &[Part], used_by: heap::UsedBy, say: &mut dyn FnMut(&str)) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    if parts.contains(&Part::Verification) {
        say("verification");
        rows.extend(verification::rows()?);
        rows.extend(snp::rows()?);
        rows.extend(tdx::rows()?);
        rows.extend(heap::rows(used_by)?);
    }
    if parts.contains(&Part::Broker) {
        say("broker");
        rows.extend(broker_rate::rows(&Programs::locate()?)?);
    }
    if parts.contains(&Part::Guests) {
        rows.extend(pod::rows(say)?);
    }
    Ok(rows)
}
