//! The SNP launch digest that the machine would have had on the real platform.

use crate::command_line::Launch;
use anyhow::{Context as _, Result, ensure};
use sev::measurement::snp::{SnpMeasurementArgs, snp_calc_launch_digest};
use sev::measurement::vcpu_types::CpuType;
use sev::measurement::vmsa::{GuestFeatures, VMMType};

/// `SEV_FEATURES` in the initial VMSA: SNPActive alone, which is what QEMU starts SNP guests with
/// (AMD 24593, table B-4, offset 3B0h).
const GUEST_FEATURES: GuestFeatures = GuestFeatures(0x1);

/// Smallest firmware: its last page, which holds the tables that say how it is measured.
const FIRMWARE_MIN: u64 = 4096;

/// Digest over firmware, kernel, initrd, command line and vCPUs, from the very files that are booted.
pub fn launch_digest(launch: &Launch) -> Result<[u8; 48]> {
    let size = std::fs::metadata(&launch.firmware)
        .with_context(|| format!("cannot read firmware {}", launch.firmware.display()))?
        .len();
    ensure!(
        size >= FIRMWARE_MIN,
        "firmware {} has {size} bytes, expected at least {FIRMWARE_MIN}",
        launch.firmware.display()
    );
    let vcpu_type = CpuType::try_from(launch.cpu.as_str())
        .map_err(|error| anyhow::anyhow!("{error}"))
        .with_context(|| format!("-cpu {:?} is no SNP vCPU model", launch.cpu))?;
    let digest = snp_calc_launch_digest(SnpMeasurementArgs {
        vcpus: launch.vcpus,
        vcpu_type,
        ovmf_file: launch.firmware.clone(),
        guest_features: GUEST_FEATURES,
        kernel_file: Some(launch.kernel.clone()),
        initrd_file: launch.initrd.clone(),
        append: launch.append.as_deref(),
        ovmf_hash_str: None,
        vmm_type: Some(VMMType::QEMU),
    })
    .map_err(|error| anyhow::anyhow!("{error}"))
    .with_context(|| format!("no launch digest for firmware {}", launch.firmware.display()))?;
    let bytes: Vec<u8> = digest.try_into().map_err(|error| anyhow::anyhow!("{error:?}"))?;
    bytes.as_slice().try_into().context("a launch digest is 48 bytes")
}

#[cfg(test)]
mod tests;
