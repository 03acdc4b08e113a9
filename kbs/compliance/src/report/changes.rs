//! Two reports beside each other: what changed, and what is not as the evidence has it.

use super::Report;
use crate::finding::{Finding, State};
use sealpod_verifier::UnixTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// One item that is in another state than before, or rests on another value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The item.
    pub item: String,
    /// Its title.
    pub title: String,
    /// The state before; `None` where the item is new.
    pub before: Option<State>,
    /// The state now; `None` where the item is gone.
    pub now: Option<State>,
    /// What was found before.
    pub found_before: String,
    /// What is found now.
    pub found_now: String,
    /// When the state before was established.
    pub before_at: UnixTime,
}

/// One item of a report that is not what the evidence gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The item, or the part of the report.
    pub place: String,
    /// What the evidence gives.
    pub expected: String,
    /// What the report says.
    pub found: String,
}

impl Report {
    /// What changed since an earlier report of the same subject and profile, in the order of this report's items.
    pub fn changes_since(&self, before: &Self) -> Vec<Change> {
        let old: BTreeMap<&str, &Finding> = by_item(before);
        let new: BTreeMap<&str, &Finding> = by_item(self);
        let gone = before.findings.iter().filter(|finding| !new.contains_key(finding.item.as_str()));
        let changed = self.findings.iter().filter_map(|now| {
            let before_it = old.get(now.item.as_str()).copied();
            let same = before_it.is_some_and(|old| old.state == now.state && values(old) == values(now));
            (!same).then(|| change(before_it, Some(now), before.verified_at))
        });
        let gone = gone.map(|old| change(Some(old), None, before.verified_at));
        changed.flatten().chain(gone.flatten()).collect()
    }

    /// Each place in which `claimed`, a report from elsewhere, is not this one, which was made from the evidence.
    ///
    /// The time of evaluation is the claim's own and has to be given to [`Report::new`] for this one to be comparable.
    pub fn differences(&self, claimed: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        let mut compare = |place: &str, expected: String, found: String| {
            if expected != found {
                differences.push(Difference { place: place.to_owned(), expected, found });
            }
        };
        for (place, expected, found) in
            [("subject", &self.subject, &claimed.subject), ("profile", &self.profile.id, &claimed.profile.id)]
        {
            compare(place, expected.clone(), found.clone());
        }
        compare("kind", format!("{:?}", self.kind), format!("{:?}", claimed.kind));
        compare("binding level", self.binding_level.as_str().into(), claimed.binding_level.as_str().into());
        compare("round", format!("{:?}", self.round), format!("{:?}", claimed.round));
        compare("verified at", self.verified_at.to_string(), claimed.verified_at.to_string());
        compare("evaluated at", self.evaluated_at.to_string(), claimed.evaluated_at.to_string());
        compare("profile documents", format!("{:?}", self.profile), format!("{:?}", claimed.profile));
        compare("tailoring", format!("{:?}", self.tailoring), format!("{:?}", claimed.tailoring));
        compare("excluded items", format!("{:?}", self.excluded), format!("{:?}", claimed.excluded));
        compare("score", format!("{:?}", self.score), format!("{:?}", claimed.score));
        compare("roots of trust", format!("{:?}", self.roots), format!("{:?}", claimed.roots));
        compare("number of findings", self.findings.len().to_string(), claimed.findings.len().to_string());
        let theirs: BTreeMap<&str, &Finding> = by_item(claimed);
        for finding in &self.findings {
            let place = format!("item {}", finding.item);
            match theirs.get(finding.item.as_str()) {
                None => compare(&place, finding.state.to_string(), "missing".to_owned()),
                Some(claim) if *claim == finding => {}
                Some(claim) if claim.state != finding.state => {
                    compare(&place, finding.state.to_string(), claim.state.to_string());
                }
                Some(claim) => compare(&place, format!("{finding:?}"), format!("{claim:?}")),
            }
        }
        let ours: BTreeMap<&str, &Finding> = by_item(self);
        for claim in claimed.findings.iter().filter(|claim| !ours.contains_key(claim.item.as_str())) {
            compare(&format!("item {}", claim.item), "no such item".to_owned(), claim.state.to_string());
        }
        differences
    }
}

fn by_item(report: &Report) -> BTreeMap<&str, &Finding> {
    report.findings.iter().map(|finding| (finding.item.as_str(), finding)).collect()
}

/// What was found, without where in the log: that is another place in each round.
fn values(finding: &Finding) -> Vec<(&str, &str)> {
    finding.proofs.iter().map(|proof| (proof.subject.as_str(), proof.found.as_str())).collect()
}

fn change(before: Option<&Finding>, now: Option<&Finding>, before_at: UnixTime) -> Option<Change> {
    let either = now.or(before)?;
    Some(Change {
        item: either.item.clone(),
        title: either.title.clone(),
        before: before.map(|finding| finding.state),
        now: now.map(|finding| finding.state),
        found_before: before.map(Finding::found).unwrap_or_default(),
        found_now: now.map(Finding::found).unwrap_or_default(),
        before_at,
    })
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: the evidence gives {}, the report says {}", self.place, self.expected, self.found)
    }
}
