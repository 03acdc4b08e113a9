//! `sealpod-guest`: the first process of a sealed pod, and the agent of an ordinary node. See the library for what it does.

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    // The kernel hands PID 1 what it does not know itself as arguments: there they mean nothing.
    if std::process::id() != 1 && arguments.next().is_some_and(|command| command == "node") {
        return sealpod_guest::node_main(arguments);
    }
    sealpod_guest::boot()
}
