//! The systemd units of a node: one puts the policy in force early at boot, one makes the rounds.

use std::io;
use std::path::{Path, PathBuf};

/// Where units of the machine's administrator are (systemd.unit(5)).
pub const UNITS: &str = "/etc/systemd/system";
/// Makes the rounds.
pub const SERVICE: &str = "sealpod-node.service";
/// Puts the policy in force.
pub const POLICY_SERVICE: &str = "sealpod-node-policy.service";

/// Why nothing was installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// There is one already.
    #[error("{} is there already; --force overwrites it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A unit cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A path that no unit can name.
    #[error("{path:?} cannot be named in a systemd unit: it is not UTF-8, or has a control character")]
    Path {
        /// The path.
        path: PathBuf,
    },
}

/// What the service is to do.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// This program.
    pub program: &'a Path,
    /// The broker's URL.
    pub broker: &'a str,
    /// The broker's authority.
    pub authority: &'a Path,
    /// The node's name.
    pub name: &'a str,
    /// Seconds between rounds.
    pub every: u64,
}

/// File names and texts.
///
/// # Errors
///
/// [`InstallError::Path`]
pub fn units(service: &Service<'_>) -> Result<[(&'static str, String); 2], InstallError> {
    let (program, authority) = (path(service.program)?, path(service.authority)?);
    let (broker, name, every) = (quoted(service.broker), quoted(service.name), service.every);
    let policy = format!(
        "\
# Early, so that what starts after it is measured. The kernel takes one policy for each boot.
[Unit]
Description=IMA policy of sealpod's rounds
DefaultDependencies=no
After=systemd-remount-fs.service
Before=sysinit.target shutdown.target
Conflicts=shutdown.target
ConditionPathExists=/sys/kernel/security/ima/policy

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={program} node policy --load

[Install]
WantedBy=sysinit.target
"
    );
    let rounds = format!(
        "\
# No setting may be added that gives the service a mount namespace of its own (ProtectSystem, PrivateTmp and their like): a
# round states the mounts that it sees.
[Unit]
Description=Rounds of sealpod: evidence of this node for its broker
Documentation=man:systemd.exec(5)
Wants=network-online.target
After=network-online.target {POLICY_SERVICE}

[Service]
ExecStart={program} node run --broker {broker} --ca {authority} --name {name} --every {every}
Restart=on-failure
RestartSec=30
NoNewPrivileges=yes
MemoryMax=256M
Nice=10

[Install]
WantedBy=multi-user.target
"
    );
    Ok([(POLICY_SERVICE, policy), (SERVICE, rounds)])
}

/// Write the units; either both are new, or `force` is set.
///
/// # Errors
///
/// [`InstallError`]
pub fn install(directory: &Path, service: &Service<'_>, force: bool) -> Result<(), InstallError> {
    let units = units(service)?;
    for (name, _) in &units {
        let path = directory.join(name);
        if !force && path.symlink_metadata().is_ok() {
            return Err(InstallError::Exists { path });
        }
    }
    for (name, text) in &units {
        let path = directory.join(name);
        std::fs::write(&path, text).map_err(|source| InstallError::Write { path, source })?;
    }
    Ok(())
}

fn path(path: &Path) -> Result<String, InstallError> {
    let text = path.to_str().filter(|text| !text.chars().any(char::is_control));
    text.map(quoted).ok_or_else(|| InstallError::Path { path: path.to_owned() })
}

/// An argument of `ExecStart=` (systemd.service(5), *Command lines*; `%` from systemd.unit(5), *Specifiers*).
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '%' | '$' => out.extend([c, c]),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(authority: &str) -> Service<'_> {
        let (program, broker) = (Path::new("/usr/bin/sealpod-guest"), "https://kbs:8443");
        Service { program, broker, authority: Path::new(authority), name: "worker-1", every: 3600 }
    }

    #[test]
    fn the_units_run_this_program_with_quoted_arguments() {
        let [(_, policy), (_, rounds)] = units(&service("/etc/a b/%h$X\".pem")).unwrap();
        assert!(policy.contains("ExecStart=\"/usr/bin/sealpod-guest\" node policy --load\n"), "{policy}");
        assert!(policy.contains("DefaultDependencies=no\n") && policy.contains("Before=sysinit.target "));
        let line = "node run --broker \"https://kbs:8443\" --ca \"/etc/a b/%%h$$X\\\".pem\" --name \"worker-1\" --every 3600\n";
        assert!(rounds.contains(line), "{rounds}");
        assert!(matches!(units(&service("/etc/a\nb")), Err(InstallError::Path { .. })));
    }

    #[test]
    fn what_is_there_is_overwritten_only_by_force() {
        let directory = tempfile::tempdir().unwrap();
        let service = service("/etc/ca.pem");
        install(directory.path(), &service, false).unwrap();
        let path = directory.path().join(SERVICE);
        std::fs::write(&path, "mine").unwrap();
        std::fs::remove_file(directory.path().join(POLICY_SERVICE)).unwrap();
        let refused = install(directory.path(), &service, false).unwrap_err();
        assert!(matches!(refused, InstallError::Exists { path: found } if found == path));
        assert!(!directory.path().join(POLICY_SERVICE).exists(), "all or nothing");
        install(directory.path(), &service, true).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().contains("node run"));
        let missing = install(&directory.path().join("none"), &service, true);
        assert!(matches!(missing, Err(InstallError::Write { .. })));
    }
}
