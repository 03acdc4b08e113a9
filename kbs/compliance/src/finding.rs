//! What an evaluation says of one item, and why.

use sealpod_evidence::node::NodePath;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a statement about a node rests on, strongest first: roots compare, and the weaker is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Root {
    /// A claim of a verified attestation result: report, launch and boot.
    Hardware,
    /// Hash, mode and owner that the kernel measured in this round, in a log that replays to a quoted PCR.
    Ima,
    /// A content whose hash is that of its IMA entry.
    #[serde(rename = "ima+content")]
    ImaContent,
    /// The measured agent's statement, extended into PCR 13 before the quote.
    Agent,
    /// A human.
    Manual,
}

impl Root {
    /// All, strongest first.
    pub const ALL: [Self; 5] = [Self::Hardware, Self::Ima, Self::ImaContent, Self::Agent, Self::Manual];

    /// As profiles and reports spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hardware => "hardware",
            Self::Ima => "ima",
            Self::ImaContent => "ima+content",
            Self::Agent => "agent",
            Self::Manual => "manual",
        }
    }
}

/// How an item stands. Unknown is never pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Proved to be as the benchmark has it.
    Pass,
    /// Proved not to be.
    Fail,
    /// Says nothing about this subject.
    NotApplicable,
    /// Not established; the reason says why.
    Unknown,
}

impl State {
    /// All.
    pub const ALL: [Self; 4] = [Self::Fail, Self::Unknown, Self::Pass, Self::NotApplicable];

    /// As reports spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotApplicable => "not-applicable",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Housekeeping.
    Low,
    /// A weakness that needs another one.
    Medium,
    /// A way in.
    High,
    /// An open door.
    Critical,
}

impl Severity {
    /// As profiles and reports spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// One thing that was looked at: what was found, what is required, and where the proof lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// What it rests on.
    pub root: Root,
    /// The file, setting or fact.
    pub subject: String,
    /// The value found.
    pub found: String,
    /// The value required.
    pub required: String,
    /// The PCR that covers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcr: Option<u8>,
    /// Index of the entry in that PCR's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_index: Option<u64>,
    /// Hash of the file, or of the agent's statement, with its algorithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// Why something is not established.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Reason {
    /// The file has no entry under this round's nonce, and the agent does not say that it is absent.
    #[error("{path} was not measured in this round")]
    NotMeasured {
        /// The file.
        path: NodePath,
    },
    /// Entries of this round contradict each other.
    #[error(
        "{path} has entries in this round that differ: it changed while it was measured, or its name is ambiguous"
    )]
    Ambiguous {
        /// The file.
        path: NodePath,
    },
    /// The kernel could not vouch for the file: it was open for writing while it was measured.
    #[error("{path} was open for writing while it was measured")]
    Violation {
        /// The file.
        path: NodePath,
    },
    /// The entry's template has no mode and owner.
    #[error(
        "{path} was measured in template {template}, which records no mode and owner: the policy rule lacks template=evm-sig"
    )]
    NoModeOwner {
        /// The file.
        path: NodePath,
        /// The template.
        template: String,
    },
    /// The content was not sent, or not asked for.
    #[error("the content of {path} was not sent")]
    NoContent {
        /// The file.
        path: NodePath,
    },
    /// The content is not the measured one.
    #[error("the content sent for {path} has hash {found}, the kernel measured {measured}")]
    OtherContent {
        /// The file.
        path: NodePath,
        /// Hash of the IMA entry.
        measured: String,
        /// Hash of the content.
        found: String,
    },
    /// The entry's hash is too weak to bind a content.
    #[error("{path} was measured with {algorithm}, which binds no content: boot with ima_hash=sha256")]
    WeakHash {
        /// The file.
        path: NodePath,
        /// The algorithm.
        algorithm: String,
    },
    /// The content is not what its program would read.
    #[error("{path} cannot be read: {problem}")]
    Unreadable {
        /// The file.
        path: NodePath,
        /// Why.
        problem: String,
    },
    /// There was no statement, or one that does not hold.
    #[error("the agent's statement does not count: {problem}")]
    NoStatement {
        /// Why.
        problem: String,
    },
    /// The statement does not have this part.
    #[error("the agent's statement says nothing of {what}")]
    NotStated {
        /// What.
        what: String,
    },
    /// A file that the agent judged is not the one that the kernel measured.
    #[error("the agent judged {path} with another hash than the kernel measured")]
    OtherFileJudged {
        /// The file.
        path: NodePath,
    },
    /// An overlay of this round is not what the round would have.
    #[error("the overlay that {path} was read through: {problem}")]
    Overlay {
        /// The file.
        path: NodePath,
        /// What is wrong.
        problem: String,
    },
    /// The evidence is older than is allowed.
    #[error("the evidence is {age} seconds old, more than the {allowed} allowed")]
    Stale {
        /// Seconds since it was verified.
        age: u64,
        /// Seconds allowed.
        allowed: u64,
    },
    /// The evidence is from after the time of evaluation.
    #[error("the evidence is {ahead} seconds from the future")]
    FromTheFuture {
        /// Seconds.
        ahead: u64,
    },
    /// None of the profile's platforms was recognised, or more than one.
    #[error("the platform is not clear: {found}")]
    Platform {
        /// Those recognised, or `none`.
        found: String,
    },
    /// The profile is about another kind of subject.
    #[error("this item is about a {expected}")]
    OtherSubject {
        /// `node` or `pod`.
        expected: String,
    },
    /// A human must answer.
    #[error("a human must answer: {question}")]
    Manual {
        /// The question.
        question: String,
    },
}

/// What is known of one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The item's number in its benchmark.
    pub item: String,
    /// The item's title, in this project's words.
    pub title: String,
    /// The benchmark's level.
    pub level: u8,
    /// How much it matters.
    pub severity: Severity,
    /// How it stands.
    pub state: State,
    /// The weakest root of trust that the state rests on.
    pub root: Root,
    /// Why it is unknown; empty otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// What was looked at.
    pub proofs: Vec<Proof>,
    /// What to do about it.
    pub remediation: String,
}
