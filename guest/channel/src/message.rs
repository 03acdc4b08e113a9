//! The messages of the `control` and `events` streams.

use sealpod_evidence::bytes::Base64;
use sealpod_evidence::workload::ContainerSpec;
use serde::{Deserialize, Serialize};

/// What the host wishes. The guest does it only where initdata allows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// Start these containers; exactly one for now.
    Run {
        /// The containers.
        containers: Vec<ContainerRun>,
    },
    /// Send a signal to the container's first process.
    Signal {
        /// Its number on Linux/x86-64.
        signo: i32,
    },
    /// End: SIGTERM, then SIGKILL, then power off.
    Stop {
        /// Time between the two signals.
        grace_seconds: u32,
    },
}

/// One container to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerRun {
    /// All that it is.
    pub spec: ContainerSpec,
}

/// What the guest reports. To the host it is only the guest's word: the broker believes evidence, not this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// The guest is up and takes commands.
    Hello {
        /// Version of the agent.
        version: String,
        /// The firmware's TCG2 event log, as the kernel gives it; empty without measured boot.
        boot_log: Base64,
    },
    /// What the guest does now.
    Phase {
        /// A short word, for people.
        name: String,
    },
    /// The pod will not run, or no longer.
    Refused {
        /// Where it ended.
        stage: String,
        /// Why, in one sentence.
        reason: String,
        /// Verification step, when the broker refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u8>,
        /// Name of the check that failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check: Option<String>,
        /// What the check expected.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected: Option<String>,
        /// What it found.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<String>,
    },
    /// The container runs.
    Started {
        /// Its process id in the guest.
        pid: i32,
    },
    /// The container has ended.
    Exited {
        /// Exit code, or 128 plus the signal's number.
        code: i32,
    },
    /// One line for the pod's log.
    Log {
        /// The line.
        line: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_one_spelling() {
        let stop = Command::Stop { grace_seconds: 5 };
        assert_eq!(serde_json::to_string(&stop).unwrap(), r#"{"type":"stop","grace_seconds":5}"#);
        let refused = Event::Refused {
            stage: "image".into(),
            reason: "no".into(),
            step: None,
            check: None,
            expected: None,
            found: None,
        };
        let text = r#"{"type":"refused","stage":"image","reason":"no"}"#;
        assert_eq!(serde_json::to_string(&refused).unwrap(), text);
        assert_eq!(serde_json::from_str::<Event>(text).unwrap(), refused);
    }

    #[test]
    fn unknown_messages_and_fields_are_refused() {
        for bad in [
            "{}",
            r#"{"type":"reboot"}"#,
            r#"{"type":"signal","signo":1,"force":true}"#,
            r#"{"type":"signal"}"#,
            r#"{"type":"run","containers":[{"spec":{},"privileged":true}]}"#,
        ] {
            assert!(serde_json::from_str::<Command>(bad).is_err(), "{bad}");
        }
    }
}
