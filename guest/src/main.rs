//! `sealpod-guest`: the first process of a sealed pod. See the library for what it does.

fn main() -> std::process::ExitCode {
    sealpod_guest::boot()
}
