//! What an appraisal of pieces comes to: steps, verdict, facts.

use super::time;
use super::tree::{Node, Tone};
use sealpod_verifier::{Check, VerifyError};
use serde::Serialize;
use serde_json::{Map, Value};

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// Something that it needs was not given.
    NotRun,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Number of the step of [`sealpod_verifier::verify`] that it belongs to.
    pub step: u8,
    /// The check that failed, or else the check that stands for the step; [`Check::name`].
    pub name: String,
    /// What became of it.
    pub status: Status,
    /// What would be accepted.
    pub expected: String,
    /// What the evidence says.
    pub found: String,
    /// What was missing, and which option gives it.
    pub needs: String,
    /// The check behind `name`.
    #[serde(skip)]
    pub check: Option<Check>,
}

/// What all steps come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every step that could run holds, and one at least did.
    Verified,
    /// A step does not hold.
    Refused,
    /// It is nothing that is known, or nothing of it could be checked.
    Unreadable,
}

impl Verdict {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Verified => 0,
            Self::Refused => 1,
            Self::Unreadable => 2,
        }
    }

    /// As JSON spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
        }
    }
}

/// The appraisal of what belongs together.
#[derive(Debug, Clone)]
pub struct Appraisal {
    /// What it is: `snp-report`, `tdx-quote`, ...
    pub kind: &'static str,
    /// The files that it came from.
    pub files: Vec<String>,
    /// Steps, in order.
    pub steps: Vec<Step>,
    /// What the evidence says, by the names that programs look for. Not believed unless the verdict is `verified`.
    pub facts: Map<String, Value>,
    /// The same and more for people.
    pub tree: Node,
    /// Sentences about what the verdict does not cover.
    pub notes: Vec<String>,
}

impl Appraisal {
    /// Nothing checked yet.
    pub fn new(kind: &'static str, title: impl Into<String>) -> Self {
        let tree = Node::new(title);
        Self { kind, files: Vec::new(), steps: Vec::new(), facts: Map::new(), tree, notes: Vec::new() }
    }

    /// Record a step that ran. On success `found` says what was found.
    pub fn ran(
        &mut self,
        check: Check,
        expected: impl std::fmt::Display,
        result: Result<impl std::fmt::Display, VerifyError>,
    ) -> bool {
        match result {
            Ok(found) => {
                self.record(check, Status::Pass, expected.to_string(), found.to_string(), String::new());
                true
            }
            Err(error) => {
                self.failed(error);
                false
            }
        }
    }

    /// Record a step that does not hold.
    pub fn failed(&mut self, error: VerifyError) {
        self.record(error.check, Status::Fail, error.expected, error.found, String::new());
    }

    /// Record a step that could not run, and what it needs.
    pub fn not_run(&mut self, check: Check, expected: impl std::fmt::Display, needs: impl std::fmt::Display) {
        self.record(check, Status::NotRun, expected.to_string(), String::new(), needs.to_string());
    }

    /// Take back a step that could not run, where another stands for it.
    pub fn drop_unrun(&mut self, check: Check) {
        self.steps.retain(|step| step.check != Some(check) || step.status != Status::NotRun);
    }

    /// Take back a step that another does not let pass as it stands.
    pub fn drop(&mut self, check: Check) {
        self.steps.retain(|step| step.check != Some(check));
    }

    /// Set a fact.
    pub fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts.insert(name.to_owned(), value.into());
    }

    /// Say something about the verdict's reach.
    pub fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// The verdict over all steps.
    pub fn verdict(&self) -> Verdict {
        let any = |status| self.steps.iter().any(|step| step.status == status);
        match (any(Status::Fail), any(Status::Pass)) {
            (true, _) => Verdict::Refused,
            (false, true) => Verdict::Verified,
            (false, false) => Verdict::Unreadable,
        }
    }

    /// Whether a signature was verified by a key that is known.
    pub fn has_signature(&self) -> bool {
        // A report's signature is worth what its key's chain is.
        const SIGNATURES: [Check; 4] = [
            Check::QuoteSignature,
            Check::CertificateSignature,
            Check::CollateralSignature,
            Check::RevocationList,
        ];
        SIGNATURES.iter().any(|check| self.has(*check, Status::Pass))
    }

    /// Whether something in it does not parse.
    pub fn is_malformed(&self) -> bool {
        self.steps.iter().any(|step| step.step == 1 && step.status == Status::Fail)
    }

    /// Whether a check was recorded with this status.
    pub fn has(&self, check: Check, status: Status) -> bool {
        self.steps.iter().any(|step| step.check == Some(check) && step.status == status)
    }

    /// Steps in order of their numbers; those of one number stay as they were recorded.
    pub fn sort(&mut self) {
        self.steps.sort_by_key(|step| step.step);
    }

    /// What the claims of the AR4SI vector would be by these steps alone.
    pub fn trust(&self) -> Node {
        const CLAIMS: [(&str, &[u8]); 6] = [
            ("hardware", &[3, 4, 5, 6]),
            ("runtime-opaque", &[6]),
            ("instance-identity", &[9, 10, 11]),
            ("configuration", &[7, 8, 12, 15]),
            ("executables", &[13, 14]),
            ("file-system", &[15]),
        ];
        let mut node = Node::with("Trust vector", "AR4SI, as far as the steps that ran go");
        for (claim, basis) in CLAIMS {
            let of = |status| self.steps.iter().any(|s| basis.contains(&s.step) && s.status == status);
            let all = basis
                .iter()
                .all(|step| self.steps.iter().any(|s| s.step == *step && s.status == Status::Pass));
            let (text, tone) = match (of(Status::Fail), all && !of(Status::NotRun)) {
                (true, _) => ("contraindicated", Tone::Bad),
                (false, true) => ("affirming", Tone::Good),
                (false, false) if of(Status::Pass) => {
                    ("no claim: only part of what it rests on ran", Tone::Plain)
                }
                (false, false) => ("no claim", Tone::Plain),
            };
            node.toned(claim, text, tone);
        }
        node
    }

    /// As programs read it.
    pub fn to_json(&self) -> Value {
        serde_json::json!({
            "kind": self.kind,
            "verdict": self.verdict(),
            "files": self.files,
            "steps": self.steps,
            "facts": self.facts,
            "notes": self.notes,
        })
    }

    fn record(&mut self, check: Check, status: Status, expected: String, found: String, needs: String) {
        let (expected, found) = match check.step() {
            // Endorsements are judged by time, and the verifier counts seconds.
            3 => (time::dated(&expected), time::dated(&found)),
            _ => (expected, found),
        };
        let (step, name) = (check.step(), check.name().to_owned());
        self.steps.push(Step { step, name, status, expected, found, needs, check: Some(check) });
    }
}
