//! Children of PID 1: those that were started here, and orphans that only need to be reaped.

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::process::{Child, Command};
use std::rc::Rc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Collects every child's exit. One per process: it waits for *any* child.
#[derive(Clone)]
pub struct Reaper {
    waiting: Rc<RefCell<HashMap<Pid, oneshot::Sender<i32>>>>,
}

impl Reaper {
    /// Start reaping on the current `LocalSet`.
    pub fn start() -> io::Result<Self> {
        let reaper = Self { waiting: Rc::default() };
        let signals = signal(SignalKind::child())?;
        tokio::task::spawn_local(reaper.clone().run(signals));
        Ok(reaper)
    }

    /// Start a child. Its exit code comes over the channel: 128 + n for signal n, as shells count.
    ///
    /// Spawning and registering happen without a pause between them, so that the child cannot be reaped as an orphan.
    pub fn spawn(&self, command: &mut Command) -> io::Result<(Child, oneshot::Receiver<i32>)> {
        let child = command.spawn()?;
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().insert(Pid::from_raw(child.id() as i32), sender);
        Ok((child, receiver))
    }

    async fn run(self, mut signals: Signal) {
        loop {
            self.reap();
            if signals.recv().await.is_none() {
                return;
            }
        }
    }

    fn reap(&self) {
        loop {
            let (pid, code) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(error) => {
                    eprintln!("sealpod-guest: waiting for children: {error}");
                    return;
                }
            };
            if let Some(sender) = self.waiting.borrow_mut().remove(&pid) {
                // Nobody listening any more is fine: the child is reaped.
                let _ = sender.send(code);
            }
        }
    }
}
