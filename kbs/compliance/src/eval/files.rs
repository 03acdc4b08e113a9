//! Rules about files as such: mode, owner, presence, lines of text.

use super::outcome::Outcome;
use super::{Context, text};
use crate::appraised::{Content, Lookup, Measured, Node};
use crate::expect::Mode;
use crate::finding::{Proof, Reason, Root, State};
use crate::rule::{Absent, Target};
use sealpod_evidence::node::NodePath;

/// Most bytes and lines of all files that one rule reads together. Rules look at each line several times, so this bounds the work
/// that a node can make; the longest that a real node has are audit rules and module lists, with a few thousand lines.
const MAX_TOGETHER: usize = 1 << 20;
const MAX_LINES: usize = 20_000;
/// Longest excerpt of a file in a proof, in characters.
const MAX_EXCERPT: usize = 160;

/// The files of a target.
pub(super) struct Files<'n> {
    pub(super) present: Vec<(NodePath, &'n Measured)>,
    pub(super) absent: Vec<NodePath>,
    pub(super) unknown: Vec<Reason>,
}

/// Patterns of [`crate::rule::Rule::Lines`].
pub(super) struct LineRules<'r> {
    pub(super) require: &'r [String],
    pub(super) forbid: &'r [String],
    pub(super) allow: &'r [String],
    pub(super) forbid_text: &'r [String],
}

/// A content and where it is from.
pub(super) struct Source<'n> {
    pub(super) path: NodePath,
    pub(super) content: Content<'n>,
}

impl Source<'_> {
    /// The proof that this file says something.
    pub(super) fn proof(
        &self,
        subject: &str,
        found: impl Into<String>,
        required: impl Into<String>,
    ) -> Proof {
        let subject =
            if subject.is_empty() { self.path.to_string() } else { format!("{subject} in {}", self.path) };
        self.content.measured.proof(Root::ImaContent, &subject, found, required)
    }
}

pub(super) fn excerpt(text: &str) -> String {
    if text.chars().count() > MAX_EXCERPT {
        text.chars().take(MAX_EXCERPT).chain(['…']).collect()
    } else {
        text.to_owned()
    }
}

impl<'a> Context<'a> {
    pub(super) fn files(&self, target: &Target) -> Result<Files<'a>, Reason> {
        let node = self.node()?;
        let mut files = Files { present: Vec::new(), absent: Vec::new(), unknown: Vec::new() };
        for path in self.paths(target)? {
            match node.lookup(&path) {
                Lookup::Measured(measured) => files.present.push((path, measured)),
                Lookup::Absent => files.absent.push(path),
                Lookup::Unknown(reason) => files.unknown.push(reason),
            }
        }
        Ok(files)
    }

    /// Contents of all files of a target that are there, in order. One that cannot be had makes the whole unknown.
    pub(super) fn sources(&self, target: &Target) -> Result<Vec<Source<'a>>, Reason> {
        let node = self.node()?;
        let mut sources = Vec::new();
        let (mut bytes, mut lines) = (0_usize, 0_usize);
        for path in self.paths(target)? {
            let Some(content) = node.content(&path)? else { continue };
            bytes = bytes.saturating_add(content.bytes.len());
            lines = lines.saturating_add(content.bytes.iter().filter(|byte| **byte == b'\n').count());
            if bytes > MAX_TOGETHER || lines > MAX_LINES {
                let problem = format!(
                    "with the files read before, more than {MAX_TOGETHER} bytes or {MAX_LINES} lines"
                );
                return Err(Reason::Unreadable { path, problem });
            }
            sources.push(Source { path, content });
        }
        Ok(sources)
    }

    pub(super) fn file_mode(&self, path: &Target, mode: Mode, absent: Absent) -> Result<Outcome, Reason> {
        let required = format!("{mode} or stricter");
        self.each_file(path, absent, &required, |path, file| {
            let owner = owner_of(path, file)?;
            let proof = file.proof(Root::Ima, &path.to_string(), Mode(owner.mode).to_string(), &required);
            Ok(Outcome::one(owner.mode & !mode.0 == 0, proof))
        })
    }

    pub(super) fn file_owner(
        &self,
        path: &Target,
        owners: &[u32],
        groups: &[u32],
        absent: Absent,
    ) -> Result<Outcome, Reason> {
        let required = format!("uid {}, gid {}", ids(owners), ids(groups));
        self.each_file(path, absent, &required, |path, file| {
            let owner = owner_of(path, file)?;
            let found = format!("uid {}, gid {}", owner.uid, owner.gid);
            let holds = owners.contains(&owner.uid) && groups.contains(&owner.gid);
            Ok(Outcome::one(holds, file.proof(Root::Ima, &path.to_string(), found, &required)))
        })
    }

    fn each_file(
        &self,
        target: &Target,
        absent: Absent,
        required: &str,
        judge: impl Fn(&NodePath, &'a Measured) -> Result<Outcome, Reason>,
    ) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let files = self.files(target)?;
        if files.present.is_empty() && files.unknown.is_empty() {
            return Ok(without_file(node, target, &files.absent, absent, required));
        }
        let judged =
            files.present.iter().map(|(path, file)| judge(path, file).unwrap_or_else(Outcome::unknown));
        Ok(Outcome::all(judged.chain(files.unknown.into_iter().map(Outcome::unknown))))
    }

    pub(super) fn file_present(&self, target: &Target) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let files = self.files(target)?;
        if let Some((path, file)) = files.present.first() {
            return Ok(Outcome::one(true, file.proof(Root::Ima, &path.to_string(), "present", "present")));
        }
        match files.unknown.into_iter().next() {
            Some(reason) => Err(reason),
            None => Ok(without_file(node, target, &files.absent, Absent::Fail, "present")),
        }
    }

    pub(super) fn file_absent(&self, target: &Target) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let files = self.files(target)?;
        if let Some((path, file)) = files.present.first() {
            return Ok(Outcome::one(false, file.proof(Root::Ima, &path.to_string(), "present", "absent")));
        }
        match files.unknown.into_iter().next() {
            Some(reason) => Err(reason),
            None => Ok(without_file(node, target, &files.absent, Absent::Pass, "absent")),
        }
    }

    pub(super) fn lines(
        &self,
        target: &Target,
        rules: &LineRules<'_>,
        absent: Absent,
    ) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let sources = self.sources(target)?;
        if sources.is_empty() {
            let required = rules.require.first().map_or("text", String::as_str);
            return Ok(without_file(node, target, &self.paths(target)?, absent, required));
        }
        let mut outcomes: Vec<Outcome> =
            rules.require.iter().map(|pattern| required_line(&sources, pattern)).collect();
        outcomes.extend(rules.forbid.iter().filter_map(|pattern| forbidden_line(&sources, pattern)));
        outcomes.extend(rules.forbid_text.iter().filter_map(|part| forbidden_text(&sources, part)));
        outcomes.extend(other_line(&sources, rules.allow));
        if outcomes.is_empty() {
            let refused = [rules.forbid, rules.forbid_text].concat().join(" | ");
            let allowed = rules.allow.join(" | ");
            let required =
                if refused.is_empty() { format!("only {allowed}") } else { format!("no line {refused}") };
            let clean =
                |source: &Source<'_>| Outcome::one(true, source.proof("", "none", excerpt(&required)));
            outcomes.extend(sources.iter().map(clean));
        }
        Ok(Outcome::all(outcomes.into_iter()))
    }
}

/// A line that meets none of the patterns, if there have to be any.
fn other_line(sources: &[Source<'_>], allow: &[String]) -> Option<Outcome> {
    if allow.is_empty() {
        return None;
    }
    sources.iter().find_map(|source| {
        let content = source.content.text();
        let line = text::lines(&content)
            .find(|line| !allow.iter().any(|pattern| text::line_matches(pattern, line)))?;
        let required = excerpt(&format!("only {}", allow.join(" | ")));
        Some(Outcome::one(false, source.proof("", excerpt(line), required)))
    })
}

fn required_line(sources: &[Source<'_>], pattern: &str) -> Outcome {
    for source in sources {
        let content = source.content.text();
        if let Some(line) = text::lines(&content).find(|line| text::line_matches(pattern, line)) {
            return Outcome::one(true, source.proof("", excerpt(line), format!("a line {pattern}")));
        }
    }
    let missing = sources.iter().map(|source| source.proof("", "no such line", format!("a line {pattern}")));
    Outcome::judged(false, missing.collect::<Vec<_>>())
}

fn forbidden_line(sources: &[Source<'_>], pattern: &str) -> Option<Outcome> {
    sources.iter().find_map(|source| {
        let content = source.content.text();
        let line = text::lines(&content).find(|line| text::line_matches(pattern, line))?;
        Some(Outcome::one(false, source.proof("", excerpt(line), format!("no line {pattern}"))))
    })
}

fn forbidden_text(sources: &[Source<'_>], part: &str) -> Option<Outcome> {
    let wanted = part.to_lowercase();
    sources.iter().find_map(|source| {
        let content = source.content.text();
        let line = content.lines().find(|line| line.to_lowercase().contains(&wanted))?;
        Some(Outcome::one(false, source.proof("", excerpt(line), format!("no {part:?}"))))
    })
}

/// No file is there: the agent's word, and what the rule makes of it.
pub(super) fn without_file(
    node: &Node,
    target: &Target,
    paths: &[NodePath],
    absent: Absent,
    required: &str,
) -> Outcome {
    let subject = match paths {
        [] => target.0.join(", "),
        paths => paths.iter().map(NodePath::to_string).collect::<Vec<_>>().join(", "),
    };
    let proof = node.stated_proof(&subject, "absent", required);
    let state = match absent {
        Absent::Fail => State::Fail,
        Absent::Pass => State::Pass,
        Absent::NotApplicable => State::NotApplicable,
    };
    Outcome { state, reasons: Vec::new(), proofs: vec![proof] }
}

fn owner_of(path: &NodePath, file: &Measured) -> Result<crate::appraised::Owner, Reason> {
    file.owner.ok_or_else(|| Reason::NoModeOwner { path: path.clone(), template: file.template.clone() })
}

pub(super) fn ids(ids: &[u32]) -> String {
    ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" or ")
}
