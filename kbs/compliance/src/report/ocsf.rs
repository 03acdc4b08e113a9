//! OCSF Compliance Finding, class 2003 (OCSF 1.5): one event for each finding.

use super::Report;
use super::openreports::proof_text;
use crate::finding::{Finding, Severity, State};
use serde_json::{Value, json};

/// Version of the schema.
const OCSF: &str = "1.5.0";
/// Class 2003, activity 1 (Create).
const CREATE: u32 = 1;

/// The events, in the order of the findings. To be streamed one a line.
pub fn ocsf(report: &Report) -> Vec<Value> {
    report.findings.iter().map(|finding| event(report, finding)).collect()
}

fn event(report: &Report, finding: &Finding) -> Value {
    let milliseconds = report.evaluated_at.saturating_mul(1000);
    let (status, status_id) = match finding.state {
        State::Pass => ("Pass", 1),
        State::Fail => ("Fail", 3),
        State::Unknown => ("Warning", 2),
        State::NotApplicable => ("Other", 99),
    };
    let (severity, severity_id) = match (finding.state, finding.severity) {
        (State::Pass | State::NotApplicable, _) => ("Informational", 1),
        (_, Severity::Low) => ("Low", 2),
        (_, Severity::Medium) => ("Medium", 3),
        (_, Severity::High) => ("High", 4),
        (_, Severity::Critical) => ("Critical", 5),
    };
    let uid = format!("{}/{}/{}", report.subject, report.profile.id, finding.item);
    json!({
        "activity_id": CREATE,
        "activity_name": "Create",
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": 2003,
        "class_name": "Compliance Finding",
        "type_uid": 200_300 + CREATE,
        "type_name": "Compliance Finding: Create",
        "time": milliseconds,
        "severity": severity,
        "severity_id": severity_id,
        "status": "New",
        "status_id": 1,
        "status_detail": finding.found(),
        "message": format!("{} {}: {}", finding.item, finding.title, finding.state),
        "metadata": {
            "version": OCSF,
            "product": {"name": "sealpod", "vendor_name": "sealpod", "version": env!("CARGO_PKG_VERSION")},
            "uid": uid,
        },
        "compliance": {
            "control": finding.item,
            "desc": finding.title,
            "requirements": [finding.required()],
            "standards": [report.profile.benchmark],
            "status": status,
            "status_id": status_id,
        },
        "finding_info": {
            "uid": uid,
            "title": finding.title,
            "desc": finding.found(),
            "created_time": milliseconds,
            "types": [report.profile.id],
            "data_sources": finding.proofs.iter().map(proof_text).collect::<Vec<_>>(),
        },
        "remediation": {"desc": finding.remediation},
        "resources": [{"name": report.subject, "type": report.kind.as_str(), "uid": report.subject}],
        "unmapped": {
            "root_of_trust": finding.root,
            "state": finding.state,
            "binding_level": report.binding_level,
            "round": report.round,
        },
    })
}
