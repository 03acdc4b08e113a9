//! What may run, and the log of what was started.

use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::cel::{self, Record};
use sealpod_evidence::initdata::Initdata;
use sealpod_evidence::rcar::PCR_WORKLOAD;
use sealpod_evidence::workload::{ContainerRule, ContainerSpec, WorkloadEvent};
use sha2::{Digest as _, Sha256};

/// Why a container is not started.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The owner's initdata allows something else.
    #[error("initdata {initdata} allows no container like the one asked for; {difference}")]
    NotAllowed {
        /// The digest of the initdata in force.
        initdata: String,
        /// What differs from the nearest rule.
        difference: String,
    },
    /// There is no initdata, so nothing is allowed.
    #[error("no initdata disk is attached, and without it nothing may run; pass --policy to `sealpod run`")]
    NoInitdata,
    /// The command names another number of containers than this guest starts.
    #[error("{found} containers were asked for, expected {expected}")]
    Count {
        /// One, for now.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// Secrets are asked for where nothing can attest.
    #[error(
        "the container asks for secrets, but this machine has no {missing}: start it as a confidential VM with a vTPM"
    )]
    NoAttestation {
        /// What is missing.
        missing: &'static str,
    },
}

/// The rule that allows exactly this container.
pub fn check<'a>(
    initdata: Option<&'a Initdata>,
    spec: &ContainerSpec,
) -> Result<&'a ContainerRule, WorkloadError> {
    let initdata = initdata.ok_or(WorkloadError::NoInitdata)?;
    initdata.policy().rule_for(spec).ok_or_else(|| WorkloadError::NotAllowed {
        initdata: initdata.digest().to_string(),
        difference: difference(&initdata.policy().containers, spec),
    })
}

/// The workload log: CEL records, each of them extended into PCR 13 before what it names is started.
#[derive(Default)]
pub struct WorkloadLog {
    records: Vec<Record>,
}

impl WorkloadLog {
    /// The record to extend for this container. It joins the log only through [`WorkloadLog::push`].
    pub fn next(&self, spec: &ContainerSpec) -> Record {
        let content = WorkloadEvent::Container { spec: spec.clone() }.to_content();
        Record {
            recnum: self.records.len() as u64,
            pcr: PCR_WORKLOAD,
            sha256: Sha256::digest(&content).into(),
            content,
        }
    }

    /// Add a record that is now in PCR 13.
    pub fn push(&mut self, record: Record) {
        self.records.push(record);
    }

    /// CEL-TLV bytes.
    pub fn encode(&self) -> Vec<u8> {
        cel::encode(&self.records)
    }
}

/// The digest that a record extends.
pub fn digest_of(record: &Record) -> HexArray<32> {
    HexArray(record.sha256)
}

/// Says which field keeps the nearest rule from allowing `spec`, for the reader of the refusal.
fn difference(rules: &[ContainerRule], spec: &ContainerSpec) -> String {
    let differing = |rule: &ContainerRule| {
        let (a, b) = (&rule.spec, spec);
        let pairs = [
            ("image", a.image != b.image, a.image.to_string(), b.image.to_string()),
            ("args", a.args != b.args, format!("{:?}", a.args), format!("{:?}", b.args)),
            ("env", a.env != b.env, format!("{:?}", a.env), format!("{:?}", b.env)),
            ("working_dir", a.working_dir != b.working_dir, a.working_dir.clone(), b.working_dir.clone()),
            ("uid", a.uid != b.uid, a.uid.to_string(), b.uid.to_string()),
            ("gid", a.gid != b.gid, a.gid.to_string(), b.gid.to_string()),
            ("secrets", a.secrets != b.secrets, format!("{:?}", a.secrets), format!("{:?}", b.secrets)),
        ];
        pairs
            .into_iter()
            .filter(|pair| pair.1)
            .map(|(name, _, rule, asked)| (name, rule, asked))
            .collect::<Vec<_>>()
    };
    let cut = |text: &str| text.chars().take(200).collect::<String>();
    match rules.iter().map(differing).min_by_key(Vec::len) {
        None => "it allows none at all".to_owned(),
        Some(fields) => fields
            .iter()
            .map(|(name, rule, asked)| format!("{name}: allowed {}, asked for {}", cut(rule), cut(asked)))
            .collect::<Vec<_>>()
            .join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpod_evidence::initdata::PodPolicy;

    fn spec() -> ContainerSpec {
        ContainerSpec {
            image: format!("sha256:{}", "11".repeat(32)).parse().unwrap(),
            args: vec!["/bin/true".into()],
            env: vec![],
            working_dir: "/".into(),
            uid: 0,
            gid: 0,
            secrets: vec![],
        }
    }

    fn initdata() -> Initdata {
        let rule =
            ContainerRule { spec: spec(), allow_output: true, allow_input: false, allow_signals: false };
        Initdata::compose(&PodPolicy { kbs: None, containers: vec![rule] }).unwrap()
    }

    #[test]
    fn only_the_exact_container_is_allowed() {
        let initdata = initdata();
        assert!(check(Some(&initdata), &spec()).is_ok());
        let mut other = spec();
        other.args.push("-x".into());
        let error = check(Some(&initdata), &other).unwrap_err().to_string();
        assert!(error.contains(r#"args: allowed ["/bin/true"], asked for ["/bin/true", "-x"]"#), "{error}");
        assert!(matches!(check(None, &spec()), Err(WorkloadError::NoInitdata)));
    }

    #[test]
    fn the_log_holds_what_was_extended() {
        let mut log = WorkloadLog::default();
        let record = log.next(&spec());
        assert_eq!(digest_of(&record).0[..], Sha256::digest(&record.content)[..]);
        log.push(record.clone());
        assert_eq!(log.next(&spec()).recnum, 1);
        assert_eq!(cel::parse(&log.encode()).unwrap(), [record]);
    }
}
