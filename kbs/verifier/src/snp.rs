//! Steps 3 to 9 for AMD SEV-SNP: who signed the report, what it says, and who vouches for the vTPM.

mod certificate;
mod chain;
pub(crate) mod claims;
mod crl;
pub(crate) mod launch;
mod leaf;
pub(crate) mod report;
mod signed;
pub(crate) mod svsm;
#[cfg(test)]
mod tests;

use crate::endorsements::{Endorsements, VerifiedSnpKey};
use crate::parts::Parts;
use crate::policy::AppraisalPolicy;
use crate::{Check, UnixTime, VerifyError};
use certificate::{Certificate, Role};
use chain::Sources;
use sealpod_evidence::snp::cert_table::{CertTable, Guid};
use sealpod_evidence::snp::report::{Report, SigningKey};
use std::sync::Arc;

/// Step 3. The key that signs this chip's reports, with a chain to a trusted root that is valid at `now`.
///
/// A key that was verified before is known by the digest of its certificate: then only its time, and whether
/// revocation was checked, are looked at again. Everything that depends on the report is checked every time,
/// by the steps after this one.
pub(crate) fn endorse(
    parts: &Parts<'_>,
    endorsements: &Endorsements,
    policy: &AppraisalPolicy,
    now: UnixTime,
) -> Result<Arc<VerifiedSnpKey>, VerifyError> {
    let table = CertTable::parse(&parts.certificates)
        .map_err(|error| VerifyError::new(Check::CertificateTable, "a certificate table", error))?;
    let der = find_leaf(&parts.report, &table, endorsements.certificates())?;
    if let Some(key) = endorsements.verified(&leaf::id(der)) {
        let current = (key.not_before..=key.not_after).contains(&now);
        if current && (key.revocation_checked || !policy.require_crl) {
            return Ok(Arc::clone(key));
        }
    }
    let sent: Vec<&[u8]> = [Guid::ASK, Guid::ARK].into_iter().filter_map(|guid| table.get(guid)).collect();
    let sources = Sources {
        sent: &sent,
        given: endorsements.certificates(),
        roots: endorsements.snp_roots(),
        crls: endorsements.crls(),
        require_crl: policy.require_crl,
    };
    chain::verify(&Certificate::parse(der)?, sources, now).map(Arc::new)
}

/// The leaf's bytes: the table's, of the kind that the report names if there are two, or else the one of the
/// certificates given that is for this chip and TCB. Only a hint: nothing is believed of either.
fn find_leaf<'a>(
    report: &Report,
    table: &CertTable<'a>,
    given: &'a [Vec<u8>],
) -> Result<&'a [u8], VerifyError> {
    let vlek = report.key_info().signing_key() == SigningKey::Vlek;
    let order = if vlek { [Guid::VLEK, Guid::VCEK] } else { [Guid::VCEK, Guid::VLEK] };
    if let Some(der) = order.into_iter().find_map(|guid| table.get(guid)) {
        return Ok(der);
    }
    let fits = |der: &&Vec<u8>| {
        Certificate::parse(der).is_ok_and(|leaf| match (leaf.role(), vlek) {
            (Ok(Role::Vlek), true) | (Ok(Role::Vcek), false) => leaf::is_for(&leaf, report),
            _ => false,
        })
    };
    given.iter().find(fits).map(Vec::as_slice).ok_or_else(|| {
        let expected = format!("a {} for this chip and TCB", if vlek { "VLEK" } else { "VCEK" });
        VerifyError::new(Check::ChainIncomplete, expected, "none sent and none given")
    })
}
