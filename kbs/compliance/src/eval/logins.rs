//! PAM, sudo and audit: files with a grammar of their own.

use super::files::{Source, excerpt, without_file};
use super::outcome::Outcome;
use super::systemd::split;
use super::{Context, text};
use crate::expect::Expect;
use crate::finding::Reason;
use crate::rule::{Absent, PamKind, Target};
use std::collections::BTreeSet;

/// Files that hold audit rules.
pub(crate) const AUDIT_RULES: &str = "/etc/audit/rules.d/*.rules";
/// Files that sudo reads.
pub(crate) const SUDOERS: [&str; 2] = ["/etc/sudoers", "/etc/sudoers.d/*"];

impl Context<'_> {
    /// A line of that type and module, with these arguments. With `demand`, the value of `name=value` on it counts; the last
    /// line of several does.
    pub(super) fn pam(
        &self,
        target: &Target,
        kind: PamKind,
        module: &str,
        arguments: &[String],
        demand: Option<(&str, &Expect)>,
    ) -> Result<Outcome, Reason> {
        let sources = self.sources(target)?;
        let kind = kind.as_str();
        let mut required = format!("{kind} … {module} {}", arguments.join(" "));
        if let Some((name, expect)) = demand {
            required = format!("{required} {name} {expect}");
        }
        if sources.is_empty() {
            return Ok(without_file(self.node()?, target, &self.paths(target)?, Absent::Fail, &required));
        }
        let mut nearest = None;
        for source in &sources {
            let content = source.content.text();
            for line in text::lines(&content) {
                let Some(found) = pam_arguments(line, kind, module) else { continue };
                let has = |argument: &String| found.iter().any(|found| text::wildcard(argument, found));
                let value = demand.map(|(name, _)| {
                    found
                        .iter()
                        .find_map(|found| found.strip_prefix(name)?.strip_prefix('='))
                        .map(str::to_owned)
                });
                let met = match (demand, value) {
                    (Some((_, expect)), Some(Some(value))) => expect.holds(&[value]),
                    (Some(_), _) => false,
                    (None, _) => true,
                };
                let proof = source.proof("", excerpt(line), required.trim());
                if met && arguments.iter().all(has) {
                    return Ok(Outcome::one(true, proof));
                }
                nearest = Some(proof);
            }
        }
        let missing =
            || sources.iter().map(|source| source.proof("", "no such line", required.trim())).collect();
        Ok(Outcome::judged(false, nearest.map_or_else(missing, |proof| vec![proof])))
    }

    pub(super) fn sudoers(
        &self,
        demand: Option<(&str, &Expect)>,
        absent_passes: bool,
        forbid: &[String],
    ) -> Result<Outcome, Reason> {
        let target = Target(SUDOERS.map(str::to_owned).to_vec());
        let sources = self.sources(&target)?;
        let forbidden = sources.iter().flat_map(|source| {
            let content = source.content.text().into_owned();
            let hits: Vec<Outcome> = joined(&content)
                .iter()
                .filter(|line| forbid.iter().any(|word| line.contains(word.as_str())))
                .map(|line| {
                    Outcome::one(false, source.proof("", excerpt(line), format!("no {}", forbid.join(", "))))
                })
                .collect();
            hits
        });
        let forbidden: Vec<Outcome> = forbidden.collect();
        let Some((name, expect)) = demand else {
            if sources.is_empty() || !forbidden.is_empty() {
                let none =
                    without_file(self.node()?, &target, &self.paths(&target)?, Absent::Pass, "no such word");
                return Ok(if forbidden.is_empty() { none } else { Outcome::all(forbidden.into_iter()) });
            }
            let required = format!("no {}", forbid.join(", "));
            let clean = sources.iter().map(|source| source.proof("", "none", &required));
            return Ok(Outcome::judged(true, clean.collect::<Vec<_>>()));
        };
        let found = default_setting(&sources, name);
        let judged = self.judged(&target, &sources, found, name, expect, absent_passes)?;
        Ok(Outcome::all(forbidden.into_iter().chain([judged])))
    }

    pub(super) fn audit_rules(&self, rules: &[String]) -> Result<Outcome, Reason> {
        let target = Target(vec![AUDIT_RULES.to_owned()]);
        let sources = self.sources(&target)?;
        if sources.is_empty() {
            let required = rules.first().map_or("", String::as_str);
            return Ok(without_file(self.node()?, &target, &self.paths(&target)?, Absent::Fail, required));
        }
        Ok(Outcome::all(rules.iter().map(|rule| audit_rule(&sources, rule))))
    }

    /// A rule for each set-id program that the agent found.
    pub(super) fn audit_set_id(&self) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let programs = node.fact("a walk over the file systems", |s| s.scan.as_ref())?;
        let sources = self.sources(&Target(vec![AUDIT_RULES.to_owned()]))?;
        let outcomes = programs.set_id.iter().map(|program| {
            let rule = format!("-a always,exit -F path={program} -F perm=x -F auid>=1000 -F auid!=unset");
            if sources.is_empty() {
                return Outcome::one(false, node.stated_proof(AUDIT_RULES, "absent", rule));
            }
            audit_rule(&sources, &rule)
        });
        let none = node.stated_proof("set-id programs", "none", "an audit rule for each");
        Ok(if programs.set_id.is_empty() { Outcome::one(true, none) } else { Outcome::all(outcomes) })
    }
}

/// The arguments of a PAM line of this type and module (pam.conf(5)): a control in brackets may have white space.
fn pam_arguments<'l>(line: &'l str, kind: &str, module: &str) -> Option<Vec<&'l str>> {
    let rest =
        line.trim_start_matches('-').strip_prefix(kind)?.strip_prefix(char::is_whitespace)?.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?.1,
        None => rest.split_once(char::is_whitespace)?.1,
    };
    let mut words = rest.split_whitespace();
    let path = words.next()?;
    (path.rsplit('/').next() == Some(module)).then(|| words.collect())
}

/// Lines with those that a backslash continues.
fn joined(content: &str) -> Vec<String> {
    text::lines(&content.replace("\\\n", " ")).map(str::to_owned).collect()
}

/// The last value of a `Defaults` setting; a bare name is `true`, one with `!` is `false`.
fn default_setting<'s, 'n>(sources: &'s [Source<'n>], name: &str) -> Option<(&'s Source<'n>, String)> {
    let mut found = None;
    for source in sources {
        for line in joined(&source.content.text()) {
            let Some(rest) = line.strip_prefix("Defaults") else { continue };
            // `Defaults:user` and the like are for some only.
            let Some(rest) = rest.strip_prefix(char::is_whitespace) else { continue };
            for part in rest.split(',').map(str::trim) {
                let (key, value) = part.split_once('=').unwrap_or((part, "true"));
                let (key, value) = match key.trim().strip_prefix('!') {
                    Some(key) => (key, "false"),
                    None => (key.trim().trim_end_matches('+'), value.trim()),
                };
                if key == name {
                    found = Some((source, text::unquoted(value).to_owned()));
                }
            }
        }
    }
    found
}

/// Whether one line has every field of a rule, in any order and with more system calls.
fn audit_rule(sources: &[Source<'_>], rule: &str) -> Outcome {
    let wanted = audit_fields(rule);
    for source in sources {
        let content = source.content.text();
        if let Some(line) = text::lines(&content).find(|line| wanted.is_subset(&audit_fields(line))) {
            return Outcome::one(true, source.proof("", excerpt(line), excerpt(rule)));
        }
    }
    let missing = sources.iter().map(|source| source.proof("", "no such rule", excerpt(rule)));
    Outcome::judged(false, missing.collect::<Vec<_>>())
}

/// Option and value of each field, without keys; lists of system calls and permissions one by one.
fn audit_fields(line: &str) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    let words = split(line);
    let mut words = words.iter();
    while let Some(option) = words.next() {
        let Some(value) = words.next() else { break };
        match option.as_str() {
            "-k" => {}
            "-F" if value.starts_with("key=") => {}
            "-S" => fields.extend(value.split(',').map(|call| format!("-S {call}"))),
            "-p" => fields.extend(value.chars().map(|permission| format!("-p {permission}"))),
            _ => {
                let value = value.replace("4294967295", "unset").replace("auid!=-1", "auid!=unset");
                fields.insert(format!("{option} {value}"));
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pam_lines() {
        let line = "password\t[success=1 default=ignore]\t/lib/security/pam_unix.so obscure yescrypt";
        assert_eq!(pam_arguments(line, "password", "pam_unix.so"), Some(vec!["obscure", "yescrypt"]));
        assert_eq!(pam_arguments(line, "auth", "pam_unix.so"), None);
        assert_eq!(pam_arguments("auth required pam_wheel.so", "auth", "pam_wheel.so"), Some(Vec::new()));
        assert_eq!(pam_arguments("auth required", "auth", "pam_wheel.so"), None);
    }

    #[test]
    fn audit_rules_meet_whatever_their_order_and_key() {
        let wanted = audit_fields("-a always,exit -F arch=b64 -S a -S b -F auid!=unset -k x");
        let line = "-a always,exit -S b,c,a -F arch=b64 -F auid!=4294967295 -F key=y";
        assert!(wanted.is_subset(&audit_fields(line)));
        assert!(!wanted.is_subset(&audit_fields("-a always,exit -F arch=b64 -S a -F auid!=-1")));
        assert!(
            audit_fields("-w /etc/sudoers -p wa").is_subset(&audit_fields("-w /etc/sudoers -p rwa -k z"))
        );
    }
}
