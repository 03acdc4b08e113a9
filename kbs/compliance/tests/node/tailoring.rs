//! What an organisation changes is done, and recorded.

use crate::kubernetes::{CONFIG, kubeadm, profile_with};
use sealpod_compliance::profile::{builtin, lint, parse};
use sealpod_compliance::{State, Tailoring};

const L1: &str = "cis-kubernetes-1.7.1-worker-l1";

fn tailoring(text: &str) -> Tailoring {
    Tailoring::parse(text.as_bytes()).unwrap()
}

#[test]
fn items_are_left_out_with_a_reason_and_parameters_set() {
    let mut node = kubeadm();
    node.edit(CONFIG, "podPidsLimit: 4096", "podPidsLimit: 4000000");
    assert_eq!(node.in_state(&profile_with(L1, &Tailoring::default()), State::Fail), ["4.2.13"]);
    let set = tailoring("set: {4.2.13.most: \"5000000\"}");
    assert_eq!(node.in_state(&profile_with(L1, &set), State::Pass).len(), 22);
    let without = tailoring("exclude: {4.2.13: pods are capped by the runtime}");
    let profile = profile_with(L1, &without);
    assert_eq!(node.in_state(&profile, State::Pass).len(), 21);
    assert_eq!(profile.excluded[0].reason, "pods are capped by the runtime");
    let list = tailoring("set: {4.2.12.ciphers: \"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"}");
    assert_eq!(node.in_state(&profile_with(L1, &list), State::Fail), ["4.2.12", "4.2.13"]);
}

#[test]
fn what_a_profile_does_not_have_is_named_with_what_may_have_been_meant() {
    let text_of = |id: &str| builtin(id).map(str::to_owned);
    let mistakes =
        |text: &str| parse(builtin(L1).unwrap().as_bytes(), &text_of, &tailoring(text)).unwrap_err();
    let mistake = mistakes("exclude: {4.2.14: x}");
    assert_eq!((mistake.len(), mistake[0].suggestion.is_some()), (1, true), "{mistake:?}");
    assert!(mistakes("set: {4.2.13.max: \"1\"}")[0].message.contains("parameter \"4.2.13.max\""));
    assert!(mistakes("set: {4.2.13.most: \"many\"}")[0].message.contains("4.2.13"));
}

#[test]
fn mistakes_in_a_profile_have_lines_and_suggestions() {
    let text_of = |id: &str| builtin(id).map(str::to_owned);
    let head = "version: 1\nid: x\ntitle: x\nbenchmark: x\nsubject: node\nitems:\n";
    let item = "  - id: \"1\"\n    title: x\n    level: 1\n    severity: low\n    root: ima\n    remediation: x\n    rule:\n";
    let rule = "      file-mode-at-most: {path: /etc/motd, mode: \"0644\"}\n";
    let lint_of = |text: &str| lint(text.as_bytes(), &text_of);
    assert_eq!(lint_of(&format!("{head}{item}{rule}")), []);
    for (text, line, message, suggestion) in [
        (
            format!("{head}{item}{}", rule.replace("file-mode", "file-mod")),
            14,
            "unknown variant",
            Some("file-mode-at-most"),
        ),
        (format!("{head}{item}{}", rule.replace("mode:", "moed:")), 14, "unknown field", Some("mode")),
        (format!("{head}{item}{}", rule.replace("0644", "rw-r")), 14, "is not a mode", None),
        (format!("{head}{item}{}", rule.replace("/etc/motd", "etc/motd")), 14, "not an absolute path", None),
        (
            format!("{head}{item}{}", rule.replace("/etc/motd", "/etc/../motd")),
            14,
            "not an absolute path",
            None,
        ),
        (
            format!("{head}{item}{}", rule.replace("/etc/motd", "'@kublet'")),
            14,
            "no platform has a target",
            None,
        ),
        (format!("{head}{item}{}", rule.replace("\"0644\"", "\"${mode}\"")), 14, "parameter \"mode\"", None),
        (
            format!("{head}{}{rule}", item.replace("root: ima", "root: agent")),
            11,
            "root agent is claimed",
            Some("ima"),
        ),
        (
            format!("{head}{}{rule}", item.replace("severity: low", "severity: lo")),
            10,
            "unknown variant `lo`",
            Some("low"),
        ),
        (format!("{head}{item}{rule}{item}{rule}"), 15, "there twice", None),
        (head.to_owned(), 1, "no items", None),
        (
            format!("{}{item}{rule}", head.replace("items", "itmes: []\nitems")),
            6,
            "unknown key",
            Some("items"),
        ),
        (format!("{}{item}{rule}", head.replace("version: 1", "version: 2")), 1, "version 2", None),
        (format!("extends: nothing\n{head}{item}{rule}"), 1, "is not known", None),
        (format!("{head}{item}      x: *y\n"), 14, "unknown anchor", None),
    ] {
        let found = lint_of(&text);
        let first = found.first().unwrap_or_else(|| panic!("no mistake in {text}"));
        assert_eq!((first.line, first.suggestion.as_deref()), (line, suggestion), "{first:?} in\n{text}");
        assert!(first.message.contains(message), "{first:?}");
    }
}

#[test]
fn profiles_that_extend_themselves_end() {
    let text = "version: 1\nid: x\ntitle: x\nbenchmark: x\nsubject: node\nextends: x\nitems: []\n";
    let found = lint(text.as_bytes(), &|_| Some(text.to_owned()));
    assert!(found[0].message.contains("extend one another"), "{found:?}");
}

#[test]
fn parameters_do_not_multiply() {
    let head = "version: 1\nid: x\ntitle: x\nbenchmark: x\nsubject: node\nitems:\n  - id: \"1\"\n    title: x\n    level: 1\n";
    let list = format!("    params: {{a: [{}]}}\n", "x,".repeat(5000));
    let rule = format!("    rule: {{all-of: [{}]}}\n", "{package-absent: \"${a}\"},".repeat(20));
    let text = format!("{head}    severity: low\n    root: agent\n    remediation: x\n{list}{rule}");
    let found = lint(text.as_bytes(), &|_| None);
    assert!(found[0].message.contains("parameters put in more than 65536 values"), "{found:?}");
}
