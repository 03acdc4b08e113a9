//! Distribution, kernel, its parameters and modules, and AppArmor.

use crate::files;
use sealpod_evidence::node::statement::{Apparmor, System};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const SMALL: usize = 64 * 1024;
const LARGE: usize = 4 << 20;

/// What runs; empty fields where the machine does not say.
pub fn system() -> System {
    let release = text("/etc/os-release", SMALL).unwrap_or_default();
    let field = |name: &str| {
        let value = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
    };
    let kernel = text("/proc/sys/kernel/osrelease", SMALL).unwrap_or_default();
    System { id: field("ID"), version: field("VERSION_ID"), kernel: kernel.trim_end().to_owned() }
}

/// A live kernel parameter. A dot separates; where a name has slashes, they do, as sysctl(8) has it.
pub fn sysctl(name: &str) -> Option<String> {
    let path = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    let sound = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let path = PathBuf::from("/proc/sys").join(path);
    let value = sound.then(|| files::read(&path, SMALL).ok())??;
    Some(String::from_utf8_lossy(&value).trim().to_owned())
}

/// Names of loaded modules, with `-` as `_`.
pub fn modules() -> Option<BTreeSet<String>> {
    let table = text("/proc/modules", LARGE)?;
    let names = table.lines().filter_map(|line| line.split(' ').next());
    Some(names.map(|name| name.replace('-', "_")).collect())
}

/// AppArmor's profiles, and processes that have one and are not confined.
pub fn apparmor() -> Option<Apparmor> {
    let enabled =
        text("/sys/module/apparmor/parameters/enabled", SMALL).is_some_and(|flag| flag.starts_with('Y'));
    if !enabled {
        return Some(Apparmor::default());
    }
    let profiles = text("/sys/kernel/security/apparmor/profiles", LARGE)?;
    let count = |mode: &str| {
        let suffix = format!(" ({mode})");
        u32::try_from(profiles.lines().filter(|line| line.ends_with(&suffix)).count()).unwrap_or(u32::MAX)
    };
    let status = super::lines_of("aa-status", &["--json"]);
    let unconfined = match status {
        Some(lines) => unconfined(&lines.concat())?,
        None => 0,
    };
    Some(Apparmor { enabled, enforce: count("enforce"), complain: count("complain"), unconfined })
}

/// `processes` of aa-status(8): program to a list of `{"pid", "status"}`.
fn unconfined(status: &str) -> Option<u32> {
    let status: serde_json::Value = serde_json::from_str(status).ok()?;
    let processes = status.get("processes")?.as_object()?;
    let states = processes.values().filter_map(|list| list.as_array()).flatten();
    let count =
        states.filter(|process| process.get("status").is_some_and(|word| word == "unconfined")).count();
    u32::try_from(count).ok()
}

fn text(path: &str, budget: usize) -> Option<String> {
    files::read(Path::new(path), budget).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_system_is_told() {
        let system = system();
        assert!(!system.id.is_empty() && !system.kernel.is_empty(), "{system:?}");
        assert!(!system.kernel.ends_with('\n'));
    }

    #[test]
    fn a_parameters_name_does_not_lead_out() {
        assert_eq!(sysctl("kernel/ostype").as_deref(), Some("Linux"));
        for name in ["../../etc/passwd", "kernel..ostype", "/etc/passwd", ""] {
            assert_eq!(sysctl(name), None, "{name}");
        }
    }

    #[test]
    fn unconfined_processes_are_counted() {
        let status = r#"{"processes": {"/usr/sbin/a": [{"pid": "1", "status": "unconfined"}, {"pid": "2", "status": "enforce"}]}}"#;
        assert_eq!(unconfined(status), Some(1));
        assert_eq!(unconfined("{}"), None);
        assert_eq!(unconfined("nonsense"), None);
    }
}
