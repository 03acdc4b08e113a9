//! Step 3: from the report's signing key to a root that is trusted.

use super::leaf;
use super::names::{AMD, Role};
use crate::endorsements::{SnpRoot, VerifiedSnpKey};
use crate::x509::{Certificate, Window, crl};
use crate::{Check, UnixTime, VerifyError};
use aws_lc_rs::digest;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::snp::report::Product;
use x509_cert::name::Name;

/// Where certificates above the leaf may come from, in this order.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    /// Sent beside the report.
    pub sent: &'a [&'a [u8]],
    /// Given by the broker.
    pub given: &'a [&'a [u8]],
    /// Root keys that are trusted.
    pub roots: &'a [SnpRoot],
    /// Revocation lists. Only the broker's: a sender would pick the one it likes.
    pub crls: &'a [Vec<u8>],
    /// Whether a current list is demanded.
    pub require_crl: bool,
}

/// Verifies ARK → ASK → VCEK or ARK → ASVK → VLEK at `now`.
///
/// Proves that AMD, or whoever holds the pinned root key, issued `leaf`. What the certificate says of chip
/// and TCB is in the result and must still be held against the report.
pub(super) fn verify(
    leaf: &Certificate<'_>,
    sources: Sources<'_>,
    now: UnixTime,
) -> Result<VerifiedSnpKey, VerifyError> {
    let vlek = match Role::of(leaf.subject())? {
        Role::Vcek => false,
        Role::Vlek => true,
        other => return Err(wrong_name("a VCEK or VLEK", other)),
    };
    let product = match (Role::of(leaf.issuer())?, vlek) {
        (Role::Ask(product), false) | (Role::Asvk(product), true) => product,
        (other, _) => return Err(wrong_name("a leaf issued by its own kind of signing key", other)),
    };
    let intermediate = find_issuer(leaf, sources, |_| Ok(()))?;
    match Role::of(intermediate.issuer())? {
        Role::Ark(found) if found == product => {}
        other => return Err(wrong_name(format!("a signing key issued by the {product} root"), other)),
    }
    let root = find_issuer(&intermediate, sources, |root| require_trusted(root, product, sources.roots))?;
    if root.issuer() != root.subject() || !root.is_signed_by(&root) {
        return Err(VerifyError::new(Check::CertificateSignature, "a self-signed root", root.issuer()));
    }
    root.require_authority(1)?;
    intermediate.require_authority(0)?;
    leaf.require_leaf()?;
    let mut window = (UnixTime::MIN, UnixTime::MAX);
    for certificate in [&root, &intermediate, leaf] {
        window = narrow(window, certificate.validity(now)?);
    }
    // AMD's root lists the ASKs and ASVKs that it withdraws. A single VCEK cannot be listed: all of them have serial number 0, and
    // the root is not their issuer. What withdraws a VCEK is a higher least TCB among the Reference Values.
    let list = crl::check(sources.crls, &root, &[&root, &intermediate], sources.require_crl, now)?;
    window = list.map_or(window, |list| narrow(window, list));
    leaf::key(leaf, product, vlek, list.is_some(), window)
}

/// The certificate that signed `child`: one with the issuer's name that passes `accept` and whose key
/// verifies the signature.
///
/// Several certificates may bear one name (AMD's root and a test root); an error speaks of the first.
fn find_issuer<'a>(
    child: &Certificate<'_>,
    sources: Sources<'a>,
    accept: impl Fn(&Certificate<'_>) -> Result<(), VerifyError>,
) -> Result<Certificate<'a>, VerifyError> {
    let mut first_error = None;
    let sent = sources.sent.iter().copied().map(|der| (der, true));
    for (der, sent) in sent.chain(sources.given.iter().map(|der| (*der, false))) {
        let candidate = match Certificate::parse(der, &AMD) {
            Ok(candidate) => candidate,
            // What the broker gives may hold other vendors' certificates; what a sender adds must be AMD's.
            Err(error) if sent => return Err(error),
            Err(_) => continue,
        };
        if candidate.subject() != child.issuer() {
            continue;
        }
        match accept(&candidate) {
            Ok(()) if child.is_signed_by(&candidate) => return Ok(candidate),
            Ok(()) => {
                let found = format!("{}, not signed by that key", child.subject());
                let error = VerifyError::new(Check::CertificateSignature, candidate.subject(), found);
                first_error.get_or_insert(error);
            }
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or_else(|| missing(child.issuer())))
}

fn require_trusted(root: &Certificate<'_>, product: Product, roots: &[SnpRoot]) -> Result<(), VerifyError> {
    let found = digest::digest(&digest::SHA384, &root.spki());
    let trusted = |pin: &&SnpRoot| pin.product == product && pin.spki_sha384 == found.as_ref();
    if roots.iter().any(|pin| trusted(&pin)) {
        return Ok(());
    }
    let pins: Vec<_> =
        roots.iter().filter(|pin| pin.product == product).map(|pin| HexArray(pin.spki_sha384)).collect();
    let expected = format!("a {product} root with a key of SHA-384 {pins:?}");
    Err(VerifyError::new(Check::TrustRoot, expected, hex::encode(found)))
}

fn narrow(a: Window, b: Window) -> Window {
    (a.0.max(b.0), a.1.min(b.1))
}

fn missing(name: &Name) -> VerifyError {
    VerifyError::new(Check::ChainIncomplete, name, "no such certificate, neither sent nor given")
}

fn wrong_name(expected: impl std::fmt::Display, found: Role) -> VerifyError {
    VerifyError::new(Check::CertificateName, expected, format!("{found:?}"))
}
