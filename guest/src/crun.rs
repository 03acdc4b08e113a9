//! Running the bundle with crun, and the signals and exit of what runs.

use crate::reaper::Reaper;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

/// The runtime of the guest image.
const CRUN: &str = "/usr/bin/crun";
/// Where it keeps its state.
const STATE: &str = "/run/sealpod/crun";
/// How often the pid file is looked for while the container starts.
const POLL: Duration = Duration::from_millis(10);
/// Most of crun's log that is reported.
const MAX_LOG: usize = 4096;

/// Why a container did not run.
#[derive(Debug, thiserror::Error)]
pub enum CrunError {
    /// crun could not be started, or its pipes not be used.
    #[error("cannot start {CRUN}: {0}")]
    Start(#[from] io::Error),
    /// crun gave up before the container ran.
    #[error("crun ended with {code} before the container ran: {log}")]
    Failed {
        /// Its exit code.
        code: i32,
        /// Its log, cut.
        log: String,
    },
    /// A number that is no signal.
    #[error("{found} is not a signal number")]
    Signal {
        /// The number found.
        found: i32,
    },
    /// The signal could not be sent.
    #[error("cannot send signal {signo}: {source}")]
    Kill {
        /// Which signal.
        signo: i32,
        /// The system's answer.
        source: nix::Error,
    },
}

/// Which of the container's standard streams the host may use.
#[derive(Debug, Clone, Copy)]
pub struct Streams {
    /// Standard input is a pipe; otherwise it is empty.
    pub input: bool,
    /// Standard output and error are pipes; otherwise they go nowhere.
    pub output: bool,
}

/// A container that was started. Dropping it kills the container.
pub struct Running {
    pid: Pid,
    exit: oneshot::Receiver<i32>,
    ended: Option<i32>,
    log: PathBuf,
    /// Standard input, if the host may write it.
    pub stdin: Option<pipe::Sender>,
    /// Standard output, if the host may read it.
    pub stdout: Option<pipe::Receiver>,
    /// Standard error, if the host may read it.
    pub stderr: Option<pipe::Receiver>,
}

/// Run the bundle and come back once the container's first process exists.
pub async fn start(reaper: &Reaper, bundle: &Path, streams: Streams) -> Result<Running, CrunError> {
    let (pid_file, log) = (bundle.join("pid"), bundle.join("crun.log"));
    let mut command = Command::new(CRUN);
    command.arg("--root").arg(STATE).arg("--cgroup-manager=cgroupfs").arg("--log").arg(&log);
    command.arg("run").arg("--bundle").arg(bundle).arg("--pid-file").arg(&pid_file).arg("container");
    let piped = |yes: bool| if yes { Stdio::piped() } else { Stdio::null() };
    command.stdin(piped(streams.input)).stdout(piped(streams.output)).stderr(piped(streams.output));
    // Nothing of PID 1's environment is the container runtime's business.
    command.env_clear().env("PATH", "/usr/bin");
    let (mut child, mut exit) = reaper.spawn(&mut command)?;
    let stdin = child.stdin.take().map(|p| pipe::Sender::from_owned_fd(OwnedFd::from(p))).transpose()?;
    let stdout = child.stdout.take().map(|p| pipe::Receiver::from_owned_fd(OwnedFd::from(p))).transpose()?;
    let stderr = child.stderr.take().map(|p| pipe::Receiver::from_owned_fd(OwnedFd::from(p))).transpose()?;
    let (pid, ended) = wait_for_pid(&pid_file, &mut exit).await;
    let Some(pid) = pid else {
        return Err(CrunError::Failed { code: ended.unwrap_or(-1), log: read_log(&log) });
    };
    Ok(Running { pid, exit, ended, log, stdin, stdout, stderr })
}

impl Running {
    /// The container's first process, in the guest's process table.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Wait for the end; the same answer every time. Cancelling the wait loses nothing.
    pub async fn wait(&mut self) -> i32 {
        if self.ended.is_none() {
            // The reaper lives as long as the process; if it is gone, so is the container's parent.
            self.ended = Some((&mut self.exit).await.unwrap_or(-1));
        }
        self.ended.unwrap_or(-1)
    }

    /// Send a signal to the container's first process.
    pub fn signal(&self, signo: i32) -> Result<(), CrunError> {
        let signal = Signal::try_from(signo).map_err(|_| CrunError::Signal { found: signo })?;
        if self.ended.is_some() {
            return Ok(());
        }
        match kill(self.pid, signal) {
            // It has just ended by itself, and its exit is on the way.
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(source) => Err(CrunError::Kill { signo, source }),
        }
    }

    /// What crun had to say; empty when all went well.
    pub fn log(&self) -> String {
        read_log(&self.log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended.is_none() {
            // Already gone is what is wanted.
            let _ = kill(self.pid, Signal::SIGKILL);
        }
    }
}

async fn wait_for_pid(file: &Path, exit: &mut oneshot::Receiver<i32>) -> (Option<Pid>, Option<i32>) {
    loop {
        let ended = tokio::select! {
            code = &mut *exit => Some(code.unwrap_or(-1)),
            () = tokio::time::sleep(POLL) => None,
        };
        let pid = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).map(Pid::from_raw);
        if pid.is_some() || ended.is_some() {
            return (pid, ended);
        }
    }
}

fn read_log(path: &Path) -> String {
    let text = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&text[..text.len().min(MAX_LOG)]).trim().to_owned()
}
