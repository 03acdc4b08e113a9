//! What the broker asks a node to measure and state: all that the subject's profiles need, and nothing else.

use super::path::PathPattern;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// The only version.
pub const VERSION: u32 = 1;
/// Longest request in bytes. The largest shipped profiles together need a tenth of it.
pub const MAX_LEN: usize = 256 * 1024;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasureRequest {
    /// [`VERSION`].
    pub version: u32,
    /// Files to read through the round's overlay. What a pattern with a star meets is listed in the statement.
    #[serde(default)]
    pub files: BTreeMap<PathPattern, FileWish>,
    /// Directories whose mode and owner are stated.
    #[serde(default)]
    pub directories: BTreeSet<PathPattern>,
    /// Names of kernel parameters, with dots.
    #[serde(default)]
    pub sysctl: BTreeSet<String>,
    /// Names of systemd units.
    #[serde(default)]
    pub services: BTreeSet<String>,
    /// Everything else that is to be stated.
    #[serde(default)]
    pub facts: BTreeSet<FactKind>,
}

/// What is wanted of a file beside its IMA entry. The strongest wish of several holds: `Content` over `Measure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileWish {
    /// Nothing: hash, mode and owner are in the entry.
    Measure,
    /// Its content. An agent never sends one of [`NEVER_SENT`], whatever is asked.
    Content,
}

/// What never leaves a node: key material and password databases. The agent judges them, and sends verdict and hash.
pub const NEVER_SENT: &[&str] = &[
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/passwd",
    "/etc/passwd-",
    "/etc/security/opasswd",
    "/etc/ssh/ssh_host_*_key",
    "/etc/ssl/private/*",
    "/boot/grub/grub.cfg",
    "/boot/grub/user.cfg",
    "/etc/grub.d/*",
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/super-admin.conf",
    "/etc/kubernetes/bootstrap-kubelet.conf",
    "/etc/kubernetes/kube-proxy.conf",
    "/etc/kubernetes/proxy.conf",
    "/etc/kubernetes/pki/*.key",
    "/var/lib/kubelet/kubeconfig",
    "/var/lib/kubelet/pki/*",
    "/var/lib/kube-proxy/*",
    "/var/lib/rancher/*/agent/*.kubeconfig",
    "/var/lib/rancher/*/agent/*.key",
    "/etc/rancher/*/config.yaml",
    "/etc/rancher/*/config.yaml.d/*",
    "/etc/systemd/system/*.env",
];

/// A part of the statement that is there when it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FactKind {
    /// Mounted file systems.
    Mounts,
    /// Loaded kernel modules.
    Modules,
    /// Listening sockets.
    Listening,
    /// Installed packages.
    Packages,
    /// Running kubelets and their arguments.
    Kubelet,
    /// Live packet filter rules.
    Firewall,
    /// Verdicts about accounts.
    Accounts,
    /// A walk over the local file systems.
    Scan,
    /// Boot loader configuration.
    Boot,
    /// AppArmor's state.
    Apparmor,
    /// Network interfaces.
    Interfaces,
}

/// Why bytes are not a request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestError {
    /// More bytes than [`MAX_LEN`].
    #[error("a request of {found} bytes, more than the {expected} allowed")]
    TooLong {
        /// The limit.
        expected: usize,
        /// The length.
        found: usize,
    },
    /// Not the JSON of a request.
    #[error("not a measurement request: {found}")]
    Syntax {
        /// What serde says.
        found: String,
    },
    /// Another version than [`VERSION`].
    #[error("measurement request version {found}, expected {VERSION}")]
    Version {
        /// The version.
        found: u32,
    },
}

impl Default for MeasureRequest {
    fn default() -> Self {
        Self {
            version: VERSION,
            files: BTreeMap::new(),
            directories: BTreeSet::new(),
            sysctl: BTreeSet::new(),
            services: BTreeSet::new(),
            facts: BTreeSet::new(),
        }
    }
}

impl MeasureRequest {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// [`RequestError`]
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        if bytes.len() > MAX_LEN {
            return Err(RequestError::TooLong { expected: MAX_LEN, found: bytes.len() });
        }
        let request: Self = serde_json::from_slice(bytes)
            .map_err(|error| RequestError::Syntax { found: error.to_string() })?;
        if request.version != VERSION {
            return Err(RequestError::Version { found: request.version });
        }
        Ok(request)
    }

    /// Asks for a file; a stronger wish for the same one stays.
    pub fn file(&mut self, pattern: PathPattern, wish: FileWish) {
        let held = self.files.entry(pattern).or_insert(wish);
        *held = (*held).max(wish);
    }

    /// Asks for all that `other` asks for as well.
    pub fn merge(&mut self, other: Self) {
        for (pattern, wish) in other.files {
            self.file(pattern, wish);
        }
        self.directories.extend(other.directories);
        self.sysctl.extend(other.sysctl);
        self.services.extend(other.services);
        self.facts.extend(other.facts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stronger_wish_stays() {
        let path = || "/etc/motd".parse::<PathPattern>().unwrap();
        let mut request = MeasureRequest::default();
        request.file(path(), FileWish::Content);
        request.file(path(), FileWish::Measure);
        let mut other = MeasureRequest::default();
        other.merge(request);
        assert_eq!(other.files, BTreeMap::from([(path(), FileWish::Content)]));
    }

    #[test]
    fn a_request_is_read_back_and_spoiled_ones_are_refused() {
        let mut request = MeasureRequest::default();
        request.file("/etc/*.conf".parse().unwrap(), FileWish::Content);
        request.facts.insert(FactKind::Mounts);
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(MeasureRequest::parse(text.as_bytes()), Ok(request));
        let parse = |text: &str| MeasureRequest::parse(text.as_bytes()).unwrap_err();
        assert_eq!(
            parse(&text.replace("\"version\":1", "\"version\":2")),
            RequestError::Version { found: 2 }
        );
        assert!(matches!(parse(&text.replace("facts", "fakts")), RequestError::Syntax { .. }));
        assert!(matches!(parse(&text.replace("/etc/*", "/etc/../*")), RequestError::Syntax { .. }));
        let long = vec![b' '; MAX_LEN + 1];
        assert!(matches!(MeasureRequest::parse(&long), Err(RequestError::TooLong { .. })));
    }

    #[test]
    fn what_is_never_sent_are_patterns() {
        for pattern in NEVER_SENT {
            pattern.parse::<PathPattern>().unwrap();
        }
    }
}
