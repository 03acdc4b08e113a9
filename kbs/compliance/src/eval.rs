//! Evaluation: appraised evidence, a tailored profile and a time go in; findings come out. Pure, and total: each item of the
//! profile has exactly one finding.

mod accounts;
mod facts;
mod files;
mod firewall;
mod kubelet;
mod logins;
mod outcome;
mod settings;
mod sshd;
mod sysctl;
mod systemd;
#[cfg(test)]
mod tests;
mod text;

/// Files that rules read by themselves, without a profile naming them.
pub(crate) mod sources {
    pub(crate) use super::facts::MODPROBE;
    pub(crate) use super::logins::{AUDIT_RULES, SUDOERS};

    /// sshd's configuration.
    pub(crate) const SSHD: [&str; 2] = ["/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*.conf"];
    /// Password databases: measured, never sent.
    pub(crate) const ACCOUNTS: [&str; 4] = ["/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"];
    /// The boot menu: measured, never sent.
    pub(crate) const BOOT: [&str; 2] = ["/boot/grub/grub.cfg", "/boot/grub/user.cfg"];

    /// Where kernel parameters are set at boot.
    pub(crate) fn sysctl() -> Vec<&'static str> {
        [super::sysctl::DIRECTORIES.as_slice(), &[super::sysctl::LAST]].concat()
    }
}

use crate::appraised::{Appraised, Node};
use crate::finding::{Finding, Reason, State};
use crate::profile::{Item, Platform, Profile, Tailoring};
use crate::rule::{Rule, Target};
use kubelet::Kubelet;
use outcome::Outcome;
use sealpod_evidence::node::{NodePath, PathPattern};
use sealpod_verifier::UnixTime;
use std::cell::OnceCell;

/// Seconds by which evidence may seem to be from the future: clocks of brokers that share a store differ.
const CLOCK_TOLERANCE: u64 = 60;

/// Evaluates each item.
///
/// A finding of pass or fail rests on evidence that `appraised` holds to be current in its round, and names it. Everything else
/// is unknown, with the reason. Evidence older than the tailoring's `max_age` makes every finding unknown.
pub fn evaluate(appraised: &Appraised, profile: &Profile, now: UnixTime) -> Vec<Finding> {
    let stale = staleness(appraised, &profile.tailoring, now);
    let context = Context::new(appraised, profile);
    let items = profile.items.iter();
    items
        .map(|item| {
            let outcome = match &stale {
                Some(reason) => Outcome::unknown(reason.clone()),
                None => context.item(item),
            };
            finding(item, outcome)
        })
        .collect()
}

/// Paths that settings of this node name and that the profile does not ask for by itself: to be asked for in the next round.
pub fn follow_up(appraised: &Appraised, profile: &Profile) -> Vec<NodePath> {
    Context::new(appraised, profile).named_paths()
}

fn staleness(appraised: &Appraised, tailoring: &Tailoring, now: UnixTime) -> Option<Reason> {
    let allowed = tailoring.max_age.unwrap_or(Tailoring::DEFAULT_MAX_AGE);
    let verified_at = appraised.verified_at();
    let ahead = verified_at.saturating_sub(now);
    if ahead > CLOCK_TOLERANCE {
        return Some(Reason::FromTheFuture { ahead });
    }
    let age = now.saturating_sub(verified_at);
    (age > allowed).then_some(Reason::Stale { age, allowed })
}

fn finding(item: &Item, outcome: Outcome) -> Finding {
    let Outcome { state, reasons, proofs } = outcome;
    let decided = state != State::Unknown;
    let root = proofs.iter().map(|proof| proof.root).max().filter(|_| decided).unwrap_or(item.root);
    Finding {
        item: item.id.clone(),
        title: item.title.clone(),
        level: item.level,
        severity: item.severity,
        state,
        root,
        reasons,
        proofs,
        remediation: item.remediation.clone(),
    }
}

/// One evaluation.
struct Context<'a> {
    appraised: &'a Appraised,
    profile: &'a Profile,
    platform: OnceCell<Result<&'a Platform, Reason>>,
    kubelet: OnceCell<Result<Kubelet, Reason>>,
}

impl<'a> Context<'a> {
    fn new(appraised: &'a Appraised, profile: &'a Profile) -> Self {
        Self { appraised, profile, platform: OnceCell::new(), kubelet: OnceCell::new() }
    }

    fn item(&self, item: &Item) -> Outcome {
        if self.appraised.kind() != self.profile.subject {
            let expected = self.profile.subject.as_str().to_owned();
            return Outcome::unknown(Reason::OtherSubject { expected });
        }
        if let Some(when) = &item.when {
            let condition = self.rule(when);
            match condition.state {
                State::Unknown => return condition,
                State::Fail | State::NotApplicable => return condition.not_applicable(),
                State::Pass => {}
            }
        }
        self.rule(&item.rule)
    }

    fn node(&self) -> Result<&'a Node, Reason> {
        self.appraised.node_view()
    }

    /// One rule. What cannot be established is unknown, whatever the rule.
    fn rule(&self, rule: &Rule) -> Outcome {
        match rule {
            Rule::AllOf(rules) => Outcome::all(rules.iter().map(|rule| self.rule(rule))),
            Rule::AnyOf(rules) => Outcome::any(rules.iter().map(|rule| self.rule(rule))),
            Rule::Not(rule) => self.rule(rule).inverted(),
            Rule::Manual { question } => Outcome::unknown(Reason::Manual { question: question.clone() }),
            rule => self.leaf(rule).unwrap_or_else(Outcome::unknown),
        }
    }

    fn leaf(&self, rule: &Rule) -> Result<Outcome, Reason> {
        match rule {
            Rule::FileModeAtMost { path, mode, absent } => self.file_mode(path, *mode, *absent),
            Rule::FileOwner { path, owner, group, absent } => self.file_owner(path, owner, group, *absent),
            Rule::FilePresent { path } => self.file_present(path),
            Rule::FileAbsent { path } => self.file_absent(path),
            Rule::Lines { path, require, forbid, allow, forbid_text, absent } => {
                self.lines(path, &files::LineRules { require, forbid, allow, forbid_text }, *absent)
            }
            Rule::KubeletSetting { flag, key, gate, expect, absent_passes } => self.kubelet_setting(
                &kubelet::Wanted { flag: flag.as_deref(), key: key.as_deref(), gate: gate.as_deref() },
                expect,
                *absent_passes,
            ),
            Rule::Setting { format, path, section, key, expect, absent_passes } => {
                self.setting(*format, path, section.as_deref(), key, expect, *absent_passes)
            }
            Rule::Sshd { keyword, expect, absent_passes } => self.sshd(keyword, expect, *absent_passes),
            Rule::Sysctl { keys, expect } => self.sysctl(keys, expect),
            Rule::YamlPath { path, key, expect, absent_passes } => {
                self.yaml_path(path, key, expect, *absent_passes)
            }
            Rule::AuditRules(rules) => self.audit_rules(rules),
            Rule::AuditSetId => self.audit_set_id(),
            Rule::Pam { path, kind, module, arguments, argument, expect } => {
                self.pam(path, *kind, module, arguments, argument.as_deref().zip(expect.as_ref()))
            }
            Rule::Sudoers { setting, expect, absent_passes, forbid } => {
                self.sudoers(setting.as_deref().zip(expect.as_ref()), *absent_passes, forbid)
            }
            Rule::Account(check) => self.account(*check),
            Rule::AccountDays { check, expect } => self.account_days(*check, expect),
            Rule::Firewall(check) => self.firewall(*check),
            rule => self.fact(rule),
        }
    }

    /// The layout of this node: the one platform whose marker is there.
    fn platform(&self) -> Result<&'a Platform, Reason> {
        self.platform.get_or_init(|| self.recognise()).clone()
    }

    fn recognise(&self) -> Result<&'a Platform, Reason> {
        let node = self.node()?;
        node.statement()?;
        let is_there = |platform: &&Platform| {
            let paths = platform.markers.iter().filter_map(|marker| node.expand(marker).ok()).flatten();
            paths.into_iter().any(|path| matches!(node.lookup(&path), crate::appraised::Lookup::Measured(_)))
        };
        let found: Vec<&Platform> = self.profile.platforms.iter().filter(is_there).collect();
        match found.as_slice() {
            [one] => Ok(one),
            [] => Err(Reason::Platform { found: "none".to_owned() }),
            many => {
                let names: Vec<&str> = many.iter().map(|platform| platform.name.as_str()).collect();
                Err(Reason::Platform { found: names.join(", ") })
            }
        }
    }

    /// The patterns that a target stands for on this node. None at all where the platform has no such file.
    fn patterns(&self, target: &Target) -> Result<Vec<PathPattern>, Reason> {
        let mut patterns = Vec::new();
        for text in &target.0 {
            match text.strip_prefix('@') {
                Some(name) => patterns.extend(self.named(name)?),
                // Read once with the profile; a text that is not a pattern asks for nothing.
                None => patterns.extend(text.parse::<PathPattern>().ok()),
            }
        }
        Ok(patterns)
    }

    fn named(&self, name: &str) -> Result<Vec<PathPattern>, Reason> {
        let platform = self.platform()?;
        let Some(by) = platform.named_by.get(name) else {
            return Ok(platform.targets.get(name).cloned().unwrap_or_default());
        };
        let wanted = kubelet::Wanted { flag: by.flag.as_deref(), key: by.key.as_deref(), gate: None };
        match self.kubelet()?.setting(&wanted)? {
            Some(setting) => setting.values.iter().map(|path| literal(path)).collect(),
            None => Ok(by.otherwise.clone()),
        }
    }

    /// The paths of a target, patterns unfolded.
    fn paths(&self, target: &Target) -> Result<Vec<NodePath>, Reason> {
        let node = self.node()?;
        let mut paths = Vec::new();
        for pattern in self.patterns(target)? {
            paths.extend(node.expand(&pattern)?);
        }
        Ok(paths)
    }

    fn kubelet(&self) -> Result<&Kubelet, Reason> {
        self.kubelet.get_or_init(|| self.read_kubelet()).as_ref().map_err(Clone::clone)
    }

    fn named_paths(&self) -> Vec<NodePath> {
        let (Ok(platform), Ok(node)) = (self.platform(), self.node()) else { return Vec::new() };
        let mut paths: Vec<NodePath> = platform
            .named_by
            .keys()
            .filter_map(|name| self.named(name).ok())
            .flatten()
            .filter_map(|pattern| pattern.literal())
            .collect();
        // Where the configuration itself has not been seen, its name is what can be asked for.
        let key = kubelet::Wanted { flag: None, key: Some("kind"), gate: None };
        let kind = self.kubelet().and_then(|kubelet| kubelet.setting(&key));
        let unsent = match &kind {
            Err(Reason::NoContent { path }) => Some(path.clone()),
            _ => None,
        };
        if let Err(Reason::NotMeasured { path }) = kind {
            paths.push(path);
        }
        paths.retain(|path| node.statement().is_ok_and(|statement| !statement.files.contains_key(path)));
        paths.extend(unsent);
        paths.sort();
        paths.dedup();
        paths
    }
}

/// A path that a setting names. One with a star in it would ask for other files.
fn literal(text: &str) -> Result<PathPattern, Reason> {
    let pattern = text.parse::<PathPattern>().ok().filter(|pattern| pattern.literal().is_some());
    pattern.ok_or_else(|| Reason::NotStated {
        what: format!("a file at {:?}", text.chars().take(200).collect::<String>()),
    })
}
