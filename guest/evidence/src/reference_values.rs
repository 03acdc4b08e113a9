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
    /// Measurements of TDs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tdx_measurements: Vec<TdxMeasurement>,
    /// Azure's paravisors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub azure_paravisors: Vec<AzureParavisor>,
    /// Accepted initdata digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initdata: Vec<InitdataReference>,
    /// Boot logs that are accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boot: Vec<BootReference>,
    /// Files that may be executed or mapped, per image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileSet>,
    /// Sets of files too large for JSON, each in a file of its own that the broker is given beside this document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packed_files: Vec<PackedFiles>,
    /// Files by their fs-verity digests, per image. Only `ima-ngv2` and `ima-sigv2` entries of files with fs-verity have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fs_verity: Vec<FileSet>,
    /// Keys whose signatures on files are accepted, so that signed packages need no list of digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ima_signers: Vec<ImaSigner>,
    /// Buffers that the kernel may measure: keys that are loaded, device-mapper tables, other critical data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ima_buffers: Vec<ImaBuffer>,
    /// How many IMA violations (open-writers, time of measure/time of use) are accepted in the part of a log that a quote covers.
    ///
    /// A number and not paths: the kernel extends the same value for every violation, so which file it was is only the sender's
    /// word. Each may have been any file at all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dangerous_allow_ima_violations_up_to: u64,
}

/// One launch digest and what it was computed from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnpMeasurement {
    /// The SNP `MEASUREMENT` field.
    pub measurement: Sha384Digest,
    /// VMPL (0 to 3) at which what was launched runs the guest's kernel. 0: there is no SVSM, the kernel owns every level.
    ///
    /// The owner's word about the launch: only a launch that puts an SVSM at VMPL 0 keeps the guest from asking for reports of
    /// that level itself. The binding level `svsm` rests on it.
    pub guest_vmpl: u8,
    /// Firmware, kernel, initrd, command line, vCPUs: for the reviewer.
    pub description: String,
}

/// One TD: what its first memory, firmware, kernel, initrd and command line measure to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TdxMeasurement {
    /// MRTD: the TD's firmware.
    pub mr_td: Sha384Digest,
    /// RTMR0: the firmware's configuration, ACPI tables and secure boot variables among them.
    pub rtmr0: Sha384Digest,
    /// RTMR1: boot loader and kernel.
    pub rtmr1: Sha384Digest,
    /// RTMR2: command line and initrd.
    pub rtmr2: Sha384Digest,
    /// MRSEAM, to pin one TDX module. Absent: any module that Intel signed and whose TCB level the owner's policy takes, which is
    /// checked in either case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mr_seam: Option<Sha384Digest>,
    /// Take this TD though its firmware does not measure the ACPI tables into RTMR0: see [`BootReference`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub dangerous_unmeasured_acpi: bool,
    /// Firmware, machine, kernel, initrd, command line: for the reviewer.
    pub description: String,
}

/// One launch of Azure's paravisor, which holds the vTPM and starts the guest.
///
/// A list of its own: of any other launch, the guest is as strong as whoever asks for a report, and could write runtime data itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AzureParavisor {
    /// The TEE that it was launched in.
    pub tee: ParavisorTee,
    /// SNP `MEASUREMENT` or TDX `MRTD`.
    pub measurement: Sha384Digest,
    /// Version of the paravisor, for the reviewer.
    pub description: String,
}

/// A TEE that the paravisor runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParavisorTee {
    /// AMD SEV-SNP.
    Snp,
    /// Intel TDX.
    Tdx,
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
    /// Take this boot though no event of it covers the ACPI tables. The host hands them over, and their bytecode runs in the
    /// kernel: with such firmware a hostile host can rewrite the guest's memory and nothing shows it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dangerous_unmeasured_acpi: bool,
}

impl BootReference {
    /// Whether an event of PCR 1 covers the ACPI tables, so that other tables would be another boot.
    pub fn measures_acpi(&self) -> bool {
        self.events.get(&PCR_PLATFORM).is_some_and(|events| events.iter().any(|event| event.acpi))
    }
}

/// PCR of the host platform's configuration (TCG PC Client Platform Firmware Profile 1.06, section 3.3.4.2).
pub const PCR_PLATFORM: u8 = 1;

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
    /// Whether it covers ACPI tables: an `EV_PLATFORM_CONFIG_FLAGS` event of PCR 1 whose data says `ACPI DATA`, as EDK2 writes.
    ///
    /// The maker's word, given when the log of the reference boot was read. The type and data in a log that is sent are nobody's.
    #[serde(default, skip_serializing_if = "is_false")]
    pub acpi: bool,
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

/// Files of one image, in a packed set that this document stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackedFiles {
    /// The OCI manifest digest, or absent for the guest image itself. The packed set names it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageDigest>,
    /// For the reviewer.
    pub description: String,
    /// SHA-256 of the whole packed set.
    pub sha256: Sha256Digest,
}

/// A key that signs files of one image (`security.ima`, EVM's portable signatures, appended signatures).
///
/// A signature says that its maker signed this content once, at whatever path and in whatever version. So what is accepted is
/// wider than a list of digests: any file that the key ever signed, old ones with known holes too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImaSigner {
    /// Whose files it signs: the OCI manifest digest, or absent for the guest image itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageDigest>,
    /// Whose key it is, for the reviewer.
    pub description: String,
    /// A public key (`SubjectPublicKeyInfo`) or an X.509 certificate: PEM, or DER in base64. A certificate serves for its key and
    /// key identifier; as in the kernel, its dates and issuer are not looked at.
    pub key: String,
    /// Absolute directories under which files may bear its signatures; `/` for all.
    pub directories: Vec<String>,
}

/// A buffer that the kernel may measure (template `ima-buf`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImaBuffer {
    /// The name that the kernel logs: a keyring (`.ima`), `dm_table_load`, `selinux-state`.
    pub name: String,
    /// SHA-256 of the buffer.
    pub sha256: Sha256Digest,
    /// What it is, for the reviewer.
    pub description: String,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::HexArray;

    fn event(acpi: bool) -> BootEvent {
        BootEvent {
            event_type: "EV_PLATFORM_CONFIG_FLAGS".into(),
            sha256: HexArray([0; 32]),
            description: String::new(),
            acpi,
        }
    }

    #[test]
    fn only_an_event_of_pcr_1_covers_acpi_tables() {
        for (pcr, acpi, measured) in [(1, true, true), (1, false, false), (0, true, false)] {
            let events = BTreeMap::from([(pcr, vec![event(false), event(acpi)])]);
            let boot = BootReference { description: String::new(), events, dangerous_unmeasured_acpi: false };
            assert_eq!(boot.measures_acpi(), measured, "PCR {pcr}, {acpi}");
        }
    }

    #[test]
    fn what_weakens_is_off_where_it_is_not_said_and_the_level_of_the_guest_has_to_be_said() {
        let boot: BootReference = serde_json::from_str(r#"{"description": "", "events": {}}"#).unwrap();
        assert!(!boot.dangerous_unmeasured_acpi);
        let document: ReferenceDocument =
            serde_json::from_str(r#"{"version": 1, "description": ""}"#).unwrap();
        assert_eq!(document.dangerous_allow_ima_violations_up_to, 0);
        let measurement = format!(r#"{{"measurement": "{}", "description": ""}}"#, "0".repeat(96));
        let error = serde_json::from_str::<SnpMeasurement>(&measurement).unwrap_err();
        assert!(error.to_string().contains("guest_vmpl"), "{error}");
    }
}
