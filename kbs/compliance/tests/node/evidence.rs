//! Evidence that does not hold: each spoiled part makes what rests on it unknown, with its reason.

use crate::kubernetes::{CONFIG, DROP_IN, kubeadm, worker_l1};
use crate::state::{File, NOW, Sent, Template, path};
use sealpod_compliance::{Appraised, Finding, Reason, State, evaluate};
use sealpod_evidence::node::RoundNonce;
use sealpod_evidence::node::contents;
use sealpod_evidence::node::statement::{FileOutcome, Mount};

fn sent() -> Sent {
    kubeadm().measure(&worker_l1(), &[])
}

fn findings(appraised: &Appraised) -> Vec<Finding> {
    evaluate(appraised, &worker_l1(), NOW)
}

fn reasons(appraised: &Appraised, item: &str) -> Vec<Reason> {
    let findings = findings(appraised);
    let finding = findings.into_iter().find(|finding| finding.item == item).unwrap();
    assert_eq!(finding.state, State::Unknown, "{finding:#?}");
    finding.reasons
}

/// The reason that every item has.
fn everywhere(appraised: &Appraised) -> Reason {
    let findings = findings(appraised);
    let first = findings[0].reasons[0].clone();
    for finding in findings {
        assert_eq!(
            (finding.state, &finding.reasons[..]),
            (State::Unknown, &[first.clone()][..]),
            "{}",
            finding.item
        );
    }
    first
}

#[test]
fn evidence_that_is_old_or_from_the_future_is_no_evidence() {
    let appraised = sent().appraise_at(NOW - 3601);
    assert_eq!(everywhere(&appraised), Reason::Stale { age: 3601, allowed: 3600 });
    assert_eq!(everywhere(&sent().appraise_at(NOW + 61)), Reason::FromTheFuture { ahead: 61 });
    assert!(findings(&sent().appraise_at(NOW - 3600)).iter().all(|finding| finding.state == State::Pass));
}

#[test]
fn without_a_statement_in_pcr_13_nothing_is_known() {
    let mut spoiled = sent();
    spoiled.records.pop();
    assert!(
        matches!(everywhere(&spoiled.appraise()), Reason::NoStatement { problem } if problem.contains("not in PCR 13"))
    );
    let mut spoiled = sent();
    spoiled.statement.clock += 1;
    assert!(
        matches!(everywhere(&spoiled.appraise()), Reason::NoStatement { problem } if problem.contains("not in PCR 13"))
    );
    let good = sent();
    let packed = contents::pack(&good.contents).unwrap();
    let none = good.appraise_bytes(b"", &packed, NOW);
    assert!(matches!(everywhere(&none), Reason::NoStatement { problem } if problem == "none was sent"));
    let garbage = good.appraise_bytes(b"{\"version\":1}", &packed, NOW);
    assert!(matches!(everywhere(&garbage), Reason::NoStatement { .. }));
}

#[test]
fn another_rounds_evidence_is_history() {
    let mut old = sent();
    old.round = RoundNonce::of_challenge("the next challenge");
    assert!(
        matches!(everywhere(&old.appraise()), Reason::NoStatement { problem } if problem.contains("it is about round"))
    );
    // A fresh statement over entries of the round before.
    old.statement.nonce = old.round;
    for overlay in &mut old.statement.overlays {
        overlay.mount_point = overlay.lower.below(&old.round.directory()).unwrap();
    }
    old.record();
    let reasons = reasons(&old.appraise(), "4.1.2");
    assert!(matches!(&reasons[..], [Reason::Platform { .. }]), "{reasons:?}");
}

#[test]
fn an_overlay_that_is_aimed_elsewhere_shows_nothing() {
    let mut spoiled = sent();
    let overlay = &mut spoiled.statement.overlays[0];
    overlay.options = overlay.options.replace("lowerdir=/:", "lowerdir=/srv/clean:");
    spoiled.record();
    assert!(matches!(everywhere(&spoiled.appraise()), Reason::Platform { .. }));
    let mut spoiled = sent();
    spoiled.statement.mounts.as_mut().unwrap().push(Mount {
        point: path(CONFIG),
        source: "/tmp/bad".into(),
        fstype: "ext4".into(),
        options: "rw".into(),
    });
    spoiled.record();
    let reasons = reasons(&spoiled.appraise(), "4.2.1");
    assert!(
        matches!(&reasons[..], [Reason::Overlay { path, .. }] if *path == crate::state::path(CONFIG)),
        "{reasons:?}"
    );
    let mut spoiled = sent();
    spoiled.statement.mounts = None;
    spoiled.record();
    assert!(matches!(everywhere(&spoiled.appraise()), Reason::Platform { .. }));
}

#[test]
fn a_content_counts_with_its_measured_hash_only() {
    let mut spoiled = sent();
    spoiled.contents.get_mut(&path(CONFIG)).unwrap().push(b'\n');
    let spoiled_reasons = reasons(&spoiled.appraise(), "4.2.1");
    assert!(matches!(&spoiled_reasons[..], [Reason::OtherContent { .. }]), "{spoiled_reasons:?}");
    let mut spoiled = sent();
    spoiled.contents.remove(&path(CONFIG)).unwrap();
    assert_eq!(reasons(&spoiled.appraise(), "4.2.1"), [Reason::NoContent { path: path(CONFIG) }]);
    let good = sent();
    let appraised = good.appraise_bytes(&good.statement.to_bytes(), b"\x01bomb", NOW);
    assert!(matches!(&reasons(&appraised, "4.2.1")[..], [Reason::Unreadable { .. }]));
    let mut node = kubeadm();
    node.sha1 = true;
    let appraised = node.measure(&worker_l1(), &[]).appraise();
    assert!(matches!(&reasons(&appraised, "4.2.1")[..], [Reason::WeakHash { .. }]));
    let states = findings(&appraised);
    assert_eq!(states[0].state, State::Pass, "mode and owner need no hash of the content");
}

#[test]
fn contents_may_be_hostile() {
    for (content, part) in [
        (&b"a: &a [x]\nb: *a\n"[..], "an anchor"),
        (b"authentication: \xff\xfe\n", "not UTF-8"),
        (b"a: 1\na: 2\n", "twice"),
        (b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", ""),
    ] {
        let mut node = kubeadm();
        node.get(CONFIG).content = content.to_vec();
        let appraised = node.measure(&worker_l1(), &[]).appraise();
        let reasons = reasons(&appraised, "4.2.1");
        assert!(
            matches!(&reasons[..], [Reason::Unreadable { problem, .. }] if problem.contains(part)),
            "{reasons:?}"
        );
    }
}

#[test]
fn entries_that_contradict_each_other_or_are_violations_do_not_count() {
    let name = |sent: &Sent| [sent.round.directory().as_bytes(), DROP_IN.as_bytes()].concat();
    let mut twice = sent();
    let name_of = name(&twice);
    twice.add_entry(
        Template::EvmSig,
        &name_of,
        &File { content: b"other".to_vec(), mode: 0o600, uid: 0, gid: 0 },
    );
    let reasons = reasons(&twice.appraise(), "4.1.1");
    assert_eq!(reasons, [Reason::Ambiguous { path: path(DROP_IN) }]);
    let mut hidden = sent();
    hidden.statement.files.insert(path(DROP_IN), FileOutcome::Absent);
    hidden.record();
    let hidden_reasons = self::reasons(&hidden.appraise(), "4.1.1");
    assert_eq!(hidden_reasons, [Reason::Ambiguous { path: path(DROP_IN) }]);
    let mut unasked = sent();
    unasked.add_entry(
        Template::EvmSig,
        &[name_of.as_slice(), b".other"].concat(),
        &File { content: vec![], mode: 0o777, uid: 5, gid: 5 },
    );
    assert!(
        findings(&unasked.appraise()).iter().all(|finding| finding.state == State::Pass),
        "not asked for, not used"
    );
}

#[test]
fn a_listing_cannot_smuggle_in_other_files() {
    let mut spoiled = sent();
    let pattern = "/etc/systemd/system/kubelet.service.d/*.conf".parse().unwrap();
    spoiled.statement.listings.insert(pattern, vec![path("/tmp/good.conf")]);
    spoiled.record();
    let reasons = reasons(&spoiled.appraise(), "4.1.1");
    assert!(matches!(&reasons[..], [Reason::NotStated { .. }]), "{reasons:?}");
}

#[test]
fn names_that_are_not_utf8_are_handled() {
    let mut node = kubeadm();
    let odd = sealpod_evidence::node::NodePath::from_bytes(
        b"/etc/systemd/system/kubelet.service.d/\xff\xe9 x.conf",
    )
    .unwrap();
    node.files.insert(odd.clone(), File { content: b"[Service]\n".to_vec(), mode: 0o666, uid: 0, gid: 0 });
    let findings = node.findings(&worker_l1());
    assert_eq!(findings[0].state, State::Fail);
    assert_eq!(findings[0].proofs[0].subject, "/etc/systemd/system/kubelet.service.d/%FF%E9 x.conf");
}
