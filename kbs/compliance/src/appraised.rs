//! Evidence that may be evaluated: current, replayed, hash-checked.
//!
//! [`Appraised`] is made in two ways only: from an [`AttestationResult`] for a pod, and for a node from logs whose replay a
//! verifier vouches for ([`ReplayedLogs`]). What does not hold does not make the whole fail: it makes the items that would rest
//! on it unknown, each with its reason.

mod files;

pub(crate) use files::{Content, Lookup, Measured, Owner};

use crate::finding::{Proof, Reason, Root};
use files::Entries;
use sealpod_evidence::bytes::Sha256Digest;
use sealpod_evidence::ima::Entry;
use sealpod_evidence::node::contents::{self, Contents, ContentsError};
use sealpod_evidence::node::statement::{AgentStatement, StatementEvent};
use sealpod_evidence::node::{NodePath, PathPattern, RoundNonce};
use sealpod_verifier::{AttestationResult, BindingLevel, UnixTime};
use serde_json::Value;

/// PCR of IMA.
pub(crate) const PCR_IMA: u8 = 10;
/// PCR of the agent's records.
pub(crate) const PCR_AGENT: u8 = 13;

/// Logs of one attested session of a node, as a verifier leaves them.
///
/// Whoever implements this vouches that a quote over this round's challenge was verified, with its AK and binding level; that
/// each entry's template digest was recomputed from its data; that the entries up to the last one given replay to the quoted
/// PCR 10; and that the records given replay to the quoted PCR 13. Entries behind the quote are not evidence and are not given.
pub trait ReplayedLogs {
    /// The covered IMA entries, in order.
    fn ima(&self) -> impl Iterator<Item = Entry<'_>>;
    /// Contents of the covered records of PCR 13, in order.
    fn agent_records(&self) -> impl Iterator<Item = &[u8]>;
    /// Who vouches for the TPM.
    fn binding_level(&self) -> BindingLevel;
}

impl ReplayedLogs for sealpod_verifier::node::VerifiedNode {
    fn ima(&self) -> impl Iterator<Item = Entry<'_>> {
        self.entries()
    }

    fn agent_records(&self) -> impl Iterator<Item = &[u8]> {
        self.records()
    }

    fn binding_level(&self) -> BindingLevel {
        Self::binding_level(self)
    }
}

/// What a node sent, beside its logs, and the round that it has to be about.
#[derive(Debug, Clone, Copy)]
pub struct NodeEvidence<'a> {
    /// The round that the broker's challenge names.
    pub round: RoundNonce,
    /// The agent's statement, as it was sent.
    pub statement: &'a [u8],
    /// Contents of files, as they were sent ([`contents::pack`]).
    pub contents: &'a [u8],
    /// When the broker verified the quote.
    pub verified_at: UnixTime,
}

/// What kind of subject a profile is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// An ordinary Linux machine with a TPM or vTPM.
    Node,
    /// The guest of a confidential pod.
    Pod,
}

impl SubjectKind {
    /// As profiles and reports spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Pod => "pod",
        }
    }
}

/// Appraised evidence of one subject. Says what was measured and stated, and nothing of whether that is good.
#[derive(Debug)]
pub struct Appraised {
    verified_at: UnixTime,
    binding_level: BindingLevel,
    subject: Subject,
}

#[derive(Debug)]
enum Subject {
    Node(Box<Node>),
    Pod { claims: Value },
}

/// A node's evidence of one round.
#[derive(Debug)]
pub(crate) struct Node {
    round: RoundNonce,
    entries: Entries,
    contents: Result<Contents, ContentsError>,
    statement: Result<Stated, String>,
}

/// A statement that was extended into PCR 13.
#[derive(Debug)]
pub(crate) struct Stated {
    pub(crate) statement: AgentStatement,
    pub(crate) sha256: Sha256Digest,
    pub(crate) record: u64,
}

impl Appraised {
    /// A node's evidence: entries under this round's nonce, a statement whose digest is in PCR 13, and contents whose hashes are
    /// checked when they are used.
    ///
    /// Proves nothing that `logs` does not vouch for. Only entries under this round's directory count, so that what was true in
    /// another round is not taken for the present.
    pub fn node<L: ReplayedLogs>(evidence: &NodeEvidence<'_>, logs: &L) -> Self {
        let round = evidence.round;
        let node = Node {
            round,
            entries: Entries::of_round(&round, logs.ima()),
            contents: contents::unpack(evidence.contents),
            statement: stated(evidence, logs),
        };
        Self {
            verified_at: evidence.verified_at,
            binding_level: logs.binding_level(),
            subject: Subject::Node(Box::new(node)),
        }
    }

    /// A pod's evidence: the claims of a result that held in every step.
    pub fn pod(result: &AttestationResult, verified_at: UnixTime) -> Self {
        let claims = result.claims().clone();
        Self { verified_at, binding_level: result.binding_level(), subject: Subject::Pod { claims } }
    }

    /// When the evidence was verified.
    pub fn verified_at(&self) -> UnixTime {
        self.verified_at
    }

    /// Who vouches for the TPM.
    pub fn binding_level(&self) -> BindingLevel {
        self.binding_level
    }

    /// The kind of subject.
    pub fn kind(&self) -> SubjectKind {
        match self.subject {
            Subject::Node(_) => SubjectKind::Node,
            Subject::Pod { .. } => SubjectKind::Pod,
        }
    }

    /// The round, for a node.
    pub fn round(&self) -> Option<RoundNonce> {
        match &self.subject {
            Subject::Node(node) => Some(node.round),
            Subject::Pod { .. } => None,
        }
    }

    pub(crate) fn node_view(&self) -> Result<&Node, Reason> {
        match &self.subject {
            Subject::Node(node) => Ok(node),
            Subject::Pod { .. } => Err(Reason::OtherSubject { expected: "node".to_owned() }),
        }
    }

    pub(crate) fn claims(&self) -> Result<&Value, Reason> {
        match &self.subject {
            Subject::Pod { claims } => Ok(claims),
            Subject::Node(_) => Err(Reason::OtherSubject { expected: "pod".to_owned() }),
        }
    }

    #[cfg(test)]
    pub(crate) fn of_claims(claims: Value, verified_at: UnixTime) -> Self {
        Self { verified_at, binding_level: BindingLevel::Svsm, subject: Subject::Pod { claims } }
    }
}

/// The statement, if it is about this round and its record is in PCR 13.
fn stated<L: ReplayedLogs>(evidence: &NodeEvidence<'_>, logs: &L) -> Result<Stated, String> {
    if evidence.statement.is_empty() {
        return Err("none was sent".to_owned());
    }
    let statement = AgentStatement::parse(evidence.statement).map_err(|error| error.to_string())?;
    if statement.nonce != evidence.round {
        return Err(format!("it is about round {}, expected {}", statement.nonce, evidence.round));
    }
    let event = StatementEvent::of(evidence.round, evidence.statement);
    let content = event.to_content();
    let StatementEvent::NodeStatement { sha256, .. } = event;
    let record = logs.agent_records().position(|record| record == content);
    let record = record.ok_or_else(|| format!("its digest {sha256} is not in PCR {PCR_AGENT}"))?;
    Ok(Stated { statement, sha256, record: record as u64 })
}

impl Node {
    pub(crate) fn stated(&self) -> Result<&Stated, Reason> {
        self.statement.as_ref().map_err(|problem| Reason::NoStatement { problem: problem.clone() })
    }

    pub(crate) fn statement(&self) -> Result<&AgentStatement, Reason> {
        self.stated().map(|stated| &stated.statement)
    }

    /// The part of a statement that `get` looks for, or that it is missing.
    pub(crate) fn fact<'a, T>(
        &'a self,
        what: &str,
        get: impl FnOnce(&'a AgentStatement) -> Option<T>,
    ) -> Result<T, Reason> {
        get(self.statement()?).ok_or_else(|| Reason::NotStated { what: what.to_owned() })
    }

    /// The proof that the statement says something.
    pub(crate) fn stated_proof(
        &self,
        subject: &str,
        found: impl Into<String>,
        required: impl Into<String>,
    ) -> Proof {
        let stated = self.statement.as_ref().ok();
        Proof {
            root: Root::Agent,
            subject: subject.to_owned(),
            found: clipped(found.into()),
            required: clipped(required.into()),
            pcr: stated.map(|_| PCR_AGENT),
            log_index: stated.map(|stated| stated.record),
            hash: stated.map(|stated| format!("sha256:{}", stated.sha256)),
        }
    }

    /// The paths that a pattern asks for: itself, or what the agent listed.
    pub(crate) fn expand(&self, pattern: &PathPattern) -> Result<Vec<NodePath>, Reason> {
        if let Some(path) = pattern.literal() {
            return Ok(vec![path]);
        }
        let listed = self.fact(&format!("what {pattern} meets"), |s| s.listings.get(pattern))?;
        match listed.iter().find(|path| !pattern.matches(path)) {
            Some(other) => Err(Reason::NotStated { what: format!("{pattern}: it lists {other}") }),
            None => Ok(listed.clone()),
        }
    }
}

/// Longest value in a proof, in characters: a report is read by people, and stays small however long a node's values are.
const MAX_VALUE: usize = 400;

/// A value, cut where it is too long to be read.
pub(crate) fn clipped(text: String) -> String {
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => text.get(..end).map(|kept| format!("{kept}…")).unwrap_or_default(),
        None => text,
    }
}
