//! Running the programs under test, and ending them by pid.

use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Where the programs under test are.
#[derive(Debug, Clone)]
pub struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// The release programs of this workspace, or those in the directory `SEALPOD_PROGRAMS`.
    pub fn locate() -> Result<Self> {
        let directory = std::env::var_os("SEALPOD_PROGRAMS")
            .map_or_else(|| workspace_root().join("target/release"), PathBuf::from);
        let programs = Self { directory };
        for name in ["sealpod", "sealpod-kbs", "sealpod-images", "teesim"] {
            let path = programs.path(name);
            if !path.is_file() {
                bail!("{} is not there; run ./scripts/setup first", path.display());
            }
        }
        Ok(programs)
    }

    /// Path of one program.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A command that runs one program.
    pub fn command(&self, name: &str) -> Command {
        Command::new(self.path(name))
    }
}

/// The top of the source tree.
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Run to the end within `limit` and return what was printed, whatever the exit status.
pub fn run(command: &mut Command, limit: Duration) -> Result<Output> {
    let what = format!("{command:?}");
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {what}"))?;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id())?);
    let (done, ended) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if ended.recv_timeout(limit).is_err() {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            if ended.recv_timeout(Duration::from_secs(10)).is_err() {
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
            return true;
        }
        false
    });
    let output = child.wait_with_output()?;
    let _ = done.send(());
    if watchdog.join().unwrap_or(true) {
        bail!("{what} did not end within {} s:\n{}", limit.as_secs(), text(&output));
    }
    Ok(output)
}

/// Run to the end and fail unless it succeeded; returns standard output.
pub fn succeed(command: &mut Command, limit: Duration) -> Result<String> {
    let what = format!("{command:?}");
    let output = run(command, limit)?;
    if !output.status.success() {
        bail!("{what} failed with {}:\n{}", output.status, text(&output));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Both streams of a finished program.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A server that is ended, and waited for, when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
}

impl Server {
    /// Take charge of a started child.
    pub fn new(child: Child) -> Self {
        Self { child }
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Ok(pid) = i32::try_from(self.child.id()) else { return };
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
