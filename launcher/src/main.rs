//! `sealpod`: starts containers in confidential virtual machines.
//!
//! The host that runs this is not trusted by the guest or the broker, and nothing here is a security check for them:
//! what is checked here only makes mistakes visible early.
#![deny(unsafe_code)]

use clap::Parser as _;
use std::process::ExitCode;

mod accel;
mod child;
mod cli;
mod commands;
mod console;
mod guest_image;
mod host;
mod image;
mod initdata_disk;
mod input;
mod qemu;
mod session;
mod spec;
mod state;
mod swtpm;
mod ui;
mod workload;

/// What `sealpod` answers when the fault is not the container's, as `docker run` does.
const FAILED: u8 = 125;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    // One thread only: a child's parent-death signal is tied to the thread that started it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result =
        runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(commands::dispatch(cli)));
    let code = match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sealpod: {}", in_one_line(&error));
            FAILED
        }
    };
    // Not by returning: a read of standard input that is under way would keep the process.
    std::process::exit(code.into())
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
    fn no_cause_is_told_twice() {
        let error =
            anyhow::anyhow!("no such file").context("cannot read x: no such file; try y").context("outer");
        assert_eq!(in_one_line(&error), "outer: cannot read x: no such file; try y");
    }
}
