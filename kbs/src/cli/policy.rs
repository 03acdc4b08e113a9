//! `policy`.

use super::CliError;
use super::error::read;
use crate::admin::{Admin, AdminError, By};
use crate::clock::{Clock as _, SystemClock};
use crate::layout::Layout;
use crate::release::{Policy, PolicyError};
use std::io::Write as _;
use std::path::PathBuf;

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Install a release policy: Rego with a rule `allow` in package `policy`. The one before is replaced.
    #[command(
        after_help = "Example: sealpod-kbs policy show > release.rego; edit it; sealpod-kbs policy set release.rego"
    )]
    Set {
        /// The file; `-` is standard input.
        file: PathBuf,
    },
    /// Print the release policy.
    Show,
}

/// Run one.
pub fn run(layout: &Layout, command: Command) -> Result<(), CliError> {
    let admin = Admin::open(layout)?;
    let mut out = std::io::stdout();
    match command {
        Command::Set { file } => {
            let text = String::from_utf8(read(&file)?);
            let text = text.map_err(|e| AdminError::Policy(PolicyError::Syntax(e.to_string())))?;
            let id = admin.set_policy(By { peer: None, now: SystemClock.now() }, &text)?;
            writeln!(out, "{id}")?;
            if let Some(warning) = Policy::compile(&text).ok().and_then(|policy| policy.warning()) {
                eprintln!("sealpod-kbs: {warning}");
            }
        }
        Command::Show => {
            let missing = || CliError::Missing {
                what: "release policy".to_owned(),
                list: "sealpod-kbs policy set --help",
            };
            write!(out, "{}", admin.policy()?.ok_or_else(missing)?)?;
        }
    }
    Ok(())
}
