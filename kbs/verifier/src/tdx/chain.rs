//! Step 3: from a platform's PCK, or from Intel's TCB signing key, to a root that is trusted.

use super::intel::{self, PckCa, Role, take};
use super::pck::{Platform, SGX_EXTENSIONS};
use crate::signature::{PublicKey, Scheme};
use crate::x509::Certificate;
use crate::x509::crl::Lists;
use crate::{Check, UnixTime, VerifyError};
use aws_lc_rs::digest;
use sealpod_evidence::bytes::HexArray;

pub(super) use crate::x509::Window;

/// A platform's provisioning certification key whose chain was verified. Made only by [`pck`].
#[derive(Debug, Clone)]
pub struct VerifiedPck {
    pub(super) key: PublicKey,
    platform: Platform,
    ca: PckCa,
    /// The narrowest of certificates and lists.
    window: Window,
    revocation_checked: bool,
}

impl VerifiedPck {
    /// The platform that it is for.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Who issued it.
    pub fn ca(&self) -> PckCa {
        self.ca
    }

    /// From when to when certificates and lists are valid, seconds since 1970.
    pub fn window(&self) -> (UnixTime, UnixTime) {
        self.window
    }

    /// Whether current revocation lists of both authorities were held against the chain.
    pub fn revocation_checked(&self) -> bool {
        self.revocation_checked
    }
}

/// Verifies Intel SGX Root CA → PCK Platform or Processor CA → PCK at `now`, in whatever order the certificates come.
///
/// `lists` are revocation lists; those of other issuers are passed over. With `require_lists`, a current one of the root and one
/// of the PCK's issuer must be there. Proves that Intel, or whoever holds a root key that is trusted, certified the platform.
///
/// # Errors
///
/// The first check of a certificate chain that does not hold; [`Check::PckExtensions`] for a PCK that names no platform.
pub fn pck(
    certificates: &[Vec<u8>],
    roots: &[[u8; 48]],
    lists: &[Vec<u8>],
    require_lists: bool,
    now: UnixTime,
) -> Result<VerifiedPck, VerifyError> {
    let chain = PckChain::parse(certificates)?;
    let window = chain.verify(&mut Roots::new(roots), now)?;
    chain.with_lists(window, &mut Lists::new(lists), require_lists, now)
}

/// The root keys that one appraisal trusts, and the root certificates that it found to be of such a key and signed by it.
///
/// Kept is only what neither time nor place in a chain can change, and only for the very same bytes. Dates, names and rights of
/// a root are looked at wherever it stands. The self-signature of a pinned root does count: the pin vouches for the key, and
/// without it anyone could give that key a certificate of other dates, other rights or a serial number that is on no list.
pub(super) struct Roots<'a> {
    pins: &'a [[u8; 48]],
    trusted: Vec<&'a [u8]>,
}

impl<'a> Roots<'a> {
    /// Trusts keys by the SHA-384 of their SubjectPublicKeyInfo.
    pub(super) fn new(pins: &'a [[u8; 48]]) -> Self {
        Self { pins, trusted: Vec::new() }
    }

    fn require_trusted(&mut self, root: &Certificate<'a>) -> Result<(), VerifyError> {
        if self.trusted.contains(&root.der()) {
            return Ok(());
        }
        require_pinned(root, self.pins)?;
        require_signed(root, root)?;
        self.trusted.push(root.der());
        Ok(())
    }
}

/// The certificates of a PCK, each known by its name. Nothing is believed of them.
pub(super) struct PckChain<'a> {
    leaf: Certificate<'a>,
    intermediate: Certificate<'a>,
    root: Certificate<'a>,
    ca: PckCa,
}

impl<'a> PckChain<'a> {
    pub(super) fn parse(certificates: &'a [Vec<u8>]) -> Result<Self, VerifyError> {
        let mut certificates = parse(certificates)?;
        let leaf = take(&mut certificates, Role::Pck)?;
        let ca = match Role::require(leaf.issuer())? {
            Role::Ca(ca) => ca,
            other => return Err(wrong_issuer("a PCK issued by Intel's Processor or Platform CA", other)),
        };
        let (intermediate, root) =
            (take(&mut certificates, Role::Ca(ca))?, take(&mut certificates, Role::Root)?);
        Ok(Self { leaf, intermediate, root, ca })
    }

    pub(super) fn ca(&self) -> PckCa {
        self.ca
    }

    pub(super) fn platform(&self) -> Result<Platform, VerifyError> {
        Platform::parse(self.leaf.extension(SGX_EXTENSIONS))
    }

    /// All but revocation.
    pub(super) fn verify(&self, roots: &mut Roots<'a>, now: UnixTime) -> Result<Window, VerifyError> {
        let Self { leaf, intermediate, root, .. } = self;
        roots.require_trusted(root)?;
        require_signed(intermediate, root)?;
        require_signed(leaf, intermediate)?;
        root.require_authority(1)?;
        intermediate.require_authority(0)?;
        leaf.require_leaf()?;
        let mut window = (UnixTime::MIN, UnixTime::MAX);
        for certificate in [root, intermediate, leaf] {
            window = narrow(window, certificate.validity(now)?);
        }
        Ok(window)
    }

    /// Revocation, and the key.
    pub(super) fn with_lists(
        &self,
        mut window: Window,
        lists: &mut Lists<'a>,
        require: bool,
        now: UnixTime,
    ) -> Result<VerifiedPck, VerifyError> {
        let Self { leaf, intermediate, root, ca } = self;
        let of_root = lists.check(root, &[root, intermediate], require, now)?;
        let of_ca = lists.check(intermediate, &[leaf], require, now)?;
        for list in [of_root, of_ca].into_iter().flatten() {
            window = narrow(window, list);
        }
        let revocation_checked = of_root.is_some() && of_ca.is_some();
        Ok(VerifiedPck { key: key(leaf)?, platform: self.platform()?, ca: *ca, window, revocation_checked })
    }
}

/// Verifies Intel SGX Root CA → TCB Signing at `now`. Lists of the root count where there are any.
pub(super) fn tcb_signing<'a>(
    certificates: &'a [Vec<u8>],
    roots: &mut Roots<'a>,
    lists: &mut Lists<'a>,
    now: UnixTime,
) -> Result<(PublicKey, Window), VerifyError> {
    let mut certificates = parse(certificates)?;
    let leaf = take(&mut certificates, Role::TcbSigning)?;
    let root = take(&mut certificates, Role::Root)?;
    match Role::require(leaf.issuer())? {
        Role::Root => {}
        other => return Err(wrong_issuer("a TCB signing key issued by Intel's root", other)),
    }
    roots.require_trusted(&root)?;
    require_signed(&leaf, &root)?;
    root.require_authority(0)?;
    leaf.require_leaf()?;
    let mut window = narrow(root.validity(now)?, leaf.validity(now)?);
    let required = !lists.is_empty();
    if let Some(list) = lists.check(&root, &[&root, &leaf], required, now)? {
        window = narrow(window, list);
    }
    Ok((key(&leaf)?, window))
}

/// What a root certificate (DER) is pinned by: SHA-384 of its SubjectPublicKeyInfo. Whoever trusts it decides that elsewhere.
///
/// # Errors
///
/// [`Check::CertificateSyntax`].
pub fn root_key_digest(certificate: &[u8]) -> Result<[u8; 48], VerifyError> {
    let certificate = Certificate::parse(certificate, &intel::PROFILE)?;
    Ok(super::logs::sha384(&[&certificate.spki()]))
}

pub(super) fn narrow(a: Window, b: Window) -> Window {
    (a.0.max(b.0), a.1.min(b.1))
}

fn parse(certificates: &[Vec<u8>]) -> Result<Vec<Certificate<'_>>, VerifyError> {
    certificates.iter().map(|der| Certificate::parse(der, &intel::PROFILE)).collect()
}

fn require_pinned(root: &Certificate<'_>, roots: &[[u8; 48]]) -> Result<(), VerifyError> {
    let found = digest::digest(&digest::SHA384, &root.spki());
    if roots.iter().any(|pin| pin == found.as_ref()) {
        return Ok(());
    }
    let pins: Vec<_> = roots.iter().copied().map(HexArray).collect();
    let expected = format!("an Intel SGX root with a key of SHA-384 {pins:?}");
    Err(VerifyError::new(Check::TrustRoot, expected, hex::encode(found)))
}

fn require_signed(certificate: &Certificate<'_>, issuer: &Certificate<'_>) -> Result<(), VerifyError> {
    if certificate.issuer() != issuer.subject() {
        let found = format!("issued by {}", certificate.issuer());
        return Err(VerifyError::new(
            Check::CertificateName,
            format!("issued by {}", issuer.subject()),
            found,
        ));
    }
    if certificate.is_signed_by(issuer) {
        return Ok(());
    }
    let found = format!("{}, not signed by that key", certificate.subject());
    Err(VerifyError::new(Check::CertificateSignature, issuer.subject(), found))
}

fn key(certificate: &Certificate<'_>) -> Result<PublicKey, VerifyError> {
    certificate
        .key()
        .for_scheme(Scheme::EcdsaP256Sha256)
        .ok_or_else(|| VerifyError::new(Check::CertificateSyntax, "a point on P-256", certificate.subject()))
}

fn wrong_issuer(expected: &str, found: Role) -> VerifyError {
    VerifyError::new(Check::CertificateName, expected, format!("{found:?}"))
}
