//! Steps 3 to 9 for AMD SEV-SNP: who signed the report, what it says, and who vouches for the vTPM.
//!
//! [`crate::verify`] runs all of them. Each can also be called by itself, on a single report or chain, by a tool that has no more; what
//! a step alone proves is in its words, and no set of steps put together elsewhere makes an [`crate::AttestationResult`].

mod chain;
pub(crate) mod claims;
mod facts;
pub mod launch;
mod leaf;
mod names;
pub mod report;
pub mod svsm;
#[cfg(test)]
mod tests;

use crate::endorsements::{Endorsements, VerifiedSnpKey};
use crate::x509::{Certificate, Window};
use crate::{Check, UnixTime, VerifyError};
use chain::Sources;
pub use facts::{SnpCertificateFacts, SnpRevocationFacts};
pub(crate) use leaf::LeafFor;
use names::AMD;
pub use names::Role;
use sealpod_evidence::snp::cert_table::{CertTable, CertTableError, Guid};
use sealpod_evidence::snp::report::{Report, ReportError, SigningKey};
use std::sync::Arc;

/// Step 3. The key that signs this chip's reports, with a chain to a trusted root that is valid at `now`.
///
/// The leaf is the table's, or else the one of the certificates given that is for this chip and TCB.
///
/// A key that was verified before is known by the digest of its certificate: then only its time, and whether
/// revocation was checked, are looked at again. Everything that depends on the report is checked every time,
/// by the steps after this one.
///
/// # Errors
///
/// Every [`Check`] of step 3.
pub fn endorse(
    report: &Report,
    sent: &CertTable<'_>,
    endorsements: &Endorsements,
    require_crl: bool,
    now: UnixTime,
) -> Result<Arc<VerifiedSnpKey>, VerifyError> {
    let leaf = find_leaf(report, sent, endorsements, now)?;
    let sent: Vec<&[u8]> = [Guid::ASK, Guid::ARK].into_iter().filter_map(|guid| sent.get(guid)).collect();
    endorse_remembered(leaf, &sent, endorsements, require_crl, now)
}

/// Step 3 for one leaf, unless it was verified before under the same endorsements.
pub(crate) fn endorse_remembered(
    leaf: &[u8],
    sent: &[&[u8]],
    endorsements: &Endorsements,
    require_crl: bool,
    now: UnixTime,
) -> Result<Arc<VerifiedSnpKey>, VerifyError> {
    if let Some(key) = endorsements.verified(&leaf::id(leaf)) {
        let current = (key.not_before..=key.not_after).contains(&now);
        if current && (key.revocation_checked || !require_crl) {
            return Ok(Arc::clone(key));
        }
    }
    endorse_leaf(leaf, sent, endorsements, require_crl, now).map(Arc::new)
}

/// Step 3 for one leaf, whichever report it is for: a VCEK or VLEK (DER), and certificates that were sent beside it. Nothing that was
/// verified before is used.
///
/// # Errors
///
/// Every [`Check`] of step 3.
pub fn endorse_leaf(
    leaf: &[u8],
    sent: &[&[u8]],
    endorsements: &Endorsements,
    require_crl: bool,
    now: UnixTime,
) -> Result<VerifiedSnpKey, VerifyError> {
    let sources = Sources {
        sent,
        given: &endorsements.snp_authorities().collect::<Vec<_>>(),
        roots: endorsements.snp_roots(),
        crls: endorsements.crls(),
        require_crl,
    };
    chain::verify(&Certificate::parse(leaf, &AMD)?, sources, now)
}

/// Whether AMD's names say that this certificate (DER) is a VCEK or VLEK. Proves nothing about who named it.
pub fn is_leaf(der: &[u8]) -> bool {
    let certificate = Certificate::parse(der, &AMD);
    certificate.is_ok_and(|it| matches!(Role::of(it.subject()), Ok(Role::Vcek | Role::Vlek)))
}

/// What one of AMD's certificates says that it is, to find it again. Proves nothing.
pub(crate) enum Hint {
    /// An authority.
    Authority,
    /// A chip's or a provider's key, and when it says that it is valid.
    Leaf(LeafFor, Window),
}

/// What a certificate (DER) says that it is; `None` where it is none of AMD's.
pub(crate) fn hint(der: &[u8]) -> Option<Hint> {
    let certificate = Certificate::parse(der, &AMD).ok()?;
    match Role::of(certificate.subject()).ok()? {
        Role::Ark(_) | Role::Ask(_) | Role::Asvk(_) => Some(Hint::Authority),
        Role::Vcek | Role::Vlek => Some(Hint::Leaf(LeafFor::of(&certificate)?, certificate.window())),
    }
}

/// Step 4 by a certificate (DER) whose chain is not at hand: it says that it is for the report's product, TCB and chip.
///
/// Proves nothing about who issued it; for tools that have no more.
///
/// # Errors
///
/// Those of [`report::certificate`], [`Check::CertificateSyntax`] and [`Check::CertificateName`].
pub fn unendorsed_certificate(leaf: &[u8], report: &Report) -> Result<(), VerifyError> {
    report::certificate(&unendorsed(leaf)?, report)
}

/// Step 5 by such a certificate: its key signed the report. Proves nothing about whose key that is.
///
/// # Errors
///
/// Those of [`report::signature`], [`Check::CertificateSyntax`] and [`Check::CertificateName`].
pub fn unendorsed_signature(leaf: &[u8], report: &Report) -> Result<(), VerifyError> {
    report::signature(&unendorsed(leaf)?, report)
}

/// A key that nobody vouches for. It never leaves this module.
fn unendorsed(leaf: &[u8]) -> Result<VerifiedSnpKey, VerifyError> {
    let leaf = Certificate::parse(leaf, &AMD)?;
    let (product, vlek) = match (Role::of(leaf.issuer())?, Role::of(leaf.subject())?) {
        (Role::Ask(product), Role::Vcek) => (product, false),
        (Role::Asvk(product), Role::Vlek) => (product, true),
        (issuer, _) => {
            let expected = "a VCEK issued by an ASK, or a VLEK issued by an ASVK";
            return Err(VerifyError::new(Check::CertificateName, expected, format!("{issuer:?}")));
        }
    };
    leaf::key(&leaf, product, vlek, false, leaf.window())
}

/// Which check a report fails that is not well formed.
pub fn report_error(error: &ReportError) -> VerifyError {
    let check = match error {
        ReportError::Version { .. } => Check::EvidenceVersion,
        ReportError::Reserved { .. } | ReportError::PolicyBit { .. } => Check::ReservedBytes,
        ReportError::Length { .. } | ReportError::Product { .. } => Check::PrimaryEvidence,
    };
    VerifyError::new(check, "a well-formed SNP report", error)
}

/// The refusal of a certificate table that does not parse.
pub(crate) fn table_error(error: CertTableError) -> VerifyError {
    VerifyError::new(Check::CertificateTable, "a certificate table as the GHCB specification has it", error)
}

/// The leaf's bytes: the table's, of the kind that the report names if there are two, or else the one of the
/// certificates given that is for this chip and TCB. Only a hint: nothing is believed of either.
fn find_leaf<'a>(
    report: &Report,
    table: &CertTable<'a>,
    given: &'a Endorsements,
    now: UnixTime,
) -> Result<&'a [u8], VerifyError> {
    let vlek = report.key_info().signing_key() == SigningKey::Vlek;
    let order = if vlek { [Guid::VLEK, Guid::VCEK] } else { [Guid::VCEK, Guid::VLEK] };
    if let Some(der) = order.into_iter().find_map(|guid| table.get(guid)) {
        return Ok(der);
    }
    given.snp_leaf(&LeafFor::report(report), now).ok_or_else(|| {
        let expected = format!("a {} for this chip and TCB", if vlek { "VLEK" } else { "VCEK" });
        VerifyError::new(Check::ChainIncomplete, expected, "none sent and none given")
    })
}
