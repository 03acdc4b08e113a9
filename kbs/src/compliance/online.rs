//! Rounds that nodes make by themselves: fresh ones only, kept within bounds, and what they mean for a node that may be held.

use super::nodes::Node;
use super::rounds::Round;
use super::{ComplianceError, history};
use crate::storage::{Storage, Table};
use sealpod_compliance::report::Report;
use sealpod_compliance::{Profile, State, follow_up};
use sealpod_evidence::node::NodePath;
use sealpod_verifier::UnixTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::Deref;

/// Rounds of one node of which reports and evidence are kept: four days of hourly ones.
pub const KEPT_ROUNDS: usize = 100;
/// Bytes of evidence of one node that are kept; the newest stays whatever its size. A hundred rounds of a node that was booted some
/// days ago.
pub const KEPT_BYTES: u64 = 64 << 20;
/// The only version of the record.
const VERSION: u32 = 1;

/// How far a node has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    version: u32,
    /// When its last round was taken.
    pub last: Option<UnixTime>,
    /// Since when it is held.
    pub held: Option<UnixTime>,
    /// Items, as `profile/item`, that were established in some round.
    known: BTreeSet<String>,
    /// What is kept, oldest first.
    kept: Vec<Kept>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    at: UnixTime,
    bytes: u64,
    profiles: Vec<String>,
}

/// A round that was evaluated and is not written down yet.
pub struct Evaluated {
    /// One report for each profile.
    pub reports: Vec<Report>,
    /// Items, as `profile/item`, that hold a node: those that fail, and those that are no longer established.
    pub open: Vec<String>,
    /// Whether the node was held before.
    pub was_held: bool,
    /// The node after this round.
    pub progress: Progress,
    named: Vec<Vec<NodePath>>,
}

/// How far a node has come; not at all before its first round.
///
/// # Errors
///
/// The store's, and a record that does not parse.
pub fn progress(storage: &dyn Storage, node: &str) -> Result<Progress, ComplianceError> {
    let record = record(super::nodes::name(node)?);
    let Some(bytes) = storage.get(Table::Rounds, &record)? else { return Ok(Progress::none()) };
    let refused = |found: String| ComplianceError::Record { name: format!("rounds/{record}"), found };
    let progress: Progress = serde_json::from_slice(&bytes).map_err(|error| refused(error.to_string()))?;
    if progress.version == VERSION { Ok(progress) } else { Err(refused("another version".to_owned())) }
}

/// Evaluates a verified round that answers a challenge given at `given`. Between this and [`Evaluated::commit`] no other round of
/// the node may be taken.
///
/// A challenge counts only if it was given after the last round was taken. So no evidence counts twice, and none that was held
/// back while a later round failed releases a node.
///
/// Where the node is to be held, each item holds it that fails, and each that is unknown though an earlier round established it:
/// otherwise a node would be released by no longer saying.
///
/// # Errors
///
/// [`ComplianceError::Stale`], and the store's.
pub fn evaluate<P: Deref<Target = Profile>>(
    storage: &dyn Storage,
    node: &Node,
    given: UnixTime,
    round: &Round,
    profiles: &[P],
    now: UnixTime,
) -> Result<Evaluated, ComplianceError> {
    let mut progress = progress(storage, &node.name)?;
    if let Some(last) = progress.last.filter(|last| given <= *last) {
        return Err(ComplianceError::Stale { name: node.name.clone(), last, given });
    }
    let (mut reports, mut named) = (Vec::new(), Vec::new());
    let (mut open, mut known) = (Vec::new(), BTreeSet::new());
    for profile in profiles {
        let report = Report::new(&node.name, &round.appraised, profile, now);
        for finding in &report.findings {
            let item = format!("{}/{}", profile.id, finding.item);
            let established = finding.state != State::Unknown;
            let before = progress.known.contains(&item);
            if finding.state == State::Fail || (!established && before) {
                open.push(item.clone());
            }
            if established || before {
                known.insert(item);
            }
        }
        named.push(follow_up(&round.appraised, profile));
        reports.push(report);
    }
    let was_held = progress.held.is_some();
    let held = node.hold && !open.is_empty();
    progress.held = held.then(|| progress.held.unwrap_or(now));
    (progress.last, progress.known) = (Some(now), known);
    Ok(Evaluated { reports, open, was_held, progress, named })
}

impl Evaluated {
    /// Whether the node is held after this round.
    pub fn held(&self) -> bool {
        self.progress.held.is_some()
    }

    /// Keep reports and evidence.
    ///
    /// # Errors
    ///
    /// The store's.
    pub fn keep(&self, storage: &dyn Storage, node: &Node, evidence: &[u8]) -> Result<(), ComplianceError> {
        for (report, named) in self.reports.iter().zip(&self.named) {
            history::keep(storage, report, evidence)?;
            history::keep_named_paths(storage, &node.name, &report.profile.id, named)?;
        }
        Ok(())
    }

    /// From now on this is the node's last round. What is above the bounds is dropped.
    ///
    /// # Errors
    ///
    /// The store's.
    pub fn commit(
        mut self,
        storage: &dyn Storage,
        node: &Node,
        evidence: &[u8],
    ) -> Result<(), ComplianceError> {
        let profiles = self.reports.iter().map(|report| report.profile.id.clone()).collect();
        let at = self.progress.last.unwrap_or_default();
        self.progress.kept.push(Kept { at, bytes: evidence.len() as u64, profiles });
        let dropped = self.progress.shrink();
        self.progress.write(storage, &node.name)?;
        for old in dropped {
            history::forget(storage, &node.name, &old.profiles, old.at)?;
        }
        Ok(())
    }
}

/// A node that is enrolled anew under this name is not held for what another was. Its last round and what is kept stay.
///
/// # Errors
///
/// The store's.
pub fn start_over(storage: &dyn Storage, node: &str) -> Result<(), ComplianceError> {
    let found = progress(storage, node)?;
    if found == Progress::none() {
        return Ok(());
    }
    Progress { held: None, known: BTreeSet::new(), ..found }.write(storage, node)
}

impl Progress {
    fn none() -> Self {
        Self { version: VERSION, last: None, held: None, known: BTreeSet::new(), kept: Vec::new() }
    }

    fn write(&self, storage: &dyn Storage, node: &str) -> Result<(), ComplianceError> {
        let record = record(node);
        let bytes = serde_json::to_vec(self)
            .map_err(|error| ComplianceError::Record { name: record.clone(), found: error.to_string() })?;
        Ok(storage.put(Table::Rounds, &record, &bytes)?)
    }

    fn shrink(&mut self) -> Vec<Kept> {
        let mut bytes: u64 = self.kept.iter().map(|kept| kept.bytes).sum();
        let mut count = 0;
        for old in self.kept.iter().take(self.kept.len().saturating_sub(1)) {
            if self.kept.len() - count <= KEPT_ROUNDS && bytes <= KEPT_BYTES {
                break;
            }
            (bytes, count) = (bytes - old.bytes, count + 1);
        }
        self.kept.drain(..count).collect()
    }
}

fn record(node: &str) -> String {
    format!("{node}/progress")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_rounds_are_kept_within_count_and_bytes() {
        let kept = |at, bytes| Kept { at, bytes, profiles: Vec::new() };
        let mut progress = Progress::none();
        progress.kept = (0..KEPT_ROUNDS as u64 + 2).map(|at| kept(at, 1)).collect();
        let dropped: Vec<_> = progress.shrink().iter().map(|kept| kept.at).collect();
        assert_eq!((dropped.as_slice(), progress.kept.len()), (&[0, 1][..], KEPT_ROUNDS));
        progress.kept = vec![kept(0, KEPT_BYTES), kept(1, 1), kept(2, 1)];
        assert_eq!((progress.shrink().len(), progress.kept.len()), (1, 2));
        progress.kept = vec![kept(0, 1), kept(1, KEPT_BYTES + 1)];
        assert_eq!((progress.shrink().len(), progress.kept.len()), (1, 1), "the newest stays");
        assert!(Progress::none().shrink().is_empty());
    }
}
