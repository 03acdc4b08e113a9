//! Ubuntu servers that meet the benchmark in three ways, and each item broken.

mod server;
mod spoil;

use crate::kubernetes::profile;
use crate::state::NodeState;
use sealpod_compliance::profile::Item;
use sealpod_compliance::{Profile, State};
use server::{iptables_desktop, nftables_server, ufw_server};
use std::collections::BTreeSet;

/// What the kernel measured in the round and no change to the node can take away.
const ATTESTED: [&str; 2] = ["1.2.1", "1.2.2"];

fn l1() -> Profile {
    profile("cis-ubuntu-20.04-2.0.1-server-l1")
}

fn l2() -> Profile {
    profile("cis-ubuntu-20.04-2.0.1-server-l2")
}

fn servers() -> [NodeState; 3] {
    [ufw_server(), nftables_server(), iptables_desktop()]
}

#[track_caller]
fn nothing_fails(node: &NodeState, profile: &Profile, manual: &[&str]) -> BTreeSet<String> {
    let findings = node.findings(profile);
    let failed: Vec<_> = findings.iter().filter(|finding| finding.state == State::Fail).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let unknown: Vec<_> = findings.iter().filter(|finding| finding.state == State::Unknown).collect();
    let items: Vec<&str> = unknown.iter().map(|finding| finding.item.as_str()).collect();
    assert_eq!(items, manual, "{unknown:#?}");
    findings.into_iter().filter(|finding| finding.state == State::Pass).map(|finding| finding.item).collect()
}

#[test]
fn good_servers_pass_and_together_every_item_does() {
    let passed: Vec<_> =
        servers().iter().map(|node| nothing_fails(node, &l1(), &["1.3.1", "1.3.3"])).collect();
    let all: BTreeSet<String> = passed.iter().flatten().cloned().collect();
    let missing: Vec<_> = l1().items.into_iter().map(|item| item.id).filter(|id| !all.contains(id)).collect();
    assert_eq!(missing, ["1.3.1", "1.3.3"], "none of the servers passes these");
    assert_eq!(passed.iter().map(BTreeSet::len).collect::<Vec<_>>(), PASSED);
}

/// How many of the 228 apply to each server and pass: firewalls, time daemons and loggers exclude each other.
const PASSED: [usize; 3] = [186, 185, 200];

#[test]
fn a_level_2_server_passes_too() {
    let passed = nothing_fails(&ufw_server(), &l2(), &["1.3.1", "1.3.3", "5.2.3.21"]);
    let missing: Vec<_> = l2()
        .items
        .into_iter()
        .filter(|item| item.level == 2 && !passed.contains(&item.id))
        .map(|item| item.id)
        .collect();
    assert_eq!(missing, ["5.2.3.21"]);
}

/// Each way to break an item makes it fail; the same server unbroken passes it.
fn each_way_fails(item: &Item, profile: &Profile, servers: &[(NodeState, BTreeSet<String>)]) {
    let (server, _) = servers.iter().find(|(_, passed)| passed.contains(&item.id)).unwrap();
    let ways = match item.id.as_str() {
        // One change to any of its parts makes another of them hold.
        "2.1.1.1" => vec![Box::new(|node: &mut NodeState| {
            node.packages.insert("ntp".into(), "1".into());
            node.packages.insert("chrony".into(), "1".into());
        }) as spoil::Way],
        _ => spoil::ways(&item.rule),
    };
    assert!(!ways.is_empty(), "{}", item.id);
    for (number, way) in ways.iter().enumerate() {
        let mut node = server.clone();
        way(&mut node);
        let findings = node.findings(profile);
        let finding = findings.iter().find(|finding| finding.item == item.id).unwrap();
        assert_eq!(finding.state, State::Fail, "way {number}: {finding:#?}");
        assert!(finding.proofs.iter().all(|proof| !proof.required.is_empty()), "{finding:#?}");
    }
}

#[test]
fn each_item_fails_in_each_way_that_it_can() {
    let profile = l2();
    let servers: Vec<_> = servers()
        .into_iter()
        .map(|node| {
            let passed = node.in_state(&profile, State::Pass).into_iter().collect();
            (node, passed)
        })
        .collect();
    let manual = ["1.3.1", "1.3.3", "5.2.3.21"];
    let mut broken = 0;
    for item in &profile.items {
        if manual.contains(&item.id.as_str()) || ATTESTED.contains(&item.id.as_str()) {
            continue;
        }
        // One item at a time, so that the run is quick.
        let alone = Profile { items: vec![item.clone()], ..profile.clone() };
        each_way_fails(item, &alone, &servers);
        broken += 1;
    }
    assert_eq!(broken, 285 - manual.len() - ATTESTED.len());
}

#[test]
fn match_blocks_and_includes_of_sshd_count() {
    let failed = |change: fn(&mut NodeState)| {
        let mut node = ufw_server();
        change(&mut node);
        node.in_state(&l1(), State::Fail)
    };
    const SSHD: &str = "/etc/ssh/sshd_config";
    assert_eq!(failed(|n| n.append(SSHD, "Match Address 10.0.0.0/8\n  PermitRootLogin yes\n")), ["4.2.7"]);
    assert!(failed(|n| n.append(SSHD, "Match User backup\n  X11Forwarding no\nMatch all\n")).is_empty());
    assert_eq!(
        failed(|n| {
            n.file("/etc/ssh/sshd_config.d/00-mine.conf", 0o600, "permitrootlogin=yes\n");
        }),
        ["4.2.7"]
    );
    assert!(failed(|n| n.append(SSHD, "PermitRootLogin yes\n")).is_empty(), "the first value holds");
    let mut node = ufw_server();
    node.append(SSHD, "Include /srv/more.conf\n");
    assert!(
        node.in_state(&l1(), State::Unknown).contains(&"4.2.7".to_owned()),
        "a file that was not asked for"
    );
}

#[test]
fn the_last_sysctl_file_holds_and_hides_its_namesakes() {
    let item = |node: &NodeState, id: &str| {
        let findings = node.findings(&l1());
        findings.into_iter().find(|finding| finding.item == id).unwrap().state
    };
    let mut node = ufw_server();
    node.file("/etc/sysctl.d/99-z.conf", 0o644, "net.ipv4.ip_forward = 1\n");
    assert_eq!(item(&node, "3.2.2"), State::Fail);
    let mut node = ufw_server();
    node.file("/usr/lib/sysctl.d/60-hardening.conf", 0o644, "net/ipv4/ip_forward = 1\n");
    assert_eq!(item(&node, "3.2.2"), State::Pass, "hidden by the file of the same name in /etc");
    node.file("/usr/lib/sysctl.d/61-other.conf", 0o644, "-net/ipv4/ip_forward = 1\n");
    assert_eq!(item(&node, "3.2.2"), State::Fail);
}

#[test]
fn a_verdict_about_another_file_than_the_measured_one_does_not_count() {
    let profile = l1();
    let mut sent = ufw_server().measure(&profile, &[]);
    let accounts = sent.statement.accounts.as_mut().unwrap();
    for fact in accounts.values_mut() {
        fact.judged.insert(crate::state::path("/etc/shadow"), sealpod_evidence::bytes::HexArray([0; 32]));
    }
    sent.record();
    let findings = sealpod_compliance::evaluate(&sent.appraise(), &profile, crate::state::NOW);
    let finding = findings.iter().find(|finding| finding.item == "6.2.2").unwrap();
    let path = crate::state::path("/etc/shadow");
    assert_eq!(finding.reasons, [sealpod_compliance::Reason::OtherFileJudged { path }]);
}

#[test]
fn work_for_hostile_files_is_bounded() {
    let problem = |change: fn(&mut NodeState), item: &str| {
        let mut node = ufw_server();
        change(&mut node);
        let findings = node.findings(&l2());
        let finding = findings.into_iter().find(|finding| finding.item == item).unwrap();
        match &finding.reasons[..] {
            [sealpod_compliance::Reason::Unreadable { problem, .. }, ..] => problem.clone(),
            other => panic!("{item}: {other:?}"),
        }
    };
    const RULES: &str = "/etc/audit/rules.d/60-many.rules";
    let many = |n: &mut NodeState| {
        n.file(RULES, 0o640, &"-w /a -p wa\n".repeat(20_001));
    };
    assert!(problem(many, "5.2.3.8").contains("20000 lines"));
    let spread = |n: &mut NodeState| {
        for part in 0..30 {
            n.file(&format!("/etc/sysctl.d/{part}.conf"), 0o644, &"a=1\n".repeat(900));
        }
    };
    assert!(problem(spread, "3.2.2").contains("20000 lines"), "all files of a rule count together");
    let long = |n: &mut NodeState| {
        n.file("/etc/sudoers.d/long", 0o440, &"x".repeat((1 << 20) - 10));
    };
    assert!(problem(long, "4.3.2").contains("1048576 bytes"));
    let itself = |n: &mut NodeState| n.append("/etc/ssh/sshd_config", "Include sshd_config\n");
    assert!(problem(itself, "4.2.7").contains("too many files"));
}

#[test]
fn password_databases_and_keys_are_not_sent() {
    let sent = ufw_server().measure(&l2(), &[]);
    for content in sent.contents.values() {
        let text = String::from_utf8_lossy(content);
        for secret in ["$6$", "PRIVATE KEY", "grub.pbkdf2"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
