//! initdata: the owner's intent in one TOML document, bound to the guest through HOST_DATA.
//!
//! The frame (`version`, `algorithm`, `[data]`) is the one Confidential Containers deploy; sealpod's own
//! part is the entry [`SEALPOD_ENTRY`]. The digest is over the whole text, so any change is another guest.

use crate::bytes::Sha256Digest;
use crate::workload::{ContainerRule, ContainerSpec};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};

/// The `[data]` entry that sealpod reads.
pub const SEALPOD_ENTRY: &str = "sealpod.toml";
/// The only frame version.
pub const VERSION: &str = "0.1.0";
/// The only digest algorithm: SNP HOST_DATA holds 32 bytes.
pub const ALGORITHM: &str = "sha256";
/// Most bytes of initdata text that are read.
pub const MAX_LEN: usize = 256 * 1024;
/// First bytes of the block device that carries initdata.
pub const DISK_MAGIC: &[u8; 8] = b"initdata";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame {
    version: String,
    algorithm: String,
    data: BTreeMap<String, String>,
}

/// A checked initdata document. Made only by [`Initdata::parse`] and [`Initdata::compose`].
#[derive(Debug, Clone)]
pub struct Initdata {
    text: String,
    digest: Sha256Digest,
    policy: PodPolicy,
}

/// What the owner allows: sealpod's entry of initdata. Deny by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodPolicy {
    /// The one broker this guest talks to; absent when the pod has no secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kbs: Option<Broker>,
    /// The containers that may run.
    #[serde(default, rename = "container")]
    pub containers: Vec<ContainerRule>,
}

/// A broker and the certificate authority that its TLS certificate must chain to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// `https://host[:port]`.
    pub url: String,
    /// PEM; the only trust anchor for that URL.
    pub ca: String,
}

/// Why initdata was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InitdataError {
    /// Longer than [`MAX_LEN`].
    #[error("initdata is {found} bytes, more than the {expected} allowed")]
    TooLong {
        /// The limit.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// Not the TOML expected.
    #[error("initdata does not parse: {0}")]
    Syntax(String),
    /// A frame of another version.
    #[error("initdata version {found:?} is not known (expected {VERSION:?})")]
    Version {
        /// The version found.
        found: String,
    },
    /// A digest algorithm that does not fit HOST_DATA.
    #[error("initdata algorithm {found:?} is not supported (expected {ALGORITHM:?})")]
    Algorithm {
        /// The algorithm found.
        found: String,
    },
    /// No [`SEALPOD_ENTRY`].
    #[error("initdata has no {SEALPOD_ENTRY:?} entry")]
    NoPolicy,
    /// Containers ask for secrets, but no broker is named.
    #[error("initdata names secrets but no [kbs] to fetch them from")]
    NoBroker,
    /// Two rules for one and the same container, which could give it different rights.
    #[error("initdata: container {second} is container {first} again (expected each specification once)")]
    DuplicateRule {
        /// Position of the one, from 0.
        first: usize,
        /// Position of the other.
        second: usize,
    },
    /// A container without a program.
    #[error("initdata: container {container} has no args (expected at least the program)")]
    NoProgram {
        /// Position of the rule, from 0.
        container: usize,
    },
    /// A working directory whose meaning would depend on where the runtime stands.
    #[error("initdata: working_dir of container {container} is {found:?} (expected an absolute path)")]
    WorkingDir {
        /// Position of the rule, from 0.
        container: usize,
        /// The directory found.
        found: String,
    },
}

impl Initdata {
    /// Parse and check a document.
    pub fn parse(text: &str) -> Result<Self, InitdataError> {
        if text.len() > MAX_LEN {
            return Err(InitdataError::TooLong { expected: MAX_LEN, found: text.len() });
        }
        let syntax = |error: toml::de::Error| InitdataError::Syntax(error.message().to_owned());
        let frame: Frame = toml::from_str(text).map_err(syntax)?;
        if frame.version != VERSION {
            return Err(InitdataError::Version { found: frame.version });
        }
        if frame.algorithm != ALGORITHM {
            return Err(InitdataError::Algorithm { found: frame.algorithm });
        }
        let entry = frame.data.get(SEALPOD_ENTRY).ok_or(InitdataError::NoPolicy)?;
        let policy: PodPolicy = toml::from_str(entry).map_err(syntax)?;
        if policy.kbs.is_none() && policy.containers.iter().any(|c| !c.spec.secrets.is_empty()) {
            return Err(InitdataError::NoBroker);
        }
        check_rules(&policy.containers)?;
        let digest = crate::bytes::HexArray(Sha256::digest(text.as_bytes()).into());
        Ok(Self { text: text.to_owned(), digest, policy })
    }

    /// Write a document that says `policy`. The same policy always gives the same text.
    pub fn compose(policy: &PodPolicy) -> Result<Self, InitdataError> {
        let syntax = |error: toml::ser::Error| InitdataError::Syntax(error.to_string());
        let entry = toml::to_string(policy).map_err(syntax)?;
        let frame = Frame {
            version: VERSION.to_owned(),
            algorithm: ALGORITHM.to_owned(),
            data: BTreeMap::from([(SEALPOD_ENTRY.to_owned(), entry)]),
        };
        Self::parse(&toml::to_string_pretty(&frame).map_err(syntax)?)
    }

    /// The exact text that is digested.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the text: SNP HOST_DATA, and what PCR 8 is extended with.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// What it allows.
    pub fn policy(&self) -> &PodPolicy {
        &self.policy
    }
}

impl PodPolicy {
    /// The rule that allows exactly this container, if there is one.
    pub fn rule_for(&self, spec: &ContainerSpec) -> Option<&ContainerRule> {
        self.containers.iter().find(|rule| rule.spec == *spec)
    }
}

/// Each rule names a program in an absolute directory, and no two rules are for one specification: [`PodPolicy::rule_for`] would
/// take the first, whatever the second says.
fn check_rules(rules: &[ContainerRule]) -> Result<(), InitdataError> {
    let mut seen = HashMap::with_capacity(rules.len());
    for (container, rule) in rules.iter().enumerate() {
        if rule.spec.args.is_empty() {
            return Err(InitdataError::NoProgram { container });
        }
        if !rule.spec.working_dir.starts_with('/') {
            return Err(InitdataError::WorkingDir { container, found: rule.spec.working_dir.clone() });
        }
        if let Some(first) = seen.insert(&rule.spec, container) {
            return Err(InitdataError::DuplicateRule { first, second: container });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> PodPolicy {
        let image = format!("sha256:{}", "11".repeat(32)).parse().unwrap();
        let spec = ContainerSpec {
            image,
            args: vec!["/bin/true".into()],
            env: vec![],
            working_dir: "/".into(),
            uid: 0,
            gid: 0,
            secrets: vec![],
        };
        PodPolicy {
            kbs: None,
            containers: vec![ContainerRule {
                spec,
                allow_output: true,
                allow_input: false,
                allow_signals: false,
            }],
        }
    }

    #[test]
    fn composing_and_parsing_agree() {
        let made = Initdata::compose(&policy()).unwrap();
        let read = Initdata::parse(made.text()).unwrap();
        assert_eq!(read.policy(), &policy());
        assert_eq!(read.digest(), made.digest());
    }

    #[test]
    fn a_spec_is_allowed_only_when_all_of_it_is_equal() {
        let policy = policy();
        let mut spec = policy.containers[0].spec.clone();
        assert!(policy.rule_for(&spec).is_some());
        spec.env.push("LD_PRELOAD=/evil.so".into());
        assert!(policy.rule_for(&spec).is_none());
    }

    #[test]
    fn each_defect_has_its_own_error() {
        let good = Initdata::compose(&policy()).unwrap();
        let swap = |from: &str, to: &str| Initdata::parse(&good.text().replacen(from, to, 1)).unwrap_err();
        assert_eq!(swap("0.1.0", "0.2.0"), InitdataError::Version { found: "0.2.0".into() });
        assert_eq!(swap("sha256", "sha512"), InitdataError::Algorithm { found: "sha512".into() });
        assert_eq!(swap("sealpod.toml", "other.toml"), InitdataError::NoPolicy);
        assert!(matches!(swap("allow_output", "allow_everything"), InitdataError::Syntax(_)));
        assert!(matches!(Initdata::parse(&"#".repeat(MAX_LEN + 1)), Err(InitdataError::TooLong { .. })));
    }

    #[test]
    fn each_rule_is_for_one_program_in_an_absolute_directory() {
        let refused = |change: fn(&mut PodPolicy)| {
            let mut policy = policy();
            change(&mut policy);
            Initdata::compose(&policy).unwrap_err()
        };
        let twice = |policy: &mut PodPolicy| {
            let mut again = policy.containers[0].clone();
            again.allow_input = true;
            policy.containers.push(again);
        };
        assert_eq!(refused(twice), InitdataError::DuplicateRule { first: 0, second: 1 });
        assert_eq!(refused(|p| p.containers[0].spec.args.clear()), InitdataError::NoProgram { container: 0 });
        let found = "../..".to_owned();
        assert_eq!(
            refused(|p| p.containers[0].spec.working_dir = "../..".into()),
            InitdataError::WorkingDir { container: 0, found }
        );
    }

    #[test]
    fn secrets_need_a_broker() {
        let mut policy = policy();
        policy.containers[0].spec.secrets.push(crate::workload::SecretMount {
            name: "k".into(),
            resource: "a/b/c".parse().unwrap(),
            path: "/run/k".into(),
        });
        assert_eq!(Initdata::compose(&policy).unwrap_err(), InitdataError::NoBroker);
    }
}
