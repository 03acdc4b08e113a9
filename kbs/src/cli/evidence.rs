//! `evidence`.

use super::CliError;
use crate::archive;
use crate::layout::Layout;
use crate::storage::{FileStorage, Storage as _, Table};
use std::io::Write as _;

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the attestations whose evidence is kept, oldest first.
    List,
    /// Print one attestation's request and decision, JSON.
    #[command(
        after_help = "Example: sealpod-kbs evidence show 006a1c2f30-0123456789abcdef --dir DIR | jq .decision"
    )]
    Show {
        /// The id, as audit lines carry it.
        id: String,
    },
}

/// Run one.
pub fn run(layout: &Layout, command: Command) -> Result<(), CliError> {
    let storage = FileStorage::open(&layout.store())?;
    let mut out = std::io::stdout();
    match command {
        Command::List => {
            let mut found = Vec::new();
            for (table, verdict) in [(Table::Accepted, "allow"), (Table::Refused, "refuse")] {
                found.extend(storage.list(table)?.into_iter().map(|(id, size)| (id, verdict, size)));
            }
            found.sort();
            for (id, verdict, size) in found {
                writeln!(out, "{id}  {verdict}  {size} bytes")?;
            }
        }
        Command::Show { id } => {
            let list = "sealpod-kbs evidence list";
            let missing = || CliError::Missing { what: format!("evidence {id}"), list };
            out.write_all(&archive::find(&storage, &id)?.ok_or_else(missing)?)?;
            writeln!(out)?;
        }
    }
    Ok(())
}
