//! `secret`.

use super::CliError;
use super::error::read;
use crate::admin::{Admin, By};
use crate::clock::{Clock as _, SystemClock};
use crate::layout::Layout;
use crate::secret::SecretBytes;
use crate::vault::VaultError;
use sealpod_evidence::workload::ResourcePath;
use std::io::Write as _;
use std::path::PathBuf;

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Store a secret, or replace it; guests ask for it as kbs:///PATH.
    #[command(
        after_help = "Example: sealpod-kbs secret set default/db/password --file password.txt --dir DIR"
    )]
    Set {
        /// REPOSITORY/TYPE/TAG.
        path: ResourcePath,
        /// The file with the secret, all of its bytes; `-` is standard input.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// List the paths of all secrets.
    List,
    /// Remove a secret.
    Delete {
        /// REPOSITORY/TYPE/TAG.
        path: ResourcePath,
    },
}

/// Run one.
pub fn run(layout: &Layout, command: Command) -> Result<(), CliError> {
    let admin = Admin::open(layout)?;
    let by = By { peer: None, now: SystemClock.now() };
    match command {
        Command::Set { path, file } => admin.set_secret(by, &path, &SecretBytes::new(read(&file)?))?,
        Command::List => {
            let mut out = std::io::stdout();
            for (path, _) in admin.vault.list().map_err(admin_error)? {
                writeln!(out, "{path}")?;
            }
        }
        Command::Delete { path } => {
            if !admin.delete_secret(by, &path)? {
                return Err(CliError::Missing {
                    what: format!("secret {path}"),
                    list: "sealpod-kbs secret list",
                });
            }
        }
    }
    Ok(())
}

fn admin_error(error: VaultError) -> CliError {
    CliError::Admin(error.into())
}
