//! Steps 6 to 8: what the quote says of the TD.

use crate::policy::AppraisalPolicy;
use crate::reference::ReferenceValues;
use crate::{Check, VerifyError};
use sealpod_evidence::bytes::{HexArray, Sha256Digest, Sha384Digest};
use sealpod_evidence::reference_values::TdxMeasurement;
use sealpod_evidence::tdx::Quote;
use sealpod_evidence::tdx::report::TdReport;

/// Step 6. The TD that the quote is about.
///
/// # Errors
///
/// [`Check::TeeType`] for a quote of an SGX enclave.
pub fn td<'q>(quote: &'q Quote<'_>) -> Result<&'q TdReport, VerifyError> {
    quote.td().ok_or_else(|| VerifyError::new(Check::TeeType, "a quote of a TD", "one of an SGX enclave"))
}

/// Step 6. Reserved attributes are zero, the host cannot debug, profile or migrate the TD, cannot inject exceptions by taking
/// memory away, and no service TD is bound to it; each unless the owner's policy takes it.
///
/// # Errors
///
/// [`Check::TdAttributes`], [`Check::DebugAllowed`], [`Check::MigrationAllowed`], [`Check::ServiceTd`].
pub fn attributes(td: &TdReport, policy: &AppraisalPolicy) -> Result<(), VerifyError> {
    let attributes = td.td_attributes;
    let names = || format!("{:#x}: {:?}", attributes.0, attributes.names().collect::<Vec<_>>());
    let refuse = |check, expected: &str| Err(VerifyError::new(check, expected, names()));
    if attributes.reserved() != 0 {
        return refuse(Check::TdAttributes, "TD attributes without a reserved bit");
    }
    if attributes.under_debug() && !policy.dangerous_accept_debug {
        return refuse(Check::DebugAllowed, "TD attributes without debugging or profiling");
    }
    if !attributes.sept_ve_disable() && !policy.tdx.dangerous_accept_ept_exceptions {
        return refuse(Check::TdAttributes, "TD attributes with SEPT_VE_DISABLE");
    }
    if policy.tdx.dangerous_accept_service_td {
        return Ok(());
    }
    if attributes.migratable() {
        return refuse(Check::MigrationAllowed, "TD attributes without MIGRATABLE");
    }
    if attributes.servtd_ext() {
        return refuse(Check::ServiceTd, "TD attributes without SERVTD_EXT");
    }
    match td.mr_service_td() {
        Some(found) if found.0 != [0; 48] => {
            Err(VerifyError::new(Check::ServiceTd, "no service TD", format!("MR_SERVICETD {found}")))
        }
        _ => Ok(()),
    }
}

/// Step 7. The quote's report data is this.
///
/// # Errors
///
/// [`Check::ReportData`].
pub fn report_data(quote: &Quote<'_>, expected: &[u8; 64]) -> Result<(), VerifyError> {
    let found = quote.body.report_data();
    if found == expected {
        return Ok(());
    }
    Err(VerifyError::new(Check::ReportData, HexArray(*expected), HexArray(*found)))
}

/// Step 8. MRTD, RTMR0 to RTMR2 and, where it says one, MRSEAM are those of a Reference Value; gives that.
///
/// Proves which firmware, kernel, initrd and command line the TD started with. RTMR3 is the agent's, see step 15.
///
/// # Errors
///
/// [`Check::LaunchDigest`], naming the Reference Value that is nearest.
pub fn launch<'r>(td: &TdReport, reference: &'r ReferenceValues) -> Result<&'r TdxMeasurement, VerifyError> {
    let [rtmr0, rtmr1, rtmr2, _] = td.rtmr;
    let mut nearest: Option<(usize, &str, Option<Sha384Digest>, Sha384Digest, &String)> = None;
    for known in reference.tdx() {
        let registers = [
            ("MRTD", Some(known.mr_td), td.mr_td),
            ("RTMR0", Some(known.rtmr0), rtmr0),
            ("RTMR1", Some(known.rtmr1), rtmr1),
            ("RTMR2", Some(known.rtmr2), rtmr2),
            ("MRSEAM", known.mr_seam, td.mr_seam),
        ];
        let differs = |(_, expected, found): &(_, Option<Sha384Digest>, Sha384Digest)| {
            expected.is_some_and(|expected| expected != *found)
        };
        let Some((name, expected, found)) = registers.into_iter().find(differs) else {
            return Ok(known);
        };
        let equal = registers.iter().filter(|register| !differs(register)).count();
        if nearest.as_ref().is_none_or(|(best, ..)| equal > *best) {
            nearest = Some((equal, name, expected, found, &known.description));
        }
    }
    let Some((_, name, expected, found, description)) = nearest else {
        let expected = "measurements of a TD that are Reference Values";
        let found = format!("none to compare with; MRTD {}, RTMR0-2 {rtmr0}, {rtmr1}, {rtmr2}", td.mr_td);
        return Err(VerifyError::new(Check::LaunchDigest, expected, found));
    };
    let expected = expected.map(|expected| expected.to_string()).unwrap_or_default();
    Err(VerifyError::new(
        Check::LaunchDigest,
        format!("{name} {expected}, as {description:?} has it"),
        format!("{name} {found}"),
    ))
}

/// Step 8. MRCONFIGID is the digest of initdata: SHA-384, or SHA-256 with zeros behind it.
///
/// # Errors
///
/// [`Check::HostData`].
pub fn config_id(td: &TdReport, sha384: &Sha384Digest, sha256: &Sha256Digest) -> Result<(), VerifyError> {
    let mut padded = [0; 48];
    padded.iter_mut().zip(sha256.0).for_each(|(byte, digest)| *byte = digest);
    if td.mr_config_id == *sha384 || td.mr_config_id.0 == padded {
        return Ok(());
    }
    let expected = format!("MRCONFIGID {sha384} or {}, the digest of initdata", HexArray(padded));
    Err(VerifyError::new(Check::HostData, expected, td.mr_config_id))
}
