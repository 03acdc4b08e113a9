//! Reports: what was found, for people and for programs.
//!
//! [`Report`] is the one that everything else is made from: its JSON is stable and names all that an auditor needs to come to the
//! same findings from the evidence alone. [`Report::differences`] points at each item of a report that is not what the evidence
//! gives.

mod changes;
mod html;
mod ocsf;
mod openreports;
mod oscal;
mod terminal;
mod time;

pub use changes::{Change, Difference};
pub use html::{HistoryPoint, html};
pub use ocsf::ocsf;
pub use openreports::openreports;
pub use oscal::oscal;
pub use terminal::terminal;

use crate::appraised::{Appraised, SubjectKind};
use crate::finding::{Finding, Root, State};
use crate::profile::{Excluded, Profile, Tailoring};
use sealpod_evidence::bytes::Sha256Digest;
use sealpod_evidence::node::RoundNonce;
use sealpod_verifier::{BindingLevel, UnixTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

/// The only version of the JSON.
pub const VERSION: u32 = 1;
/// Longest JSON of a report in bytes. One of 285 items, each with several proofs, has 400 KiB.
pub const MAX_LEN: usize = 8 << 20;

/// What was evaluated, by what, when, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// The owner's name for the subject.
    pub subject: String,
    /// What it is.
    pub kind: SubjectKind,
    /// Who vouches for its TPM.
    pub binding_level: BindingLevel,
    /// The round whose measurements were evaluated, for a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<RoundNonce>,
    /// When the evidence was verified, in seconds since 1970.
    pub verified_at: UnixTime,
    /// When it was evaluated.
    pub evaluated_at: UnixTime,
    /// The profile.
    pub profile: ProfileName,
    /// What the organisation changed about it, and why.
    pub tailoring: Tailoring,
    /// Items that the tailoring left out.
    pub excluded: Vec<Excluded>,
    /// How many are in which state.
    pub score: Score,
    /// How many of those that are decided rest on which root of trust.
    pub roots: BTreeMap<Root, usize>,
    /// One for each item.
    pub findings: Vec<Finding>,
}

/// Which profile, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileName {
    /// Its name.
    pub id: String,
    /// For people.
    pub title: String,
    /// The benchmark and its version.
    pub benchmark: String,
    /// SHA-256 of the document, and of those that it extends.
    pub sha256: Vec<Sha256Digest>,
}

/// Counts of findings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// Proved to be as the benchmark has it.
    pub pass: usize,
    /// Proved not to be.
    pub fail: usize,
    /// Not established.
    pub unknown: usize,
    /// Saying nothing about this subject.
    pub not_applicable: usize,
}

/// Why bytes are not a report.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReportError {
    /// More bytes than [`MAX_LEN`].
    #[error("a report of {found} bytes, more than the {expected} allowed")]
    TooLong {
        /// The limit.
        expected: usize,
        /// The length.
        found: usize,
    },
    /// Not the JSON of a report.
    #[error("not a compliance report: {found}")]
    Syntax {
        /// What serde says.
        found: String,
    },
    /// Another version than [`VERSION`].
    #[error("compliance report version {found}, expected {VERSION}")]
    Version {
        /// The version.
        found: u32,
    },
}

impl Score {
    fn of(findings: &[Finding]) -> Self {
        let count = |state| findings.iter().filter(|finding| finding.state == state).count();
        Self {
            pass: count(State::Pass),
            fail: count(State::Fail),
            unknown: count(State::Unknown),
            not_applicable: count(State::NotApplicable),
        }
    }

    /// Items that say something about the subject.
    pub fn applicable(&self) -> usize {
        self.pass.saturating_add(self.fail).saturating_add(self.unknown)
    }

    /// Passed items in tenths of a percent of the applicable ones, rounded down, so that only all is 1000. 0 where none applies.
    pub fn per_mille(&self) -> usize {
        self.pass.saturating_mul(1000).checked_div(self.applicable()).unwrap_or(0)
    }

    /// `54.5 %`
    pub fn percent(&self) -> String {
        format!("{}.{} %", self.per_mille() / 10, self.per_mille() % 10)
    }
}

impl Report {
    /// Evaluates a profile and writes down what came of it.
    pub fn new(subject: &str, appraised: &Appraised, profile: &Profile, now: UnixTime) -> Self {
        let findings = crate::evaluate(appraised, profile, now);
        let decided = |finding: &&Finding| matches!(finding.state, State::Pass | State::Fail);
        let mut roots = BTreeMap::new();
        for finding in findings.iter().filter(decided) {
            *roots.entry(finding.root).or_default() += 1;
        }
        Self {
            version: VERSION,
            subject: subject.to_owned(),
            kind: appraised.kind(),
            binding_level: appraised.binding_level(),
            round: appraised.round(),
            verified_at: appraised.verified_at(),
            evaluated_at: now,
            profile: ProfileName {
                id: profile.id.clone(),
                title: profile.title.clone(),
                benchmark: profile.benchmark.clone(),
                sha256: profile.sha256.clone(),
            },
            tailoring: profile.tailoring.clone(),
            excluded: profile.excluded.clone(),
            score: Score::of(&findings),
            roots,
            findings,
        }
    }

    /// The JSON, indented.
    pub fn to_json(&self) -> String {
        // A tree of strings, numbers and tables with text keys always has one.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Reads a report's JSON. Says nothing of whether it is true.
    ///
    /// # Errors
    ///
    /// [`ReportError`]
    pub fn parse(bytes: &[u8]) -> Result<Self, ReportError> {
        if bytes.len() > MAX_LEN {
            return Err(ReportError::TooLong { expected: MAX_LEN, found: bytes.len() });
        }
        let report: Self = serde_json::from_slice(bytes)
            .map_err(|error| ReportError::Syntax { found: error.to_string() })?;
        match report.version {
            VERSION => Ok(report),
            found => Err(ReportError::Version { found }),
        }
    }

    /// The findings in a state, the gravest first.
    pub fn in_state(&self, state: State) -> Vec<&Finding> {
        let mut found: Vec<&Finding> =
            self.findings.iter().filter(|finding| finding.state == state).collect();
        // Stable: items of one severity stay in the benchmark's order.
        found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        found
    }

    /// `22 of 22 pass (100.0 %)`, and what else there is.
    pub fn summary(&self) -> String {
        let score = &self.score;
        let mut text = format!("{} of {} pass ({})", score.pass, score.applicable(), score.percent());
        for (count, word) in
            [(score.fail, "fail"), (score.unknown, "unknown"), (score.not_applicable, "not applicable")]
        {
            if count > 0 {
                text.push_str(&format!(", {count} {word}"));
            }
        }
        text
    }
}

impl Finding {
    /// What was found, in one line: the reasons if it is unknown, else what the proofs show.
    pub fn found(&self) -> String {
        if self.state == State::Unknown {
            return self.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        }
        let mut texts: Vec<String> =
            self.proofs.iter().map(|proof| format!("{}: {}", proof.subject, proof.found)).collect();
        let more = texts.len().saturating_sub(3);
        texts.truncate(3);
        let mut text = texts.join("; ");
        if more > 0 {
            text.push_str(&format!("; and {more} more"));
        }
        text
    }

    /// What is required, as the first proof has it.
    pub fn required(&self) -> &str {
        self.proofs.first().map_or("", |proof| &proof.required)
    }
}
