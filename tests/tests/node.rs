//! A node in QEMU, laid out as a Kubernetes worker: rounds, changes between them, repair.

use sealpod_evidence::node::request::{FactKind, FileWish, MeasureRequest};
use sealpod_evidence::node::statement::FileOutcome;
use sealpod_evidence::node::{AgentStatement, NodePath, contents};
use sealpod_tests::node::Node;

fn request() -> MeasureRequest {
    let mut request = MeasureRequest::default();
    for path in ["/var/lib/kubelet/config.yaml", "/etc/kubernetes/kubelet.conf", "/etc/nothing"] {
        request.file(path.parse().unwrap(), FileWish::Content);
    }
    request.facts.extend([FactKind::Mounts, FactKind::Kubelet, FactKind::Accounts]);
    request
}

#[test]
fn a_node_measures_anew_in_every_round() {
    let node = Node::create(&request()).unwrap();
    let boot = node
        .boot(
            "round one\n\
             echo 'readOnlyPort: 10255' >/tmp/x; cp /var/lib/kubelet/config.yaml /tmp/good\n\
             cp /tmp/x /var/lib/kubelet/config.yaml; chmod 644 /etc/kubernetes/kubelet.conf; round two\n\
             cp /tmp/good /var/lib/kubelet/config.yaml; chmod 600 /etc/kubernetes/kubelet.conf; round three",
        )
        .unwrap();
    assert!(boot.console.contains("policy: in force"), "{}", boot.console);
    assert_eq!(boot.rounds.len(), 3, "{}", boot.console);
    let config: NodePath = "/var/lib/kubelet/config.yaml".parse().unwrap();
    let content = |round: usize| contents::unpack(&boot.rounds[round].contents.0).unwrap()[&config].clone();
    assert_eq!(content(0), content(2));
    assert_eq!(content(1), b"readOnlyPort: 10255\n");
    let statement = AgentStatement::parse(&boot.rounds[0].statement.0).unwrap();
    assert_eq!(statement.nonce, boot.rounds[0].round());
    assert_eq!(statement.files[&"/etc/nothing".parse::<NodePath>().unwrap()], FileOutcome::Absent);
    let kubelet = &statement.kubelets.as_ref().unwrap()[0];
    assert!(kubelet.arguments.contains(&"--config=/var/lib/kubelet/config.yaml".to_owned()), "{kubelet:?}");
}
