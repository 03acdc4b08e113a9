//! What the broker believes of Intel and has fetched about Intel's platforms, and step 3 with it.

use super::chain::{PckChain, Roots, VerifiedPck, narrow};
use super::collateral::{self, Collateral, VerifiedCollateral};
use super::intel::{PckCa, builtin_roots};
use super::{quote, text};
use crate::hash::sha256;
use crate::x509::crl::Lists;
use crate::{Check, UnixTime, VerifyError};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::tdx::Quote;
use sealpod_evidence::tdx::quote::{Certification, TeeKind};
use std::collections::HashMap;
use std::sync::Arc;

/// Platforms kept: one per host of a large fleet; a few KiB each.
const MAX_VERIFIED: usize = 16_384;

/// Roots and collateral for Intel's platforms, given by the broker. Intel's own root is trusted from the start.
///
/// Platforms that were verified are kept beside what they were verified under: whoever changes a root or collateral loses them, so
/// that a verdict never outlives its grounds.
#[derive(Debug, Clone)]
pub struct TdxEndorsements {
    roots: Vec<[u8; 48]>,
    collateral: HashMap<Platforms, Arc<Collateral>>,
    verified: HashMap<[u8; 32], Arc<VerifiedPlatform>>,
}

/// What collateral is kept by.
type Platforms = (&'static str, HexArray<6>, PckCa);

/// A platform whose PCK chain and collateral were verified. Made only by [`endorse`].
#[derive(Debug, Clone)]
pub struct VerifiedPlatform {
    /// SHA-256 of the PCK chain as quotes carry it.
    id: [u8; 32],
    tee: TeeKind,
    pck: VerifiedPck,
    collateral: Arc<VerifiedCollateral>,
    window: (UnixTime, UnixTime),
}

impl Default for TdxEndorsements {
    fn default() -> Self {
        Self { roots: builtin_roots(), collateral: HashMap::new(), verified: HashMap::new() }
    }
}

impl TdxEndorsements {
    /// Root keys that are trusted, each the SHA-384 of its SubjectPublicKeyInfo.
    pub fn roots(&self) -> &[[u8; 48]] {
        &self.roots
    }

    /// Trust a root that is not Intel's, by [`super::root_key_digest`]. Whoever holds its key can make any platform.
    pub fn dangerous_trust_root(&mut self, spki_sha384: [u8; 48]) {
        self.verified.clear();
        self.roots.push(spki_sha384);
    }

    /// Know collateral, in the place of what was known for the same platforms. Nothing is believed of it by that. `false` where it
    /// is for neither SGX nor TDX.
    pub fn set_collateral(&mut self, collateral: Collateral) -> bool {
        let tee = match collateral.tee() {
            "SGX" => TeeKind::Sgx,
            "TDX" => TeeKind::Tdx,
            _ => return false,
        };
        self.verified.clear();
        self.collateral.insert((tee.as_str(), collateral.fmspc(), collateral.ca()), Arc::new(collateral));
        true
    }

    /// The collateral that is known for these platforms.
    pub fn collateral(&self, tee: TeeKind, fmspc: HexArray<6>, ca: PckCa) -> Option<&Arc<Collateral>> {
        self.collateral.get(&(tee.as_str(), fmspc, ca))
    }

    /// Keep a verified platform, so that its chain and collateral need not be verified again. They are still held against the time
    /// of each appraisal. It must have been verified under these very endorsements.
    pub fn remember(&mut self, platform: Arc<VerifiedPlatform>) {
        if self.verified.len() >= MAX_VERIFIED {
            self.verified.clear();
        }
        self.verified.insert(platform.id, platform);
    }

    /// Whether this very platform is kept already.
    pub fn remembers(&self, platform: &VerifiedPlatform) -> bool {
        self.verified.get(&platform.id).is_some_and(|kept| kept.window == platform.window)
    }
}

impl VerifiedPlatform {
    /// The key that certifies what the platform's quoting enclave says, and the platform that it is for.
    pub fn pck(&self) -> &VerifiedPck {
        &self.pck
    }

    /// What Intel says of such platforms.
    pub fn collateral(&self) -> &VerifiedCollateral {
        &self.collateral
    }

    /// From when to when all certificates, lists and documents are valid, seconds since 1970.
    pub fn window(&self) -> (UnixTime, UnixTime) {
        self.window
    }
}

/// Step 3. The PCK chain that the quote carries leads to a trusted root, and there is collateral for the platform: signed, in
/// force at `now`, with revocation lists of both authorities.
///
/// A platform that was verified before is known by the digest of its chain: then only its time is looked at again. Everything
/// that depends on the quote is checked every time, by the steps after this one.
///
/// # Errors
///
/// Those of [`super::pck`] and [`super::verify_collateral`]; [`Check::Collateral`] where there is none for the platform.
pub fn endorse(
    quote: &Quote<'_>,
    endorsements: &TdxEndorsements,
    now: UnixTime,
) -> Result<Arc<VerifiedPlatform>, VerifyError> {
    let Certification::PckChain(sent) = quote.certification else {
        return Err(quote::no_chain(quote));
    };
    let (id, tee) = (sha256(sent), quote.header.tee);
    if let Some(known) = endorsements.verified.get(&id)
        && known.tee == tee
        && (known.window.0..=known.window.1).contains(&now)
    {
        return Ok(Arc::clone(known));
    }
    let certificates = text::certificates(sent)?;
    let chain = PckChain::parse(&certificates)?;
    // The PCK's chain and the collateral's have root and root's list in common, as a rule.
    let mut roots = Roots::new(&endorsements.roots);
    let window = chain.verify(&mut roots, now)?;
    let (platform, ca) = (chain.platform()?, chain.ca());
    let collateral = endorsements.collateral(tee, platform.fmspc, ca).ok_or_else(|| {
        let expected =
            format!("collateral of {} for FMSPC {}, CA {}", tee.as_str(), platform.fmspc, ca.as_str());
        VerifyError::new(Check::Collateral, expected, "none given")
    })?;
    let mut lists = Lists::new(collateral.lists());
    let pck = chain.with_lists(window, &mut lists, true, now)?;
    let collateral = collateral::verify_under(collateral, &mut roots, &mut lists, now)?;
    let window = narrow(pck.window(), collateral.window());
    Ok(Arc::new(VerifiedPlatform { id, tee, pck, collateral: Arc::new(collateral), window }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::tests::counted;
    use sealpod_testkit::pki::NOW;
    use sealpod_testkit::tdx::{IntelCertificate, TdxBundle, root_digest};

    /// A valid quote after this change, and what endorses it.
    fn valid(change: impl FnOnce(&mut TdxBundle)) -> (Vec<u8>, TdxEndorsements) {
        let mut bundle = TdxBundle::valid();
        change(&mut bundle);
        let mut endorsements = TdxEndorsements::default();
        endorsements.dangerous_trust_root(root_digest());
        assert!(endorsements.set_collateral(Collateral::from_json(&bundle.collateral.to_json()).unwrap()));
        (bundle.seal().quote_bytes, endorsements)
    }

    fn signatures(quote: &[u8], endorsements: &TdxEndorsements) -> usize {
        let quote = quote::parse(quote).unwrap();
        let (platform, count) = counted(|| endorse(&quote, endorsements, NOW));
        platform.unwrap();
        count
    }

    #[test]
    fn what_two_chains_have_in_common_is_verified_once() {
        let (quote, endorsements) = valid(|_| {});
        // Root, CA, PCK, two lists, TCB signing, TCB Info, identity.
        assert_eq!(signatures(&quote, &endorsements), 8);
        // By themselves either chain takes the root and its list.
        let parsed = quote::parse(&quote).unwrap();
        let certificates = quote::certificates(&parsed).unwrap();
        let collateral = endorsements.collateral.values().next().unwrap();
        let (pck, apart) =
            counted(|| super::super::pck(&certificates, &endorsements.roots, collateral.lists(), true, NOW));
        let (documents, also) = counted(|| collateral::verify(collateral, &endorsements.roots, NOW));
        assert!(pck.is_ok() && documents.is_ok());
        assert_eq!((apart, also), (5, 5));
    }

    #[test]
    fn another_certificate_of_the_same_root_key_is_verified_by_itself() {
        let other = IntelCertificate { not_after: NOW, ..IntelCertificate::root() };
        let (quote, endorsements) = valid(|bundle| bundle.collateral.signing_chain[1] = other);
        assert_eq!(signatures(&quote, &endorsements), 10);
    }
}
