//! X.509 certificates and revocation lists (RFC 5280), as far as endorsements need them.
//!
//! Who issues which certificates in what form differs by vendor. A [`Profile`] says it, and nothing outside of the profile is taken.
//! How the certificates of one vendor chain, and what their own extensions mean, is that vendor's module.

mod certificate;
pub mod crl;
mod key;
pub(crate) mod lengths;
mod signed;

pub use certificate::{Certificate, Window, attribute};
pub use key::{Curve, KeyKind, SubjectKey};
pub use signed::Algorithm;

use const_oid::ObjectIdentifier;

/// What one vendor's certificates are like.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// Where it is described, for people.
    pub source: &'static str,
    /// How certificates and lists may be signed.
    pub algorithms: &'static [Algorithm],
    /// Keys that an authority may have.
    pub authority_keys: &'static [KeyKind],
    /// Keys that a leaf may have.
    pub leaf_keys: &'static [KeyKind],
    /// Critical extensions that are taken because the caller looks at them, besides basic constraints and key usage.
    pub critical: &'static [ObjectIdentifier],
}
