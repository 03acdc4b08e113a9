//! Kubelet flags in the configuration of k3s and RKE2. Those files hold the cluster's token, so only the flags are told.

use crate::files;
use crate::node::files::expand;
use crate::node::round::path_of;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::node::NodePath;
use sealpod_evidence::node::statement::Arguments;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Where they are.
const PATTERNS: &[&str] = &["/etc/rancher/*/config.yaml", "/etc/rancher/*/config.yaml.d/*.yaml"];
const MAX_LEN: usize = 1 << 20;
/// The list that replaces earlier ones, and the one that adds to them.
const KEY: &str = "kubelet-arg";

/// The flags of each file. A file in which the list has a form that is not understood here is left out, and so is unknown.
pub fn arguments() -> BTreeMap<NodePath, Arguments> {
    let patterns = PATTERNS.iter().filter_map(|pattern| pattern.parse().ok());
    let paths = patterns.flat_map(|pattern| expand(&pattern));
    paths.filter_map(|path| one(&path).map(|arguments| (path, arguments))).collect()
}

fn one(path: &NodePath) -> Option<Arguments> {
    let bytes = files::read(&path_of(path), MAX_LEN).ok()?;
    let text = std::str::from_utf8(&bytes).ok()?;
    let instead = list(text, KEY)?;
    let added = list(text, "kubelet-arg+")?.unwrap_or_default();
    Some(Arguments { sha256: HexArray(Sha256::digest(&bytes).into()), instead, added })
}

/// The elements of a top-level list in YAML's block form; `Some(None)` where there is none, `None` for any other form.
fn list(text: &str, key: &str) -> Option<Option<Vec<String>>> {
    let mut lines =
        text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let mut keys = lines.by_ref().filter_map(|line| {
        let (name, rest) = line.split_once(':')?;
        (name.trim_matches(['"', '\'']) == key).then(|| rest.trim().to_owned())
    });
    let Some(rest) = keys.next() else { return Some(None) };
    if !rest.is_empty() {
        return None;
    }
    let mut elements = Vec::new();
    for line in lines {
        match line.trim_start().strip_prefix("- ") {
            Some(element) => elements.push(scalar(element.trim())?),
            None if line.starts_with([' ', '\t', '-']) => return None,
            None => break,
        }
    }
    Some(Some(elements))
}

/// A scalar without escapes, anchors or comments.
fn scalar(text: &str) -> Option<String> {
    let quoted = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    let inner = quoted('"').or_else(|| quoted('\''));
    match inner {
        Some(inner) if !inner.contains(['\\', '"', '\'']) => Some(inner.to_owned()),
        None if !text.starts_with(['"', '\'', '&', '*', '!', '|', '>', '[', '{']) && !text.contains(" #") => {
            Some(text.to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_lists_are_read_and_other_forms_are_not_guessed() {
        let text =
            "token: secret\nkubelet-arg:\n  - \"anonymous-auth=false\"\n  - read-only-port=0\nnode-name: a\n";
        let expected = vec!["anonymous-auth=false".to_owned(), "read-only-port=0".to_owned()];
        assert_eq!(list(text, KEY), Some(Some(expected)));
        assert_eq!(list("token: secret\n", KEY), Some(None));
        assert_eq!(list("kubelet-arg: [a]\n", KEY), None);
        assert_eq!(list("kubelet-arg:\n  - \"a\\x41\"\n", KEY), None);
        assert_eq!(list("kubelet-arg:\n  - *alias\n", KEY), None);
        assert_eq!(list("kubelet-arg:\n- a\nother: b\n", KEY), Some(Some(vec!["a".to_owned()])));
    }
}
