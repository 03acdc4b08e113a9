//! What a guest under the paravisor adds to the evidence of its TEE.

use crate::bytes::Base64;
use crate::rcar::ImaLog;
use serde::{Deserialize, Serialize};

/// The additional evidence of an Azure guest: a map with one key, `tpm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AzAdditionalEvidence {
    /// What the measured guest wrote down.
    pub tpm: AzLogs,
}

/// The logs that replay to the vTPM's quote. Keys, quote and PCR values are in the primary evidence, whose quote answers a digest
/// over this very text; so the logs are read first, and the quote is made after them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AzLogs {
    /// [`crate::rcar::SEALPOD_VERSION`].
    pub version: u32,
    /// TCG2 (crypto agile) boot log, as securityfs gives it.
    pub boot_log: Base64,
    /// IMA binary log from its first entry on.
    pub ima_log: ImaLog,
    /// Workload log: CEL-TLV records.
    pub workload_log: Base64,
}
