//! Reference Values: what the owner expects, as one reviewed JSON document (RFC 9334 section 8.3).
//!
//! `sealpod-images reference-values` writes these documents and the broker loads any number of them;
//! lists add up. An empty list means that nothing is expected, hence that nothing is accepted.

use crate::bytes::{Sha256Digest, Sha384Digest};
use crate::workload::ImageDigest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The only document version.
pub const VERSION: u32 = 1;

/// One document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceDocument {
    /// [`VERSION`].
    pub version: u32,
    /// What this describes, for the reviewer.
    pub description: String,
    /// SNP launch digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snp_measurements: Vec<SnpMeasurement>,
    /// Least SNP TCB per product line (`milan`, `genoa`, `turin`). A product that is not listed is refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub snp_minimum_tcb: BTreeMap<String, SnpTcb>,
    /// Accepted initdata digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initdata: Vec<InitdataReference>,
    /// Boot logs that are accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boot: Vec<BootReference>,
    /// Files that may be executed or mapped, per image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileSet>,
    /// Paths whose IMA violations (open-writers, time of measure/time of use) are accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dangerous_allow_ima_violations: Vec<String>,
}

/// One launch digest and what it was computed from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnpMeasurement {
    /// The SNP `MEASUREMENT` field.
    pub measurement: Sha384Digest,
    /// Firmware, kernel, initrd, command line, vCPUs: for the reviewer.
    pub description: String,
}

/// Security versions of the SNP firmware stack (AMD 57230 section 3, TCB_VERSION).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnpTcb {
    /// Flash memory controller; Turin only.
    #[serde(default)]
    pub fmc: Option<u8>,
    /// Boot loader.
    pub bootloader: u8,
    /// TEE (PSP OS).
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Microcode.
    pub microcode: u8,
}

/// One accepted initdata document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitdataReference {
    /// SHA-256 of the document.
    pub sha256: Sha256Digest,
    /// For the reviewer.
    pub description: String,
}

/// One accepted boot: for each PCR of 0-7 and 9 the exact sequence of event digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootReference {
    /// Firmware and machine, for the reviewer.
    pub description: String,
    /// PCR index to its events in order. A PCR that is not listed must not have been extended.
    pub events: BTreeMap<u8, Vec<BootEvent>>,
}

/// One expected boot event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootEvent {
    /// TCG event type, as the log names it (`EV_SEPARATOR`, ...).
    pub event_type: String,
    /// SHA-256 digest extended.
    pub sha256: Sha256Digest,
    /// What was measured, for the reviewer and for error messages.
    pub description: String,
}

/// Files of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSet {
    /// The OCI manifest digest, or absent for the guest image itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageDigest>,
    /// For the reviewer.
    pub description: String,
    /// Absolute path to the digests that may be executed or mapped under it.
    pub files: BTreeMap<String, Vec<Sha256Digest>>,
}
