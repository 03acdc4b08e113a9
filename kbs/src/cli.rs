//! The command line. Commands other than `serve` work whether a server runs on the directory or not.

use crate::layout::Layout;
use clap::{CommandFactory as _, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

mod audit;
mod compliance;
mod endorsements;
mod error;
mod evidence;
mod policy;
mod reference;
mod secret;
mod serve;

pub use error::CliError;

/// The arguments.
#[derive(Debug, Parser)]
#[command(
    name = "sealpod-kbs",
    version,
    about = "Key broker: releases a secret only to a pod whose combined evidence verifies",
    after_help = "Examples:
  sealpod-kbs init --tls-name kbs.example.org --dir /etc/sealpod-kbs
  sealpod-kbs reference add guest.json image.json pod.json --dir /etc/sealpod-kbs
  sealpod-kbs secret set default/db/password --file password.txt --dir /etc/sealpod-kbs
  sealpod-kbs serve --dir /etc/sealpod-kbs
  sealpod-kbs audit show --dir /etc/sealpod-kbs

Exit codes: 0 done; 1 not done, the reason is on standard error; 2 wrong arguments, or evidence that cannot be read; 3 the audit log's
chain is broken."
)]
pub struct Args {
    /// The broker's directory.
    #[arg(long, global = true, value_name = "DIR", default_value = "/var/lib/sealpod-kbs")]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new broker: keys, TLS certificate, settings, the shipped release policy.
    #[command(
        after_help = "Example: sealpod-kbs init --tls-name kbs.example.org --tls-name 192.0.2.7 --dir DIR

Guests must name DIR/ca.pem in their initdata. Move DIR/ca-key.pem and DIR/admin-key.der to where only administrators are."
    )]
    Init {
        /// DNS name or IP address that guests reach the broker by; may be repeated.
        #[arg(long, required = true, value_name = "NAME")]
        tls_name: Vec<String>,
    },
    /// Serve until SIGTERM or SIGINT; prints `listening on ADDRESS:PORT`.
    Serve(serve::Args),
    /// Store, list and remove secrets.
    #[command(subcommand)]
    Secret(secret::Command),
    /// Install and show the release policy.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Add, list and remove Reference Values.
    #[command(subcommand)]
    Reference(reference::Command),
    /// Show the audit log.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Import, list and fetch what processor vendors publish: chip certificates, revocation lists, TDX collateral.
    #[command(subcommand)]
    Endorsements(endorsements::Command),
    /// Look at evidence: archived, or in files of any kind.
    #[command(subcommand)]
    Evidence(evidence::Command),
    /// Challenge nodes, evaluate benchmark profiles over their evidence, and report.
    #[command(subcommand)]
    Compliance(compliance::Command),
    /// Print a token for the HTTP administration interface.
    #[command(after_help = "Example:
  sealpod-kbs admin-token --dir DIR | sed 's/^/Authorization: Bearer /' |
    curl --cacert ca.pem -X DELETE -H @- https://kbs.example.org:8443/kbs/v0/resource/default/db/password

So the token is no argument, which every user of the machine could read.")]
    AdminToken {
        /// How long it is valid.
        #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=crate::jwt::MAX_ADMIN_SECONDS))]
        seconds: u64,
    },
    /// Print a shell's completion script.
    #[command(after_help = "Example: sealpod-kbs completions bash > /etc/bash_completion.d/sealpod-kbs")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Run with these arguments, the program's name first.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Args::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    match run(arguments) {
        Ok(code) => code,
        // `audit show | head` ends like this.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sealpod-kbs: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(arguments: Args) -> Result<ExitCode, CliError> {
    let layout = Layout::new(arguments.dir);
    match arguments.command {
        Command::Init { tls_name } => serve::init(&layout, &tls_name)?,
        Command::Serve(arguments) => serve::serve(layout, &arguments)?,
        Command::Secret(command) => secret::run(&layout, command)?,
        Command::Policy(command) => policy::run(&layout, command)?,
        Command::Reference(command) => reference::run(&layout, command)?,
        Command::Audit(command) => audit::run(&layout, command)?,
        Command::Endorsements(command) => endorsements::run(&layout, command)?,
        Command::Evidence(command) => return evidence::run(&layout, command),
        Command::Compliance(command) => compliance::run(&layout, command)?,
        Command::AdminToken { seconds } => serve::admin_token(&layout, seconds)?,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Args::command(), "sealpod-kbs", &mut std::io::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A text of somebody else's for a terminal: on one line, and nothing in it moves the cursor or turns the direction of writing.
pub(crate) fn plain(text: &str) -> String {
    let moves = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if moves(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_directory_may_stand_anywhere() {
        for line in
            ["sealpod-kbs --dir d serve", "sealpod-kbs serve --dir d", "sealpod-kbs secret list --dir d"]
        {
            let arguments = Args::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(arguments.dir, PathBuf::from("d"));
        }
    }
}
