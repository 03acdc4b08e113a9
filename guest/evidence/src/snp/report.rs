//! The SNP attestation report (AMD 56860 revision 1.58, table 23 `ATTESTATION_REPORT`).

mod fields;
mod reserved;

pub use fields::{FirmwareVersion, GuestPolicy, KeyInfo, PlatformInfo, Product, SigningKey, TcbBytes};

use thiserror::Error;

/// Length of a report in bytes.
pub const REPORT_LEN: usize = 1184;
/// The signature covers this many bytes from the start; the signature itself is the rest.
pub const SIGNED_LEN: usize = 0x2A0;
/// Oldest report version that is taken.
pub const MIN_VERSION: u32 = 2;
/// Newest report version that is taken; a later one may give a meaning to bytes that are reserved here.
pub const MAX_VERSION: u32 = 5;

/// Offsets (table 23).
const POLICY: usize = 0x008;
const PLATFORM_INFO: usize = 0x040;
const KEY_INFO: usize = 0x048;
const CURRENT_TCB: usize = 0x038;
const REPORTED_TCB: usize = 0x180;
const CPUID: usize = 0x188;
const COMMITTED_TCB: usize = 0x1E0;
const LAUNCH_TCB: usize = 0x1F0;
const LAUNCH_MIT_VECTOR: usize = 0x1F8;
const CURRENT_MIT_VECTOR: usize = 0x200;
/// R and S are little-endian, each in a field of 72 bytes (chapter 10).
const SIGNATURE_R: usize = SIGNED_LEN;
const SIGNATURE_S: usize = SIGNATURE_R + 72;
/// Bytes of R or S that a P-384 signature uses.
const SCALAR_LEN: usize = 48;

/// Version 3 brought the CPUID fields.
const VERSION_CPUID: u32 = 3;
/// Version 5 brought the mitigation vectors.
const VERSION_MIT_VECTOR: u32 = 5;

/// Why bytes are not a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReportError {
    /// Another length than a report has.
    #[error("an SNP report has {expected} bytes, found {found}")]
    Length {
        /// [`REPORT_LEN`].
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// A version that is not known.
    #[error("SNP report version {found} is not known, only {MIN_VERSION} to {MAX_VERSION}")]
    Version {
        /// The version found.
        found: u32,
    },
    /// A processor whose TCB layout is not known.
    #[error("SNP report of an unknown processor: CPUID family {family:#04x}, model {model:#04x}")]
    Product {
        /// CPUID family, base and extended added up.
        family: u8,
        /// CPUID model, base and extended put together.
        model: u8,
    },
    /// Bit 17 of the guest policy is reserved and must be one.
    #[error("bit 17 of the SNP guest policy must be one, the policy is {found:#x}")]
    PolicyBit {
        /// The policy found.
        found: u64,
    },
    /// A bit that must be zero is one. Some of these bytes are outside the signature, so anyone can set them.
    #[error(
        "reserved bits {mask:#04x} of byte {offset:#05x} of the SNP report must be zero, found {found:#04x}"
    )]
    Reserved {
        /// Offset of the byte in the report.
        offset: usize,
        /// The bits of that byte that are reserved.
        mask: u8,
        /// The byte found.
        found: u8,
    },
}

/// A well-formed report. Nothing is proved by one until its signature over [`Report::signed`] verifies.
#[derive(Clone, PartialEq, Eq)]
pub struct Report {
    raw: [u8; REPORT_LEN],
    product: Option<Product>,
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Report")
            .field("version", &self.version())
            .field("product", &self.product)
            .field("policy", &self.policy())
            .field("vmpl", &self.vmpl())
            .field("measurement", &crate::bytes::HexArray(self.measurement()))
            .finish_non_exhaustive()
    }
}

impl Report {
    /// Takes exactly one report, of a known version and processor, with every reserved bit as it must be.
    ///
    /// The signature algorithm, the kind of signing key and the VMPL are kept as found: they are the
    /// verifier's to judge.
    ///
    /// # Errors
    ///
    /// See [`ReportError`]; length is checked first, then version, processor, policy, reserved bits.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReportError> {
        let raw: [u8; REPORT_LEN] =
            bytes.try_into().map_err(|_| ReportError::Length { expected: REPORT_LEN, found: bytes.len() })?;
        let mut report = Self { raw, product: None };
        let version = report.version();
        if !(MIN_VERSION..=MAX_VERSION).contains(&version) {
            return Err(ReportError::Version { found: version });
        }
        if let Some((family, model, _)) = report.cpuid() {
            let product = Product::from_cpuid(family, model);
            report.product = Some(product.ok_or(ReportError::Product { family, model })?);
        }
        if !report.policy().reserved_one() {
            return Err(ReportError::PolicyBit { found: report.policy().0 });
        }
        // Version 2 does not say which processor it is from; the only ones that wrote it are Milan and
        // Genoa, which share one TCB layout.
        reserved::check(&report.raw, version, report.product.unwrap_or(Product::Milan))?;
        Ok(report)
    }

    /// The bytes as received.
    pub fn raw(&self) -> &[u8; REPORT_LEN] {
        &self.raw
    }

    /// The bytes that the signature covers.
    pub fn signed(&self) -> &[u8] {
        &self.raw[..SIGNED_LEN]
    }

    /// The signature as R and S, big-endian, 48 bytes each: the fixed form of ECDSA P-384. Zero where the
    /// platform was told not to sign ([`KeyInfo::mask_chip_key`]).
    pub fn signature(&self) -> [u8; 2 * SCALAR_LEN] {
        let scalars = self.field::<SIGNATURE_R, SCALAR_LEN>().into_iter().rev();
        let mut all = scalars.chain(self.field::<SIGNATURE_S, SCALAR_LEN>().into_iter().rev());
        std::array::from_fn(|_| all.next().unwrap_or_default())
    }

    /// VERSION, [`MIN_VERSION`] to [`MAX_VERSION`].
    pub fn version(&self) -> u32 {
        self.u32::<0x000>()
    }

    /// GUEST_SVN, from the ID block; zero without one.
    pub fn guest_svn(&self) -> u32 {
        self.u32::<0x004>()
    }

    /// POLICY: what the guest was launched with.
    pub fn policy(&self) -> GuestPolicy {
        GuestPolicy(self.u64::<POLICY>())
    }

    /// FAMILY_ID, from the ID block.
    pub fn family_id(&self) -> [u8; 16] {
        self.field::<0x010, 16>()
    }

    /// IMAGE_ID, from the ID block.
    pub fn image_id(&self) -> [u8; 16] {
        self.field::<0x020, 16>()
    }

    /// VMPL of whoever in the guest asked, 0 (most privileged) to 3. A report that the host asked for has
    /// `0xffff_ffff` here.
    pub fn vmpl(&self) -> u32 {
        self.u32::<0x030>()
    }

    /// SIGNATURE_ALGO; 1 is ECDSA P-384 with SHA-384 (chapter 10).
    pub fn signature_algorithm(&self) -> u32 {
        self.u32::<0x034>()
    }

    /// CURRENT_TCB: what runs now.
    pub fn current_tcb(&self) -> TcbBytes {
        TcbBytes(self.field::<CURRENT_TCB, 8>())
    }

    /// PLATFORM_INFO.
    pub fn platform_info(&self) -> PlatformInfo {
        PlatformInfo(self.u64::<PLATFORM_INFO>())
    }

    /// Which key signed, and what the firmware says about it.
    pub fn key_info(&self) -> KeyInfo {
        KeyInfo(self.u32::<KEY_INFO>())
    }

    /// REPORT_DATA: what the guest asked to have signed.
    pub fn report_data(&self) -> [u8; 64] {
        self.field::<0x050, 64>()
    }

    /// MEASUREMENT: the launch digest.
    pub fn measurement(&self) -> [u8; 48] {
        self.field::<0x090, 48>()
    }

    /// HOST_DATA: what the host gave at launch.
    pub fn host_data(&self) -> [u8; 32] {
        self.field::<0x0C0, 32>()
    }

    /// ID_KEY_DIGEST: SHA-384 of the key that signed the ID block; zero without one.
    pub fn id_key_digest(&self) -> [u8; 48] {
        self.field::<0x0E0, 48>()
    }

    /// AUTHOR_KEY_DIGEST: SHA-384 of the key that certified the ID key; zero without one.
    pub fn author_key_digest(&self) -> [u8; 48] {
        self.field::<0x110, 48>()
    }

    /// REPORT_ID: names this guest instance, the same at every VMPL.
    pub fn report_id(&self) -> [u8; 32] {
        self.field::<0x140, 32>()
    }

    /// REPORT_ID_MA: names the migration agent; all ones without one.
    pub fn report_id_ma(&self) -> [u8; 32] {
        self.field::<0x160, 32>()
    }

    /// REPORTED_TCB: the TCB that the signing key was derived for.
    pub fn reported_tcb(&self) -> TcbBytes {
        TcbBytes(self.field::<REPORTED_TCB, 8>())
    }

    /// CPUID family, model and stepping, from version 3 on.
    pub fn cpuid(&self) -> Option<(u8, u8, u8)> {
        let [family, model, stepping] = self.field::<CPUID, 3>();
        (self.version() >= VERSION_CPUID).then_some((family, model, stepping))
    }

    /// The processor, from version 3 on; before, only the certificate names it.
    pub fn product(&self) -> Option<Product> {
        self.product
    }

    /// CHIP_ID; zero where the platform masks it or a VLEK signed.
    pub fn chip_id(&self) -> [u8; 64] {
        self.field::<0x1A0, 64>()
    }

    /// COMMITTED_TCB: the firmware cannot be rolled back below this.
    pub fn committed_tcb(&self) -> TcbBytes {
        TcbBytes(self.field::<COMMITTED_TCB, 8>())
    }

    /// CURRENT_MAJOR, _MINOR and _BUILD of the SNP firmware.
    pub fn current_version(&self) -> FirmwareVersion {
        FirmwareVersion::from_bytes(self.field::<0x1E8, 3>())
    }

    /// COMMITTED_MAJOR, _MINOR and _BUILD of the SNP firmware.
    pub fn committed_version(&self) -> FirmwareVersion {
        FirmwareVersion::from_bytes(self.field::<0x1EC, 3>())
    }

    /// LAUNCH_TCB: the current TCB when this guest was launched or imported.
    pub fn launch_tcb(&self) -> TcbBytes {
        TcbBytes(self.field::<LAUNCH_TCB, 8>())
    }

    /// LAUNCH_MIT_VECTOR: mitigations that were in force at launch, from version 5 on.
    pub fn launch_mitigation_vector(&self) -> Option<u64> {
        (self.version() >= VERSION_MIT_VECTOR).then(|| self.u64::<LAUNCH_MIT_VECTOR>())
    }

    /// CURRENT_MIT_VECTOR: mitigations in force now, from version 5 on.
    pub fn current_mitigation_vector(&self) -> Option<u64> {
        (self.version() >= VERSION_MIT_VECTOR).then(|| self.u64::<CURRENT_MIT_VECTOR>())
    }

    fn u32<const OFFSET: usize>(&self) -> u32 {
        u32::from_le_bytes(self.field::<OFFSET, 4>())
    }

    fn u64<const OFFSET: usize>(&self) -> u64 {
        u64::from_le_bytes(self.field::<OFFSET, 8>())
    }

    fn field<const OFFSET: usize, const LEN: usize>(&self) -> [u8; LEN] {
        // The compiler proves that the slice below is inside the report.
        const { assert!(OFFSET + LEN <= REPORT_LEN) };
        let mut out = [0; LEN];
        out.copy_from_slice(&self.raw[OFFSET..OFFSET + LEN]);
        out
    }
}

#[cfg(test)]
mod tests;
