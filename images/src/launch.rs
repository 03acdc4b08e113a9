//! The SNP launch digest: what the processor will report as MEASUREMENT (AMD 56860, SNP_LAUNCH_UPDATE and SNP_LAUNCH_FINISH).

use sealpod_evidence::bytes::{HexArray, Sha384Digest};
use sev::measurement::snp::{SnpMeasurementArgs, snp_calc_launch_digest};
use sev::measurement::vcpu_types::CpuType;
use sev::measurement::vmsa::{GuestFeatures, VMMType};
use std::path::{Path, PathBuf};

/// `SEV_FEATURES` in the initial VMSA: SNPActive alone, which is what QEMU starts SNP guests with
/// (AMD 24593, table B-4, offset 3B0h).
const GUEST_FEATURES: GuestFeatures = GuestFeatures(1);
/// Smallest firmware: its last page, which holds the tables that say how it is measured.
const FIRMWARE_MIN: u64 = 4096;
/// Most vCPUs: each costs one measured page; QEMU's q35 machine allows fewer.
const VCPUS_MAX: u32 = 4096;

/// What is launched.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The SNP firmware.
    pub firmware: &'a Path,
    /// The kernel.
    pub kernel: &'a Path,
    /// The initrd, as booted.
    pub initrd: &'a Path,
    /// The whole command line.
    pub command_line: &'a str,
    /// Number of vCPUs.
    pub vcpus: u32,
    /// QEMU's name of the vCPU model.
    pub vcpu_type: &'a str,
    /// VMPL of the guest's kernel: 0 without an SVSM. The digest does not depend on it.
    pub guest_vmpl: u8,
}

/// Why there is no launch digest.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// An input cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The firmware is too small to be one.
    #[error(
        "SNP firmware {path} has {found} bytes, expected at least {FIRMWARE_MIN}; name OVMF.amdsev.fd with --snp-firmware"
    )]
    Firmware {
        /// Which file.
        path: PathBuf,
        /// Its size.
        found: u64,
    },
    /// Not a model with SNP.
    #[error("{found:?} is no SNP vCPU model; expected one of QEMU's names, such as EPYC-v4")]
    VcpuType {
        /// What was asked for.
        found: String,
    },
    /// An impossible number of vCPUs.
    #[error("{found} vCPUs; expected 1 to {VCPUS_MAX}")]
    Vcpus {
        /// What was asked for.
        found: u32,
    },
    /// The firmware lacks what an SNP launch needs.
    #[error(
        "no launch digest for {path}: {detail}; only firmware built for SEV with kernel hashes (OVMF.amdsev.fd) has one"
    )]
    Measure {
        /// Which firmware.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
}

/// The digest over firmware, kernel, initrd, command line and vCPUs. Proves nothing by itself: a report must carry it.
pub fn launch_digest(launch: &Launch<'_>) -> Result<Sha384Digest, LaunchError> {
    for path in [launch.firmware, launch.kernel, launch.initrd] {
        let size = std::fs::metadata(path)
            .map_err(|source| LaunchError::Read { path: path.to_owned(), source })?
            .len();
        if path == launch.firmware && size < FIRMWARE_MIN {
            return Err(LaunchError::Firmware { path: path.to_owned(), found: size });
        }
    }
    if !(1..=VCPUS_MAX).contains(&launch.vcpus) {
        return Err(LaunchError::Vcpus { found: launch.vcpus });
    }
    let vcpu_type = CpuType::try_from(launch.vcpu_type)
        .map_err(|_| LaunchError::VcpuType { found: launch.vcpu_type.to_owned() })?;
    let fail = |detail: String| LaunchError::Measure { path: launch.firmware.to_owned(), detail };
    let digest = snp_calc_launch_digest(SnpMeasurementArgs {
        vcpus: launch.vcpus,
        vcpu_type,
        ovmf_file: launch.firmware.to_owned(),
        guest_features: GUEST_FEATURES,
        kernel_file: Some(launch.kernel.to_owned()),
        initrd_file: Some(launch.initrd.to_owned()),
        append: Some(launch.command_line),
        ovmf_hash_str: None,
        vmm_type: Some(VMMType::QEMU),
    })
    .map_err(|e| fail(e.to_string()))?;
    let bytes: Vec<u8> = digest.try_into().map_err(|e| fail(format!("{e:?}")))?;
    let found = bytes.len();
    bytes.try_into().map(HexArray).map_err(|_| fail(format!("expected 48 bytes, found {found}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_answer_is_met() {
        // tests/measurement.rs of crate sev, test_snp_ovmf_hash_full_snp_only.
        const KNOWN: &str = "6d287813eb5222d770f75005c664e34c204f385ce832cc2ce7d0d6f354454362f390ef83a92046c042e706363b4b08fa";
        let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
        let vectors = std::env::var_os("SEALPOD_VECTORS").map_or(default, PathBuf::from);
        let firmware = vectors.join("launch-digest/virtee__sev/ovmf_AmdSev_suffix.bin");
        if !firmware.exists() {
            eprintln!("skipped: no {} (set SEALPOD_VECTORS)", firmware.display());
            return;
        }
        let none = Path::new("/dev/null");
        let launch = Launch {
            firmware: &firmware,
            kernel: none,
            initrd: none,
            command_line: "console=ttyS0 loglevel=7",
            vcpus: 1,
            vcpu_type: "EPYC-v4",
            guest_vmpl: 0,
        };
        assert_eq!(launch_digest(&launch).unwrap().to_string(), KNOWN);
        assert!(matches!(launch_digest(&Launch { vcpus: 0, ..launch }), Err(LaunchError::Vcpus { .. })));
    }

    #[test]
    fn files_that_are_no_firmware_and_models_without_snp_are_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let launch = |firmware| Launch {
            firmware,
            kernel: Path::new("/dev/null"),
            initrd: Path::new("/dev/null"),
            command_line: "",
            vcpus: 1,
            vcpu_type: "EPYC-v4",
            guest_vmpl: 0,
        };
        assert!(matches!(launch_digest(&launch(file.path())), Err(LaunchError::Firmware { .. })));
        std::fs::write(file.path(), [0; 4096]).unwrap();
        assert!(matches!(launch_digest(&launch(file.path())), Err(LaunchError::Measure { .. })));
        let max = Launch { vcpu_type: "max", ..launch(file.path()) };
        assert!(matches!(launch_digest(&max), Err(LaunchError::VcpuType { .. })));
    }
}
