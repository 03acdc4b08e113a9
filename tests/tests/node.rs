//! A node in QEMU, laid out as a Kubernetes worker: rounds, changes between them, repair.

use sealpod_compliance::appraised;
use sealpod_compliance::profile::{builtin, parse};
use sealpod_compliance::{Appraised, Finding, Profile, State, Tailoring, evaluate, requests};
use sealpod_evidence::node::NodeEvidence;
use sealpod_tests::node::Node;
use sealpod_verifier::node::{Identity, NodeInput, verify};

const PROFILE: &str = "cis-kubernetes-1.7.1-worker-l1";
const NOW: u64 = 1_800_000_000;

fn profile() -> Profile {
    let text_of = |id: &str| builtin(id).map(str::to_owned);
    parse(builtin(PROFILE).unwrap().as_bytes(), &text_of, &Tailoring::default()).unwrap()
}

/// What a broker does with a round of a node that it has enrolled.
fn findings(evidence: &NodeEvidence, nonce: &str, profile: &Profile) -> Vec<Finding> {
    let ak = sealpod_evidence::tpm::Public::parse(&evidence.ak_public.0).unwrap();
    let identity = Identity::Enrolled(ak.name().as_bytes());
    let verified = verify(&NodeInput { evidence, nonce, identity }).unwrap();
    let sent = appraised::NodeEvidence {
        round: evidence.round(),
        statement: &evidence.statement.0,
        contents: &evidence.contents.0,
        verified_at: NOW,
    };
    evaluate(&Appraised::node(&sent, &verified), profile, NOW)
}

fn failing(findings: &[Finding]) -> Vec<&str> {
    findings
        .iter()
        .filter(|finding| finding.state != State::Pass)
        .map(|finding| finding.item.as_str())
        .collect()
}

#[test]
fn a_hardened_worker_passes_every_item_and_each_change_is_found_and_seen_mended() {
    let profile = profile();
    let node = Node::create(&requests(&profile, &[])).unwrap();
    let boot = node
        .boot(
            "round good\n\
             cp /var/lib/kubelet/config.yaml /tmp/config; chmod 644 /etc/kubernetes/kubelet.conf\n\
             sed -i 's/readOnlyPort: 0/readOnlyPort: 10255/' /var/lib/kubelet/config.yaml; round changed\n\
             cp /tmp/config /var/lib/kubelet/config.yaml; chmod 600 /etc/kubernetes/kubelet.conf; round mended",
        )
        .unwrap();
    assert!(boot.console.contains("policy: in force"), "{}", boot.console);
    assert_eq!(boot.rounds.len(), 3, "{}", boot.console);
    let good = findings(&boot.rounds[0], "good", &profile);
    let open: Vec<_> = good.iter().filter(|finding| finding.state != State::Pass).collect();
    assert!(open.is_empty(), "{open:#?}");
    assert_eq!(good.len(), 22);
    assert_eq!(failing(&findings(&boot.rounds[1], "changed", &profile)), ["4.1.5", "4.2.4"]);
    assert_eq!(failing(&findings(&boot.rounds[2], "mended", &profile)), Vec::<&str>::new());
}

/// For each item a change that makes it fail and no other.
const CHANGES: &[(&str, &str)] = &[
    ("4.1.1", "chmod 644 /etc/systemd/system/kubelet.service.d/10-kubeadm.conf"),
    ("4.1.2", "chown 1000 /etc/systemd/system/kubelet.service.d/10-kubeadm.conf"),
    ("4.1.3", "chmod 640 /var/lib/kube-proxy/kubeconfig.conf"),
    ("4.1.4", "chown 0:1000 /var/lib/kube-proxy/kubeconfig.conf"),
    ("4.1.5", "chmod 604 /etc/kubernetes/kubelet.conf"),
    ("4.1.6", "chown 1000:1000 /etc/kubernetes/kubelet.conf"),
    ("4.1.7", "chmod 666 /etc/kubernetes/pki/ca.crt"),
    ("4.1.8", "chown 1000 /etc/kubernetes/pki/ca.crt"),
    ("4.1.9", "chmod 700 /var/lib/kubelet/config.yaml"),
    ("4.1.10", "chown 1000 /var/lib/kubelet/config.yaml"),
    ("4.2.1", "edit '/anonymous/{n;s/false/true/}'"),
    ("4.2.2", "edit 's/Webhook/AlwaysAllow/'"),
    ("4.2.3", "edit '/x509/d;/clientCAFile/d'"),
    ("4.2.4", "flag --read-only-port=10255"),
    ("4.2.5", "edit 's/5m0s/0s/'"),
    ("4.2.6", "drop_in --make-iptables-util-chains=false"),
    ("4.2.7", "flag --hostname-override=other"),
    ("4.2.9", "edit /tlsCertFile/d"),
    ("4.2.10", "drop_in --rotate-certificates=false"),
    ("4.2.11", "edit 's/RotateKubeletServerCertificate: true/RotateKubeletServerCertificate: false/'"),
    ("4.2.12", "edit 's/  - TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256/  - TLS_RSA_WITH_3DES_EDE_CBC_SHA/'"),
    ("4.2.13", "edit /podPidsLimit/d"),
];

/// By the configuration, by a flag, by a drop-in of the unit that comes later; and back to what was there.
const HELPERS: &str = "\
edit() { sed -i \"$1\" /var/lib/kubelet/config.yaml; }
flag() { sed -i \"s#sock#sock $1#\" /var/lib/kubelet/kubeadm-flags.env; }
drop_in() {
    echo '[Service]' >/etc/systemd/system/kubelet.service.d/20-more.conf
    echo \"Environment=KUBELET_EXTRA_ARGS=$1\" >>/etc/systemd/system/kubelet.service.d/20-more.conf
    chmod 600 /etc/systemd/system/kubelet.service.d/20-more.conf
}
keep() { (cd / && tar -cf /tmp/kept etc/systemd etc/kubernetes var/lib/kubelet var/lib/kube-proxy); }
restore() { rm -rf /etc/systemd/system/kubelet.service.d; (cd / && tar -xpf /tmp/kept); }
keep
";

#[test]
fn each_item_fails_by_one_change_of_its_own_and_by_no_other() {
    let profile = profile();
    let node = Node::create(&requests(&profile, &[])).unwrap();
    let steps = CHANGES.iter().map(|(item, change)| format!("{change}; round {item}; restore\n"));
    let boot = node.boot(&format!("{HELPERS}{}round mended", steps.collect::<String>())).unwrap();
    assert_eq!(boot.rounds.len(), CHANGES.len() + 1, "{}", boot.console);
    for ((item, change), evidence) in CHANGES.iter().zip(&boot.rounds) {
        let found = findings(evidence, item, &profile);
        assert_eq!(failing(&found), [*item], "{change}: {found:#?}");
        let state = found.iter().find(|finding| finding.item == *item).unwrap().state;
        assert_eq!(state, State::Fail, "{change}");
    }
    assert_eq!(failing(&findings(boot.rounds.last().unwrap(), "mended", &profile)), Vec::<&str>::new());
}
