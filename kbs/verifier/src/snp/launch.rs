//! Step 8: what was launched, and with what initdata.

use crate::policy::AppraisalPolicy;
use crate::reference::{Measurement, ReferenceValues};
use crate::{Check, VerifyError};
use sealpod_evidence::bytes::{HexArray, Sha256Digest, Sha384Digest};
use sealpod_evidence::snp::report::Report;

/// What was recognized, as the reviewer of the Reference Values described it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Launch {
    pub measurement: String,
    /// Level at which the launch runs the guest's kernel; 0 where it has no SVSM.
    pub guest_vmpl: u8,
    pub initdata: String,
}

/// Step 8. Firmware, kernel, initrd and command line are ones that the owner reviewed, and so is the
/// initdata, whose digest the host had to give at launch.
///
/// What the initdata allows, and that the guest keeps to it, is for later steps.
pub(crate) fn appraise(
    report: &Report,
    initdata: Sha256Digest,
    reference: &ReferenceValues,
    policy: &AppraisalPolicy,
) -> Result<Launch, VerifyError> {
    let measurement = measurement(report, reference)?;
    host_data(report, initdata)?;
    let known = reference.is_initdata(&initdata.0).ok_or_else(|| {
        VerifyError::new(Check::InitdataReference, "an initdata digest among the Reference Values", initdata)
    })?;
    id_block_key(report, &policy.id_block_keys)?;
    id_block_author(report, &policy.id_block_authors)?;
    Ok(Launch {
        measurement: measurement.description.to_string(),
        guest_vmpl: measurement.guest_vmpl,
        initdata: known.to_owned(),
    })
}

/// The launch digest is a Reference Value, and the report was asked for at the level that such a launch gives the guest's kernel.
///
/// # Errors
///
/// [`Check::LaunchDigest`], [`Check::LaunchVmpl`].
pub fn measurement<'r>(
    report: &Report,
    reference: &'r ReferenceValues,
) -> Result<&'r Measurement, VerifyError> {
    let found = report.measurement();
    let measurement = reference.measurement(&found).ok_or_else(|| {
        VerifyError::new(Check::LaunchDigest, "a launch digest among the Reference Values", HexArray(found))
    })?;
    if report.vmpl() != u32::from(measurement.guest_vmpl) {
        let (level, name) = (measurement.guest_vmpl, &measurement.description);
        let expected = format!("VMPL {level}, as {name:?} runs its guest");
        return Err(VerifyError::new(Check::LaunchVmpl, expected, report.vmpl()));
    }
    Ok(measurement)
}

/// The host gave the digest of this initdata at launch.
///
/// # Errors
///
/// [`Check::HostData`].
pub fn host_data(report: &Report, initdata: Sha256Digest) -> Result<(), VerifyError> {
    let found = report.host_data();
    if found != initdata.0 {
        let expected = format!("{initdata}, the digest of the initdata sent");
        return Err(VerifyError::new(Check::HostData, expected, HexArray(found)));
    }
    Ok(())
}

/// The id block is signed by one of `keys`. The firmware checked the signature at launch (AMD 56860, SNP_LAUNCH_FINISH), and that the
/// block names this launch digest. Where there are no `keys`, an id block is not demanded.
///
/// # Errors
///
/// [`Check::IdBlockKey`].
pub fn id_block_key(report: &Report, keys: &[Sha384Digest]) -> Result<(), VerifyError> {
    let found = HexArray(report.id_key_digest());
    // Zeros stand for "no id block", whatever the owner lists.
    let signed = found.0 != [0; 48];
    if keys.is_empty() || (signed && keys.contains(&found)) {
        return Ok(());
    }
    let found = if signed { found.to_string() } else { "no id block".to_owned() };
    Err(VerifyError::new(Check::IdBlockKey, format!("one of {keys:?}"), found))
}

/// The id block's key is certified by one of `authors`. The firmware checked the block's signatures at launch
/// (AMD 56860, SNP_LAUNCH_FINISH). Where there are no `authors`, an id block is not demanded.
///
/// # Errors
///
/// [`Check::IdBlockAuthor`].
pub fn id_block_author(report: &Report, authors: &[Sha384Digest]) -> Result<(), VerifyError> {
    if authors.is_empty() {
        return Ok(());
    }
    let found = HexArray(report.author_key_digest());
    if report.key_info().author_key_enabled() && authors.contains(&found) {
        return Ok(());
    }
    let enabled = report.key_info().author_key_enabled();
    let found = if enabled { found.to_string() } else { "no author key".to_owned() };
    Err(VerifyError::new(Check::IdBlockAuthor, format!("one of {authors:?}"), found))
}
