//! `sealpod-kbs`: the broker's server and its administration.

use std::process::ExitCode;

fn main() -> ExitCode {
    sealpod_kbs::cli::main(std::env::args_os())
}
