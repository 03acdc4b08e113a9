//! Profiles: a benchmark at one level, as a YAML document.

mod builtin;
mod lint;
mod platform;
mod resolve;
mod tailoring;
#[cfg(test)]
mod tests;

pub use builtin::{BUILTIN, builtin};
pub use lint::{Mistake, lint};
pub use platform::{KubeletSources, NamedBy, Platform};
pub use resolve::parse;
pub use tailoring::{Tailoring, TailoringError};

use crate::appraised::SubjectKind;
use crate::finding::{Root, Severity};
use crate::rule::Rule;
use sealpod_evidence::bytes::Sha256Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The only version of the documents.
pub const VERSION: u32 = 1;

/// A profile, tailored and ready to be evaluated. Its texts are the profile author's; nothing in it is trusted but by whoever
/// chose it.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Its name.
    pub id: String,
    /// For people.
    pub title: String,
    /// The benchmark and its version.
    pub benchmark: String,
    /// What it is about.
    pub subject: SubjectKind,
    /// SHA-256 of the document, and of those that it extends, in order.
    pub sha256: Vec<Sha256Digest>,
    /// Layouts of nodes.
    pub platforms: Vec<Platform>,
    /// The items.
    pub items: Vec<Item>,
    /// What a tailoring took out.
    pub excluded: Vec<Excluded>,
    /// The tailoring.
    pub tailoring: Tailoring,
}

/// One item.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Number in the benchmark.
    pub id: String,
    /// In this project's words.
    pub title: String,
    /// Level in the benchmark.
    pub level: u8,
    /// How much it matters.
    pub severity: Severity,
    /// The weakest root of trust on which a pass rests; a profile that claims a stronger one is refused.
    pub root: Root,
    /// When it says anything at all.
    pub when: Option<Rule>,
    /// What has to hold.
    pub rule: Rule,
    /// What to do otherwise.
    pub remediation: String,
    /// Values that a tailoring may set, as they are set.
    pub params: BTreeMap<String, String>,
}

/// An item that a tailoring took out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Excluded {
    /// Number in the benchmark.
    pub item: String,
    /// In this project's words.
    pub title: String,
    /// Why, in the words of whoever tailored.
    pub reason: String,
}

impl Profile {
    /// How many items rest on each root of trust, strongest first.
    pub fn roots(&self) -> BTreeMap<Root, usize> {
        let mut roots: BTreeMap<Root, usize> = Root::ALL.into_iter().map(|root| (root, 0)).collect();
        for item in &self.items {
            *roots.entry(item.root).or_default() += 1;
        }
        roots
    }
}

/// The table of items by root of trust, in Markdown, for documents. Generated, so that it cannot disagree with the profiles.
pub fn roots_table(profiles: &[Profile]) -> String {
    let mut out = "| profile | items |".to_owned();
    for root in Root::ALL {
        let _ = write!(out, " {root} |");
    }
    out.push_str("\n|---|---|---|---|---|---|---|\n");
    for profile in profiles {
        let _ = write!(out, "| `{}` | {} |", profile.id, profile.items.len());
        for count in profile.roots().values() {
            let _ = write!(out, " {count} |");
        }
        out.push('\n');
    }
    out
}
