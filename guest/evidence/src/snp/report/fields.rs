//! The typed fields of a report.

use crate::reference_values::SnpTcb;
use std::fmt;
use std::ops::Range;

/// A processor line: what the signing key's certificate is issued for, and how TCB bytes are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Product {
    /// EPYC 7003.
    Milan,
    /// EPYC 9004 and 8004: Genoa, Bergamo and Siena, which share one root.
    Genoa,
    /// EPYC 9005.
    Turin,
}

impl Product {
    /// The processor of this CPUID family and model, extended parts included; `None` where it is not known.
    pub fn from_cpuid(family: u8, model: u8) -> Option<Self> {
        match (family, model) {
            (0x19, 0x00..=0x0F) => Some(Self::Milan),
            (0x19, 0x10..=0x1F | 0xA0..=0xAF) => Some(Self::Genoa),
            (0x1A, 0x00..=0x11) => Some(Self::Turin),
            _ => None,
        }
    }

    /// The name in Reference Values: `milan`, `genoa` or `turin`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Milan => "milan",
            Self::Genoa => "genoa",
            Self::Turin => "turin",
        }
    }

    /// Bytes of a TCB field that this product does not use.
    pub(super) fn tcb_reserved(self) -> Range<usize> {
        match self {
            Self::Milan | Self::Genoa => 2..6,
            Self::Turin => 4..7,
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A TCB_VERSION as it stands in the report. What each byte means depends on the product (AMD 56860
/// section 2.2), so two of these cannot be ordered before they are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcbBytes(pub [u8; 8]);

impl TcbBytes {
    /// Reads the bytes in the layout of `product`, which the caller has from the report or, for version 2,
    /// from the signing key's certificate.
    pub fn decode(self, product: Product) -> SnpTcb {
        let [b0, b1, b2, b3, _, _, b6, microcode] = self.0;
        match product {
            Product::Milan | Product::Genoa => {
                SnpTcb { fmc: None, bootloader: b0, tee: b1, snp: b6, microcode }
            }
            Product::Turin => SnpTcb { fmc: Some(b0), bootloader: b1, tee: b2, snp: b3, microcode },
        }
    }
}

/// Version of the SNP firmware; ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FirmwareVersion {
    /// Major API version.
    pub major: u8,
    /// Minor API version.
    pub minor: u8,
    /// Build.
    pub build: u8,
}

impl FirmwareVersion {
    pub(super) fn from_bytes([build, minor, major]: [u8; 3]) -> Self {
        Self { major, minor, build }
    }
}

impl fmt::Display for FirmwareVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.build)
    }
}

/// The guest policy (AMD 56860 section 4.3). The firmware refuses to launch a guest on a platform that cannot
/// keep it; whether the policy itself is good enough is the verifier's word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GuestPolicy(pub u64);

impl GuestPolicy {
    /// Bits with a meaning in reports of this version: PAGE_SWAP_DISABLE came with version 5.
    pub(super) fn known(version: u32) -> u64 {
        if version < 5 { 0x01ff_ffff } else { 0x03ff_ffff }
    }

    pub(super) fn reserved_one(self) -> bool {
        self.bit(17)
    }

    /// Least minor API version of the firmware.
    pub fn abi_minor(self) -> u8 {
        self.0.to_le_bytes()[0]
    }

    /// Least major API version of the firmware.
    pub fn abi_major(self) -> u8 {
        self.0.to_le_bytes()[1]
    }

    /// SMT may be on.
    pub fn smt_allowed(self) -> bool {
        self.bit(16)
    }

    /// A migration agent may be associated, which can move the guest's memory elsewhere.
    pub fn migration_agent_allowed(self) -> bool {
        self.bit(18)
    }

    /// The host may decrypt the guest's memory.
    pub fn debug_allowed(self) -> bool {
        self.bit(19)
    }

    /// The guest runs on one socket only.
    pub fn single_socket_required(self) -> bool {
        self.bit(20)
    }

    /// CXL memory and devices may be populated.
    pub fn cxl_allowed(self) -> bool {
        self.bit(21)
    }

    /// Memory is encrypted with AES-256 XTS, not AES-128 XEX.
    pub fn mem_aes_256_xts(self) -> bool {
        self.bit(22)
    }

    /// The power meter (RAPL), a side channel, is off.
    pub fn rapl_dis(self) -> bool {
        self.bit(23)
    }

    /// The host must not see the guest's ciphertext in DRAM.
    pub fn ciphertext_hiding(self) -> bool {
        self.bit(24)
    }

    /// The host may not move or swap the guest's pages.
    pub fn page_swap_disable(self) -> bool {
        self.bit(25)
    }

    fn bit(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }
}

impl fmt::Debug for GuestPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuestPolicy({:#x})", self.0)
    }
}

/// PLATFORM_INFO (AMD 56860 table 24): the state of the machine, whatever the policy asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlatformInfo(pub u64);

impl PlatformInfo {
    /// Bits with a meaning in reports of this version. Seen on hardware: bit 5 from version 3 on, bit 6 in
    /// version 5 of Turin.
    pub(super) fn known(version: u32) -> u64 {
        match version {
            ..3 => 0x1f,
            3..5 => 0x3f,
            _ => 0xff,
        }
    }

    /// SMT is on.
    pub fn smt_enabled(self) -> bool {
        self.bit(0)
    }

    /// Transparent memory encryption is on.
    pub fn tsme_enabled(self) -> bool {
        self.bit(1)
    }

    /// Memory has ECC.
    pub fn ecc_enabled(self) -> bool {
        self.bit(2)
    }

    /// The power meter (RAPL) is off.
    pub fn rapl_disabled(self) -> bool {
        self.bit(3)
    }

    /// Ciphertext in DRAM is hidden from the host.
    pub fn ciphertext_hiding_enabled(self) -> bool {
        self.bit(4)
    }

    /// The firmware looked for aliased addresses since the last reset and found none.
    pub fn alias_check_complete(self) -> bool {
        self.bit(5)
    }

    /// The firmware says that the IOMMU keeps devices from writing to guest memory.
    pub fn iommu_write_safe(self) -> bool {
        self.bit(6)
    }

    /// SEV-TIO is on.
    pub fn tio_enabled(self) -> bool {
        self.bit(7)
    }

    fn bit(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }
}

/// The key that signed the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningKey {
    /// The chip's own key.
    Vcek,
    /// A key that AMD gave to the cloud provider; it names no chip.
    Vlek,
    /// None: the report is not signed.
    None,
    /// A value without a meaning yet, 2 to 6.
    Reserved(u8),
}

/// The key information word at offset 0x48.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyInfo(pub u32);

impl KeyInfo {
    /// Bits with a meaning.
    pub(super) const KNOWN: u32 = 0x1f;

    /// AUTHOR_KEY_EN: [`super::Report::author_key_digest`] has a value.
    pub fn author_key_enabled(self) -> bool {
        self.0 & 1 == 1
    }

    /// MASK_CHIP_KEY: the platform was told not to sign reports with the chip's key.
    pub fn mask_chip_key(self) -> bool {
        self.0 >> 1 & 1 == 1
    }

    /// SIGNING_KEY.
    pub fn signing_key(self) -> SigningKey {
        match self.0.to_le_bytes()[0] >> 2 & 7 {
            0 => SigningKey::Vcek,
            1 => SigningKey::Vlek,
            7 => SigningKey::None,
            other => SigningKey::Reserved(other),
        }
    }
}
