//! From the text of a profile, and a tailoring, to a profile that can be evaluated.

use super::lint::{Mistake, nearest};
use super::tailoring::{Tailoring, TailoringError};
use super::{Excluded, Item, Platform, Profile, VERSION};
use crate::appraised::SubjectKind;
use crate::finding::{Root, Severity};
use crate::rule::{Rule, Target};
use crate::yaml::{self, DecodeError, Node, Value};
use sealpod_evidence::bytes::{HexArray, Sha256Digest};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// How many profiles may extend one another.
const MAX_EXTENDS: usize = 4;
/// Most items of a profile, those that it extends included. The largest benchmark has 300.
const MAX_ITEMS: usize = 1000;

const KEYS: [&str; 8] = ["version", "id", "title", "benchmark", "subject", "extends", "platforms", "items"];

/// The head of a document.
#[derive(Deserialize)]
struct Head {
    version: u32,
    id: String,
    title: String,
    benchmark: String,
    subject: SubjectKind,
    #[serde(default)]
    extends: Option<String>,
    #[serde(default)]
    platforms: Vec<Platform>,
}

/// An item before its parameters are put in.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Draft {
    id: String,
    title: String,
    level: u8,
    severity: Severity,
    root: Root,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    when: Option<Rule>,
    rule: Rule,
    remediation: String,
}

/// Reads a profile and tailors it. `text_of` gives the text of a profile that it extends.
///
/// # Errors
///
/// All mistakes that stand at different items.
pub fn parse(
    bytes: &[u8],
    text_of: &dyn Fn(&str) -> Option<String>,
    tailoring: &Tailoring,
) -> Result<Profile, Vec<Mistake>> {
    let mut reading = Reading::default();
    let head = reading.document(bytes, text_of, 0)?;
    let mut profile = Profile {
        id: head.id,
        title: head.title,
        benchmark: head.benchmark,
        subject: head.subject,
        sha256: reading.sha256,
        platforms: reading.platforms,
        items: Vec::new(),
        excluded: Vec::new(),
        tailoring: tailoring.clone(),
    };
    let mut mistakes = reading.mistakes;
    let known: BTreeMap<&str, &Node> = reading.items.iter().map(|(id, node)| (id.as_str(), node)).collect();
    mistakes.extend(tailoring_mistakes(&known, &profile.id, tailoring));
    for (id, node) in &reading.items {
        let params = params_of(node, id, tailoring);
        match draft(node, &params) {
            Ok(draft) => {
                mistakes.extend(item_mistakes(&draft, node, &profile.platforms));
                place(draft, params, &mut profile, tailoring);
            }
            Err(error) => mistakes.push(Mistake::new(error.line, format!("item {id}: {}", error.message))),
        }
    }
    if mistakes.is_empty() { Ok(profile) } else { Err(mistakes) }
}

#[derive(Default)]
struct Reading {
    sha256: Vec<Sha256Digest>,
    platforms: Vec<Platform>,
    items: Vec<(String, Node)>,
    mistakes: Vec<Mistake>,
}

impl Reading {
    /// Reads one document, those that it extends first.
    fn document(
        &mut self,
        bytes: &[u8],
        text_of: &dyn Fn(&str) -> Option<String>,
        depth: usize,
    ) -> Result<Head, Vec<Mistake>> {
        let one = |line: usize, message: String| vec![Mistake::new(line, message)];
        let root =
            yaml::parse(bytes).map_err(|error| one(error.line().unwrap_or_default(), error.message()))?;
        if let Value::Mapping(entries) = &root.value {
            for (key, _) in entries.iter().filter(|(key, _)| !KEYS.contains(&key.text.as_str())) {
                let suggestion = nearest(&key.text, KEYS.into_iter());
                let message = format!("unknown key {:?}", key.text);
                self.mistakes.push(Mistake { line: key.line, message, suggestion });
            }
        }
        let head: Head = yaml::decode(&root).map_err(|error| one(error.line, error.message))?;
        if head.version != VERSION {
            return Err(one(root.line, format!("version {}, expected {VERSION}", head.version)));
        }
        if let Some(base) = &head.extends {
            let line = root.get("extends").map_or(0, |node| node.line);
            if depth == MAX_EXTENDS {
                return Err(one(line, format!("more than {MAX_EXTENDS} profiles extend one another")));
            }
            let text = text_of(base).ok_or_else(|| one(line, format!("profile {base:?} is not known")))?;
            self.document(text.as_bytes(), text_of, depth + 1)?;
        }
        self.sha256.push(HexArray(Sha256::digest(bytes).into()));
        for platform in &head.platforms {
            self.platforms.retain(|held| held.name != platform.name);
            self.platforms.push(platform.clone());
        }
        self.items(&root)?;
        Ok(head)
    }

    fn items(&mut self, root: &Node) -> Result<(), Vec<Mistake>> {
        let items = match root.get("items").map(|node| &node.value) {
            Some(Value::Sequence(items)) => items.as_slice(),
            _ => &[],
        };
        if items.is_empty() {
            self.mistakes.push(Mistake::new(root.line, "no items"));
        }
        let mut seen: BTreeSet<String> = self.items.iter().map(|(id, _)| id.clone()).collect();
        for item in items {
            let Some(id) = item.get("id").and_then(Node::text) else {
                self.mistakes.push(Mistake::new(item.line, "an item without an id"));
                continue;
            };
            if !seen.insert(id.to_owned()) {
                self.mistakes.push(Mistake::new(item.line, format!("item {id} is there twice")));
            }
            self.items.push((id.to_owned(), item.clone()));
        }
        if self.items.len() > MAX_ITEMS {
            return Err(vec![Mistake::new(root.line, format!("more than {MAX_ITEMS} items"))]);
        }
        Ok(())
    }
}

/// The item's parameters: its own values, and over them the tailoring's.
fn params_of(node: &Node, id: &str, tailoring: &Tailoring) -> BTreeMap<String, Node> {
    let Some(Value::Mapping(entries)) = node.get("params").map(|node| &node.value) else {
        return BTreeMap::new();
    };
    let own = entries.iter().map(|(key, value)| {
        let set = tailoring.set.get(&format!("{id}.{}", key.text)).map(|text| set_node(value, text));
        (key.text.clone(), set.unwrap_or_else(|| value.clone()))
    });
    own.collect()
}

/// A set value in the shape of the one that it replaces.
fn set_node(like: &Node, text: &str) -> Node {
    let scalar = |text: &str| Value::Scalar { text: text.trim().to_owned(), quoted: true };
    let value = match like.value {
        Value::Sequence(_) => Value::Sequence(
            text.split(',').map(|text| Node { line: like.line, value: scalar(text) }).collect(),
        ),
        _ => scalar(text),
    };
    Node { line: like.line, value }
}

/// The item with its parameters put in: a scalar that is `${name}` becomes the value, a list too.
fn draft(node: &Node, params: &BTreeMap<String, Node>) -> Result<Draft, DecodeError> {
    let mut node = node.clone();
    if let Value::Mapping(entries) = &mut node.value {
        entries.retain(|(key, _)| key.text != "params");
    }
    let mut budget = yaml::MAX_NODES;
    substitute(&mut node, params, &mut budget)?;
    yaml::decode(&node)
}

/// `left` counts the values that are put in: a long list that is named often would grow without end.
fn substitute(node: &mut Node, params: &BTreeMap<String, Node>, left: &mut usize) -> Result<(), DecodeError> {
    match &mut node.value {
        Value::Scalar { text, .. } => {
            let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
                return Ok(());
            };
            let refused = |message: String| Err(DecodeError { line: node.line, message });
            let Some(value) = params.get(name) else {
                return refused(format!("parameter {name:?} is used and not listed under params"));
            };
            match left.checked_sub(value.count()) {
                Some(rest) => *left = rest,
                None => return refused(format!("parameters put in more than {} values", yaml::MAX_NODES)),
            }
            node.value = value.value.clone();
            Ok(())
        }
        Value::Sequence(items) => items.iter_mut().try_for_each(|item| substitute(item, params, left)),
        Value::Mapping(entries) => {
            entries.iter_mut().try_for_each(|(_, value)| substitute(value, params, left))
        }
    }
}

/// What a typed item can still be wrong about.
fn item_mistakes(draft: &Draft, node: &Node, platforms: &[Platform]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let id = &draft.id;
    let line_of = |key: &str| node.get(key).map_or(node.line, |node| node.line);
    let provable = draft.rule.root();
    if draft.root != provable {
        let message =
            format!("item {id}: root {} is claimed, what the rule looks at gives {provable}", draft.root);
        let suggestion = Some(provable.as_str().to_owned());
        mistakes.push(Mistake { line: line_of("root"), message, suggestion });
    }
    if draft.title.trim().is_empty() || draft.remediation.trim().is_empty() {
        mistakes.push(Mistake::new(
            node.line,
            format!("item {id}: title and remediation are for people to read"),
        ));
    }
    for rule in draft.when.iter().chain([&draft.rule]) {
        rule.walk(&mut |rule| {
            mistakes.extend(
                rule_mistake(rule, platforms)
                    .map(|message| Mistake::new(line_of("rule"), format!("item {id}: {message}"))),
            )
        });
    }
    mistakes
}

fn rule_mistake(rule: &Rule, platforms: &[Platform]) -> Option<String> {
    let knows =
        |name: &str| platforms.iter().any(|p| p.targets.contains_key(name) || p.named_by.contains_key(name));
    let targets = |Target(paths): &Target| {
        let unknown = paths.iter().filter_map(|path| path.strip_prefix('@')).find(|name| !knows(name));
        unknown.map(|name| format!("no platform has a target {name:?}"))
    };
    match rule {
        Rule::FileModeAtMost { path, .. }
        | Rule::FileOwner { path, .. }
        | Rule::FilePresent { path }
        | Rule::FileAbsent { path }
        | Rule::Lines { path, .. }
        | Rule::Setting { path, .. }
        | Rule::YamlPath { path, .. }
        | Rule::Directory { path, .. }
        | Rule::Pam { path, .. } => targets(path),
        Rule::KubeletSetting { flag: None, key: None, .. } => Some("a flag, a key, or both".to_owned()),
        Rule::KubeletSetting { .. } if platforms.iter().all(|p| p.kubelet.is_none()) => {
            Some("no platform says where the kubelet's settings come from".to_owned())
        }
        Rule::AllOf(rules) | Rule::AnyOf(rules) if rules.is_empty() => Some("no rule at all".to_owned()),
        Rule::Sudoers { setting: None, forbid, .. } if forbid.is_empty() => {
            Some("a setting, or words to forbid".into())
        }
        Rule::ListeningOnly { allow } => allow
            .iter()
            .find(|text| !is_port(text))
            .map(|text| format!("{text:?} is not a transport and a port such as tcp/22")),
        _ => None,
    }
}

fn is_port(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(transport, port)| matches!(transport, "tcp" | "udp") && port.parse::<u16>().is_ok())
}

fn place(draft: Draft, params: BTreeMap<String, Node>, profile: &mut Profile, tailoring: &Tailoring) {
    let Draft { id, title, level, severity, root, optional, when, rule, remediation } = draft;
    if optional && !tailoring.include.contains_key(&id) {
        return;
    }
    if let Some(reason) = tailoring.exclude.get(&id) {
        profile.excluded.push(Excluded { item: id, title, reason: reason.clone() });
        return;
    }
    let params =
        params.into_iter().map(|(name, node)| (name, node.texts().unwrap_or_default().join(","))).collect();
    profile.items.push(Item { id, title, level, severity, root, when, rule, remediation, params });
}

/// Names in a tailoring that the profile does not have.
fn tailoring_mistakes(known: &BTreeMap<&str, &Node>, profile: &str, tailoring: &Tailoring) -> Vec<Mistake> {
    let not_there = |what: &'static str, found: &str, suggestion: Option<String>| {
        let (found, profile) = (found.to_owned(), profile.to_owned());
        let message = TailoringError::NotThere { what, found, profile, suggestion: None }.to_string();
        Mistake { line: 0, message, suggestion }
    };
    let mut mistakes = Vec::new();
    for id in tailoring.include.keys().chain(tailoring.exclude.keys()) {
        if !known.contains_key(id.as_str()) {
            mistakes.push(not_there("item", id, nearest(id, known.keys().copied())));
        }
    }
    for name in tailoring.set.keys() {
        let (id, param) = name.rsplit_once('.').unwrap_or_default();
        let params = known.get(id).map(|node| node.get("params"));
        match params {
            None => mistakes.push(not_there("item", id, nearest(id, known.keys().copied()))),
            Some(params) if params.and_then(|params| params.get(param)).is_none() => {
                mistakes.push(not_there("parameter", name, None));
            }
            Some(_) => {}
        }
    }
    mistakes
}
