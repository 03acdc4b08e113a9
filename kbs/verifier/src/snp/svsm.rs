//! Step 9: who vouches for the vTPM.

use super::launch::Launch;
use super::report;
use crate::endorsements::VerifiedSnpKey;
use crate::hash::sha256_of;
use crate::parts::{Parts, Svsm};
use crate::policy::AppraisalPolicy;
use crate::reference::ReferenceValues;
use crate::result::BindingLevel;
use crate::{Check, VerifyError};
use sealpod_evidence::binding;
use sealpod_evidence::bytes::HexArray;
use std::fmt::Display;

/// VMPL of an SVSM.
const SVSM_VMPL: u32 = 0;

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
    parts: &Parts<'_>,
    reference: &ReferenceValues,
    policy: &AppraisalPolicy,
) -> Result<BindingLevel, VerifyError> {
    let level = match &parts.svsm {
        Some(_) if launch.guest_vmpl == 0 => {
            let expected =
                format!("none: {:?} is listed with guest_vmpl 0, without an SVSM", launch.measurement);
            return Err(VerifyError::new(Check::SvsmUnexpected, expected, "an SVSM's report and manifest"));
        }
        Some(svsm) => {
            svsm_report(key, svsm, reference, policy)?;
            report_data(parts, svsm)?;
            same_guest(parts, svsm)?;
            manifest(parts, svsm)?;
            BindingLevel::Svsm
        }
        None => BindingLevel::Host,
    };
    let least = policy.minimum_binding_level;
    if level < least {
        return Err(VerifyError::new(
            Check::BindingLevel,
            format!("at least {}", least.as_str()),
            level.as_str(),
        ));
    }
    if level == BindingLevel::Host && !policy.dangerous_accept_host_vtpm {
        let expected = "a vTPM that a TEE vouches for, or dangerous_accept_host_vtpm";
        return Err(VerifyError::new(Check::BindingLevel, expected, level.as_str()));
    }
    Ok(level)
}

/// The same chip signed it, in the same state, for VMPL 0: steps 4 to 6 once more.
fn svsm_report(
    key: &VerifiedSnpKey,
    svsm: &Svsm,
    reference: &ReferenceValues,
    policy: &AppraisalPolicy,
) -> Result<(), VerifyError> {
    let checked = report::certificate(key, &svsm.report)
        .and_then(|()| report::signature(key, &svsm.report))
        .and_then(|()| report::common_fields(key, &svsm.report, reference, policy));
    checked.map_err(|error| {
        VerifyError::new(Check::SvsmReport, "an SVSM report that holds as the primary one does", error)
    })?;
    if svsm.report.vmpl() != SVSM_VMPL {
        return Err(VerifyError::new(Check::SvsmReport, format!("VMPL {SVSM_VMPL}"), svsm.report.vmpl()));
    }
    Ok(())
}

/// The SVSM was asked for this nonce and channel key, and answered with this manifest.
fn report_data(parts: &Parts<'_>, svsm: &Svsm) -> Result<(), VerifyError> {
    let block = binding::svsm_nonce(parts.nonce, &parts.tee_pubkey).map_err(|error| {
        VerifyError::new(Check::SvsmReportData, "a channel key with a canonical form", error)
    })?;
    let (expected, found) = (binding::svsm_report_data(&block, &svsm.manifest), svsm.report.report_data());
    if found != expected {
        return Err(VerifyError::new(Check::SvsmReportData, HexArray(expected), HexArray(found)));
    }
    Ok(())
}

/// Everything that names the guest is equal. REPORT_ID alone would do on honest firmware; without it the vTPM
/// of another guest of the same owner on the same chip could be relayed in.
fn same_guest(parts: &Parts<'_>, svsm: &Svsm) -> Result<(), VerifyError> {
    let (primary, other) = (&parts.report, &svsm.report);
    same("REPORT_ID", HexArray(primary.report_id()), HexArray(other.report_id()))?;
    same("REPORT_ID_MA", HexArray(primary.report_id_ma()), HexArray(other.report_id_ma()))?;
    same("CHIP_ID", HexArray(primary.chip_id()), HexArray(other.chip_id()))?;
    same("MEASUREMENT", HexArray(primary.measurement()), HexArray(other.measurement()))?;
    same("POLICY", primary.policy().0, other.policy().0)?;
    same("HOST_DATA", HexArray(primary.host_data()), HexArray(other.host_data()))
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

/// The manifest is the EK's `TPMT_PUBLIC`, byte for byte (SVSM specification, attestation of the vTPM
/// service).
fn manifest(parts: &Parts<'_>, svsm: &Svsm) -> Result<(), VerifyError> {
    if parts.ek.raw() != svsm.manifest {
        // A digest of each: whole keys would fill the audit line and tell its reader no more.
        let digest = |bytes: &[u8]| format!("sha256:{}", HexArray(sha256_of([bytes])));
        let expected = format!("a manifest that is the endorsement key sent, {}", digest(parts.ek.raw()));
        return Err(VerifyError::new(Check::SvsmManifest, expected, digest(&svsm.manifest)));
    }
    Ok(())
}
