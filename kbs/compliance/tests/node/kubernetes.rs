//! A worker as kubeadm leaves it, hardened; each of the 22 items broken by one change, and mended.

use crate::state::{NOW, NodeState, Template, path};
use sealpod_compliance::profile::{builtin, parse};
use sealpod_compliance::{Finding, Profile, Reason, Root, State, Tailoring};
use sealpod_evidence::node::statement::Process;

pub const UNIT: &str = "/usr/lib/systemd/system/kubelet.service";
pub const DROP_IN: &str = "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf";
pub const CONFIG: &str = "/var/lib/kubelet/config.yaml";
pub const FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";
const KUBECONFIG: &str = "/etc/kubernetes/kubelet.conf";
const PROXY: &str = "/var/lib/kube-proxy/kubeconfig";
const CA: &str = "/etc/kubernetes/pki/ca.crt";

const CONFIG_TEXT: &str = "\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous:
    enabled: false
  webhook:
    cacheTTL: 0s
    enabled: true
  x509:
    clientCAFile: /etc/kubernetes/pki/ca.crt
authorization:
  mode: Webhook
clusterDNS:
- 10.96.0.10
featureGates:
  RotateKubeletServerCertificate: true
makeIPTablesUtilChains: true
podPidsLimit: 4096
readOnlyPort: 0
rotateCertificates: true
streamingConnectionIdleTimeout: 4h0m0s
tlsCertFile: /var/lib/kubelet/pki/kubelet-server-current.pem
tlsPrivateKeyFile: /var/lib/kubelet/pki/kubelet-server-current.pem
tlsCipherSuites:
- TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
- TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
";

pub fn profile(id: &str) -> Profile {
    profile_with(id, &Tailoring::default())
}

pub fn profile_with(id: &str, tailoring: &Tailoring) -> Profile {
    let text_of = |id: &str| builtin(id).map(str::to_owned);
    parse(builtin(id).unwrap().as_bytes(), &text_of, tailoring).unwrap()
}

pub fn worker_l1() -> Profile {
    profile("cis-kubernetes-1.7.1-worker-l1")
}

pub fn kubeadm() -> NodeState {
    let mut node = NodeState::new();
    node.file(
        UNIT,
        0o644,
        "[Unit]\nDescription=kubelet\n[Service]\nExecStart=/usr/bin/kubelet\nRestart=always\n",
    );
    node.file(
        DROP_IN,
        0o600,
        "# Note: made by kubeadm\n[Service]\n\
         Environment=\"KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
         --kubeconfig=/etc/kubernetes/kubelet.conf\"\n\
         Environment=\"KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml\"\n\
         EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env\nEnvironmentFile=-/etc/default/kubelet\nExecStart=\n\
         ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS\n",
    );
    node.file(
        FLAGS,
        0o644,
        "KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=unix:///run/containerd/containerd.sock\"\n",
    );
    node.file(CONFIG, 0o600, CONFIG_TEXT);
    node.file(
        KUBECONFIG,
        0o600,
        "apiVersion: v1\nkind: Config\nusers: [{user: {client-key-data: c2VjcmV0}}]\n",
    );
    node.file(PROXY, 0o600, "apiVersion: v1\nkind: Config\n");
    node.file(CA, 0o600, "-----BEGIN CERTIFICATE-----\n");
    node
}

fn finding(node: &NodeState, item: &str) -> Finding {
    node.findings(&worker_l1()).into_iter().find(|finding| finding.item == item).unwrap()
}

#[test]
fn a_hardened_worker_passes_all_22_with_proof() {
    let findings = kubeadm().findings(&worker_l1());
    assert_eq!(findings.len(), 22);
    for finding in &findings {
        assert_eq!(finding.state, State::Pass, "{finding:#?}");
        assert!(!finding.proofs.is_empty(), "{}", finding.item);
        for proof in &finding.proofs {
            assert!(matches!(proof.root, Root::Ima | Root::ImaContent), "{}", finding.item);
            assert_eq!(proof.pcr, Some(10), "{}", finding.item);
            assert!(proof.log_index.is_some_and(|index| index > 0), "{}", finding.item);
            assert!(proof.hash.as_ref().is_some_and(|hash| hash.starts_with("sha256:")), "{}", finding.item);
        }
    }
}

#[test]
fn stock_ima_ng_decides_12_of_22_and_evm_sig_all() {
    let mut node = kubeadm();
    node.template = Template::ImaNg;
    let passed = node.in_state(&worker_l1(), State::Pass);
    assert_eq!(passed.len(), 12, "{passed:?}");
    assert!(passed.iter().all(|item| item.starts_with("4.2.")));
    let unknown = node.in_state(&worker_l1(), State::Unknown);
    assert_eq!(unknown.len(), 10);
    let reasons = finding(&node, "4.1.1").reasons;
    assert!(
        matches!(&reasons[..], [Reason::NoModeOwner { template, .. }] if template == "ima-ng"),
        "{reasons:?}"
    );
    node.template = Template::EvmSig;
    assert_eq!(node.in_state(&worker_l1(), State::Pass).len(), 22);
}

type Change = fn(&mut NodeState);

/// For each item a change that makes it, and no other, fail.
fn changes() -> Vec<(&'static str, &'static str, Change)> {
    vec![
        ("4.1.1", "mode", |n| n.get(DROP_IN).mode = 0o644),
        ("4.1.2", "owner", |n| n.get(DROP_IN).uid = 1000),
        ("4.1.3", "mode", |n| n.get(PROXY).mode = 0o604),
        ("4.1.4", "group", |n| n.get(PROXY).gid = 27),
        ("4.1.5", "mode", |n| n.get(KUBECONFIG).mode = 0o640),
        ("4.1.6", "owner", |n| n.get(KUBECONFIG).uid = 1),
        ("4.1.7", "set-id bit", |n| n.get(CA).mode = 0o4600),
        ("4.1.8", "group", |n| n.get(CA).gid = 5),
        ("4.1.9", "executable", |n| n.get(CONFIG).mode = 0o700),
        ("4.1.10", "owner", |n| n.get(CONFIG).uid = 65_534),
        ("4.2.1", "config", |n| {
            n.edit(CONFIG, "anonymous:\n    enabled: false", "anonymous:\n    enabled: true")
        }),
        ("4.2.1", "flag", |n| n.edit(FLAGS, "ARGS=\"", "ARGS=\"--anonymous-auth=true ")),
        ("4.2.1", "bare flag", |n| n.edit(FLAGS, "ARGS=\"", "ARGS=\"--anonymous-auth ")),
        ("4.2.1", "absent", |n| n.edit(CONFIG, "  anonymous:\n    enabled: false\n", "")),
        ("4.2.2", "config", |n| n.edit(CONFIG, "mode: Webhook", "mode: AlwaysAllow")),
        ("4.2.2", "later drop-in", |n| {
            let text = "[Service]\nEnvironment=\"KUBELET_EXTRA_ARGS=--authorization-mode=AlwaysAllow\"\n";
            n.file("/etc/systemd/system/kubelet.service.d/20-local.conf", 0o600, text);
        }),
        ("4.2.3", "absent", |n| {
            n.edit(CONFIG, "    clientCAFile: /etc/kubernetes/pki/ca.crt\n", "    other: x\n")
        }),
        ("4.2.4", "config", |n| n.edit(CONFIG, "readOnlyPort: 0", "readOnlyPort: 10255")),
        ("4.2.4", "/etc/default", |n| {
            n.file("/etc/default/kubelet", 0o644, "KUBELET_EXTRA_ARGS='--read-only-port 10255'\n");
        }),
        ("4.2.5", "config", |n| n.edit(CONFIG, "4h0m0s", "0s")),
        ("4.2.6", "config", |n| {
            n.edit(CONFIG, "makeIPTablesUtilChains: true", "makeIPTablesUtilChains: false")
        }),
        ("4.2.7", "flag", |n| n.edit(FLAGS, "ARGS=\"", "ARGS=\"--hostname-override=other ")),
        ("4.2.9", "one absent", |n| {
            n.edit(CONFIG, "tlsCertFile: /var/lib/kubelet/pki/kubelet-server-current.pem\n", "");
        }),
        ("4.2.10", "config", |n| n.edit(CONFIG, "rotateCertificates: true", "rotateCertificates: false")),
        ("4.2.11", "config", |n| {
            n.edit(CONFIG, "RotateKubeletServerCertificate: true", "RotateKubeletServerCertificate: false");
        }),
        ("4.2.11", "flag", |n| {
            n.edit(FLAGS, "ARGS=\"", "ARGS=\"--feature-gates=A=true,RotateKubeletServerCertificate=false ");
        }),
        ("4.2.12", "one weak", |n| n.append(CONFIG, "- TLS_RSA_WITH_3DES_EDE_CBC_SHA\n")),
        ("4.2.12", "absent", |n| {
            let at = CONFIG_TEXT.find("tlsCipherSuites").unwrap();
            n.edit(CONFIG, &CONFIG_TEXT[at..], "");
        }),
        ("4.2.13", "no limit", |n| n.edit(CONFIG, "podPidsLimit: 4096", "podPidsLimit: -1")),
        ("4.2.13", "running flag", |n| {
            let arguments =
                vec!["--config=/var/lib/kubelet/config.yaml".to_owned(), "--pod-max-pids=-1".to_owned()];
            n.kubelets.push(Process { executable: path("/usr/bin/kubelet"), arguments });
        }),
    ]
}

#[test]
fn each_item_fails_alone_and_passes_again() {
    let profile = worker_l1();
    for (item, what, change) in changes() {
        let mut node = kubeadm();
        change(&mut node);
        assert_eq!(node.in_state(&profile, State::Fail), [item], "{item}: {what}");
        assert_eq!(node.in_state(&profile, State::Pass).len(), 21, "{item}: {what}");
        let finding = finding(&node, item);
        assert!(
            finding.proofs.iter().all(|proof| !proof.found.is_empty() && !proof.required.is_empty()),
            "{finding:#?}"
        );
        assert_eq!(kubeadm().in_state(&profile, State::Pass).len(), 22, "{item}: mended");
    }
    let mut broken: Vec<_> = changes().into_iter().map(|(item, ..)| item).collect();
    broken.dedup();
    assert_eq!(broken.len(), 22);
}

#[test]
fn a_flag_beats_the_configuration_both_ways() {
    let mut node = kubeadm();
    node.edit(CONFIG, "readOnlyPort: 0", "readOnlyPort: 10255");
    node.edit(FLAGS, "ARGS=\"", "ARGS=\"--read-only-port=0 ");
    let finding = finding(&node, "4.2.4");
    assert_eq!(finding.state, State::Pass);
    assert_eq!(finding.proofs[0].subject, format!("--read-only-port in {FLAGS}"));
}

#[test]
fn a_configuration_drop_in_goes_over_the_configuration() {
    let mut node = kubeadm();
    node.file("/etc/kubernetes/kubelet.conf.d/90-local.conf", 0o600, "readOnlyPort: 10255\n");
    assert_eq!(finding(&node, "4.2.4").state, State::Pass, "no flag names the directory");
    node.edit(FLAGS, "ARGS=\"", "ARGS=\"--config-dir=/etc/kubernetes/kubelet.conf.d ");
    let failed = finding(&node, "4.2.4");
    assert_eq!(failed.state, State::Fail);
    assert!(failed.proofs[0].subject.ends_with("90-local.conf"), "{failed:#?}");
    node.edit(FLAGS, "/etc/kubernetes/kubelet.conf.d", "/srv/elsewhere");
    assert_eq!(finding(&node, "4.2.4").state, State::Unknown, "a directory that was not asked for");
}

#[test]
fn settings_that_pass_when_absent_do_so() {
    let mut node = kubeadm();
    for line in [
        "readOnlyPort: 0\n",
        "rotateCertificates: true\n",
        "makeIPTablesUtilChains: true\n",
        "streamingConnectionIdleTimeout: 4h0m0s\n",
    ] {
        node.edit(CONFIG, line, "");
    }
    node.edit(CONFIG, "featureGates:\n  RotateKubeletServerCertificate: true\n", "");
    assert_eq!(node.in_state(&worker_l1(), State::Pass).len(), 22);
    let found = &finding(&node, "4.2.10").proofs[0].found;
    assert_eq!(found, "not set; the default meets it");
}

#[test]
fn files_that_are_missing_fail_or_do_not_apply() {
    for (file, items, state) in [
        (KUBECONFIG, ["4.1.5", "4.1.6"], State::Fail),
        (CA, ["4.1.7", "4.1.8"], State::Fail),
        (PROXY, ["4.1.3", "4.1.4"], State::NotApplicable),
    ] {
        let mut node = kubeadm();
        node.files.remove(&path(file)).unwrap();
        assert_eq!(node.in_state(&worker_l1(), state), items, "{file}");
        assert_eq!(finding(&node, items[0]).root, Root::Agent, "that a file is absent is the agent's word");
    }
    let mut node = kubeadm();
    node.files.remove(&path(CONFIG)).unwrap();
    assert_eq!(node.in_state(&worker_l1(), State::Fail), ["4.1.9", "4.1.10"]);
    let unknown = node.in_state(&worker_l1(), State::Unknown);
    assert_eq!(unknown.len(), 13, "nothing is known of what the configuration would say: {unknown:?}");
}

#[test]
fn a_ca_elsewhere_is_followed() {
    let mut node = kubeadm();
    node.edit(CONFIG, CA, "/srv/pki/client-ca.pem");
    node.file("/srv/pki/client-ca.pem", 0o644, "-----BEGIN CERTIFICATE-----\n");
    assert_eq!(node.in_state(&worker_l1(), State::Fail), ["4.1.7"]);
    let appraised = node.measure(&worker_l1(), &[]).appraise();
    let findings = sealpod_compliance::evaluate(&appraised, &worker_l1(), NOW);
    let first = findings.iter().find(|finding| finding.item == "4.1.7").unwrap();
    assert_eq!(first.reasons, [Reason::NotMeasured { path: path("/srv/pki/client-ca.pem") }]);
}

#[test]
fn a_kubeconfig_is_never_sent_whatever_a_setting_calls_it() {
    let secret = |node: &NodeState| {
        let first = node.measure(&worker_l1(), &[]);
        let more = sealpod_compliance::follow_up(&first.appraise(), &worker_l1());
        let second = node.measure(&worker_l1(), &more);
        let mut contents = first.contents.values().chain(second.contents.values());
        contents.any(|content| String::from_utf8_lossy(content).contains("c2VjcmV0"))
    };
    assert!(!secret(&kubeadm()));
    let mut node = kubeadm();
    node.edit(DROP_IN, KUBECONFIG, "/srv/worker.kubeconfig");
    let file = node.files.remove(&path(KUBECONFIG)).unwrap();
    node.files.insert(path("/srv/worker.kubeconfig"), file);
    assert!(!secret(&node));
    assert_eq!(node.in_state(&worker_l1(), State::Pass).len(), 22);
    node.edit(CONFIG, CA, "/srv/id_rsa");
    node.file("/srv/id_rsa", 0o600, "c2VjcmV0");
    assert!(!secret(&node));
}

#[test]
fn a_kubelet_that_is_started_in_a_way_not_understood_is_unknown() {
    let mut node = kubeadm();
    node.edit(DROP_IN, "ExecStart=/usr/bin/kubelet", "ExecStart=/bin/sh /opt/start-it");
    let finding = finding(&node, "4.2.1");
    assert!(matches!(&finding.reasons[..], [Reason::NotStated { .. }]), "{finding:#?}");
    assert_eq!(finding.state, State::Unknown);
}

#[test]
fn level_2_adds_its_item() {
    let profile = profile("cis-kubernetes-1.7.1-worker-l2");
    assert_eq!(kubeadm().in_state(&profile, State::Pass).len(), 23);
    let mut node = kubeadm();
    node.append(CONFIG, "eventRecordQPS: -5\n");
    assert_eq!(node.in_state(&profile, State::Fail), ["4.2.8"]);
}
