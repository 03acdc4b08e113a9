//! Each form of a report has what its readers need.

use crate::kubernetes::{CONFIG, DROP_IN, kubeadm, profile_with, worker_l1};
use crate::state::{NOW, NodeState, Template};
use sealpod_compliance::report::{
    HistoryPoint, Report, ReportError, html, ocsf, openreports, oscal, terminal,
};
use sealpod_compliance::{State, Tailoring};
use serde_json::Value;

fn report_of(node: &NodeState, subject: &str) -> Report {
    Report::new(subject, &node.measure(&worker_l1(), &[]).appraise(), &worker_l1(), NOW + 5)
}

fn broken() -> NodeState {
    let mut node = kubeadm();
    node.get(DROP_IN).mode = 0o644;
    node.edit(CONFIG, "readOnlyPort: 0", "readOnlyPort: 10255");
    node
}

/// Writes every form where a hand or a script can look at it, if a directory is named.
#[test]
fn every_form_can_be_written_for_the_validators() {
    let Some(directory) = std::env::var_os("SEALPOD_REPORTS") else { return };
    let directory = std::path::Path::new(&directory);
    std::fs::create_dir_all(directory).unwrap();
    let mut node = broken();
    node.files.remove(&crate::state::path("/var/lib/kube-proxy/kubeconfig"));
    node.edit(CONFIG, "clientCAFile: /etc/kubernetes/pki/ca.crt", "clientCAFile: /srv/<ca>.crt");
    let text = "exclude: {4.2.13: pods are capped by the runtime}\nset: {4.1.9.mode: \"0644\"}\n";
    let profile = profile_with("cis-kubernetes-1.7.1-worker-l2", &Tailoring::parse(text.as_bytes()).unwrap());
    let report = Report::new("worker-1", &node.measure(&profile, &[]).appraise(), &profile, NOW + 5);
    let before = Report::new("worker-1", &kubeadm().measure(&profile, &[]).appraise(), &profile, NOW);
    let changes = report.changes_since(&before);
    let history: Vec<HistoryPoint> = (0..30)
        .map(|day| HistoryPoint {
            verified_at: NOW - 86_400 * (30 - day),
            per_mille: 1000 - 11 * (day as usize % 9),
        })
        .collect();
    let events: Vec<String> = ocsf(&report).iter().map(Value::to_string).collect();
    for (name, text) in [
        ("report.json", report.to_json()),
        ("oscal.json", oscal(&report).to_string()),
        ("ocsf.jsonl", events.join("\n")),
        ("openreports.json", openreports(&report).to_string()),
        ("report.html", html(&report, &history, Some(&changes))),
        ("terminal.txt", terminal(&report, Some(&changes), false)),
    ] {
        std::fs::write(directory.join(name), text).unwrap();
    }
}

#[test]
fn scores_are_those_of_the_proof_of_concept_and_ours() {
    assert_eq!(report_of(&kubeadm(), "a").summary(), "22 of 22 pass (100.0 %)");
    let mut node = kubeadm();
    node.template = Template::ImaNg;
    assert_eq!(report_of(&node, "a").summary(), "12 of 22 pass (54.5 %), 10 unknown");
    assert_eq!(report_of(&broken(), "a").summary(), "20 of 22 pass (90.9 %), 2 fail");
}

#[test]
fn a_report_is_read_back_and_edits_are_pointed_at() {
    let report = report_of(&broken(), "worker-1");
    let text = report.to_json();
    assert_eq!(Report::parse(text.as_bytes()), Ok(report.clone()));
    assert_eq!(report.differences(&report), []);
    let mut edited = report.clone();
    edited.findings[0].state = State::Pass;
    edited.score.pass += 1;
    edited.score.fail -= 1;
    edited.findings.remove(5);
    let places: Vec<String> =
        report.differences(&edited).into_iter().map(|difference| difference.place).collect();
    assert_eq!(places, ["score", "number of findings", "item 4.1.1", "item 4.1.6"]);
    let mut edited = report.clone();
    edited.findings[3].proofs[0].found = "uid 0, gid 1".into();
    edited.subject = "worker-2".into();
    let places: Vec<String> =
        report.differences(&edited).into_iter().map(|difference| difference.place).collect();
    assert_eq!(places, ["subject", "item 4.1.4"]);
    let parse = |text: String| Report::parse(text.as_bytes()).unwrap_err();
    assert_eq!(parse(text.replace("\"version\": 1,", "\"version\": 2,")), ReportError::Version { found: 2 });
    assert!(matches!(parse(text.replace("\"proofs\"", "\"prooofs\"")), ReportError::Syntax { .. }));
}

#[test]
fn changes_name_what_was_and_what_is() {
    let (before, now) = (report_of(&kubeadm(), "a"), report_of(&broken(), "a"));
    assert_eq!(before.changes_since(&before), []);
    let changes = now.changes_since(&before);
    let items: Vec<&str> = changes.iter().map(|change| change.item.as_str()).collect();
    assert_eq!(items, ["4.1.1", "4.2.4"]);
    assert_eq!((changes[1].before, changes[1].now), (Some(State::Pass), Some(State::Fail)));
    assert_eq!(changes[1].found_before, format!("readOnlyPort in {CONFIG}: 0"));
    assert_eq!(changes[1].found_now, format!("readOnlyPort in {CONFIG}: 10255"));
    let mut stricter = kubeadm();
    stricter.get(DROP_IN).mode = 0o400;
    let same_state = report_of(&stricter, "a").changes_since(&before);
    assert_eq!(same_state.len(), 1, "another value in the same state is a change");
}

#[test]
fn the_terminal_has_summary_failures_and_changes_in_this_order() {
    let (before, now) = (report_of(&kubeadm(), "a\u{1b}[2J"), report_of(&broken(), "a\u{1b}[2J"));
    let text = terminal(&now, Some(&now.changes_since(&before)), false);
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("no {part:?} in\n{text}"));
    assert!(
        at("20 of 22 pass") < at("Fails") && at("Fails") < at("4.2.4") && at("4.2.4") < at("Changed since")
    );
    assert!(at("4.2.4") < at("4.1.1"), "the graver first");
    assert!(!text.contains('\u{1b}'), "no control characters of a node");
    assert!(terminal(&now, None, true).contains("\u{1b}[31m"));
    assert!(text.lines().all(|line| line.chars().count() <= 130), "{text}");
}

fn strings<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no text at {pointer}: {value}"))
}

#[test]
fn oscal_has_the_required_fields_and_refers_to_what_is_there() {
    let document = oscal(&report_of(&broken(), "worker-1"));
    let root = &document["assessment-results"];
    for pointer in [
        "/uuid",
        "/metadata/title",
        "/metadata/last-modified",
        "/metadata/version",
        "/import-ap/href",
        "/results/0/start",
    ] {
        assert!(!strings(root, pointer).is_empty(), "{pointer}");
    }
    assert_eq!(strings(root, "/metadata/oscal-version"), "1.2.1");
    assert_eq!(
        strings(root, "/import-ap/href"),
        format!("#{}", strings(root, "/back-matter/resources/0/uuid"))
    );
    let result = &root["results"][0];
    let observations: Vec<&str> =
        result["observations"].as_array().unwrap().iter().map(|o| strings(o, "/uuid")).collect();
    let findings = result["findings"].as_array().unwrap();
    assert_eq!((observations.len(), findings.len()), (22, 22));
    for finding in findings {
        assert!(observations.contains(&strings(finding, "/related-observations/0/observation-uuid")));
        let uuid = strings(finding, "/uuid");
        assert_eq!((uuid.len(), uuid.chars().nth(14)), (36, Some('5')), "{uuid}");
    }
    assert_eq!(strings(&findings[0], "/target/status/state"), "not-satisfied");
    assert_eq!(strings(&findings[1], "/target/status/state"), "satisfied");
    let evidence = &result["observations"][0]["relevant-evidence"][0]["props"];
    let names: Vec<&str> = evidence.as_array().unwrap().iter().map(|p| strings(p, "/name")).collect();
    assert_eq!(names, ["root-of-trust", "value-found", "value-required", "pcr", "log-index", "hash"]);
    assert_eq!(oscal(&report_of(&broken(), "worker-1")), document, "the same report gives the same document");
}

#[test]
fn ocsf_events_are_of_class_2003() {
    let events = ocsf(&report_of(&broken(), "worker-1"));
    assert_eq!(events.len(), 22);
    for event in &events {
        assert_eq!(
            (&event["class_uid"], &event["category_uid"], &event["type_uid"]),
            (&2003.into(), &2.into(), &200_301.into())
        );
        assert_eq!(event["time"], (NOW + 5) * 1000);
        for pointer in [
            "/metadata/version",
            "/metadata/product/vendor_name",
            "/finding_info/title",
            "/finding_info/uid",
            "/compliance/control",
        ] {
            assert!(!strings(event, pointer).is_empty(), "{pointer}");
        }
    }
    assert_eq!((&events[0]["compliance"]["status_id"], &events[0]["severity_id"]), (&3.into(), &3.into()));
    assert_eq!((&events[1]["compliance"]["status_id"], &events[1]["severity_id"]), (&1.into(), &1.into()));
}

#[test]
fn openreports_is_a_cluster_report() {
    let object = openreports(&report_of(&broken(), "Worker_1.example"));
    assert_eq!(strings(&object, "/kind"), "ClusterReport");
    assert_eq!(strings(&object, "/metadata/name"), "sealpod-cis-kubernetes-1.7.1-worker-l1-worker-1.example");
    assert_eq!(
        object["summary"],
        serde_json::json!({"pass": 20, "fail": 2, "warn": 0, "error": 0, "skip": 0})
    );
    for result in object["results"].as_array().unwrap() {
        assert!(["pass", "fail", "error", "skip"].contains(&strings(result, "/result")));
        assert!(["low", "medium", "high", "critical"].contains(&strings(result, "/severity")));
        assert!(result["properties"].as_object().unwrap().values().all(Value::is_string));
        assert!(result["timestamp"]["seconds"].is_u64() && result["timestamp"]["nanos"].is_u64());
    }
}

#[test]
fn the_page_stands_alone_and_runs_nothing() {
    let mut node = broken();
    node.edit(CONFIG, "readOnlyPort: 10255", "readOnlyPort: \"<script>alert(1)</script>\"");
    let report = report_of(&node, "<img src=x onerror=alert(2)>");
    let before = report_of(&kubeadm(), "a");
    let history = [HistoryPoint { verified_at: NOW - 86_400, per_mille: 545 }];
    let page = html(&report, &history, Some(&report.changes_since(&before)));
    for part in ["<script", "<img", "http://", "https://", "javascript:", "@import", "url(", "onerror=\""] {
        assert!(!page.contains(part), "{part}");
    }
    for part in [
        "lang=\"en\"",
        "Content-Security-Policy",
        "width=device-width",
        "prefers-color-scheme: dark",
        "aria-label",
        "&lt;script&gt;",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches("<details ").count(), 22);
    assert_eq!(page.matches("<details ").count(), page.matches("</details>").count());
    assert!(page.contains("data-state=\"fail\" data-root=\"ima+content\" open"));
    for filter in ["state-fail", "state-pass", "root-ima", "root-ima-content"] {
        assert!(
            page.contains(&format!("id=\"{filter}\"")) && page.contains(&format!("#{filter}:not(:checked)")),
            "{filter}"
        );
    }
}
