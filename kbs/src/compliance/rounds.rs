//! Challenges, and the evidence that answers them.

use super::nodes::{self, Node};
use super::{ComplianceError, cut};
use crate::crypto;
use crate::storage::{Storage, Table};
use sealpod_compliance::{Appraised, Profile, appraised, requests};
use sealpod_evidence::node::evidence::{MAX_LEN, NodeEvidence};
use sealpod_evidence::node::request::MeasureRequest;
use sealpod_evidence::node::{NodePath, RoundNonce};
use sealpod_verifier::UnixTime;
use sealpod_verifier::node::{Identity, NodeInput, VerifiedNode, verify};
use serde::{Deserialize, Serialize};

/// How long a challenge may be answered: evidence may be carried by hand.
pub const CHALLENGE_SECONDS: u64 = 3600;

/// What a node is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// The nonce.
    pub nonce: String,
    /// What to measure and state.
    pub request: MeasureRequest,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    given_at: UnixTime,
}

/// Evidence that verified, and what the logs of the same quote say.
#[derive(Debug)]
pub struct Round {
    /// What profiles are evaluated over.
    pub appraised: Appraised,
    /// The verified logs.
    pub verified: VerifiedNode,
}

/// A fresh challenge for a node, kept until it is answered. `follow_up` are paths that settings of the node named in its last
/// round and that the profiles do not ask for by themselves.
///
/// # Errors
///
/// [`ComplianceError::NotEnrolled`], and the store's.
pub fn challenge(
    storage: &dyn Storage,
    node: &str,
    profiles: &[Profile],
    follow_up: &[NodePath],
    now: UnixTime,
) -> Result<Challenge, ComplianceError> {
    let node = nodes::get(storage, node)?;
    let bytes: [u8; 32] = crypto::random().map_err(|_| ComplianceError::Random)?;
    let nonce = hex::encode(bytes);
    let mut request = MeasureRequest::default();
    for profile in profiles {
        request.merge(requests(profile, follow_up));
    }
    let given = serde_json::to_vec(&Given { given_at: now }).unwrap_or_default();
    storage.put(Table::Rounds, &challenge_record(&node.name, &nonce), &given)?;
    Ok(Challenge { nonce, request })
}

/// Evidence from its JSON.
///
/// # Errors
///
/// [`ComplianceError::Evidence`]
pub fn parse(bytes: &[u8]) -> Result<NodeEvidence, ComplianceError> {
    if bytes.len() > MAX_LEN {
        let found = format!("{} bytes, more than the {MAX_LEN} allowed", bytes.len());
        return Err(ComplianceError::Evidence { found });
    }
    serde_json::from_slice(bytes)
        .map_err(|error| ComplianceError::Evidence { found: cut(&error.to_string()) })
}

/// Verify what a node answers to one of its open challenges, which is thereby used up.
///
/// # Errors
///
/// [`ComplianceError::NoChallenge`] for a nonce that was not given to this node or was answered before,
/// [`ComplianceError::Expired`], and [`ComplianceError::Verify`] with the check that did not hold.
pub fn answer(
    storage: &dyn Storage,
    node: &str,
    evidence: &NodeEvidence,
    now: UnixTime,
) -> Result<Round, ComplianceError> {
    let node = nodes::get(storage, node)?;
    let no_challenge = || ComplianceError::NoChallenge { name: node.name.clone() };
    // What was not made here is no name of a record.
    let ours = evidence.nonce.len() == 64 && evidence.nonce.bytes().all(|byte| byte.is_ascii_hexdigit());
    let record = challenge_record(&node.name, &evidence.nonce);
    let given = if ours { storage.get(Table::Rounds, &record)? } else { None };
    let given = given.ok_or_else(no_challenge)?;
    let round = verified(&nodes::key_name(&node.ak_name)?, &evidence.nonce, evidence, now)?;
    // Of several that answer at once, one finds it still there. A refused answer leaves it to the node itself.
    if !storage.delete(Table::Rounds, &record)? {
        return Err(no_challenge());
    }
    let given: Given = serde_json::from_slice(&given)
        .map_err(|error| ComplianceError::Record { name: record, found: error.to_string() })?;
    if now > given.given_at.saturating_add(CHALLENGE_SECONDS) {
        return Err(ComplianceError::Expired { given: given.given_at, seconds: CHALLENGE_SECONDS, now });
    }
    Ok(round)
}

/// Evidence by itself, as an auditor has it: of this key and nonce. That the nonce was fresh is the broker's word.
///
/// # Errors
///
/// [`ComplianceError::Verify`]
pub fn verified(
    ak_name: &[u8],
    nonce: &str,
    evidence: &NodeEvidence,
    verified_at: UnixTime,
) -> Result<Round, ComplianceError> {
    let verified = verify(&NodeInput { evidence, nonce, identity: Identity::Enrolled(ak_name) })?;
    let sent = appraised::NodeEvidence {
        round: RoundNonce::of_challenge(nonce),
        statement: &evidence.statement.0,
        contents: &evidence.contents.0,
        verified_at,
    };
    Ok(Round { appraised: Appraised::node(&sent, &verified), verified })
}

/// The record of an open challenge.
fn challenge_record(node: &str, nonce: &str) -> String {
    format!("{node}/challenge/{nonce}")
}

impl Node {
    /// Open challenges of this node that are too old to be answered are forgotten.
    ///
    /// # Errors
    ///
    /// The store's.
    pub fn forget_old_challenges(&self, storage: &dyn Storage, now: UnixTime) -> Result<(), ComplianceError> {
        let prefix = format!("{}/challenge/", self.name);
        for (record, _) in storage.list(Table::Rounds)? {
            if !record.starts_with(&prefix) {
                continue;
            }
            let given = storage.get(Table::Rounds, &record)?;
            let given = given.and_then(|bytes| serde_json::from_slice::<Given>(&bytes).ok());
            if given.is_none_or(|given| now > given.given_at.saturating_add(CHALLENGE_SECONDS)) {
                storage.delete(Table::Rounds, &record)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
