//! The command line.

mod build;
mod reference_values;
mod update;

use clap::{CommandFactory as _, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Make reproducible guest images and the Reference Values computed from them.
#[derive(Parser)]
#[command(
    name = "sealpod-images",
    version,
    after_help = "Examples:\n  \
    sealpod-images build --guest-binary target/release/sealpod-guest\n  \
    sealpod-images update"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Build(build::Arguments),
    Update(update::Arguments),
    ReferenceValues(reference_values::Arguments),
    /// Write a completion script for a shell.
    #[command(
        after_help = "Example:\n  sealpod-images completions bash > /etc/bash_completion.d/sealpod-images"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Where packages come from and are kept.
#[derive(clap::Args)]
struct Source {
    /// Lock file.
    #[arg(long, default_value = "images/packages.lock", value_name = "FILE")]
    lock: PathBuf,
    /// Where downloads and package indexes are kept.
    #[arg(long, default_value = "out/cache", value_name = "DIR")]
    cache: PathBuf,
    /// Base address of the Debian mirror.
    #[arg(long, default_value = "http://deb.debian.org/debian", value_name = "URL")]
    mirror: String,
    /// Say nothing but warnings and errors.
    #[arg(long, short)]
    quiet: bool,
}

/// Parse the arguments and run.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Build(arguments) => build::run(&arguments),
        Command::Update(arguments) => update::run(&arguments),
        Command::ReferenceValues(arguments) => reference_values::run(&arguments),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "sealpod-images", &mut std::io::stdout());
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sealpod-images: {}", in_one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes; a cause that the text before it quotes is left out.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_cause_is_told_twice() {
        let error =
            anyhow::anyhow!("no such file").context("cannot read x: no such file; try y").context("outer");
        assert_eq!(in_one_line(&error), "outer: cannot read x: no such file; try y");
    }
}
