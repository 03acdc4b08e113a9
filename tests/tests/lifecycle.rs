//! One VM, one swtpm, and no orphan whatever is killed.

use sealpod_tests::oci_fixture::write_busybox_layout;
use sealpod_tests::process::{Programs, succeed};
use sealpod_tests::world::guest_image_directory;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for what the kernel and the launcher do at once; a busy machine may take some of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pod that has started its container, which then sleeps.
struct Running {
    directory: tempfile::TempDir,
    programs: Programs,
    launcher: Child,
}

impl Running {
    fn start() -> Self {
        let programs = Programs::locate().unwrap();
        let directory = tempfile::Builder::new().prefix("sealpod-lifecycle-").tempdir().unwrap();
        let layout = directory.path().join("layout");
        write_busybox_layout(&layout).unwrap();
        let mut launcher = programs
            .command("sealpod")
            .arg("--state-dir")
            .arg(state(directory.path()))
            .args([
                "run",
                "--quiet",
                "--platform",
                "plain",
                "--accel",
                "tcg",
                "--allow-output",
                "--name",
                "pod",
            ])
            .arg("--image-dir")
            .arg(guest_image_directory())
            .arg(layout)
            .args(["--", "/bin/sh", "-c", "echo ready; sleep 600"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(launcher.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let running = Self { directory, programs, launcher };
        assert_eq!(line, "ready\n", "{:?}", running.processes());
        running
    }

    /// Pid and program of everything but the launcher whose command line names this pod's state.
    fn processes(&self) -> Vec<(i32, String)> {
        let state = state(self.directory.path()).display().to_string();
        let pids = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let named = pids.filter_map(|pid: i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let program = Path::new(line.split('\0').next()?).file_name()?.to_str()?.to_owned();
            (line.contains(&state) && program != "sealpod").then_some((pid, program))
        });
        named.collect()
    }

    fn kill(&self, program: &str) {
        let found = self.processes();
        let (pid, _) =
            found.iter().find(|(_, name)| name.contains(program)).unwrap_or_else(|| panic!("{found:?}"));
        kill(*pid);
    }

    /// Nothing of the pod is left once the next command has run, and the pod is not said to run.
    #[track_caller]
    fn gone(&mut self) {
        let mut ps: Command = self.programs.command("sealpod");
        ps.arg("--state-dir").arg(state(self.directory.path())).args(["ps", "--all", "--json"]);
        let listed: Value = serde_json::from_str(&succeed(&mut ps, PATIENCE).unwrap()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !self.processes().is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(self.processes(), []);
        assert_eq!(listed[0]["name"], "pod", "{listed}");
        assert_ne!(listed[0]["status"], "running", "{listed}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for (pid, _) in self.processes() {
            kill(pid);
        }
        let _ = self.launcher.kill();
        let _ = self.launcher.wait();
    }
}

fn state(directory: &Path) -> PathBuf {
    directory.join("state")
}

fn kill(pid: i32) {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
}

#[test]
fn a_killed_launcher_leaves_no_machine_behind() {
    let mut running = Running::start();
    assert_eq!(running.processes().len(), 2, "one VM, one swtpm: {:?}", running.processes());
    running.launcher.kill().unwrap();
    running.launcher.wait().unwrap();
    running.gone();
}

#[test]
fn a_killed_machine_or_vtpm_ends_the_pod_with_a_reason() {
    for (program, named) in [("qemu", "QEMU"), ("swtpm", "swtpm")] {
        let mut running = Running::start();
        running.kill(program);
        let status = running.launcher.wait().unwrap();
        assert_eq!(status.code(), Some(125));
        let said = std::io::read_to_string(running.launcher.stderr.take().unwrap()).unwrap();
        assert!(said.contains(named), "{said}");
        running.gone();
    }
}
