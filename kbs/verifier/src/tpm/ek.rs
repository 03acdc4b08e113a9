//! Endorsement key certificates: a TPM's vendor says that the key is in one of its TPMs.
//!
//! Profile: TCG EK Credential Profile for TPM Family 2.0, version 2.5, section 3. No evidence has to have one: where an SVSM or a paravisor
//! vouches for the vTPM, that is what counts, and such a vTPM's own authority would prove less.

use super::quote::key_bytes;
use crate::x509::{Algorithm, Certificate, Curve, KeyKind, Profile, Window};
use crate::{Check, UnixTime, VerifyError};
use const_oid::ObjectIdentifier;
use der::Decode as _;
use sealpod_evidence::tpm::Public;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{ExtendedKeyUsage, SubjectAltName};

const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const CERTIFICATE_POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32");
/// tcg-kp-EKCertificate (section 3.2.16).
const EK_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.8.1");
/// tcg-at-tpmManufacturer, tpmModel, tpmVersion (section 3.1.2).
const MANUFACTURER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.1");
const MODEL: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.2");
const VERSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.3");

/// Most authorities between an endorsement key and a root. Vendors have one or two, some three.
const MAX_AUTHORITIES: u8 = 4;
/// Signature checks of one chain, whatever is given beside it: certificates may bear one name.
const MAX_CHECKS: usize = 64;

const RSA: [KeyKind; 3] = [KeyKind::Rsa(2048), KeyKind::Rsa(3072), KeyKind::Rsa(4096)];
const EC: [KeyKind; 2] = [KeyKind::Ec(Curve::P256), KeyKind::Ec(Curve::P384)];
const KEYS: [KeyKind; 5] = [RSA[0], RSA[1], RSA[2], EC[0], EC[1]];

static TPM: Profile = Profile {
    source: "the TCG EK Credential Profile",
    algorithms: &[
        Algorithm::RsaPkcs1Sha256,
        Algorithm::RsaPkcs1Sha384,
        Algorithm::RsaPkcs1Sha512,
        Algorithm::RsaPssSha384,
        Algorithm::EcdsaP256Sha256,
        Algorithm::EcdsaP384Sha384,
    ],
    authority_keys: &KEYS,
    leaf_keys: &KEYS,
    // Policies limit for what their issuer answers; they take nothing away from what is checked here.
    critical: &[SUBJECT_ALT_NAME, EXTENDED_KEY_USAGE, CERTIFICATE_POLICIES],
};

/// What a certificate says of its TPM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EkCertificate {
    /// `id:` and the vendor's number in hex (TCG Vendor ID Registry).
    pub manufacturer: String,
    /// Model, as the vendor writes it.
    pub model: String,
    /// Firmware version, as the vendor writes it.
    pub version: String,
    /// The chain is valid from the first second to the second.
    pub window: Window,
}

/// Verifies a certificate (DER) for an endorsement key at `now`: a chain over `given` to one of `roots` (DER, the vendors'
/// own, believed because the owner gave them), the profile of an endorsement key's certificate, and that it is this key's.
///
/// Proves that the vendor made a TPM with this key. That a quote is of that TPM, only an activated credential shows.
/// Revocation lists are not looked at.
///
/// # Errors
///
/// [`Check::EkCertificateKey`], [`Check::EkCertificate`] and those of step 3 for certificates.
pub fn certificate(
    der: &[u8],
    given: &[Vec<u8>],
    roots: &[Vec<u8>],
    ek: &Public,
    now: UnixTime,
) -> Result<EkCertificate, VerifyError> {
    let leaf = Certificate::parse(der, &TPM)?;
    leaf.require_leaf()?;
    let (manufacturer, model, version) = profile(&leaf)?;
    let window = chain(&leaf, given, roots, now)?;
    let expected = key_bytes(ek.key()).unwrap_or_default();
    if expected.is_empty() || leaf.key().bytes() != expected {
        let expected = format!("a certificate for the key {}", hex::encode(expected));
        return Err(VerifyError::new(Check::EkCertificateKey, expected, hex::encode(leaf.key().bytes())));
    }
    Ok(EkCertificate { manufacturer, model, version, window })
}

/// From the leaf up to a root: each certificate is an authority, signed the one below, and is valid.
fn chain(
    leaf: &Certificate<'_>,
    given: &[Vec<u8>],
    roots: &[Vec<u8>],
    now: UnixTime,
) -> Result<Window, VerifyError> {
    let mut window = leaf.validity(now)?;
    let mut child = Certificate::parse(leaf.der(), &TPM)?;
    let mut checks = MAX_CHECKS;
    for depth in 0..=MAX_AUTHORITIES {
        let (issuer, trusted) = match find(&child, roots, &mut checks) {
            Some(root) => (root, true),
            None => (find(&child, given, &mut checks).ok_or_else(|| missing(&child))?, false),
        };
        issuer.require_authority(depth)?;
        let (from, to) = issuer.validity(now)?;
        window = (window.0.max(from), window.1.min(to));
        if trusted {
            return Ok(window);
        }
        child = issuer;
    }
    let expected = format!("a root within {MAX_AUTHORITIES} authorities");
    Err(VerifyError::new(Check::ChainIncomplete, expected, child.issuer()))
}

/// A certificate with the issuer's name and key. What does not parse may be another vendor's.
fn find<'a>(child: &Certificate<'_>, list: &'a [Vec<u8>], checks: &mut usize) -> Option<Certificate<'a>> {
    list.iter().filter_map(|der| Certificate::parse(der, &TPM).ok()).find(|candidate| {
        if candidate.subject() != child.issuer() || *checks == 0 {
            return false;
        }
        *checks -= 1;
        child.is_signed_by(candidate)
    })
}

fn missing(child: &Certificate<'_>) -> VerifyError {
    let expected = format!("{}, which signed {}", child.issuer(), child.subject());
    VerifyError::new(
        Check::ChainIncomplete,
        expected,
        "no such certificate, neither given nor among the roots",
    )
}

/// Manufacturer, model and version (section 3.2.9) of a certificate whose key is for an endorsement key's use (section 3.2.16).
fn profile(leaf: &Certificate<'_>) -> Result<(String, String, String), VerifyError> {
    let refused = |expected: &str, found: String| VerifyError::new(Check::EkCertificate, expected, found);
    let usage = leaf.extension(EXTENDED_KEY_USAGE).map(ExtendedKeyUsage::from_der).transpose();
    let usage = usage.map_err(|error| refused("an extended key usage", error.to_string()))?;
    if !usage.as_ref().is_some_and(|usage| usage.0.contains(&EK_CERTIFICATE)) {
        let found = usage.map_or_else(|| "none".to_owned(), |usage| format!("{:?}", usage.0));
        return Err(refused("the key usage tcg-kp-EKCertificate", found));
    }
    let names = leaf.extension(SUBJECT_ALT_NAME).map(SubjectAltName::from_der).transpose();
    let names = names.map_err(|error| refused("a subject alternative name", error.to_string()))?;
    let names = names.map(|names| names.0).unwrap_or_default();
    let attribute = |oid| {
        let mut found = names
            .iter()
            .filter_map(|name| match name {
                GeneralName::DirectoryName(name) => crate::x509::attribute(name, oid),
                _ => None,
            })
            .map(str::to_owned);
        found.next().filter(|_| found.next().is_none())
    };
    match (attribute(MANUFACTURER), attribute(MODEL), attribute(VERSION)) {
        (Some(manufacturer), Some(model), Some(version)) => Ok((manufacturer, model, version)),
        found => Err(refused("manufacturer, model and version, each once", format!("{found:?}"))),
    }
}

#[cfg(test)]
mod tests;
