//! Steps 4 and 5: who signed the quote.

use super::chain::VerifiedPck;
use super::text;
use crate::hash::sha256_of;
use crate::signature::{PublicKey, Scheme};
use crate::{Check, VerifyError};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::tdx::Quote;
use sealpod_evidence::tdx::quote::{self, Certification, QuoteError};

/// Parses a quote, zeros behind it included.
///
/// # Errors
///
/// [`Check::EvidenceVersion`] for a version that is not known, [`Check::SignatureAlgorithm`] for another key than P-256,
/// [`Check::ReservedBytes`], [`Check::Budget`], or [`Check::PrimaryEvidence`].
pub fn parse(bytes: &[u8]) -> Result<Quote<'_>, VerifyError> {
    Quote::parse(bytes).map_err(|error| {
        let check = match error {
            QuoteError::TooLong { .. } => Check::Budget,
            QuoteError::Version { .. } => Check::EvidenceVersion,
            QuoteError::KeyType { .. } => Check::SignatureAlgorithm,
            QuoteError::Reserved { .. } => Check::ReservedBytes,
            _ => Check::PrimaryEvidence,
        };
        VerifyError::new(check, "one quote of version 3 to 5 by Intel's quoting enclave", error)
    })
}

/// The PCK's certificates that the quote carries, DER. Nothing is believed of them.
///
/// # Errors
///
/// [`Check::ChainIncomplete`] where the quote carries other certification data.
pub fn certificates(quote: &Quote<'_>) -> Result<Vec<Vec<u8>>, VerifyError> {
    match quote.certification {
        Certification::PckChain(chain) => text::certificates(chain),
        _ => Err(no_chain(quote)),
    }
}

pub(super) fn no_chain(quote: &Quote<'_>) -> VerifyError {
    let (kind, words) = (quote.certification.kind(), quote.certification.describe());
    let found = format!("certification data of type {kind}: {words}");
    VerifyError::new(Check::ChainIncomplete, "a quote with its PCK certificate chain", found)
}

/// Step 4. The PCK signed the quoting enclave's report, and that report commits to the attestation key.
///
/// Proves that an enclave on this platform, of whatever maker, made the key. That it is Intel's quoting enclave is for
/// [`super::evaluate`] to show.
///
/// # Errors
///
/// [`Check::QeReportSignature`], [`Check::QeReportData`].
pub fn qe_report(quote: &Quote<'_>, pck: &VerifiedPck) -> Result<(), VerifyError> {
    if !pck.key.verifies(quote.qe_report_signed, quote.qe_report_signature) {
        let expected = format!("a QE report signed by the PCK of FMSPC {}", pck.platform().fmspc);
        let found = format!("signature {}", HexArray(*quote.qe_report_signature));
        return Err(VerifyError::new(Check::QeReportSignature, expected, found));
    }
    let digest = sha256_of([&quote.attestation_key[..], quote.qe_authentication_data]);
    let mut expected = [0; 64];
    expected.iter_mut().zip(digest).for_each(|(byte, digest)| *byte = digest);
    if quote.qe_report.report_data.0 == expected {
        return Ok(());
    }
    let expected = format!("SHA-256 of attestation key and authentication data, {}", HexArray(expected));
    Err(VerifyError::new(Check::QeReportData, expected, quote.qe_report.report_data))
}

/// Step 5. The attestation key signed header and body, as they were received.
///
/// # Errors
///
/// [`Check::ReportSignature`].
pub fn signature(quote: &Quote<'_>) -> Result<(), VerifyError> {
    let mut point = [4; 65];
    point.iter_mut().skip(1).zip(quote.attestation_key).for_each(|(byte, key)| *byte = *key);
    let key = PublicKey::new(Scheme::EcdsaP256Sha256, &point);
    if key.is_some_and(|key| key.verifies(quote.signed, quote.signature)) {
        return Ok(());
    }
    let expected = format!("a quote signed by attestation key {}", HexArray(*quote.attestation_key));
    Err(VerifyError::new(
        Check::ReportSignature,
        expected,
        format!("signature {}", HexArray(*quote.signature)),
    ))
}

/// Longest quote, padding included.
pub const MAX_QUOTE: usize = quote::MAX_LEN;
