//! A public key infrastructure like AMD's: ARK → ASK → VCEK and ARK → ASVK → VLEK, product line Genoa; [`Line`] has the others.
//!
//! The ready-made certificates are built once per process. [`Certificate`] and [`Crl`] build spoiled ones.

mod certificate;
mod crl;
mod line;
mod table;

pub use certificate::{Ca, Certificate, VekExtensions};
pub use crl::Crl;
pub use line::Line;
pub use sealpod_evidence::snp::cert_table::Guid;
pub use table::CertificateTable;

use crate::keys::Key;
use sealpod_evidence::reference_values::SnpTcb;
use std::sync::LazyLock;

/// A time at which everything is valid: 2026-06-01 00:00:00 UTC, in seconds since 1970.
pub const NOW: u64 = 1_780_272_000;
/// Everything is valid from here: 2020-01-01.
pub const NOT_BEFORE: u64 = 1_577_836_800;
/// Everything is valid up to here: 2099-12-31 23:59:59.
pub const NOT_AFTER: u64 = 4_102_444_799;

/// The product line, as names and the VCEK's extension spell it.
pub const PRODUCT: &str = "Genoa";
/// Family, model and stepping of such a chip, as a version 3 report has them (AMD 56860, table 23).
pub const CPUID: [u8; 3] = [0x19, 0x11, 1];
/// CHIP_ID in reports, HWID in the VCEK.
pub const CHIP_ID: [u8; 64] = [0x5a; 64];
/// The provider that the VLEK is for.
pub const CSP: &str = "sealpod test cloud";
/// Security versions of the chip's firmware, in the VCEK and in reports.
pub const TCB: SnpTcb = SnpTcb { fmc: None, bootloader: 3, tee: 0, snp: 10, microcode: 20 };

/// TCB_VERSION as Milan and Genoa lay it out (AMD 56860, table 3).
pub fn tcb_bytes(tcb: &SnpTcb) -> [u8; 8] {
    [tcb.bootloader, tcb.tee, 0, 0, 0, 0, tcb.snp, tcb.microcode]
}

/// The root certificate.
pub fn ark_der() -> &'static [u8] {
    static DER: LazyLock<Vec<u8>> = LazyLock::new(|| Certificate::ark().to_der());
    &DER
}

/// The VCEK authority's certificate.
pub fn ask_der() -> &'static [u8] {
    static DER: LazyLock<Vec<u8>> = LazyLock::new(|| Certificate::ask().to_der());
    &DER
}

/// The VLEK authority's certificate.
pub fn asvk_der() -> &'static [u8] {
    static DER: LazyLock<Vec<u8>> = LazyLock::new(|| Certificate::asvk().to_der());
    &DER
}

/// The chip's certificate, for [`TCB`] and [`CHIP_ID`].
pub fn vcek_der() -> &'static [u8] {
    static DER: LazyLock<Vec<u8>> = LazyLock::new(|| Certificate::vcek().to_der());
    &DER
}

/// The provider's certificate, for [`TCB`] and [`CSP`].
pub fn vlek_der() -> &'static [u8] {
    static DER: LazyLock<Vec<u8>> = LazyLock::new(|| Certificate::vlek().to_der());
    &DER
}

/// A root with the ARK's names, but a key that nobody trusts.
pub fn foreign_ark_der() -> &'static [u8] {
    static DER: LazyLock<Vec<u8>> = LazyLock::new(|| {
        Certificate { key: Key::ForeignArk, signed_by: Key::ForeignArk, ..Certificate::ark() }.to_der()
    });
    &DER
}

/// The table that a host hands out beside a VCEK's report: VCEK, ASK, ARK.
pub fn certificate_table() -> Vec<u8> {
    CertificateTable::vcek().to_bytes()
}

#[cfg(test)]
mod tests;
