//! What sealpod adds to the two places that KBS protocol 0.4.0 leaves open: `extra-params` of `/auth`
//! and the additional evidence of `/attest`. The frame around them is `kbs-types`.

use crate::bytes::{Base64, HexArray};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use kbs_types as protocol;

/// The protocol version spoken, matched exactly.
pub const PROTOCOL_VERSION: &str = "0.4.0";
/// Version of every `sealpod` object below; a receiver refuses any other.
pub const SEALPOD_VERSION: u32 = 1;
/// Name of the cookie that carries the sealed challenge.
pub const SESSION_COOKIE: &str = "kbs-session-id";

/// `extra-params` of an `/auth` request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthExtraParams {
    /// Present when the guest has a vTPM and asks for a credential.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealpod: Option<AuthRequest>,
}

/// The vTPM's keys, named before the challenge so that the challenge can be bound to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthRequest {
    /// [`SEALPOD_VERSION`].
    pub version: u32,
    /// Endorsement key, `TPMT_PUBLIC`.
    pub ek_public: Base64,
    /// Attestation key, `TPMT_PUBLIC`.
    pub ak_public: Base64,
    /// EK certificate, DER, where the vTPM has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ek_certificate: Option<Base64>,
}

/// `extra-params` of an `/auth` response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeExtraParams {
    /// The credential, when one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealpod: Option<CredentialChallenge>,
}

/// What `TPM2_ActivateCredential` takes (TPM 2.0 Part 3, section 12.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialChallenge {
    /// [`SEALPOD_VERSION`].
    pub version: u32,
    /// `TPM2B_ID_OBJECT`, with its size field.
    pub credential_blob: Base64,
    /// `TPM2B_ENCRYPTED_SECRET`, with its size field.
    pub encrypted_secret: Base64,
}

/// Primary evidence of an SNP guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnpEvidence {
    /// The attestation report, raw as the firmware gave it: 1,184 bytes.
    pub report: Base64,
    /// The GHCB certificate table (configfs-tsm `auxblob`), empty where the host gave none.
    pub certificates: Base64,
}

/// Primary evidence of a TD, in the form that Confidential Containers deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TdxEvidence {
    /// The quote as the quoting enclave made it. Zeros may follow.
    pub quote: Base64,
    /// The CCEL's log area, zeros or ones behind the last event included.
    pub cc_eventlog: Base64,
}

/// The additional evidence of a TD: a map with one key, `logs` or `tpm`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TdAdditionalEvidence {
    /// What the measured guest says where there is no TPM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<GuestLogs>,
    /// What a vTPM and the measured guest say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<TpmEvidence>,
}

/// What a measured guest without a TPM says. Only the report covers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestLogs {
    /// [`SEALPOD_VERSION`].
    pub version: u32,
    /// IMA binary log, from the first entry on. IMA found no TPM, so its boot aggregate is zero.
    pub ima_log: ImaLog,
    /// Workload log: CEL-TLV records, as they would be extended into PCR 13. The agent extended RTMR3 with the SHA-384 of
    /// initdata first, and then with that of each record's content.
    pub workload_log: Base64,
}

/// The additional evidence: a map with one key, `tpm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdditionalEvidence {
    /// What the vTPM and the measured guest say.
    pub tpm: TpmEvidence,
}

/// vTPM quote and the logs that replay to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TpmEvidence {
    /// [`SEALPOD_VERSION`].
    pub version: u32,
    /// `TPMT_PUBLIC` of the attestation key.
    pub ak_public: Base64,
    /// `TPMT_PUBLIC` of the endorsement key.
    pub ek_public: Base64,
    /// What `TPM2_ActivateCredential` gave back.
    pub activated_credential: Base64,
    /// The quote.
    pub quote: Quote,
    /// PCR values: bank name (`sha256`), then index, then value in hex.
    pub pcrs: BTreeMap<String, BTreeMap<u8, String>>,
    /// TCG2 (crypto agile) boot log, as securityfs gives it.
    pub boot_log: Base64,
    /// IMA binary log, from `first_index` on.
    pub ima_log: ImaLog,
    /// Workload log: CEL-TLV records.
    pub workload_log: Base64,
    /// The SVSM's word for its vTPM, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub svsm: Option<SvsmEvidence>,
}

/// A TPM2_Quote answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// `TPMS_ATTEST`.
    pub message: Base64,
    /// `TPMT_SIGNATURE`.
    pub signature: Base64,
}

/// A stretch of the IMA log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImaLog {
    /// Bank whose template digests the binary log carries: `sha1` or `sha256`.
    pub bank: String,
    /// Index of the first entry in `data`; 0 for a whole log.
    pub first_index: u64,
    /// Entries in the kernel's binary form, little-endian.
    pub data: Base64,
}

/// An SVSM attestation of its vTPM service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SvsmEvidence {
    /// The VMPL 0 report.
    pub report: Base64,
    /// The service manifest, of the vTPM's service alone (then the EK's `TPMT_PUBLIC`) or of all services
    /// ([`crate::snp::manifest`]).
    pub manifest: Base64,
}

/// The PCRs that sealpod quotes: firmware and boot (0-9), IMA (10), workload log (13), in the SHA-256 bank.
pub const QUOTED_PCRS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13];
/// The bank that sealpod quotes.
pub const QUOTED_BANK: &str = "sha256";
/// PCR that the digest of initdata is extended into.
pub const PCR_INITDATA: u8 = 8;
/// PCR of the IMA log.
pub const PCR_IMA: u8 = 10;
/// PCR of the workload log.
pub const PCR_WORKLOAD: u8 = 13;

/// One SHA-256 PCR value.
pub type PcrValue = HexArray<32>;
