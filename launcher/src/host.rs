//! What this host has.

use crate::cli::PlatformArg;
use std::path::{Path, PathBuf};

/// Where Debian's packages put firmware.
pub const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
pub const OVMF_VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
pub const OVMF_AMDSEV: &str = "/usr/share/ovmf/OVMF.amdsev.fd";
pub const OVMF_TDX: &str = "/usr/share/ovmf/OVMF.inteltdx.ms.fd";

/// Position of the encryption bit on every SNP processor so far; used where CPUID does not say.
const CBIT_DEFAULT: u32 = 51;

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    Kvm,
    Tcg,
}

/// Facts that a machine depends on.
#[derive(Debug, Clone)]
pub struct Host {
    pub platform: PlatformArg,
    /// For plain machines: chosen, or proved by a probe.
    pub accel: Accel,
    pub cbitpos: u32,
    pub ovmf_code: Option<PathBuf>,
    pub ovmf_amdsev: Option<PathBuf>,
    pub ovmf_tdx: Option<PathBuf>,
}

impl Host {
    /// Look around.
    pub fn detect(accel: Accel) -> Self {
        let file = |path: &str| Some(PathBuf::from(path)).filter(|path| path.is_file());
        Self {
            platform: platform(),
            accel,
            cbitpos: cbitpos(),
            ovmf_code: file(OVMF_CODE),
            ovmf_amdsev: file(OVMF_AMDSEV),
            ovmf_tdx: file(OVMF_TDX),
        }
    }
}

/// The strongest platform that KVM here says it has.
pub fn platform() -> PlatformArg {
    if enabled("/sys/module/kvm_amd/parameters/sev_snp") {
        PlatformArg::Snp
    } else if enabled("/sys/module/kvm_intel/parameters/tdx") {
        PlatformArg::Tdx
    } else {
        PlatformArg::Plain
    }
}

/// A program in PATH, or at the path given.
pub fn find_program(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

fn enabled(parameter: &str) -> bool {
    std::fs::read_to_string(parameter).is_ok_and(|text| matches!(text.trim(), "Y" | "1"))
}

/// CPUID 8000_001F, EBX bits 5:0 (AMD64 APM volume 3, appendix E).
fn cbitpos() -> u32 {
    use std::arch::x86_64::__cpuid;
    let has_leaf = __cpuid(0x8000_0000).eax >= 0x8000_001f;
    let position = if has_leaf { __cpuid(0x8000_001f).ebx & 0x3f } else { 0 };
    if position == 0 { CBIT_DEFAULT } else { position }
}
