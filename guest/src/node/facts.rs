//! What no file holds, or what must not leave the node: stated by the agent, one module per kind.

mod accounts;
mod arguments;
mod boot;
mod network;
mod packages;
mod processes;
mod scan;
mod services;
mod system;

use super::mountinfo;
use super::round::path_of;
use sealpod_evidence::node::request::{FactKind, MeasureRequest};
use sealpod_evidence::node::statement::{AgentStatement, DirectoryFacts, Mount, System};
use sealpod_evidence::node::{NodePath, PathPattern};
use std::os::unix::fs::MetadataExt as _;

pub use system::system;

/// Fills in all that the request asks for beside files. What cannot be told is left out, and an appraiser takes nothing from it.
pub fn state(request: &MeasureRequest, statement: &mut AgentStatement) {
    for pattern in &request.directories {
        for path in met(pattern) {
            let facts = directory(&path);
            statement.directories.insert(path, facts);
        }
    }
    statement.sysctl = request.sysctl.iter().map(|name| (name.clone(), system::sysctl(name))).collect();
    statement.services = services::state(&request.services);
    for fact in &request.facts {
        match fact {
            FactKind::Mounts => statement.mounts = mounts(),
            FactKind::Modules => statement.modules = system::modules(),
            FactKind::Listening => statement.listening = network::listening(),
            FactKind::Packages => statement.packages = packages::installed(),
            FactKind::Boot => statement.boot = boot::boot(),
            FactKind::Kubelet => {
                statement.kubelets = processes::kubelets();
                statement.arguments = arguments::arguments();
            }
            FactKind::Firewall => statement.firewall = Some(network::firewall()),
            FactKind::Accounts => statement.accounts = accounts::judge(),
            FactKind::Scan => statement.scan = scan::walk(),
            FactKind::Apparmor => statement.apparmor = system::apparmor(),
            FactKind::Interfaces => statement.interfaces = network::interfaces(),
        }
    }
}

/// A literal path is stated even where nothing is there; a pattern lists what it meets.
fn met(pattern: &PathPattern) -> Vec<NodePath> {
    pattern.literal().map_or_else(|| super::files::expand(pattern), |path| vec![path])
}

fn directory(path: &NodePath) -> Option<DirectoryFacts> {
    let metadata = std::fs::metadata(path_of(path)).ok().filter(std::fs::Metadata::is_dir)?;
    let mode = u16::try_from(metadata.mode() & 0o7777).unwrap_or_default();
    Some(DirectoryFacts { mode, uid: metadata.uid(), gid: metadata.gid() })
}

fn mounts() -> Option<Vec<Mount>> {
    let table = mountinfo::read().ok()?;
    let stated = table.into_iter().filter(|mount| !mount.point.is_in(&measure_directory()));
    let stated = stated.map(|mount| Mount {
        point: mount.point,
        source: mount.source,
        fstype: mount.fstype,
        options: mount.options,
    });
    Some(stated.collect())
}

/// The round's own mounts are stated as its overlays.
fn measure_directory() -> NodePath {
    sealpod_evidence::node::round::MEASURE_DIRECTORY.parse().unwrap_or_else(|_| NodePath::root())
}

/// An empty statement of this machine.
pub fn blank(nonce: sealpod_evidence::node::RoundNonce) -> AgentStatement {
    let system: System = system();
    let mut statement = AgentStatement::new(nonce, system);
    // The node's own clock, stated and never relied upon.
    #[expect(clippy::disallowed_methods, reason = "the statement says what this machine's clock shows")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    statement.clock = now.map(|since| since.as_secs()).unwrap_or_default();
    statement
}

/// Lines of a command's output, trimmed; `None` where it is not there or fails.
fn lines_of(program: &str, arguments: &[&str]) -> Option<Vec<String>> {
    let mut command = std::process::Command::new(program);
    // A fixed search path and language: neither the service's environment nor its user's decides what runs or how it words.
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C");
    let output = command.args(arguments).stdin(std::process::Stdio::null()).output().ok()?;
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Some(text.lines().map(|line| line.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_for_everything_is_answered_on_this_machine() {
        let mut request = MeasureRequest::default();
        request.directories.insert("/etc".parse().unwrap());
        request.directories.insert("/nonexistent".parse().unwrap());
        request.sysctl.insert("kernel.ostype".to_owned());
        request.sysctl.insert("no.such.thing".to_owned());
        use FactKind::{Interfaces, Kubelet, Listening, Modules, Mounts, Packages};
        request.facts.extend([Mounts, Modules, Listening, Packages, Kubelet, Interfaces]);
        let nonce = sealpod_evidence::node::RoundNonce::of_challenge("facts");
        let mut statement = blank(nonce);
        state(&request, &mut statement);
        assert_eq!(statement.sysctl["kernel.ostype"].as_deref(), Some("Linux"));
        assert_eq!(statement.sysctl["no.such.thing"], None);
        let etc = statement.directories[&"/etc".parse::<NodePath>().unwrap()].unwrap();
        assert_eq!((etc.mode, etc.uid), (0o755, 0));
        assert_eq!(statement.directories[&"/nonexistent".parse::<NodePath>().unwrap()], None);
        assert!(statement.mounts.as_ref().unwrap().iter().any(|mount| mount.point == NodePath::root()));
        assert!(statement.packages.as_ref().unwrap().contains_key("base-files"));
        assert!(statement.kubelets.as_ref().unwrap().is_empty());
        assert!(statement.firewall.is_none(), "what is not asked for is not told");
        let bytes = statement.to_bytes();
        assert_eq!(AgentStatement::parse(&bytes), Ok(statement));
    }

    #[test]
    fn a_command_that_fails_says_nothing() {
        assert_eq!(lines_of("false", &[]), None);
        assert_eq!(lines_of("no-such-program", &[]), None);
        assert_eq!(lines_of("echo", &["a b "]), Some(vec!["a b".to_owned()]));
    }
}
