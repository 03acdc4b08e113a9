//! `sealpod-images`: build the guest image, lock its packages, print its Reference Values.
#![forbid(unsafe_code)]

mod command;

fn main() -> std::process::ExitCode {
    command::main()
}
