//! Step 8: what was launched, and with what initdata.

use crate::parts::Parts;
use crate::policy::AppraisalPolicy;
use crate::reference::ReferenceValues;
use crate::{Check, VerifyError};
use sealpod_evidence::bytes::{HexArray, Sha384Digest};
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
    parts: &Parts<'_>,
    reference: &ReferenceValues,
    policy: &AppraisalPolicy,
) -> Result<Launch, VerifyError> {
    let found = parts.report.measurement();
    let measurement = reference.measurement(&found).ok_or_else(|| {
        VerifyError::new(Check::LaunchDigest, "a launch digest among the Reference Values", HexArray(found))
    })?;
    let (guest_vmpl, vmpl) = (measurement.guest_vmpl, parts.report.vmpl());
    if vmpl != u32::from(guest_vmpl) {
        let expected = format!("VMPL {guest_vmpl}, as {:?} runs its guest", measurement.description);
        return Err(VerifyError::new(Check::LaunchVmpl, expected, vmpl));
    }
    let (host_data, digest) = (parts.report.host_data(), parts.initdata.digest());
    if host_data != digest.0 {
        let expected = format!("{digest}, the digest of the initdata sent");
        return Err(VerifyError::new(Check::HostData, expected, HexArray(host_data)));
    }
    let initdata = reference.is_initdata(&digest.0).ok_or_else(|| {
        VerifyError::new(Check::InitdataReference, "an initdata digest among the Reference Values", digest)
    })?;
    id_block_author(&parts.report, &policy.id_block_authors)?;
    Ok(Launch { measurement: measurement.description.to_string(), guest_vmpl, initdata: initdata.to_owned() })
}

/// The id block's key is certified by one of `authors`. The firmware checked the block's signatures at launch
/// (AMD 56860, SNP_LAUNCH_FINISH).
fn id_block_author(report: &Report, authors: &[Sha384Digest]) -> Result<(), VerifyError> {
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
