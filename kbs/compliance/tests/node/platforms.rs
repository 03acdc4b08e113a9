//! k3s, RKE2 and OpenShift: other paths, other ways to set the same.

use crate::kubernetes::worker_l1;
use crate::state::{NodeState, path};
use sealpod_compliance::{Reason, State};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::node::statement::Arguments;
use sha2::{Digest as _, Sha256};

const DEFAULTS: &str = "authentication:\n  anonymous: {enabled: false}\n  x509: {clientCAFile: CA}\nauthorization: {mode: Webhook}\n\
    tlsCertFile: /s.crt\ntlsPrivateKeyFile: /s.key\npodPidsLimit: 4096\n\
    tlsCipherSuites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n";

/// k3s and RKE2 differ in their name and unit.
fn rancher(name: &str, unit: &str) -> NodeState {
    let mut node = NodeState::new();
    let agent = format!("/var/lib/rancher/{name}/agent");
    node.file(unit, 0o600, &format!("[Service]\nEnvironmentFile=-/etc/default/%N\nExecStart=/usr/local/bin/{name} \\\n    agent \\\n\n"));
    node.file(&format!("{agent}/kubelet.kubeconfig"), 0o600, "");
    node.file(&format!("{agent}/kubeproxy.kubeconfig"), 0o600, "");
    node.file(&format!("{agent}/client-ca.crt"), 0o600, "");
    let defaults = DEFAULTS.replace("CA}", &format!("{agent}/client-ca.crt}}"));
    node.file(&format!("{agent}/etc/kubelet.conf.d/00-{name}-defaults.conf"), 0o600, &defaults);
    node
}

fn argue(node: &mut NodeState, at: &str, content: &str, arguments: &[&str]) {
    node.file(at, 0o600, content);
    let sha256 = HexArray(Sha256::digest(content).into());
    let instead = Some(arguments.iter().map(|argument| (*argument).to_owned()).collect());
    node.arguments.insert(path(at), Arguments { sha256, instead, added: Vec::new() });
}

#[test]
fn k3s_and_rke2_are_evaluated_at_their_own_paths() {
    for (name, unit) in [
        ("k3s", "/etc/systemd/system/k3s-agent.service"),
        ("rke2", "/usr/local/lib/systemd/system/rke2-agent.service"),
    ] {
        let node = rancher(name, unit);
        assert_eq!(
            node.in_state(&worker_l1(), State::Pass).len(),
            22,
            "{name}: {:#?}",
            node.in_state(&worker_l1(), State::Unknown)
        );
        let mut spoiled = node.clone();
        spoiled.get(&format!("/var/lib/rancher/{name}/agent/kubelet.kubeconfig")).mode = 0o644;
        assert_eq!(spoiled.in_state(&worker_l1(), State::Fail), ["4.1.5"], "{name}");
        let mut spoiled = node.clone();
        let extra = format!("/var/lib/rancher/{name}/agent/etc/kubelet.conf.d/20-cli-config-dir/mine.conf");
        spoiled.file(&extra, 0o600, "readOnlyPort: 10255\n");
        assert_eq!(spoiled.in_state(&worker_l1(), State::Fail), ["4.2.4"], "{name}");
        let mut spoiled = node.clone();
        let config = format!("/etc/rancher/{name}/config.yaml");
        argue(
            &mut spoiled,
            &config,
            "token: secret\nkubelet-arg: [anonymous-auth=true]\n",
            &["anonymous-auth=true"],
        );
        assert_eq!(spoiled.in_state(&worker_l1(), State::Fail), ["4.2.1"], "{name}");
        spoiled.get(&config).content.push(b'#');
        let findings = spoiled.findings(&worker_l1());
        let finding = findings.iter().find(|finding| finding.item == "4.2.1").unwrap();
        assert_eq!(finding.reasons, [Reason::OtherFileJudged { path: path(&config) }], "{name}");
    }
}

#[test]
fn a_token_is_not_sent() {
    let mut node = rancher("k3s", "/etc/systemd/system/k3s-agent.service");
    argue(&mut node, "/etc/rancher/k3s/config.yaml", "token: secret\n", &[]);
    let sent = node.measure(&worker_l1(), &[]);
    assert!(!sent.contents.values().any(|content| content.windows(6).any(|part| part == b"secret")));
    assert!(!sent.contents.contains_key(&path("/etc/rancher/k3s/config.yaml")));
}

#[test]
fn openshift_reads_its_own_files() {
    let mut node = NodeState::new();
    node.file(
        "/etc/systemd/system/kubelet.service",
        0o600,
        "[Service]\nEnvironmentFile=/etc/os-release\nExecStart=/usr/local/bin/kubenswrapper \\\n  /usr/bin/kubelet \\\n    \
         --config=/etc/kubernetes/kubelet.conf \\\n --kubeconfig=/var/lib/kubelet/kubeconfig --node-labels=${ID}\n",
    );
    node.file("/etc/os-release", 0o644, "ID=\"rhcos\"\n");
    node.file("/etc/kubernetes/kubelet-ca.crt", 0o600, "");
    node.file("/var/lib/kubelet/kubeconfig", 0o600, "");
    let config = DEFAULTS.replace("CA}", "/etc/kubernetes/kubelet-ca.crt}");
    node.file("/etc/kubernetes/kubelet.conf", 0o600, &config);
    assert_eq!(node.in_state(&worker_l1(), State::Pass).len(), 20, "{:#?}", node.findings(&worker_l1()));
    assert_eq!(node.in_state(&worker_l1(), State::NotApplicable), ["4.1.3", "4.1.4"]);
    node.get("/etc/kubernetes/kubelet.conf").mode = 0o644;
    assert_eq!(node.in_state(&worker_l1(), State::Fail), ["4.1.9"]);
}

#[test]
fn a_node_of_two_platforms_or_none_is_unknown() {
    let mut node = crate::kubernetes::kubeadm();
    node.file("/etc/systemd/system/k3s.service", 0o600, "[Service]\nExecStart=/usr/local/bin/k3s server\n");
    let findings = node.findings(&worker_l1());
    for finding in &findings {
        assert_eq!(finding.reasons, [Reason::Platform { found: "kubeadm, k3s".into() }], "{}", finding.item);
    }
    let findings = NodeState::new().findings(&worker_l1());
    assert!(findings.iter().all(|finding| finding.reasons == [Reason::Platform { found: "none".into() }]));
}
