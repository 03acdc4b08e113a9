use super::*;
use crate::compliance::{history, profiles};
use crate::storage::FileStorage;
use sealpod_compliance::report::Report;
use sealpod_compliance::{State, Tailoring};
use sealpod_testkit::node::{Node as TestNode, NodeFile};
use sealpod_verifier::Check;

const NODE: &str = "worker-1";
const NOW: UnixTime = 1_800_000_000;

/// A profile of one item.
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
";

fn profile() -> Profile {
    profiles::read("motd", PROFILE.as_bytes(), &Tailoring::default()).unwrap()
}

struct World {
    _directory: tempfile::TempDir,
    storage: FileStorage,
}

fn world() -> World {
    let directory = tempfile::tempdir().unwrap();
    let storage = FileStorage::create(&directory.path().join("store")).unwrap();
    let key = hex::encode(TestNode::default().tpm.ak_name());
    nodes::enrol(&storage, NODE, &key, NOW).unwrap();
    World { _directory: directory, storage }
}

impl World {
    fn nonce(&self) -> String {
        challenge(&self.storage, NODE, &[profile()], &[], NOW).unwrap().nonce
    }

    fn answer(&self, evidence: &NodeEvidence, now: UnixTime) -> Result<Round, ComplianceError> {
        answer(&self.storage, NODE, evidence, now)
    }
}

fn evidence(nonce: &str, mode: u16) -> NodeEvidence {
    TestNode { nonce: nonce.to_owned(), ..TestNode::default() }
        .with("/etc/motd", NodeFile::of("hello", mode))
        .evidence()
}

#[test]
fn a_challenge_asks_for_what_the_profile_needs_and_is_answered_once() {
    let world = world();
    let given = challenge(&world.storage, NODE, &[profile()], &[], NOW).unwrap();
    assert!(given.request.files.contains_key(&"/etc/motd".parse().unwrap()));
    let evidence = evidence(&given.nonce, 0o644);
    let round = world.answer(&evidence, NOW + 5).unwrap();
    let report = Report::new(NODE, &round.appraised, &profile(), NOW + 5);
    assert_eq!(report.findings[0].state, State::Pass, "{:?}", report.findings);
    assert!(matches!(world.answer(&evidence, NOW + 6), Err(ComplianceError::NoChallenge { .. })), "used up");
}

#[test]
fn an_answer_to_no_challenge_or_too_late_or_of_another_node_is_refused() {
    let world = world();
    for nonce in ["", "x", &"0".repeat(64), "../../x"] {
        let refused = world.answer(&evidence(nonce, 0o644), NOW);
        assert!(matches!(refused, Err(ComplianceError::NoChallenge { .. })), "{nonce}");
    }
    let nonce = world.nonce();
    let late = world.answer(&evidence(&nonce, 0o644), NOW + CHALLENGE_SECONDS + 1);
    assert!(matches!(late, Err(ComplianceError::Expired { .. })));
    let nonce = world.nonce();
    nodes::enrol(&world.storage, "worker-2", &format!("000b{}", "22".repeat(32)), NOW).unwrap();
    let other = answer(&world.storage, "worker-2", &evidence(&nonce, 0o644), NOW);
    assert!(matches!(other, Err(ComplianceError::NoChallenge { .. })), "the challenge was another node's");
}

#[test]
fn a_refused_answer_leaves_the_challenge_to_the_node_itself() {
    let world = world();
    let nonce = world.nonce();
    let mut spoiled = evidence(&nonce, 0o644);
    *spoiled.quote.signature.0.last_mut().unwrap() ^= 1;
    let refused = world.answer(&spoiled, NOW).unwrap_err();
    assert!(matches!(refused, ComplianceError::Verify(error) if error.check == Check::QuoteSignature));
    assert!(world.answer(&evidence(&nonce, 0o644), NOW).is_ok());
}

#[test]
fn old_challenges_are_forgotten() {
    let world = world();
    let nonce = world.nonce();
    let node = nodes::get(&world.storage, NODE).unwrap();
    node.forget_old_challenges(&world.storage, NOW + CHALLENGE_SECONDS).unwrap();
    assert_eq!(world.storage.list(Table::Rounds).unwrap().len(), 1);
    node.forget_old_challenges(&world.storage, NOW + CHALLENGE_SECONDS + 1).unwrap();
    assert!(world.storage.list(Table::Rounds).unwrap().is_empty());
    assert!(matches!(world.answer(&evidence(&nonce, 0o644), NOW), Err(ComplianceError::NoChallenge { .. })));
}

#[test]
fn what_changed_is_known_from_the_reports_that_were_kept() {
    let world = world();
    for (at, mode) in [(NOW, 0o644), (NOW + 60, 0o666), (NOW + 120, 0o644)] {
        let evidence = evidence(&world.nonce(), mode);
        let round = world.answer(&evidence, at).unwrap();
        let report = Report::new(NODE, &round.appraised, &profile(), at);
        history::keep(&world.storage, &report, b"{}").unwrap();
    }
    let reports = history::reports(&world.storage, NODE, "motd").unwrap();
    assert_eq!(history::profiles(&world.storage, NODE).unwrap(), ["motd"]);
    let points: Vec<usize> = history::points(&reports).iter().map(|point| point.per_mille).collect();
    assert_eq!(points, [1000, 0, 1000]);
    let drift = history::drift(&reports, 0);
    let states: Vec<_> = drift.iter().map(|(at, change)| (*at, change.before, change.now)).collect();
    let (pass, fail) = (Some(State::Pass), Some(State::Fail));
    assert_eq!(states, [(NOW + 60, pass, fail), (NOW + 120, fail, pass)]);
    assert_eq!(history::drift(&reports, NOW + 61).len(), 1);
}
