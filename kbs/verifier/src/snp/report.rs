//! Steps 4 to 6: what one report says, held against the key that signed it, the least TCB and the owner's policy.

use crate::endorsements::VerifiedSnpKey;
use crate::policy::AppraisalPolicy;
use crate::{Check, VerifyError};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::reference_values::SnpTcb;
use sealpod_evidence::snp::report::{Product, Report, SigningKey};

/// SIGNATURE_ALGO of ECDSA P-384 with SHA-384 (AMD 56860, table 139).
const ECDSA_P384_SHA384: u32 = 1;
/// Highest VMPL of a guest.
const MAX_VMPL: u32 = 3;

/// Step 4. The certificate is for the TCB, the chip and the product line that the report names.
///
/// A VLEK is for no chip, so with one the chip id proves nothing. A version 2 report does not say its
/// product; the certificate does.
///
/// # Errors
///
/// [`Check::CertificateProduct`], [`Check::CertificateTcb`], [`Check::CertificateHardwareId`].
pub fn certificate(key: &VerifiedSnpKey, report: &Report) -> Result<(), VerifyError> {
    // Version 2 is older than Turin, and what is parsed with the wrong product's TCB layout would be misread.
    let product =
        report.product().unwrap_or(if key.product == Product::Turin { Product::Milan } else { key.product });
    if key.product != product {
        return Err(VerifyError::new(Check::CertificateProduct, product, key.product));
    }
    let tcb = report.reported_tcb();
    if key.tcb != tcb.0 {
        return Err(VerifyError::new(Check::CertificateTcb, hex::encode(tcb.0), hex::encode(key.tcb)));
    }
    match key.hardware_id {
        Some(id) if id != report.chip_id() => {
            Err(VerifyError::new(Check::CertificateHardwareId, HexArray(report.chip_id()), HexArray(id)))
        }
        _ => Ok(()),
    }
}

/// Step 5. The chip's firmware signed exactly these bytes. Reserved and padding bytes were found zero when
/// the report was parsed.
///
/// # Errors
///
/// [`Check::SignatureAlgorithm`], [`Check::ReportSignature`].
pub fn signature(key: &VerifiedSnpKey, report: &Report) -> Result<(), VerifyError> {
    if report.signature_algorithm() != ECDSA_P384_SHA384 {
        let found = report.signature_algorithm();
        return Err(VerifyError::new(Check::SignatureAlgorithm, ECDSA_P384_SHA384, found));
    }
    if !key.public_key.verifies(report.signed(), &report.signature()) {
        let expected = format!("a signature by the key of certificate {}", HexArray(key.id));
        let found = if report.key_info().mask_chip_key() {
            "none: MASK_CHIP_KEY is set"
        } else {
            "another signature"
        };
        return Err(VerifyError::new(Check::ReportSignature, expected, found));
    }
    Ok(())
}

/// Step 6 for the primary report. Which VMPL it has to be, step 8 knows.
///
/// # Errors
///
/// [`Check::Vmpl`].
pub fn vmpl(report: &Report) -> Result<(), VerifyError> {
    let found = report.vmpl();
    if found > MAX_VMPL {
        return Err(VerifyError::new(Check::Vmpl, format!("a guest's VMPL, 0 to {MAX_VMPL}"), found));
    }
    Ok(())
}

/// Step 6 for any report of the guest, but for its VMPL: the functions after this one, in their order. `least` is the least TCB for
/// the key's product.
///
/// # Errors
///
/// Those of [`signing_key`], [`guest_policy`], [`minimum_tcb`] and [`tcb_order`].
pub fn fields(
    key: &VerifiedSnpKey,
    report: &Report,
    policy: &AppraisalPolicy,
    least: Option<&SnpTcb>,
) -> Result<(), VerifyError> {
    signing_key(key, report)?;
    guest_policy(report, policy)?;
    minimum_tcb(key.product, report, least)?;
    tcb_order(key.product, report)
}

/// The report names the kind of key that signed it.
///
/// # Errors
///
/// [`Check::SigningKey`].
pub fn signing_key(key: &VerifiedSnpKey, report: &Report) -> Result<(), VerifyError> {
    let kind = if key.vlek { SigningKey::Vlek } else { SigningKey::Vcek };
    let found = report.key_info().signing_key();
    if found == kind {
        return Ok(());
    }
    let expected = format!("{kind:?}, as the certificate");
    Err(VerifyError::new(Check::SigningKey, expected, format!("{found:?}")))
}

/// What the guest was launched with, and where, keeps the host out of it as far as the owner demands.
///
/// # Errors
///
/// [`Check::DebugAllowed`], [`Check::MigrationAllowed`], [`Check::Smt`], [`Check::AbiVersion`], [`Check::Mitigations`].
pub fn guest_policy(report: &Report, policy: &AppraisalPolicy) -> Result<(), VerifyError> {
    let guest = report.policy();
    let refused =
        |check, expected: &str| Err(VerifyError::new(check, expected, format!("policy {:#x}", guest.0)));
    if guest.debug_allowed() && !policy.dangerous_accept_debug {
        return refused(Check::DebugAllowed, "a guest that the host cannot debug");
    }
    if guest.migration_agent_allowed() {
        return refused(Check::MigrationAllowed, "a guest without a migration agent");
    }
    if policy.forbid_smt && report.platform_info().smt_enabled() {
        let found = format!("PLATFORM_INFO {:#x}", report.platform_info().0);
        return Err(VerifyError::new(Check::Smt, "SMT off", found));
    }
    let (least, found) = (policy.minimum_abi, [guest.abi_major(), guest.abi_minor()]);
    if found < least {
        return Err(VerifyError::new(Check::AbiVersion, format!("at least {least:?}"), format!("{found:?}")));
    }
    mitigations(report, policy.required_mitigations)
}

/// Both vectors have every required bit: a mitigation that is in force now did nothing for a launch before it.
fn mitigations(report: &Report, required: u64) -> Result<(), VerifyError> {
    let vectors =
        [("launch", report.launch_mitigation_vector()), ("current", report.current_mitigation_vector())];
    for (name, vector) in vectors {
        if vector.unwrap_or_default() & required != required {
            let found = vector.map_or_else(
                || format!("none: a report of version {}", report.version()),
                |vector| format!("{vector:#x}"),
            );
            let expected = format!("{name} mitigations {required:#x}");
            return Err(VerifyError::new(Check::Mitigations, expected, found));
        }
    }
    Ok(())
}

/// No component of the reported TCB, which the certificate attests, nor of the launch TCB is below the owner's least: firmware
/// that is sound now does not heal a launch that older firmware measured.
///
/// # Errors
///
/// [`Check::MinimumTcb`], also where there is no `least`.
pub fn minimum_tcb(product: Product, report: &Report, least: Option<&SnpTcb>) -> Result<(), VerifyError> {
    let Some(least) = least else {
        let expected = format!("a least TCB for {product}");
        return Err(VerifyError::new(Check::MinimumTcb, expected, "none listed"));
    };
    for (name, tcb) in [("reported", report.reported_tcb()), ("launch", report.launch_tcb())] {
        let found = tcb.decode(product);
        if !at_most(least, &found) {
            let expected = format!("{name} TCB of at least {least:?}");
            return Err(VerifyError::new(Check::MinimumTcb, expected, format!("{found:?}")));
        }
    }
    Ok(())
}

/// What firmware reports is never above what it cannot be rolled back from, that never above what runs, and
/// the guest was launched by what runs or by something older (AMD 56860, SNP_CONFIG and SNP_COMMIT). Anything
/// else is a roll-back under the guest.
///
/// # Errors
///
/// [`Check::TcbOrder`].
pub fn tcb_order(product: Product, report: &Report) -> Result<(), VerifyError> {
    let (reported, committed) =
        (report.reported_tcb().decode(product), report.committed_tcb().decode(product));
    let (current, launch) = (report.current_tcb().decode(product), report.launch_tcb().decode(product));
    let pairs = [
        ("reported", reported, "committed", committed),
        ("committed", committed, "current", current),
        ("launch", launch, "current", current),
    ];
    for (low, low_tcb, high, high_tcb) in pairs {
        if !at_most(&low_tcb, &high_tcb) {
            let found = format!("{low} {low_tcb:?}, {high} {high_tcb:?}");
            return Err(VerifyError::new(Check::TcbOrder, format!("{low} TCB at most {high} TCB"), found));
        }
    }
    let (committed, current) = (report.committed_version(), report.current_version());
    if committed > current {
        return Err(VerifyError::new(
            Check::TcbOrder,
            format!("firmware at least {committed}, as committed"),
            current,
        ));
    }
    Ok(())
}

/// Every component by itself: a TCB is not one number.
fn at_most(low: &SnpTcb, high: &SnpTcb) -> bool {
    low.fmc <= high.fmc
        && low.bootloader <= high.bootloader
        && low.tee <= high.tee
        && low.snp <= high.snp
        && low.microcode <= high.microcode
}
