//! Running programs and their arguments.

use crate::files;
use sealpod_evidence::node::NodePath;
use sealpod_evidence::node::statement::Process;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Longest command line kept (Linux gives a process at most 6 MiB; a kubelet has some 2 KiB).
const MAX_ARGUMENTS: usize = 256 * 1024;

/// Programs that are or contain a kubelet.
const KUBELETS: &[&[u8]] = &[b"kubelet", b"hyperkube", b"k3s", b"rke2"];

/// Running kubelets; `None` where `/proc` cannot be read.
pub fn kubelets() -> Option<Vec<Process>> {
    named(KUBELETS)
}

/// Processes whose executable has one of these file names.
fn named(names: &[&[u8]]) -> Option<Vec<Process>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        if entry.file_name().as_bytes().iter().all(u8::is_ascii_digit) {
            found.extend(process(&entry.path(), names));
        }
    }
    found.sort_by(|a: &Process, b| (&a.executable, &a.arguments).cmp(&(&b.executable, &b.arguments)));
    Some(found)
}

/// A process that ends meanwhile is none.
fn process(directory: &Path, names: &[&[u8]]) -> Option<Process> {
    let executable = std::fs::read_link(directory.join("exe")).ok()?;
    // The kernel marks a program whose file was removed or replaced since it started; it still runs.
    let path = executable.as_os_str().as_bytes();
    let path = NodePath::from_bytes(path.strip_suffix(b" (deleted)").unwrap_or(path)).ok()?;
    if !names.contains(&path.file_name()) {
        return None;
    }
    let line = files::read(&directory.join("cmdline"), MAX_ARGUMENTS).ok()?;
    Some(Process { executable: path, arguments: arguments(&line) })
}

/// Arguments are NUL-terminated (proc_pid_cmdline(5)); the first is the program's own name.
fn arguments(line: &[u8]) -> Vec<String> {
    let line = line.strip_suffix(b"\0").unwrap_or(line);
    let words = line.split(|byte| *byte == 0).skip(1);
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_program_is_found_with_its_arguments() {
        let mut child = std::process::Command::new("sleep").args(["600", "0"]).spawn().unwrap();
        // The program is its own once exec succeeded, which `spawn` waits for.
        let found = named(&[b"sleep"]).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.iter().any(|process| process.arguments == ["600", "0"]), "{found:?}");
        assert_eq!(named(&[b"no such program"]), Some(Vec::new()));
    }

    #[test]
    fn arguments_are_taken_apart() {
        assert_eq!(arguments(b"kubelet\0--a=b\0\0c d\0"), ["--a=b", "", "c d"]);
        assert_eq!(arguments(b""), Vec::<String>::new());
    }
}
