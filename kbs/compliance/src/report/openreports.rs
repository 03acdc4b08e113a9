//! Kubernetes OpenReports: one `ClusterReport` (openreports.io/v1alpha1).

use super::Report;
use crate::appraised::SubjectKind;
use crate::finding::{Finding, State};
use serde_json::{Map, Value, json};

/// Longest name of a Kubernetes object (RFC 1123 subdomain).
const MAX_NAME: usize = 253;

/// The object, to be applied to a cluster. Unknown is `error`: it could not be evaluated.
pub fn openreports(report: &Report) -> Value {
    let score = &report.score;
    let kind = match report.kind {
        SubjectKind::Node => "Node",
        SubjectKind::Pod => "Pod",
    };
    json!({
        "apiVersion": "openreports.io/v1alpha1",
        "kind": "ClusterReport",
        "metadata": {
            "name": name(&format!("sealpod-{}-{}", report.profile.id, report.subject)),
            "labels": {"app.kubernetes.io/managed-by": "sealpod"},
        },
        "scope": {"apiVersion": "v1", "kind": kind, "name": report.subject},
        "source": "sealpod",
        "summary": {
            "pass": score.pass,
            "fail": score.fail,
            "warn": 0,
            "error": score.unknown,
            "skip": score.not_applicable,
        },
        "results": report.findings.iter().map(|finding| result(report, finding)).collect::<Vec<_>>(),
    })
}

fn result(report: &Report, finding: &Finding) -> Value {
    let outcome = match finding.state {
        State::Pass => "pass",
        State::Fail => "fail",
        State::Unknown => "error",
        State::NotApplicable => "skip",
    };
    let mut properties = Map::new();
    let mut put = |key: &str, value: String| properties.insert(key.to_owned(), Value::String(value));
    put("title", finding.title.clone());
    put("root-of-trust", finding.root.to_string());
    put("remediation", finding.remediation.clone());
    for (at, proof) in finding.proofs.iter().enumerate().take(8) {
        put(&format!("proof-{at}"), proof_text(proof));
    }
    json!({
        "source": "sealpod",
        "policy": report.profile.id,
        "rule": finding.item,
        "category": report.profile.benchmark,
        "severity": finding.severity.as_str(),
        "result": outcome,
        "scored": true,
        "message": finding.found(),
        "timestamp": {"seconds": report.evaluated_at, "nanos": 0},
        "properties": properties,
    })
}

/// Where the proof lies, in one line.
pub(super) fn proof_text(proof: &crate::finding::Proof) -> String {
    let mut text = format!("{}: {} (required: {})", proof.subject, proof.found, proof.required);
    if let Some(pcr) = proof.pcr {
        text.push_str(&format!(", PCR {pcr}"));
    }
    if let Some(index) = proof.log_index {
        text.push_str(&format!(" entry {index}"));
    }
    if let Some(hash) = &proof.hash {
        text.push_str(&format!(", {hash}"));
    }
    text
}

/// Lower-case letters, digits, `-` and `.`, with a letter or digit at both ends.
fn name(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().map(plain).take(MAX_NAME).collect();
    name.trim_matches(['-', '.']).replace("..", ".").replace(".-", "-").replace("-.", "-")
}
