//! Settings in files of keys and values, and in YAML.

use super::files::{Source, excerpt, without_file};
use super::outcome::Outcome;
use super::{Context, text};
use crate::expect::Expect;
use crate::finding::Reason;
use crate::rule::{Absent, Format, Target};
use crate::yaml;

impl Context<'_> {
    pub(super) fn setting(
        &self,
        format: Format,
        target: &Target,
        section: Option<&str>,
        key: &str,
        expect: &Expect,
        absent_passes: bool,
    ) -> Result<Outcome, Reason> {
        let sources = self.sources(target)?;
        let mut found: Option<(&Source<'_>, String)> = None;
        for source in &sources {
            let content = source.content.text();
            let assignments = match format {
                Format::Words => text::words(&content),
                Format::Assignments => text::assignments(&content),
            };
            let matching = |assignment: &&text::Assignment<'_>| {
                assignment.key == key && section.is_none_or(|section| section == assignment.section)
            };
            if let Some(last) = assignments.iter().rfind(matching) {
                found = Some((source, text::unquoted(last.value).to_owned()));
            }
        }
        self.judged(target, &sources, found, key, expect, absent_passes)
    }

    pub(super) fn yaml_path(
        &self,
        target: &Target,
        key: &str,
        expect: &Expect,
        absent_passes: bool,
    ) -> Result<Outcome, Reason> {
        let sources = self.sources(target)?;
        let mut found = None;
        for source in &sources {
            let tree = yaml::parse(source.content.bytes).map_err(|error| Reason::Unreadable {
                path: source.path.clone(),
                problem: error.to_string(),
            })?;
            if let Some(values) = tree.at(key).and_then(|node| node.texts()) {
                found = Some((source, values.join(",")));
            }
        }
        self.judged(target, &sources, found, key, expect, absent_passes)
    }

    /// What the value that holds comes to, or that there is none.
    pub(super) fn judged(
        &self,
        target: &Target,
        sources: &[Source<'_>],
        found: Option<(&Source<'_>, String)>,
        key: &str,
        expect: &Expect,
        absent_passes: bool,
    ) -> Result<Outcome, Reason> {
        let required = expect.to_string();
        if let Some((source, value)) = found {
            let proof = source.proof(key, excerpt(&value), &required);
            return Ok(Outcome::one(expect.holds(&[value]), proof));
        }
        let holds = absent_passes || expect.wants_absence();
        if sources.is_empty() {
            let absent = if holds { Absent::Pass } else { Absent::Fail };
            return Ok(without_file(self.node()?, target, &self.paths(target)?, absent, &required));
        }
        let found = if absent_passes { "not set; the default meets it" } else { "not set" };
        let proofs = sources.iter().map(|source| source.proof(key, found, &required));
        Ok(Outcome::judged(holds, proofs.collect::<Vec<_>>()))
    }
}
