//! Nodes, their rounds, and what benchmark profiles say of them.
//!
//! A node is enrolled by the name of its attestation key, which its operator reads on the node and confirms here ([`nodes`]). Each
//! round answers a challenge that is used once ([`rounds`]); the evidence is verified, evaluated, and kept beside the report, so
//! that both can be audited and compared later ([`history`]).

pub mod history;
pub mod nodes;
pub mod online;
pub mod profiles;
pub mod rounds;

use crate::storage::StorageError;
use sealpod_compliance::report::ReportError;
use sealpod_verifier::{UnixTime, VerifyError};

/// Why something about a node could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ComplianceError {
    /// The store.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Evidence that does not verify.
    #[error("the evidence is refused: {0}")]
    Verify(#[from] VerifyError),
    /// A report that does not parse.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A name that is none.
    #[error("expected a node's name of letters, digits, `-` and `.`, at most 64 of them, found {found:?}")]
    Name {
        /// The name, cut.
        found: String,
    },
    /// A key's name that is none.
    #[error(
        "expected the name of an attestation key, 000b and a SHA-256 digest in hex, as `sealpod-guest node keys` prints it, found {found:?}"
    )]
    KeyName {
        /// The text, cut.
        found: String,
    },
    /// Not enrolled.
    #[error("no node {name} is enrolled; enrol it with `sealpod-kbs compliance enrol {name} --ak NAME`")]
    NotEnrolled {
        /// Which.
        name: String,
    },
    /// Enrolled with other keys.
    #[error(
        "node {name} is enrolled with another key, {enrolled}; if it was given a new TPM, remove it first with `sealpod-kbs compliance remove {name}`"
    )]
    OtherKey {
        /// Which.
        name: String,
        /// The key's name.
        enrolled: String,
    },
    /// Two nodes cannot have one TPM.
    #[error("this key is that of node {other}: one TPM cannot be in two nodes")]
    KeyTaken {
        /// The node that has it.
        other: String,
    },
    /// No such profile.
    #[error("there is no profile {found:?}; name a file, or one of {}", known.join(", "))]
    NoProfile {
        /// The name.
        found: String,
        /// Those that are shipped.
        known: Vec<&'static str>,
    },
    /// A profile or tailoring that is not sound.
    #[error("{name}: {message}")]
    Profile {
        /// Which.
        name: String,
        /// The mistakes.
        message: String,
    },
    /// Evidence that is not JSON of evidence.
    #[error("not a node's evidence: {found}; it is the file that `sealpod-guest node collect` writes")]
    Evidence {
        /// What serde says.
        found: String,
    },
    /// The nonce is none that was given, or was used.
    #[error(
        "the evidence answers no open challenge of {name}; make one with `sealpod-kbs compliance challenge {name}`"
    )]
    NoChallenge {
        /// The node.
        name: String,
    },
    /// The challenge is too old.
    #[error("the challenge was given at {given} and is worth {seconds} s, it is {now}; make another")]
    Expired {
        /// When.
        given: UnixTime,
        /// How long it is worth something.
        seconds: u64,
        /// When it was used.
        now: UnixTime,
    },
    /// An answer to a challenge that is older than the last answer.
    #[error(
        "expected an answer to a challenge given after {last}, when node {name} last answered one, found one given at {given}"
    )]
    Stale {
        /// The node.
        name: String,
        /// When its last round was taken.
        last: UnixTime,
        /// When the challenge was given.
        given: UnixTime,
    },
    /// A record of the store that does not parse.
    #[error("the store's record {name} does not parse: {found}; restore it or remove it")]
    Record {
        /// Which.
        name: String,
        /// What serde says.
        found: String,
    },
    /// Nothing is kept of that.
    #[error("nothing is kept of node {name}{}; make a report first", profile.as_ref().map(|p| format!(" and profile {p}")).unwrap_or_default())]
    NoHistory {
        /// The node.
        name: String,
        /// The profile.
        profile: Option<String>,
    },
    /// No random bytes.
    #[error("no random bytes")]
    Random,
}

fn cut(text: &str) -> String {
    text.chars().take(128).collect()
}
