//! `scripts/bench`: prints the table of docs/performance.md.

mod heap;

use clap::Parser;
use sealpod_tests::bench::{Part, rows, table};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: heap::Counting = heap::Counting;

/// Measure, and print each figure beside its goal. Exits 1 when a goal is missed.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Only these parts (repeatable).
    #[arg(long, value_enum)]
    only: Vec<Part>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let all = [Part::Verification, Part::Broker, Part::Guests];
    let parts = if arguments.only.is_empty() { &all[..] } else { &arguments.only };
    match rows(parts, heap::used_by, &mut |phase| eprintln!("… {phase}")) {
        Ok(rows) => {
            table::print(&rows);
            if rows.iter().all(table::Row::holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(2)
        }
    }
}
