//! `reference`.

use super::error::read;
use super::{CliError, plain};
use crate::admin::{Admin, By};
use crate::clock::{Clock as _, SystemClock};
use crate::layout::Layout;
use std::io::Write as _;
use std::path::PathBuf;

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Add Reference Values that `sealpod-images reference-values` wrote; prints each document's id.
    #[command(after_help = "Example: sealpod-kbs reference add guest.json image.json pod.json --dir DIR")]
    Add {
        /// Documents, JSON.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// List ids and descriptions.
    List,
    /// Remove documents. Pods that need them no longer attest; tokens that were given stay valid until they expire.
    Remove {
        /// Ids, as `add` and `list` print them.
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

/// Run one.
pub fn run(layout: &Layout, command: Command) -> Result<(), CliError> {
    let admin = Admin::open(layout)?;
    let by = By { peer: None, now: SystemClock.now() };
    let mut out = std::io::stdout();
    match command {
        Command::Add { files } => {
            for path in files {
                let id = admin
                    .add_reference(by, &read(&path)?)
                    .map_err(|source| CliError::Document { path: path.clone(), source })?;
                writeln!(out, "{id}  {}", path.display())?;
            }
        }
        Command::List => {
            for (id, document) in admin.references()? {
                writeln!(out, "{id}  {}", plain(&document.description))?;
            }
        }
        Command::Remove { ids } => {
            for id in ids {
                if !admin.remove_reference(by, &id)? {
                    let list = "sealpod-kbs reference list";
                    return Err(CliError::Missing { what: format!("document {id}"), list });
                }
            }
        }
    }
    Ok(())
}
