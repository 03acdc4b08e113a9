//! Which bits of a report must be zero (AMD 56860 revision 1.58: section 4.3, tables 23 and 24, chapter 10).
//!
//! The signature covers most of them, but not the padding around it, and a library that re-encodes what
//! it parsed loses them; so they are checked here, on the bytes as received.

use super::fields::{GuestPolicy, KeyInfo, PlatformInfo, Product};
use super::{
    COMMITTED_TCB, CPUID, CURRENT_MIT_VECTOR, CURRENT_TCB, KEY_INFO, LAUNCH_MIT_VECTOR, LAUNCH_TCB,
    PLATFORM_INFO, POLICY, REPORT_LEN, REPORTED_TCB, ReportError, SCALAR_LEN, SIGNATURE_R, SIGNATURE_S,
    SIGNED_LEN, VERSION_CPUID, VERSION_MIT_VECTOR,
};
use std::ops::Range;

/// Reserved in every version and product.
const ALWAYS: [Range<usize>; 8] = [
    KEY_INFO + 4..0x050,
    CPUID + 3..0x1A0,
    0x1EB..0x1EC,
    0x1EF..LAUNCH_TCB,
    CURRENT_MIT_VECTOR + 8..SIGNED_LEN,
    SIGNATURE_R + SCALAR_LEN..SIGNATURE_S,
    SIGNATURE_S + SCALAR_LEN..SIGNATURE_S + 72,
    SIGNATURE_S + 72..REPORT_LEN,
];

/// Each of the four TCB fields.
const TCBS: [usize; 4] = [CURRENT_TCB, REPORTED_TCB, COMMITTED_TCB, LAUNCH_TCB];

/// Finds the first reserved bit that is set.
pub(super) fn check(raw: &[u8; REPORT_LEN], version: u32, product: Product) -> Result<(), ReportError> {
    masked(raw, POLICY, &(!GuestPolicy::known(version)).to_le_bytes())?;
    masked(raw, PLATFORM_INFO, &(!PlatformInfo::known(version)).to_le_bytes())?;
    masked(raw, KEY_INFO, &(!KeyInfo::KNOWN).to_le_bytes())?;
    for range in ALWAYS {
        zero(raw, range)?;
    }
    let unused = product.tcb_reserved();
    for tcb in TCBS {
        zero(raw, tcb + unused.start..tcb + unused.end)?;
    }
    if version < VERSION_CPUID {
        zero(raw, CPUID..CPUID + 3)?;
    }
    if version < VERSION_MIT_VECTOR {
        zero(raw, LAUNCH_MIT_VECTOR..CURRENT_MIT_VECTOR + 8)?;
    }
    Ok(())
}

fn zero(raw: &[u8; REPORT_LEN], range: Range<usize>) -> Result<(), ReportError> {
    range.into_iter().try_for_each(|offset| masked(raw, offset, &[0xff]))
}

fn masked(raw: &[u8; REPORT_LEN], offset: usize, masks: &[u8]) -> Result<(), ReportError> {
    let bytes = raw.iter().enumerate().skip(offset).zip(masks);
    for ((offset, &found), &mask) in bytes {
        if found & mask != 0 {
            return Err(ReportError::Reserved { offset, mask, found });
        }
    }
    Ok(())
}
