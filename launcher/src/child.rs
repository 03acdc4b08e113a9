//! Child processes that do not outlive this one.
#![allow(unsafe_code)]

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// Start `program` in a process group of its own (Ctrl-C is handled here), with both outputs in `log`. It is killed
/// when this process ends, however that happens, and when the handle is dropped.
pub fn spawn<S: AsRef<OsStr>>(
    program: &Path,
    args: impl IntoIterator<Item = S>,
    log: &File,
) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
    command.process_group(0).kill_on_drop(true);
    let parent = nix::unistd::getpid();
    let tie = move || {
        set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died before the line above.
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(io::Error::other("parent is gone")) }
    };
    // SAFETY: between fork and exec the closure calls prctl and getppid only, both async-signal-safe.
    unsafe { command.pre_exec(tie) };
    command.spawn()
}

/// Start `program` as leader of a session of its own, to live on when this process ends.
pub fn spawn_detached(
    program: &Path,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    log: &File,
) -> io::Result<std::process::Child> {
    use std::os::unix::process::CommandExt as _;
    let mut command = std::process::Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.try_clone()?);
    let lead = || nix::unistd::setsid().map(drop).map_err(io::Error::from);
    // SAFETY: between fork and exec the closure calls setsid only, which is async-signal-safe.
    unsafe { command.pre_exec(lead) };
    command.spawn()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_ends_with_its_handle() {
        let log = tempfile::tempfile().unwrap();
        let child = spawn(Path::new("sleep"), ["1000"], &log).unwrap();
        let pid = nix::unistd::Pid::from_raw(child.id().unwrap().try_into().unwrap());
        drop(child);
        for _ in 0..200 {
            // Reaped by tokio once it has seen the end.
            if nix::sys::signal::kill(pid, None).is_err() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the child still runs");
    }
}
