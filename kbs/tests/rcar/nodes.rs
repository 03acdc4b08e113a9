//! Rounds of nodes over the network: what is kept of them, which are refused, and who is held.

use crate::support::{Answer, Client, Fixture};
use hyper::Method;
use sealpod_compliance::Tailoring;
use sealpod_evidence::node::NodeEvidence;
use sealpod_kbs::compliance::nodes::{self, Assigned};
use sealpod_kbs::compliance::{history, online};
use sealpod_kbs::http::MAX_NODE_EVIDENCE;
use sealpod_testkit::Bundle;
use sealpod_testkit::node::{Node, NodeFile};
use serde_json::{Value, json};

const NODE: &str = "worker-1";
const OTHER: &str = "worker-2";

/// A profile of two items.
const PROFILE: &str = "\
version: 1
id: motd
title: The message of the day
benchmark: ours
subject: node
items:
  - id: '1'
    title: The message of the day is root's to write
    level: 1
    severity: low
    root: ima
    rule:
      file-mode-at-most:
        path: /etc/motd
        mode: '0644'
    remediation: chmod 644 /etc/motd
  - id: '2'
    title: The other message is root's to write
    level: 1
    severity: low
    root: ima
    rule:
      file-mode-at-most:
        path: /etc/issue
        mode: '0644'
    remediation: chmod 644 /etc/issue
";

/// A broker that knows two nodes, of which only the first has profiles.
async fn broker(hold: bool) -> Fixture {
    let fixture = Fixture::start().await;
    let (admin, now) = (fixture.admin(), fixture.by().now);
    let key = hex::encode(Node::default().tpm.ak_name());
    nodes::enrol(&*admin.storage, NODE, &key, now).unwrap();
    nodes::enrol(&*admin.storage, OTHER, &format!("000b{}", "22".repeat(32)), now).unwrap();
    let assigned = |name: &str| {
        vec![Assigned { name: name.into(), text: Some(PROFILE.into()), tailoring: Tailoring::default() }]
    };
    nodes::assign(&*admin.storage, NODE, assigned("motd.yaml"), hold).unwrap();
    nodes::assign(&*admin.storage, OTHER, assigned("motd.yaml"), hold).unwrap();
    fixture
}

fn path(node: &str, what: &str) -> String {
    format!("/sealpod/v0/nodes/{node}/{what}")
}

async fn challenge(fixture: &Fixture, client: &mut Client, node: &str) -> Value {
    fixture.wait(1);
    let answer = client.send(Method::POST, &path(node, "challenge"), "").await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    answer.json()
}

fn evidence(challenge: &Value, modes: &[(&str, u16)]) -> NodeEvidence {
    let nonce = challenge["nonce"].as_str().unwrap().to_owned();
    let node = Node { nonce, ..Node::default() };
    modes.iter().fold(node, |node, (path, mode)| node.with(path, NodeFile::of("hello", *mode))).evidence()
}

async fn send(client: &mut Client, node: &str, evidence: &NodeEvidence) -> Answer {
    client.post(&path(node, "evidence"), &serde_json::to_value(evidence).unwrap()).await
}

/// A whole round.
async fn round(fixture: &Fixture, modes: &[(&str, u16)]) -> (Value, Value) {
    let mut client = fixture.client().await;
    let given = challenge(fixture, &mut client, NODE).await;
    let answer = send(&mut client, NODE, &evidence(&given, modes)).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    (given, answer.json())
}

const GOOD: &[(&str, u16)] = &[("/etc/motd", 0o644), ("/etc/issue", 0o644)];

#[tokio::test(flavor = "multi_thread")]
async fn a_round_is_evaluated_and_kept_with_its_evidence() {
    let fixture = broker(false).await;
    let (given, answer) = round(&fixture, &[("/etc/motd", 0o644), ("/etc/issue", 0o666)]).await;
    assert!(given["request"]["files"]["/etc/motd"].is_string(), "{given}");
    assert_eq!(given["held"], json!(false));
    let profile =
        json!({"id": "motd", "summary": "1 of 2 pass (50.0 %), 1 fail", "pass": 1, "fail": 1, "unknown": 0});
    assert_eq!(answer, json!({"profiles": [profile], "held": false}), "not to be held");
    let admin = fixture.admin();
    let reports = history::reports(&*admin.storage, NODE, "motd").unwrap();
    assert_eq!((reports.len(), reports[0].score.pass), (1, 1));
    let audit = fixture.audit();
    let line = audit.last().unwrap();
    assert_eq!(
        (&line["action"], &line["verdict"], &line["subject"]),
        (&json!("node-round"), &json!("allow"), &json!(NODE))
    );
    assert_eq!(line["found"], "motd: 1 of 2 pass (50.0 %), 1 fail");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_leaves_nothing_behind() {
    let fixture = broker(false).await;
    let mut client = fixture.client().await;
    let lines = fixture.audit().len();
    challenge(&fixture, &mut client, NODE).await;
    let admin = fixture.admin();
    assert!(admin.storage.list(sealpod_kbs::storage::Table::Rounds).unwrap().is_empty());
    assert_eq!(fixture.audit().len(), lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_enrolled_or_has_no_profiles_gets_no_challenge() {
    let fixture = broker(false).await;
    let mut client = fixture.client().await;
    let body = client.send(Method::POST, &path("nobody", "challenge"), "").await.refused(404, "NodeNotFound");
    assert!(body["detail"].as_str().unwrap().starts_with("no node nobody is enrolled; next: have"), "{body}");
    nodes::assign(&*fixture.admin().storage, NODE, Vec::new(), false).unwrap();
    let body = client.send(Method::POST, &path(NODE, "challenge"), "").await.refused(401, "AttestationError");
    assert_eq!(body["sealpod"]["check"], "node-profiles");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_cookie_of_this_nodes_challenge_is_taken() {
    let fixture = broker(false).await;
    let mut client = fixture.client().await;
    let given = challenge(&fixture, &mut client, NODE).await;
    let evidence = evidence(&given, GOOD);
    let own = client.cookie.take();
    let refused = |answer: Answer, found: &str| {
        let body = answer.refused(401, "AttestationError");
        assert_eq!(
            (&body["sealpod"]["check"], &body["sealpod"]["found"]),
            (&json!("node-cookie"), &json!(found))
        );
    };
    refused(send(&mut client, NODE, &evidence).await, "no session cookie");
    client.cookie = Some("AAAA".into());
    refused(send(&mut client, NODE, &evidence).await, "a session cookie that this broker did not make");
    challenge(&fixture, &mut client, OTHER).await;
    refused(send(&mut client, NODE, &evidence).await, "that of a challenge to node worker-2");
    client.challenge(&Bundle::valid()).await;
    refused(send(&mut client, NODE, &evidence).await, "the cookie of a pod");
    client.cookie = own;
    let pod = client.send(Method::POST, "/kbs/v0/attest", "{}").await.refused(401, "AttestationError");
    assert_eq!(pod["sealpod"]["found"], "the cookie of a node's challenge");
    assert_eq!(send(&mut client, NODE, &evidence).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_expires() {
    let fixture = broker(false).await;
    let mut client = fixture.client().await;
    let given = challenge(&fixture, &mut client, NODE).await;
    fixture.wait(300);
    let body = send(&mut client, NODE, &evidence(&given, GOOD)).await.refused(401, "AttestationError");
    assert_eq!(body["sealpod"]["check"], "node-cookie");
    assert!(
        body["sealpod"]["found"].as_str().unwrap().starts_with("a session cookie that expired at"),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_counts_once_and_only_after_the_last() {
    let fixture = broker(true).await;
    let (mut first, mut second) = (fixture.client().await, fixture.client().await);
    let kept_back = challenge(&fixture, &mut first, NODE).await;
    let kept_back = evidence(&kept_back, GOOD);
    let given = challenge(&fixture, &mut second, NODE).await;
    let bad = evidence(&given, &[("/etc/motd", 0o666), ("/etc/issue", 0o644)]);
    fixture.wait(1);
    assert_eq!(send(&mut second, NODE, &bad).await.json()["held"], true);
    for (client, evidence) in [(&mut second, &bad), (&mut first, &kept_back)] {
        let body = send(client, NODE, evidence).await.refused(401, "AttestationError");
        assert_eq!(body["sealpod"]["check"], "node-freshness");
        assert_eq!(fixture.audit().last().unwrap()["check"], "node-freshness");
    }
    assert!(online::progress(&*fixture.admin().storage, NODE).unwrap().held.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_of_another_key_or_nonce_or_none_is_refused_and_written_down() {
    let fixture = broker(false).await;
    let mut client = fixture.client().await;
    let given = challenge(&fixture, &mut client, OTHER).await;
    let body = send(&mut client, OTHER, &evidence(&given, GOOD)).await.refused(401, "AttestationError");
    let line = fixture.audit().last().unwrap().clone();
    assert_eq!(
        (&line["action"], &line["verdict"], &line["subject"]),
        (&json!("node-round"), &json!("refuse"), &json!(OTHER))
    );
    assert_eq!(line["check"], body["sealpod"]["check"]);
    challenge(&fixture, &mut client, NODE).await;
    let other = evidence(&json!({"nonce": "0".repeat(64)}), GOOD);
    let body = send(&mut client, NODE, &other).await.refused(401, "AttestationError");
    assert_eq!(body["sealpod"]["check"], "challenge-nonce");
    let body = client.post(&path(NODE, "evidence"), &json!({})).await.refused(401, "SerdeError");
    assert_eq!(body["sealpod"]["check"], "node-evidence");
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_above_its_budget_is_refused() {
    let fixture = broker(false).await;
    let mut client = fixture.client().await;
    challenge(&fixture, &mut client, NODE).await;
    let large = vec![b' '; MAX_NODE_EVIDENCE + 1];
    client.send(Method::POST, &path(NODE, "evidence"), large).await.refused(413, "BodyTooLarge");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_item_holds_a_node_until_a_round_proves_it_mended() {
    let fixture = broker(true).await;
    let held = |value: &(Value, Value)| (value.0["held"] == true, value.1["held"] == true);
    assert_eq!(
        held(&round(&fixture, &[("/etc/motd", 0o644)]).await),
        (false, false),
        "never established is no failure"
    );
    assert_eq!(held(&round(&fixture, GOOD).await), (false, false));
    assert_eq!(held(&round(&fixture, &[("/etc/motd", 0o666), ("/etc/issue", 0o644)]).await), (false, true));
    let audit = fixture.audit();
    let line = audit.last().unwrap();
    assert_eq!(
        (&line["action"], &line["verdict"], &line["found"]),
        (&json!("node-hold"), &json!("refuse"), &json!("motd/1"))
    );
    let since = online::progress(&*fixture.admin().storage, NODE).unwrap().held.unwrap();
    assert_eq!(
        held(&round(&fixture, &[("/etc/issue", 0o644)]).await),
        (true, true),
        "saying no more is no repair"
    );
    assert_eq!(online::progress(&*fixture.admin().storage, NODE).unwrap().held, Some(since));
    assert_eq!(held(&round(&fixture, GOOD).await), (true, false));
    let audit = fixture.audit();
    let line = audit.last().unwrap();
    assert_eq!(
        (&line["action"], &line["verdict"], &line["found"]),
        (&json!("node-hold"), &json!("allow"), &json!("none"))
    );
    assert_eq!(held(&round(&fixture, GOOD).await), (false, false));
    assert_eq!(fixture.audit().last().unwrap()["action"], "node-round");
}
