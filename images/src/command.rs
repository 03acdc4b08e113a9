//! The command line.

mod build;
mod reference_values;
mod update;

use clap::{Parser, Subcommand};
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
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sealpod-images: {error:#}");
            ExitCode::FAILURE
        }
    }
}
