//! `scripts/bench`: prints the table of docs/performance.md.
#![forbid(unsafe_code)]

use clap::Parser;
use sealpod_tests::bench::{rows, table};
use std::process::ExitCode;

/// Measure, and print each figure beside its goal. Exits 1 when a goal is missed.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Leave out what boots guests.
    #[arg(long)]
    no_guests: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match rows(!arguments.no_guests, &mut |phase| eprintln!("… {phase}")) {
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
