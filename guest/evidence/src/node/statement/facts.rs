//! The parts of a statement.

use super::NodePath;
use crate::bytes::Sha256Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What runs, from `/etc/os-release` and `uname`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// `ID`.
    pub id: String,
    /// `VERSION_ID`.
    pub version: String,
    /// Release of the running kernel.
    pub kernel: String,
}

/// What became of a file that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FileOutcome {
    /// Read in full through the round's overlay; its IMA entry is the proof.
    Measured {
        /// Where it was once symbolic links were followed, if not where it was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resolved: Option<NodePath>,
    },
    /// There is none.
    Absent,
    /// Not a regular file, which IMA does not measure.
    NotRegular,
    /// It could not be read.
    Failed {
        /// The operating system's word for why.
        error: String,
    },
}

/// Mode and owner of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryFacts {
    /// Permission bits with set-id and sticky: `st_mode & 0o7777`.
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Where.
    pub point: NodePath,
    /// What.
    pub source: String,
    /// File system type.
    pub fstype: String,
    /// Mount options, joined with commas.
    pub options: String,
}

/// Transport of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP over IPv4 or IPv6.
    Tcp,
    /// UDP over IPv4 or IPv6.
    Udp,
}

/// A socket that takes what comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Transport.
    pub protocol: Protocol,
    /// Local address, as IPv4 or IPv6 text.
    pub address: core::net::IpAddr,
    /// Local port.
    pub port: u16,
}

/// A systemd unit, in systemd's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// `enabled`, `disabled`, `masked`, `static`, `not-found`, ...
    pub enabled: String,
    /// `active`, `inactive`, `failed`, ...
    pub active: String,
}

/// A running process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its executable.
    pub executable: NodePath,
    /// Its arguments after the first, with bytes that are not UTF-8 replaced.
    pub arguments: Vec<String>,
}

/// Kubelet flags that a configuration of k3s or RKE2 holds beside its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// SHA-256 of the file that was read: that of its IMA entry.
    pub sha256: Sha256Digest,
    /// Elements of `kubelet-arg`; they take the place of those in earlier files. `None` where the file has no such list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<Vec<String>>,
    /// Elements of `kubelet-arg+`, which add to those in earlier files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
}

/// The live packet filter, as its tools list it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firewall {
    /// ufw's state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ufw: Option<Ufw>,
    /// Lines of `nft list ruleset`, without indentation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nft: Option<Vec<String>>,
    /// Lines of `iptables -S`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Vec<String>>,
    /// Lines of `ip6tables -S`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Vec<String>>,
}

/// ufw's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ufw {
    /// Whether it is active.
    pub active: bool,
    /// Default for incoming traffic: `deny`, `reject`, `allow`.
    pub incoming: String,
    /// Default for outgoing traffic.
    pub outgoing: String,
    /// Default for routed traffic; `disabled` where nothing is forwarded.
    pub routed: String,
    /// Rules, one a line, in the words of `ufw show added` without the leading `ufw`.
    pub rules: Vec<String>,
}

/// Something that the agent judges of accounts, because what it takes never leaves the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountCheck {
    /// root has a password or is locked.
    RootPassword,
    /// No password hash is in `/etc/passwd`.
    Shadowed,
    /// No account has an empty password.
    NoEmptyPasswords,
    /// Each primary group of an account exists.
    GroupsResolve,
    /// Group `shadow` has no members.
    ShadowGroupEmpty,
    /// No two accounts share a user id.
    UniqueUids,
    /// No two groups share a group id.
    UniqueGids,
    /// No two accounts share a name.
    UniqueUserNames,
    /// No two groups share a name.
    UniqueGroupNames,
    /// root's `PATH` has only root's own directories, none of them writable by others.
    RootPath,
    /// Only root has user id 0.
    OnlyRootIsUidZero,
    /// root's primary group is 0.
    RootGroup,
    /// Accounts below the first regular user id have no login shell and no usable password.
    SystemAccountsLocked,
    /// No password was changed in the future.
    PasswordChangesInPast,
    /// No password hash is of an older algorithm than the configured one.
    CurrentHashes,
    /// Home directories exist, belong to their user, and are closed to others.
    HomeDirectories,
    /// Dot files in home directories are not writable by others, and there is no `.netrc`, `.forward` or `.rhosts`.
    DotFiles,
    /// Fewest days between password changes, over accounts with a password.
    MinimumDays,
    /// Most days that a password may be kept, over accounts with a password; -1 counts as endless.
    MaximumDays,
    /// Fewest days of warning, over accounts with a password.
    WarningDays,
    /// Most days of grace after expiry, over accounts with a password; -1 counts as endless.
    InactiveDays,
}

/// The agent's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountFact {
    /// What it found.
    pub result: AccountResult,
    /// Accounts or groups that are against it, at most 16.
    #[serde(default)]
    pub offenders: Vec<String>,
    /// The files that were judged, and the SHA-256 of each: that of its IMA entry.
    pub judged: BTreeMap<NodePath, Sha256Digest>,
}

/// A verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountResult {
    /// Yes or no.
    Holds(bool),
    /// The worst of all values, for checks that count days; `i32::MAX` is endless.
    Worst(i32),
}

/// Number of files found and some of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// How many.
    pub count: u32,
    /// The first, at most 16.
    pub examples: Vec<NodePath>,
}

/// A walk over the local file systems.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scan {
    /// Files writable by all, and directories so without the sticky bit.
    pub world_writable: Found,
    /// Files whose user or group does not exist.
    pub unowned: Found,
    /// Files under `/var/log` that others can read or write, or their group can write or execute.
    pub open_logs: Found,
    /// Programs with set-user-id or set-group-id.
    pub set_id: Vec<NodePath>,
}

/// What the boot loader is told, judged on the node because its configuration holds password hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// Whether a superuser with a password hash is set.
    pub password: bool,
    /// The kernel command lines of the menu, recovery entries left out.
    pub command_lines: Vec<String>,
    /// The files that were judged, and the SHA-256 of each: that of its IMA entry.
    pub judged: BTreeMap<NodePath, Sha256Digest>,
}

/// AppArmor's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apparmor {
    /// Whether the kernel has it on.
    pub enabled: bool,
    /// Profiles in enforce mode.
    pub enforce: u32,
    /// Profiles in complain mode.
    pub complain: u32,
    /// Processes that have a profile but are not confined.
    pub unconfined: u32,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Whether it is a radio (`/sys/class/net/*/wireless`).
    pub wireless: bool,
    /// Whether it is up.
    pub up: bool,
}
