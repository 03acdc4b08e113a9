//! Rounds of nodes: challenge out, evidence in, report kept, with its audit lines.

use super::Broker;
use crate::audit::{Entry, Verdict};
use crate::compliance::nodes::{self, Node};
use crate::compliance::online::{self, Evaluated};
use crate::compliance::rounds::{self, Challenge, Round};
use crate::compliance::{ComplianceError, history};
use crate::crypto;
use crate::http::refusal::{Finding, Kind, Refusal};
use crate::storage::Version;
use sealpod_compliance::{Profile, requests};
use sealpod_evidence::node::request::MeasureRequest;
use sealpod_verifier::UnixTime;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Most items that an audit line names.
const MAX_NAMED: usize = 20;

/// What the broker remembers of nodes beside its store.
#[derive(Default)]
pub(super) struct Nodes {
    /// Held while a round becomes the last one of its node.
    taking: Mutex<()>,
    profiles: Mutex<Parsed>,
}

/// Profiles that were parsed, as of one version of the store: whoever asks for challenges must not make the broker parse each time.
#[derive(Default)]
struct Parsed {
    version: Option<Version>,
    profiles: HashMap<[u8; 32], Arc<Profile>>,
}

/// A challenge that was given, from its cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeChallenge {
    /// To which node.
    pub node: String,
    /// The nonce.
    pub nonce: String,
    /// When.
    pub given: UnixTime,
}

/// What a round came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeRound {
    /// One for each profile.
    pub profiles: Vec<ProfileResult>,
    /// Whether the node is held.
    pub held: bool,
}

/// What a round came to by one profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProfileResult {
    /// The profile.
    pub id: String,
    /// One line.
    pub summary: String,
    /// Items that pass.
    pub pass: usize,
    /// Items that fail.
    pub fail: usize,
    /// Items that are not established.
    pub unknown: usize,
}

impl Broker {
    /// A fresh challenge for a node, of which nothing is kept, and whether the node is held.
    pub fn node_challenge(&self, name: &str) -> Result<(Challenge, bool), Refusal> {
        let storage = &*self.admin.storage;
        let node = self.node(name)?;
        let mut request = MeasureRequest::default();
        for profile in self.profiles_of(&node)? {
            let more = history::named_paths(storage, name, &profile.id).map_err(Refusal::internal)?;
            request.merge(requests(&profile, &more));
        }
        let nonce: [u8; 32] = crypto::random().map_err(Refusal::internal)?;
        let held = node.hold && online::progress(storage, name).map_err(Refusal::internal)?.held.is_some();
        Ok((Challenge { nonce: hex::encode(nonce), request }, held))
    }

    /// Verify and evaluate the answer to a challenge. Takes tens of milliseconds of computing: not for an asynchronous thread.
    ///
    /// The decision is in the audit log, and evidence and reports are in the store, before this returns.
    pub fn node_evidence(
        &self,
        challenge: &NodeChallenge,
        body: &[u8],
        peer: &str,
    ) -> Result<NodeRound, Refusal> {
        let node = self.node(&challenge.node)?;
        let now = self.now();
        match self.take(&node, challenge, body, peer, now) {
            Ok(round) => Ok(round),
            Err(error) => Err(self.refuse_round(&node, &error, peer, now)?),
        }
    }

    fn take(
        &self,
        node: &Node,
        challenge: &NodeChallenge,
        body: &[u8],
        peer: &str,
        now: UnixTime,
    ) -> Result<NodeRound, Failure> {
        let profiles = self.profiles_of(node)?;
        let evidence = rounds::parse(body)?;
        let round = rounds::verified(&nodes::key_name(&node.ak_name)?, &challenge.nonce, &evidence, now)?;
        drop(evidence);
        let storage = &*self.admin.storage;
        let _one_at_a_time = self.nodes.taking.lock().unwrap_or_else(PoisonError::into_inner);
        let found = online::evaluate(storage, node, challenge.given, &round, &profiles, now)?;
        found.keep(storage, node, body)?;
        self.audit_round(node, &round, &found, peer, now)?;
        let profiles = found.reports.iter().map(|report| ProfileResult {
            id: report.profile.id.clone(),
            summary: report.summary(),
            pass: report.score.pass,
            fail: report.score.fail,
            unknown: report.score.unknown,
        });
        let answer = NodeRound { profiles: profiles.collect(), held: found.held() };
        found.commit(storage, node, body)?;
        Ok(answer)
    }

    fn node(&self, name: &str) -> Result<Node, Refusal> {
        nodes::get(&*self.admin.storage, name).map_err(|error| match error {
            ComplianceError::NotEnrolled { name } => Refusal::new(
                Kind::NodeNotFound,
                format!("no node {name} is enrolled"),
                "have the broker's owner run `sealpod-kbs compliance enrol NODE --ak KEY --profile PROFILE`, with the key that `sealpod-guest node keys` prints",
            ),
            other => Refusal::internal(other),
        })
    }

    fn profiles_of(&self, node: &Node) -> Result<Vec<Arc<Profile>>, Refusal> {
        if node.profiles.is_empty() {
            let finding = Finding::without_step("node-profiles", "a node with profiles", "one without any");
            let next = "have the broker's owner enrol it again with `--profile`";
            return Err(Refusal::found(Kind::AttestationError, finding, next));
        }
        // Before the profiles: what changes meanwhile is parsed once more, never missed.
        let version = self.admin.storage.version().map_err(Refusal::internal)?;
        let mut parsed = self.nodes.profiles.lock().unwrap_or_else(PoisonError::into_inner);
        if parsed.version != Some(version) {
            *parsed = Parsed { version: Some(version), profiles: HashMap::new() };
        }
        let mut profiles = Vec::with_capacity(node.profiles.len());
        for assigned in &node.profiles {
            let key = crypto::sha256(&serde_json::to_vec(assigned).map_err(Refusal::internal)?);
            let profile = match parsed.profiles.get(&key) {
                Some(profile) => profile.clone(),
                None => Arc::new(assigned.profile().map_err(Refusal::internal)?),
            };
            parsed.profiles.insert(key, profile.clone());
            profiles.push(profile);
        }
        Ok(profiles)
    }

    fn audit_round(
        &self,
        node: &Node,
        round: &Round,
        found: &Evaluated,
        peer: &str,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let summaries: Vec<String> = found
            .reports
            .iter()
            .map(|report| format!("{}: {}", report.profile.id, report.summary()))
            .collect();
        let entry = Entry {
            subject: Some(&node.name),
            found: Some(&summaries.join("; ")),
            binding_level: Some(round.verified.binding_level().as_str()),
            peer: Some(peer),
            ..Entry::new("node-round", Verdict::Allow)
        };
        self.audit(&entry, now)?;
        let verdict = match (found.was_held, found.held()) {
            (false, true) => Verdict::Refuse,
            (true, false) => Verdict::Allow,
            _ => return Ok(()),
        };
        let mut open: Vec<&str> = found.open.iter().take(MAX_NAMED).map(String::as_str).collect();
        if found.open.len() > MAX_NAMED {
            open.push("and more");
        }
        let open = open.join(", ");
        let entry = Entry {
            subject: Some(&node.name),
            check: Some("held"),
            expected: Some("no item that fails or is no longer established"),
            found: Some(if open.is_empty() { "none" } else { &open }),
            peer: Some(peer),
            ..Entry::new("node-hold", verdict)
        };
        self.audit(&entry, now)
    }

    /// A refusal with its audit line, as far as this minute's are listed.
    fn refuse_round(
        &self,
        node: &Node,
        failure: &Failure,
        peer: &str,
        now: UnixTime,
    ) -> Result<Refusal, Refusal> {
        let (kind, finding, next) = match failure {
            Failure::Refused(refusal) => return Ok(refusal.clone()),
            Failure::Compliance(ComplianceError::Verify(error)) => (
                Kind::AttestationError,
                Finding::from(error),
                "make another round; see `sealpod-guest node check`",
            ),
            Failure::Compliance(ComplianceError::Evidence { found }) => {
                let finding = Finding::without_step("node-evidence", "a node's evidence as JSON", found);
                (Kind::SerdeError, finding, "send what `sealpod-guest node collect` writes")
            }
            Failure::Compliance(ComplianceError::Stale { last, given, .. }) => {
                let expected =
                    format!("an answer to a challenge given after {last}, when the last round was taken");
                let finding =
                    Finding::without_step("node-freshness", expected, format!("one given at {given}"));
                (Kind::AttestationError, finding, "ask for a new challenge and answer that one")
            }
            Failure::Compliance(other) => return Ok(Refusal::internal(other)),
        };
        self.audit_unlisted(now)?;
        if self.refusals.admit(now) {
            let entry = Entry {
                subject: Some(&node.name),
                step: finding.step,
                check: Some(&finding.check),
                expected: Some(&finding.expected),
                found: Some(&finding.found),
                peer: Some(peer),
                ..Entry::new("node-round", Verdict::Refuse)
            };
            self.audit(&entry, now)?;
        }
        Ok(Refusal::found(kind, finding, next))
    }
}

/// Why a round was not taken.
enum Failure {
    Refused(Refusal),
    Compliance(ComplianceError),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ComplianceError> for Failure {
    fn from(error: ComplianceError) -> Self {
        Self::Compliance(error)
    }
}
