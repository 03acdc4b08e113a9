//! The profiles that are shipped.

/// Name and text of each.
pub const BUILTIN: [(&str, &str); 5] = [
    ("cis-kubernetes-1.7.1-worker-l1", include_str!("../../profiles/cis-kubernetes-1.7.1-worker-l1.yaml")),
    ("cis-kubernetes-1.7.1-worker-l2", include_str!("../../profiles/cis-kubernetes-1.7.1-worker-l2.yaml")),
    (
        "cis-ubuntu-20.04-2.0.1-server-l1",
        include_str!("../../profiles/cis-ubuntu-20.04-2.0.1-server-l1.yaml"),
    ),
    (
        "cis-ubuntu-20.04-2.0.1-server-l2",
        include_str!("../../profiles/cis-ubuntu-20.04-2.0.1-server-l2.yaml"),
    ),
    ("pod-baseline", include_str!("../../profiles/pod-baseline.yaml")),
];

/// The text of a shipped profile.
pub fn builtin(id: &str) -> Option<&'static str> {
    BUILTIN.iter().find(|(name, _)| *name == id).map(|(_, text)| *text)
}
