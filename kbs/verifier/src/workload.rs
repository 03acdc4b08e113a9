//! Step 15: what the agent says that it started.

use crate::error::{Check, VerifyError};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::cel::Record;
use sealpod_evidence::initdata::Initdata;
use sealpod_evidence::rcar::{PCR_WORKLOAD, PcrValue};
use sealpod_evidence::workload::{ContainerSpec, WorkloadEvent};

use crate::hash::{extend, sha256};

/// The containers of a workload log that replayed and that initdata allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// In the order in which they were accepted.
    pub containers: Vec<ContainerSpec>,
}

/// Each record's content is a container that initdata allows. That the log is whole, its replay shows.
///
/// Proves what the measured agent recorded before it started anything. That the agent records everything follows from
/// the launch digest, not from this.
pub fn allowed(records: &[Record], initdata: &Initdata) -> Result<Started, VerifyError> {
    let policy = initdata.policy();
    let containers = records.iter().map(|record| {
        let WorkloadEvent::Container { spec } = event(record)?;
        if policy.rule_for(&spec).is_none() {
            let expected = match policy.containers.len() {
                0 => "no container at all".to_owned(),
                count => {
                    format!("exactly one of the {count} container(s) of initdata {}", initdata.digest())
                }
            };
            let found = String::from_utf8_lossy(&record.content).into_owned();
            return Err(VerifyError::new(Check::WorkloadNotAllowed, expected, found));
        }
        Ok(spec)
    });
    Ok(Started { containers: containers.collect::<Result<_, _>>()? })
}

/// The workload log replays to PCR 13: from zero, every record in its place and what its digest says, to the quoted value.
pub fn replay(records: &[Record], quoted: PcrValue) -> Result<(), VerifyError> {
    let mut pcr = [0; 32];
    for (index, record) in (0_u64..).zip(records) {
        if record.recnum != index {
            let (expected, found) = (format!("record {index}"), format!("record {}", record.recnum));
            return Err(VerifyError::new(Check::WorkloadReplay, expected, found));
        }
        if record.pcr != PCR_WORKLOAD {
            let expected = format!("record {index} in PCR {PCR_WORKLOAD}");
            return Err(VerifyError::new(Check::WorkloadReplay, expected, format!("PCR {}", record.pcr)));
        }
        let digest = sha256(&record.content);
        if digest != record.sha256 {
            let expected = format!("record {index} with the digest of its content, {}", HexArray(digest));
            return Err(VerifyError::new(Check::WorkloadReplay, expected, HexArray(record.sha256)));
        }
        extend(&mut pcr, &record.sha256);
    }
    if pcr != quoted.0 {
        let found = format!("a log of {} record(s) that replays to {}", records.len(), HexArray(pcr));
        return Err(VerifyError::new(Check::WorkloadReplay, format!("PCR {PCR_WORKLOAD} = {quoted}"), found));
    }
    Ok(())
}

/// The record's content, in its one canonical form.
fn event(record: &Record) -> Result<WorkloadEvent, VerifyError> {
    let refused = |expected: &str, found: String| VerifyError::new(Check::WorkloadLogSyntax, expected, found);
    let event: WorkloadEvent = serde_json::from_slice(&record.content)
        .map_err(|error| refused("a workload event in each record", error.to_string()))?;
    if event.to_content() != record.content {
        let found = String::from_utf8_lossy(&record.content).into_owned();
        return Err(refused("content in RFC 8785 form", found));
    }
    Ok(event)
}
