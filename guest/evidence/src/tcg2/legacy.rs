//! The form of TPM 1.2: TCG_PCClientPCREvent, with one SHA-1 digest and no header (PFP 1.06 section 10.2.1).
//!
//! Firmware writes it for a TPM that has only a SHA-1 bank, or when a boot loader asks for no better.

use super::{ALG_SHA1, Algorithms, SpecId};

/// Length of the digest.
pub(super) const DIGEST: usize = 20;

/// What a header would say.
pub(super) const SPEC: SpecId<'static> = SpecId {
    platform_class: 0,
    errata: 0,
    algorithms: Algorithms(&[[ALG_SHA1.to_le_bytes()[0], 0, DIGEST as u8, 0]]),
    vendor_info: &[],
};
