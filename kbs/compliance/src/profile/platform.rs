//! How distributions of Kubernetes lay out a node.

use sealpod_evidence::node::PathPattern;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One layout.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Platform {
    /// `kubeadm`, `k3s`, ...
    pub name: String,
    /// Files by which it is recognised: one of them is there.
    pub markers: Vec<PathPattern>,
    /// What `@name` stands for.
    #[serde(default)]
    pub targets: BTreeMap<String, Vec<PathPattern>>,
    /// What `@name` stands for where a setting of the kubelet names the file.
    #[serde(default)]
    pub named_by: BTreeMap<String, NamedBy>,
    /// Where the kubelet's settings come from.
    #[serde(default)]
    pub kubelet: Option<KubeletSources>,
}

/// A file that a setting of the kubelet names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NamedBy {
    /// Flag, without dashes.
    #[serde(default)]
    pub flag: Option<String>,
    /// Dotted key of the configuration.
    #[serde(default)]
    pub key: Option<String>,
    /// Where it is if the setting is not there, and what is asked for in the first round.
    #[serde(default)]
    pub otherwise: Vec<PathPattern>,
}

/// Where the kubelet's settings come from. A flag beats a drop-in, a later drop-in an earlier one, a drop-in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KubeletSources {
    /// Unit files, the one that systemd prefers first.
    pub units: Vec<PathPattern>,
    /// Drop-ins of the unit, the directory that systemd prefers first; they apply in the order of their file names.
    #[serde(default)]
    pub drop_ins: Vec<PathPattern>,
    /// Files that an `EnvironmentFile=` may name.
    #[serde(default)]
    pub environment: Vec<PathPattern>,
    /// Files that `--config` may name.
    #[serde(default)]
    pub configs: Vec<PathPattern>,
    /// Files in the directory that `--config-dir` may name.
    #[serde(default)]
    pub config_drop_ins: Vec<PathPattern>,
    /// Whether the program passes `--config-dir` itself, so that no flag has to name the directory.
    #[serde(default)]
    pub config_drop_ins_always: bool,
    /// k3s and RKE2: files whose list `kubelet-arg` holds flags, in the order in which they are read.
    #[serde(default)]
    pub argument_files: Vec<PathPattern>,
    /// Whether the flags of running kubelets are held against the rules too.
    #[serde(default)]
    pub running: bool,
}
