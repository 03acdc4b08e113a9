//! Step 9: who vouches for the vTPM.

use super::launch::Launch;
use super::report;
use crate::endorsements::VerifiedSnpKey;
use crate::hash::sha256_of;
use crate::parts::snp::Svsm;
use crate::policy::AppraisalPolicy;
use crate::result::BindingLevel;
use crate::{Check, VerifyError};
use sealpod_evidence::binding::{QUOTE_NONCE_LEN, svsm_nonce_block, svsm_report_data};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::reference_values::SnpTcb;
use sealpod_evidence::snp::manifest;
use sealpod_evidence::snp::report::Report;
use sealpod_evidence::tpm::Public;
use std::fmt::Display;

/// VMPL of an SVSM.
const SVSM_VMPL: u32 = 0;

/// What step 9 holds together.
pub(crate) struct Vouched<'a> {
    /// The primary report.
    pub report: &'a Report,
    /// The SVSM's word, where there is one.
    pub svsm: Option<&'a Svsm>,
    /// The endorsement key sent.
    pub ek: &'a Public,
    /// What binds nonce and channel key.
    pub quote_nonce: &'a [u8; QUOTE_NONCE_LEN],
}

/// Step 9. Establishes the level, and refuses one that is lower than the owner takes.
///
/// [`BindingLevel::Svsm`] proves that the endorsement key sent is of the vTPM that the SVSM of *this* guest
/// runs. Without an SVSM's word the level is [`BindingLevel::Host`]: then nothing that the vTPM says binds
/// the host.
///
/// A report of VMPL 0 is an SVSM's word only where the launch put an SVSM there. Which launches do is the owner's word, in the
/// Reference Value that step 8 found: in any other guest whoever is root can ask for such a report.
pub(crate) fn binding_level(
    key: &VerifiedSnpKey,
    launch: &Launch,
    vouched: &Vouched<'_>,
    policy: &AppraisalPolicy,
    least: Option<&SnpTcb>,
) -> Result<BindingLevel, VerifyError> {
    let level = match vouched.svsm {
        Some(_) if launch.guest_vmpl == 0 => {
            let expected =
                format!("none: {:?} is listed with guest_vmpl 0, without an SVSM", launch.measurement);
            return Err(VerifyError::new(Check::SvsmUnexpected, expected, "an SVSM's report and manifest"));
        }
        Some(svsm) => {
            let block = svsm_nonce_block(vouched.quote_nonce);
            own_report(key, &svsm.report, policy, least)?;
            report_data(&svsm.report, &block, &svsm.manifest)?;
            same_guest(vouched.report, &svsm.report)?;
            manifest(&svsm.manifest, vouched.ek)?;
            BindingLevel::Svsm
        }
        None => BindingLevel::Host,
    };
    policy.require_level(level)?;
    Ok(level)
}

/// The same chip signed it, in the same state, for VMPL 0: steps 4 to 6 once more.
///
/// # Errors
///
/// [`Check::SvsmReport`].
pub fn own_report(
    key: &VerifiedSnpKey,
    svsm: &Report,
    policy: &AppraisalPolicy,
    least: Option<&SnpTcb>,
) -> Result<(), VerifyError> {
    let checked = report::certificate(key, svsm)
        .and_then(|()| report::signature(key, svsm))
        .and_then(|()| report::fields(key, svsm, policy, least));
    checked.map_err(|error| {
        VerifyError::new(Check::SvsmReport, "an SVSM report that holds as the primary one does", error)
    })?;
    if svsm.vmpl() != SVSM_VMPL {
        return Err(VerifyError::new(Check::SvsmReport, format!("VMPL {SVSM_VMPL}"), svsm.vmpl()));
    }
    Ok(())
}

/// The SVSM was asked with this nonce block, and answered with this manifest.
///
/// # Errors
///
/// [`Check::SvsmReportData`].
pub fn report_data(svsm: &Report, nonce_block: &[u8; 64], manifest: &[u8]) -> Result<(), VerifyError> {
    let (expected, found) = (svsm_report_data(nonce_block, manifest), svsm.report_data());
    if found != expected {
        return Err(VerifyError::new(Check::SvsmReportData, HexArray(expected), HexArray(found)));
    }
    Ok(())
}

/// Everything that names the guest is equal. REPORT_ID alone would do on honest firmware; without it the vTPM
/// of another guest of the same owner on the same chip could be relayed in.
///
/// # Errors
///
/// [`Check::SvsmSameGuest`].
pub fn same_guest(primary: &Report, other: &Report) -> Result<(), VerifyError> {
    same("REPORT_ID", HexArray(primary.report_id()), HexArray(other.report_id()))?;
    same("REPORT_ID_MA", HexArray(primary.report_id_ma()), HexArray(other.report_id_ma()))?;
    same("CHIP_ID", HexArray(primary.chip_id()), HexArray(other.chip_id()))?;
    same("MEASUREMENT", HexArray(primary.measurement()), HexArray(other.measurement()))?;
    same("POLICY", primary.policy().0, other.policy().0)?;
    same("HOST_DATA", HexArray(primary.host_data()), HexArray(other.host_data()))
}

/// The vTPM's entry in the manifest is the EK's `TPMT_PUBLIC`, byte for byte. A manifest of one service and one of all services prove
/// the same; which form it has, its first bytes say ([`sealpod_evidence::snp::manifest`]).
///
/// # Errors
///
/// [`Check::SvsmManifest`].
pub fn manifest(manifest: &[u8], ek: &Public) -> Result<(), VerifyError> {
    // A digest of each: whole keys would fill the audit line and tell its reader no more.
    let digest = |bytes: &[u8]| format!("sha256:{}", HexArray(sha256_of([bytes])));
    let expected = || format!("a manifest with the endorsement key sent, {}", digest(ek.raw()));
    let vtpm =
        manifest::vtpm(manifest).map_err(|error| VerifyError::new(Check::SvsmManifest, expected(), error))?;
    if ek.raw() != vtpm {
        return Err(VerifyError::new(Check::SvsmManifest, expected(), digest(vtpm)));
    }
    Ok(())
}

fn same<T: PartialEq + Display>(field: &str, expected: T, found: T) -> Result<(), VerifyError> {
    if found != expected {
        return Err(VerifyError::new(
            Check::SvsmSameGuest,
            format!("{field} {expected}, as in the primary report"),
            found,
        ));
    }
    Ok(())
}
