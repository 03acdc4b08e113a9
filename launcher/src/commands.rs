//! One file per command.

use crate::cli::{Cli, Command};
use crate::state::Store;
use anyhow::Result;
use clap::CommandFactory as _;

mod boot_log;
mod doctor;
mod machine;
mod pods;
mod policy;
mod pull;
mod run;

/// Do what was asked; gives the exit code.
pub async fn dispatch(cli: Cli) -> Result<u8> {
    let store = || Store::open(cli.state_dir.as_deref());
    match cli.command {
        Command::Run(args) if args.detach => run::detach(&args, &store()?).await,
        Command::Run(args) => run::run(&args, &store()?).await,
        Command::Ps(args) => pods::ps(&args, &store()?),
        Command::Logs(args) => pods::logs(&args, &store()?).await,
        Command::Stop(args) => pods::stop(&args, &store()?).await,
        Command::Rm(args) => pods::rm(&args, &store()?),
        Command::Inspect(args) => pods::inspect(&args, &store()?),
        Command::Pull(args) => pull::pull(&args).await,
        Command::Policy(command) => policy::policy(command).await,
        Command::Doctor(args) => doctor::doctor(&args).await,
        Command::BootLog(args) => boot_log::boot_log(&args, &store()?).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "sealpod", &mut std::io::stdout());
            Ok(0)
        }
    }
}
