//! What Intel's certificates are like and what they are called.
//!
//! Source: Intel "SGX PCK Certificate and CRL Profile Specification" 1.5, sections 1.3 and 2.

use crate::x509::{Algorithm, Certificate, Curve, KeyKind, Profile, attribute};
use crate::{Check, VerifyError};
use const_oid::ObjectIdentifier;
use sealpod_evidence::bytes::HexArray;
use serde::{Deserialize, Serialize};
use x509_cert::name::Name;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const INTEL: &str = "Intel Corporation";

/// ECDSA on P-256 with SHA-256 throughout.
pub(super) const PROFILE: Profile = Profile {
    source: "Intel's SGX PCK certificate profile",
    algorithms: &[Algorithm::EcdsaP256Sha256],
    authority_keys: &[KeyKind::Ec(Curve::P256)],
    leaf_keys: &[KeyKind::Ec(Curve::P256)],
    critical: &[],
};

/// SHA-384 of the SubjectPublicKeyInfo of "Intel SGX Root CA", as the Provisioning Certification Service hands it out. A test
/// computes it from a copy of that certificate.
const INTEL_ROOT: &str =
    "3cdf1feb4e5eac629170f17625648da4a16effa22ae2bcca030b4358a8961c1bf26cf54a9598cd6a2d4a9cbb62377d22";

/// Root keys that are trusted, each the SHA-384 of its SubjectPublicKeyInfo.
pub fn builtin_roots() -> Vec<[u8; 48]> {
    // A constant that does not parse is missing from the list, hence not trusted; a test counts it.
    INTEL_ROOT.parse().map(|HexArray(digest)| digest).into_iter().collect()
}

/// Which authority certifies a platform's PCK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PckCa {
    /// Machines of one processor.
    Processor,
    /// Machines of several, and all newer ones.
    Platform,
}

impl PckCa {
    /// As Intel's service spells it in `ca=`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processor => "processor",
            Self::Platform => "platform",
        }
    }
}

/// What Intel's names say that a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Root,
    Ca(PckCa),
    Pck,
    TcbSigning,
}

impl Role {
    fn of(name: &Name) -> Option<Self> {
        if attribute(name, ORGANIZATION) != Some(INTEL) {
            return None;
        }
        match attribute(name, COMMON_NAME)? {
            "Intel SGX Root CA" => Some(Self::Root),
            "Intel SGX PCK Processor CA" => Some(Self::Ca(PckCa::Processor)),
            "Intel SGX PCK Platform CA" => Some(Self::Ca(PckCa::Platform)),
            "Intel SGX PCK Certificate" => Some(Self::Pck),
            "Intel SGX TCB Signing" => Some(Self::TcbSigning),
            _ => None,
        }
    }

    /// The role of a name, or a refusal of it.
    pub(super) fn require(name: &Name) -> Result<Self, VerifyError> {
        Self::of(name).ok_or_else(|| {
            VerifyError::new(Check::CertificateName, "a name that Intel's SGX certificates have", name)
        })
    }
}

/// The authority that a revocation list's issuer is.
pub(super) fn list_issuer(name: &Name) -> Option<PckCa> {
    match Role::of(name) {
        Some(Role::Ca(ca)) => Some(ca),
        _ => None,
    }
}

/// Takes out the one certificate of this role, if there is exactly one.
pub(super) fn take<'a>(
    certificates: &mut Vec<Certificate<'a>>,
    role: Role,
) -> Result<Certificate<'a>, VerifyError> {
    let is_one = |certificate: &Certificate<'_>| Role::of(certificate.subject()) == Some(role);
    let Some(index) = certificates.iter().position(is_one) else {
        let names: Vec<_> = certificates.iter().map(|known| known.subject().to_string()).collect();
        let expected = format!("a certificate of {role:?}");
        return Err(VerifyError::new(Check::ChainIncomplete, expected, format!("{names:?}")));
    };
    let found = certificates.swap_remove(index);
    if certificates.iter().any(is_one) {
        return Err(VerifyError::new(
            Check::CertificateName,
            format!("one certificate of {role:?}"),
            "several",
        ));
    }
    Ok(found)
}
