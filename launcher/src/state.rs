//! What is known of pods, on disk. A pod lives exactly as long as its supervisor holds its lock.

use anyhow::{Context as _, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Longest name: it becomes part of a socket's path.
const MAX_NAME: usize = 40;
/// Files that are of no use once the machine is gone.
const TRANSIENT: [&str; 5] = ["channel.sock", "swtpm.sock", "image0.tar", "initdata.disk", "ovmf-vars.fd"];

/// All pods of one state directory.
#[derive(Debug, Clone)]
pub struct Store(PathBuf);

/// One pod that this process supervises.
pub struct Pod {
    pub dir: PathBuf,
    pub state: State,
    _lock: Flock<File>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub name: String,
    pub status: Status,
    pub image: String,
    pub args: Vec<String>,
    pub platform: String,
    pub accel: String,
    pub initdata_digest: String,
    pub supervisor_pid: i32,
    pub machine_pids: Vec<i32>,
    pub exit_code: Option<i32>,
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Starting,
    Running,
    Exited,
    Failed,
    /// Its supervisor died without a word.
    Died,
}

impl Status {
    /// Whether its supervisor should be alive.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Starting | Self::Running)
    }
}

impl Store {
    /// Open the state directory and clean up after pods whose supervisor died.
    pub fn open(dir: Option<&Path>) -> Result<Self> {
        let dir = dir.map_or_else(default_dir, |dir| Ok(dir.to_owned()))?;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("cannot make {}; name another place with --state-dir", dir.display()))?;
        let store = Self(dir.canonicalize()?);
        store.clean()?;
        Ok(store)
    }

    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// Take a name for a new pod. The lock is held until the result is dropped.
    pub fn create(&self, name: &str, state: State) -> Result<Pod> {
        let dir = self.pod_dir(name)?;
        match std::fs::DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                bail!(
                    "there is a pod called {name:?} already; `sealpod rm {name}` forgets it once it has ended"
                )
            }
            Err(error) => return Err(error).with_context(|| dir.display().to_string()),
        }
        let lock = File::options().create(true).truncate(false).write(true).open(dir.join("lock"))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)?;
        let pod = Pod { dir, state, _lock: lock };
        pod.save()?;
        Ok(pod)
    }

    /// Every pod, by name.
    pub fn list(&self) -> Result<Vec<State>> {
        let mut states = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            let path = entry?.path();
            if let Ok(state) = read(&path) {
                states.push(state);
            }
        }
        states.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(states)
    }

    /// One pod.
    pub fn get(&self, name: &str) -> Result<(PathBuf, State)> {
        let dir = self.pod_dir(name)?;
        let state = read(&dir)
            .map_err(|_| anyhow::anyhow!("no pod is called {name:?}; `sealpod ps --all` lists them"))?;
        Ok((dir, state))
    }

    /// Whether a supervisor holds the pod's lock.
    pub fn is_held(&self, name: &str) -> Result<bool> {
        Ok(try_lock(&self.pod_dir(name)?)?.is_none())
    }

    /// Forget a pod that has ended.
    pub fn remove(&self, name: &str) -> Result<()> {
        let (dir, _) = self.get(name)?;
        let Some(_lock) = try_lock(&dir)? else {
            bail!("{name:?} still runs; `sealpod stop {name}` first");
        };
        std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())
    }

    fn pod_dir(&self, name: &str) -> Result<PathBuf> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if !first || name.len() > MAX_NAME || !name.bytes().all(plain) {
            bail!(
                "a pod's name is up to {MAX_NAME} letters, digits, `-`, `_` and `.`, the first a letter or digit; found {name:?}"
            );
        }
        Ok(self.0.join(name))
    }

    fn clean(&self) -> Result<()> {
        for entry in std::fs::read_dir(&self.0)? {
            let dir = entry?.path();
            let Ok(state) = read(&dir) else { continue };
            if !state.status.is_live() {
                continue;
            }
            let Some(_lock) = try_lock(&dir)? else {
                continue;
            };
            // Read again under the lock: it may have ended properly meanwhile.
            let Ok(mut state) = read(&dir) else { continue };
            if state.status.is_live() {
                state.machine_pids.iter().for_each(|pid| kill_leftover(*pid, &dir));
                state.status = Status::Died;
                state.reason = Some("its supervisor was killed".to_owned());
                write(&dir, &state)?;
                remove_transient(&dir);
            }
        }
        Ok(())
    }
}

impl Pod {
    /// Write down what changed.
    pub fn save(&self) -> Result<()> {
        write(&self.dir, &self.state)
    }

    /// Remove what only the running machine needed.
    pub fn sweep(&self) {
        remove_transient(&self.dir);
    }

    /// Forget the pod altogether.
    pub fn remove(self) -> Result<()> {
        Ok(std::fs::remove_dir_all(&self.dir)?)
    }
}

/// A random name.
pub fn random_name() -> Result<String> {
    use std::io::Read as _;
    let mut bytes = [0; 4];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("pod-{}", hex::encode(bytes)))
}

fn default_dir() -> Result<PathBuf> {
    if nix::unistd::geteuid().is_root() {
        return Ok("/run/sealpod".into());
    }
    let base = std::env::var_os("XDG_RUNTIME_DIR").context("XDG_RUNTIME_DIR is not set; use --state-dir")?;
    Ok(Path::new(&base).join("sealpod"))
}

fn read(dir: &Path) -> Result<State> {
    Ok(serde_json::from_slice(&std::fs::read(dir.join("state.json"))?)?)
}

fn write(dir: &Path, state: &State) -> Result<()> {
    // Readers hold no lock, so they must never see half of it.
    let (new, path) = (dir.join("state.json.new"), dir.join("state.json"));
    std::fs::write(&new, serde_json::to_vec_pretty(state)?)?;
    Ok(std::fs::rename(new, path)?)
}

fn try_lock(dir: &Path) -> Result<Option<Flock<File>>> {
    let file =
        File::options().write(true).open(dir.join("lock")).with_context(|| dir.display().to_string())?;
    Ok(Flock::lock(file, FlockArg::LockExclusiveNonblock).ok())
}

fn remove_transient(dir: &Path) {
    for name in TRANSIENT {
        // What is not there need not be removed.
        let _ = std::fs::remove_file(dir.join(name));
    }
    let _ = std::fs::remove_dir_all(dir.join("tpm"));
}

/// Parent-death signals have normally done it. The pid may be another's by now, so its arguments must name the pod.
fn kill_leftover(pid: i32, dir: &Path) {
    let Ok(cmdline) = std::fs::read(format!("/proc/{pid}/cmdline")) else {
        return;
    };
    let needle = dir.as_os_str().as_encoded_bytes();
    if cmdline.windows(needle.len()).any(|window| window == needle) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str, machine_pids: Vec<i32>) -> State {
        State {
            name: name.into(),
            status: Status::Running,
            image: "i".into(),
            args: vec![],
            platform: "plain".into(),
            accel: "tcg".into(),
            initdata_digest: String::new(),
            supervisor_pid: 1,
            machine_pids,
            exit_code: None,
            reason: None,
        }
    }

    #[test]
    fn a_pod_is_alive_as_long_as_its_lock_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Some(dir.path())).unwrap();
        let pod = store.create("a", state("a", vec![])).unwrap();
        assert!(store.is_held("a").unwrap());
        assert!(store.create("a", state("a", vec![])).is_err());
        assert!(store.remove("a").is_err());
        assert_eq!(Store::open(Some(dir.path())).unwrap().list().unwrap()[0].status, Status::Running);
        drop(pod);
        assert_eq!(Store::open(Some(dir.path())).unwrap().list().unwrap()[0].status, Status::Died);
        store.remove("a").unwrap();
        assert!(store.list().unwrap().is_empty());
    }

    #[test]
    fn leftovers_of_a_dead_pod_are_killed_and_swept_but_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Some(dir.path())).unwrap();
        let pod_dir = store.dir().join("a");
        // An argument names the pod, as QEMU's and swtpm's do. No shell: its own child would outlive it.
        let follow = |path: &Path| {
            let mut command = std::process::Command::new("tail");
            let quiet = command.arg("-F").arg(path).stderr(std::process::Stdio::null());
            quiet.spawn().unwrap()
        };
        let (mut ours, mut other) = (follow(&pod_dir.join("x")), follow(Path::new("/dev/null")));
        let pids = vec![ours.id() as i32, other.id() as i32];
        let pod = store.create("a", state("a", pids)).unwrap();
        std::fs::write(pod.dir.join("channel.sock"), "").unwrap();
        drop(pod);
        Store::open(Some(dir.path())).unwrap();
        assert!(!ours.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(!pod_dir.join("channel.sock").exists());
        assert!(pod_dir.join("state.json").exists());
    }

    #[test]
    fn names_that_are_paths_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Some(dir.path())).unwrap();
        for bad in ["", "..", "a/b", ".hidden", "-x", &"a".repeat(41)] {
            assert!(store.create(bad, state(bad, vec![])).is_err(), "{bad}");
        }
    }
}
