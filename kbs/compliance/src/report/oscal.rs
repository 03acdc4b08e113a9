//! OSCAL assessment results, version 1.2 (NIST OSCAL, `assessment-results` model).
//!
//! A finding that passes is *satisfied*; every other is not, but for one that does not apply, whose implementation status says so.

use super::Report;
use super::time::rfc3339;
use crate::finding::{Finding, Proof, State};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Version of the model.
const OSCAL: &str = "1.2.1";
/// Namespace of our properties.
const NAMESPACE: &str = "urn:sealpod:oscal";

/// The document.
pub fn oscal(report: &Report) -> Value {
    let id = |what: &str| uuid(report, what);
    let evaluated = rfc3339(report.evaluated_at);
    let title = format!("{} of {}", report.profile.title, report.subject);
    let controls: Vec<Value> =
        report.findings.iter().map(|finding| json!({"control-id": control(finding)})).collect();
    json!({"assessment-results": {
        "uuid": id("document"),
        "metadata": {
            "title": title,
            "last-modified": evaluated,
            "version": report.evaluated_at.to_string(),
            "oscal-version": OSCAL,
        },
        "import-ap": {"href": format!("#{}", id("plan"))},
        "results": [{
            "uuid": id("result"),
            "title": title,
            "description": report.summary(),
            "start": rfc3339(report.verified_at.min(report.evaluated_at)),
            "end": evaluated,
            "props": [
                property("score", &report.score.percent()),
                property("binding-level", report.binding_level.as_str()),
                property("profile", &report.profile.id),
            ],
            "reviewed-controls": {"control-selections": [{
                "description": report.profile.benchmark,
                "include-controls": controls,
            }]},
            "observations": report.findings.iter().map(|finding| observation(report, finding)).collect::<Vec<_>>(),
            "findings": report.findings.iter().map(|finding| result(report, finding)).collect::<Vec<_>>(),
        }],
        "back-matter": {"resources": [{
            "uuid": id("plan"),
            "title": report.profile.title,
            "description": format!(
                "The profile {}, {}; SHA-256 {}.",
                report.profile.id,
                report.profile.benchmark,
                report.profile.sha256.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            ),
        }]},
    }})
}

fn observation(report: &Report, finding: &Finding) -> Value {
    let mut observation = json!({
        "uuid": uuid(report, &format!("observation {}", finding.item)),
        "title": finding.title,
        "description": spoken(&finding.found()),
        "methods": [if finding.root == crate::finding::Root::Manual { "INTERVIEW" } else { "TEST" }],
        "props": [property("state", finding.state.as_str()), property("root-of-trust", finding.root.as_str())],
        "subjects": [{"subject-uuid": uuid(report, "subject"), "type": "component", "title": report.subject}],
        "collected": rfc3339(report.verified_at),
    });
    if !finding.proofs.is_empty() {
        observation["relevant-evidence"] = finding.proofs.iter().map(evidence).collect();
    }
    observation
}

fn evidence(proof: &Proof) -> Value {
    let mut properties = vec![
        property("root-of-trust", proof.root.as_str()),
        property("value-found", &proof.found),
        property("value-required", &proof.required),
    ];
    properties.extend(proof.pcr.map(|pcr| property("pcr", &pcr.to_string())));
    properties.extend(proof.log_index.map(|index| property("log-index", &index.to_string())));
    properties.extend(proof.hash.as_ref().map(|hash| property("hash", hash)));
    json!({"description": spoken(&proof.subject), "props": properties})
}

fn result(report: &Report, finding: &Finding) -> Value {
    let (state, reason) = match finding.state {
        State::Pass => ("satisfied", "pass"),
        State::Fail => ("not-satisfied", "fail"),
        State::Unknown => ("not-satisfied", "other"),
        State::NotApplicable => ("satisfied", "other"),
    };
    let mut target = json!({
        "type": "objective-id",
        "target-id": control(finding),
        "status": {"state": state, "reason": reason, "remarks": spoken(&finding.found())},
    });
    if finding.state == State::NotApplicable {
        target["implementation-status"] = json!({"state": "not-applicable"});
    }
    json!({
        "uuid": uuid(report, &format!("finding {}", finding.item)),
        "title": finding.title,
        "description": finding.remediation,
        "target": target,
        "related-observations": [{"observation-uuid": uuid(report, &format!("observation {}", finding.item))}],
    })
}

/// OSCAL tokens begin with a letter.
fn control(finding: &Finding) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' };
    format!("item-{}", finding.item.chars().map(plain).collect::<String>())
}

/// A property's value is not empty and neither begins nor ends with white space.
fn property(name: &str, value: &str) -> Value {
    json!({"name": name, "ns": NAMESPACE, "value": spoken(value)})
}

fn spoken(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() { "(empty)".to_owned() } else { text }
}

/// The same for the same report, so that writing it twice gives one document. The form is that of a name-based UUID (RFC 9562,
/// version 5), with SHA-256 in the place of SHA-1: OSCAL takes versions 4 and 5 only.
fn uuid(report: &Report, what: &str) -> String {
    let name = format!(
        "{}\0{}\0{}\0{:?}\0{}\0{what}",
        report.subject, report.profile.id, report.verified_at, report.round, report.evaluated_at
    );
    let hash = hex::encode(Sha256::digest(name));
    let part = |range: std::ops::Range<usize>| hash.get(range).unwrap_or_default();
    format!("{}-{}-5{}-a{}-{}", part(0..8), part(8..12), part(13..16), part(17..20), part(20..32))
}
