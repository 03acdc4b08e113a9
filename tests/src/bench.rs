//! What `scripts/bench` measures. Every row is a ratio, or a figure beside its goal, taken in one run.

use crate::process::Programs;
use anyhow::Result;
use table::Row;

pub mod broker_rate;
pub mod ima_log;
pub mod load;
pub mod pod;
pub mod table;
pub mod verification;

/// All rows; `say` is told each phase as it begins. Without `guests`, nothing is booted.
pub fn rows(guests: bool, say: &mut dyn FnMut(&str)) -> Result<Vec<Row>> {
    let programs = Programs::locate()?;
    say("verification");
    let mut rows = verification::rows()?;
    say("broker");
    rows.extend(broker_rate::rows(&programs)?);
    if guests {
        say("guests");
        rows.extend(pod::rows(say)?);
    }
    Ok(rows)
}
