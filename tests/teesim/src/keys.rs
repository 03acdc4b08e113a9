//! The chip's identity and signing key.

use crate::processor::REPORT_LEN;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use std::sync::LazyLock;

static KEY: LazyLock<Option<EcdsaKeyPair>> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).ok());

/// TCB in the certificate.
pub fn tcb() -> [u8; 8] {
    [3, 0, 0, 0, 0, 0, 10, 20]
}

/// Family, model, stepping.
pub fn cpuid() -> [u8; 3] {
    [0x19, 0x11, 0]
}

/// HWID.
pub fn chip_id() -> [u8; 64] {
    [0x5a; 64]
}

/// Certificate table.
pub fn certificates() -> Result<Vec<u8>, String> {
    Ok(Vec::new())
}

/// Sign the first 0x2A0 bytes; R and S follow, little-endian, 72 bytes each.
pub fn sign(report: &mut [u8; REPORT_LEN]) -> Result<(), String> {
    let key = KEY.as_ref().ok_or("no signing key")?;
    let signature = key.sign(&SystemRandom::new(), &report[..0x2A0]).map_err(|e| e.to_string())?;
    for (half, at) in signature.as_ref().chunks(48).zip([0x2A0, 0x2A0 + 72]) {
        for (index, byte) in half.iter().rev().enumerate() {
            report[at + index] = *byte;
        }
    }
    Ok(())
}
