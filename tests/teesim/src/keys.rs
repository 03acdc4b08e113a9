//! The chip's identity, signing key and certificates: those of the test kit, whose root a broker trusts only as a test root.

use crate::processor::REPORT_LEN;
use sealpod_testkit::keys::Key;
use sealpod_testkit::{pki, report};

/// Security versions of the chip's firmware, those of its certificate.
pub fn tcb() -> [u8; 8] {
    pki::tcb_bytes(&pki::TCB)
}

/// Family, model, stepping.
pub fn cpuid() -> [u8; 3] {
    pki::CPUID
}

/// CHIP_ID in reports, HWID in the certificate.
pub fn chip_id() -> [u8; 64] {
    pki::CHIP_ID
}

/// The table that the host hands out: VCEK, ASK, ARK.
pub fn certificates() -> Vec<u8> {
    pki::certificate_table()
}

/// Sign as the chip does.
pub fn sign(report: &mut [u8; REPORT_LEN]) {
    report::sign(report, Key::Vcek);
}
