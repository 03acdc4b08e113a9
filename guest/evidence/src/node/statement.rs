//! What a node's agent states of its machine, beside what the kernel measured: state that no file holds.
//!
//! A statement is the word of the agent. Its weight is that the agent's own binary is measured, that its digest is extended into
//! PCR 13 before the quote ([`StatementEvent`]), and that it names the round that it answers. The parts that were not asked for,
//! or could not be told, are missing; an appraiser takes nothing from a missing part.

mod facts;

pub use facts::{
    AccountCheck, AccountFact, AccountResult, Apparmor, Arguments, Boot, DirectoryFacts, FileOutcome,
    Firewall, Found, Interface, Listener, Mount, Process, Protocol, Scan, Service, System, Ufw,
};

use super::path::{NodePath, PathPattern};
use super::round::{MAX_OVERLAYS, Overlay, RoundNonce};
use crate::bytes::{HexArray, Sha256Digest};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// The only version.
pub const VERSION: u32 = 1;
/// Longest statement in bytes. A server with 1,500 packages and all facts has 120 KiB.
pub const MAX_LEN: usize = 512 * 1024;
/// Most entries of one list or table: packages are the longest.
pub const MAX_ENTRIES: usize = 16 * 1024;

/// One statement. Its bytes are the RFC 8785 form of this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentStatement {
    /// [`VERSION`].
    pub version: u32,
    /// The round that it answers.
    pub nonce: RoundNonce,
    /// Name and version of the agent.
    pub agent: String,
    /// The node's clock when the round began, in seconds since 1970. Its own word: nothing is decided by it.
    pub clock: u64,
    /// Distribution and kernel.
    pub system: System,
    /// The mounts through which the files of this round were read.
    pub overlays: Vec<Overlay>,
    /// What became of each file asked for, those that a pattern met among them.
    pub files: BTreeMap<NodePath, FileOutcome>,
    /// What each pattern with a star met.
    pub listings: BTreeMap<PathPattern, Vec<NodePath>>,
    /// Directories; `None` for one that does not exist.
    pub directories: BTreeMap<NodePath, Option<DirectoryFacts>>,
    /// Live kernel parameters; `None` for one that the kernel does not have.
    pub sysctl: BTreeMap<String, Option<String>>,
    /// systemd units asked for.
    pub services: BTreeMap<String, Service>,
    /// Mounted file systems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mounts: Option<Vec<Mount>>,
    /// Loaded modules, with `-` as `_`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modules: Option<BTreeSet<String>>,
    /// Listening sockets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listening: Option<Vec<Listener>>,
    /// Installed packages and their versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packages: Option<BTreeMap<String, String>>,
    /// Running kubelets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubelets: Option<Vec<Process>>,
    /// Kubelet flags in files that hold credentials too, and so are not sent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<NodePath, Arguments>,
    /// Live packet filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall: Option<Firewall>,
    /// Verdicts about accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<BTreeMap<AccountCheck, AccountFact>>,
    /// A walk over the local file systems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<Scan>,
    /// Boot loader configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<Boot>,
    /// AppArmor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apparmor: Option<Apparmor>,
    /// Network interfaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<Interface>>,
}

/// The record in PCR 13 that stands for a statement: the content of a CEL record ([`crate::cel`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum StatementEvent {
    /// A node's statement was made.
    NodeStatement {
        /// The round.
        nonce: RoundNonce,
        /// SHA-256 of the statement's bytes.
        sha256: Sha256Digest,
    },
}

/// Why bytes are not a statement.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StatementError {
    /// More bytes than [`MAX_LEN`].
    #[error("a statement of {found} bytes, more than the {expected} allowed")]
    TooLong {
        /// The limit.
        expected: usize,
        /// The length.
        found: usize,
    },
    /// Not the JSON of a statement.
    #[error("not a statement: {found}")]
    Syntax {
        /// What serde says.
        found: String,
    },
    /// Not the RFC 8785 form: a key twice, another order, white space.
    #[error("a statement that is not in RFC 8785 form")]
    NotCanonical,
    /// Another version than [`VERSION`].
    #[error("statement version {found}, expected {VERSION}")]
    Version {
        /// The version.
        found: u32,
    },
    /// A list or table above its budget.
    #[error("the statement's {part} has {found} entries, more than the {expected} allowed")]
    TooMany {
        /// Which part.
        part: &'static str,
        /// The limit.
        expected: usize,
        /// The number.
        found: usize,
    },
}

impl AgentStatement {
    /// An empty statement of a round: everything that is optional is missing.
    pub fn new(nonce: RoundNonce, system: System) -> Self {
        Self {
            version: VERSION,
            nonce,
            agent: concat!("sealpod-guest ", env!("CARGO_PKG_VERSION")).to_owned(),
            clock: 0,
            system,
            overlays: Vec::new(),
            files: BTreeMap::new(),
            listings: BTreeMap::new(),
            directories: BTreeMap::new(),
            sysctl: BTreeMap::new(),
            services: BTreeMap::new(),
            mounts: None,
            modules: None,
            listening: None,
            packages: None,
            kubelets: None,
            arguments: BTreeMap::new(),
            firewall: None,
            accounts: None,
            scan: None,
            boot: None,
            apparmor: None,
            interfaces: None,
        }
    }

    /// The bytes that are sent, and hashed for PCR 13. Empty, which nobody takes, for a clock beyond the integers of JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json_canonicalizer::to_vec(self).unwrap_or_default()
    }

    /// Reads a statement. Memory is a small multiple of the bytes, which are bounded.
    ///
    /// # Errors
    ///
    /// [`StatementError`]
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > MAX_LEN {
            return Err(StatementError::TooLong { expected: MAX_LEN, found: bytes.len() });
        }
        let statement: Self = serde_json::from_slice(bytes)
            .map_err(|error| StatementError::Syntax { found: error.to_string() })?;
        if statement.version != VERSION {
            return Err(StatementError::Version { found: statement.version });
        }
        statement.within_budget()?;
        if statement.to_bytes() == bytes { Ok(statement) } else { Err(StatementError::NotCanonical) }
    }

    fn within_budget(&self) -> Result<(), StatementError> {
        let length = |part: &Option<Vec<_>>| part.as_ref().map_or(0, Vec::len);
        let listed = self.listings.values().map(Vec::len).fold(0, usize::saturating_add);
        let parts = [
            ("overlays", self.overlays.len(), MAX_OVERLAYS),
            ("files", self.files.len(), MAX_ENTRIES),
            ("listings", listed, MAX_ENTRIES),
            ("directories", self.directories.len(), MAX_ENTRIES),
            ("packages", self.packages.as_ref().map_or(0, BTreeMap::len), MAX_ENTRIES),
            ("mounts", length(&self.mounts), MAX_ENTRIES),
        ];
        for (part, found, expected) in parts {
            if found > expected {
                return Err(StatementError::TooMany { part, expected, found });
            }
        }
        Ok(())
    }
}

impl StatementEvent {
    /// The record for these bytes of a statement.
    pub fn of(nonce: RoundNonce, statement: &[u8]) -> Self {
        Self::NodeStatement { nonce, sha256: HexArray(Sha256::digest(statement).into()) }
    }

    /// The bytes that are measured: RFC 8785.
    pub fn to_content(&self) -> Vec<u8> {
        // A tree of strings always has a canonical form.
        serde_json_canonicalizer::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> AgentStatement {
        let system =
            System { id: "ubuntu".into(), version: "20.04".into(), kernel: "5.15.0-91-generic".into() };
        let mut statement = AgentStatement::new(RoundNonce::of_challenge("n"), system);
        let path = NodePath::from_bytes(b"/etc/\xe9.conf").unwrap();
        statement.files.insert(path.clone(), FileOutcome::Measured { resolved: None });
        statement.listings.insert("/etc/*.conf".parse().unwrap(), vec![path]);
        statement.sysctl.insert("kernel.randomize_va_space".into(), Some("2".into()));
        statement
    }

    #[test]
    fn a_statement_has_one_form_and_is_read_back() {
        let bytes = statement().to_bytes();
        assert_eq!(AgentStatement::parse(&bytes), Ok(statement()));
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("{\"agent\":\"sealpod-guest "), "{text}");
        assert!(text.contains("\"/etc/%E9.conf\":{\"measured\":{}}"), "{text}");
    }

    #[test]
    fn spoiled_statements_have_their_errors() {
        let text = String::from_utf8(statement().to_bytes()).unwrap();
        let parse = |text: String| AgentStatement::parse(text.as_bytes()).unwrap_err();
        assert_eq!(
            parse(text.replace("\"version\":1}", "\"version\":2}")),
            StatementError::Version { found: 2 }
        );
        assert_eq!(parse(format!("{text} ")), StatementError::NotCanonical);
        assert_eq!(parse(text.replacen('{', "{ ", 1)), StatementError::NotCanonical);
        assert!(matches!(parse(text.replacen('{', "{\"more\":1,", 1)), StatementError::Syntax { .. }));
        assert!(matches!(parse(text.replace("%E9", "%e9")), StatementError::Syntax { .. }));
        let twice = text.replace("\"kernel.randomize_va_space\":\"2\"", "\"a\":\"1\",\"a\":\"2\"");
        assert_eq!(parse(twice), StatementError::NotCanonical);
        let found = MAX_LEN + 1;
        assert_eq!(parse(" ".repeat(found)), StatementError::TooLong { expected: MAX_LEN, found });
        let mut many = statement();
        many.overlays = vec![
            Overlay {
                mount_point: NodePath::root(),
                lower: NodePath::root(),
                fstype: String::new(),
                options: String::new(),
                device: String::new(),
            };
            MAX_OVERLAYS + 1
        ];
        let found = MAX_OVERLAYS + 1;
        let expected = StatementError::TooMany { part: "overlays", expected: MAX_OVERLAYS, found };
        assert_eq!(AgentStatement::parse(&many.to_bytes()), Err(expected));
    }

    #[test]
    fn the_record_names_round_and_digest() {
        let bytes = statement().to_bytes();
        let content = StatementEvent::of(statement().nonce, &bytes).to_content();
        let text = String::from_utf8(content).unwrap();
        assert!(
            text.starts_with("{\"nonce\":\"") && text.ends_with("\"type\":\"node-statement\"}"),
            "{text}"
        );
    }
}
