//! The workload log: CEL records of the containers that were started.

use crate::hash::{sha1, sha256};
use crate::tpm::{Digests, Pcrs};
use sealpod_evidence::cel::Record;
use sealpod_evidence::rcar::PCR_WORKLOAD;
use sealpod_evidence::workload::{ContainerSpec, WorkloadEvent};

/// Records of these containers, numbered from zero.
pub fn records(specs: &[ContainerSpec]) -> Vec<Record> {
    let record = |(index, spec): (usize, &ContainerSpec)| {
        let content = WorkloadEvent::Container { spec: spec.clone() }.to_content();
        Record { recnum: index as u64, pcr: PCR_WORKLOAD, sha256: sha256(&content), content }
    };
    specs.iter().enumerate().map(record).collect()
}

/// Extend what the records say. The log has no SHA-1 digests; that bank gets the content's.
pub fn replay(records: &[Record], pcrs: &mut Pcrs) {
    for record in records {
        let digests = Digests { sha1: sha1(&record.content), sha256: record.sha256 };
        pcrs.extend(usize::from(record.pcr), &digests);
    }
}
