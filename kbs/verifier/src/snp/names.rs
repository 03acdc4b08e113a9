//! AMD's certificates: what they are like, and what their names say that they are (AMD 57230 "VCEK Certificate and KDS Interface
//! Specification").

use crate::x509::{Algorithm, Certificate, Curve, KeyKind, Profile, attribute};
use crate::{Check, VerifyError};
use const_oid::ObjectIdentifier;
use sealpod_evidence::snp::report::Product;
use x509_cert::name::Name;

/// RSA-4096 keys that sign with PSS over a P-384 leaf, and nothing else.
pub(super) static AMD: Profile = Profile {
    source: "AMD 57230",
    algorithms: &[Algorithm::RsaPssSha384],
    authority_keys: &[KeyKind::Rsa(4096)],
    leaf_keys: &[KeyKind::Ec(Curve::P384)],
    critical: &[],
};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
/// AMD's arc for SEV certificates.
const AMD_ARC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1");
/// The organization of every certificate in the chain.
const AMD_ORGANIZATION: &str = "Advanced Micro Devices";

/// What AMD's names say that a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// AMD root key.
    Ark(Product),
    /// AMD SEV signing key, which signs VCEKs.
    Ask(Product),
    /// Signs VLEKs.
    Asvk(Product),
    /// Versioned chip endorsement key.
    Vcek,
    /// Versioned loaded endorsement key: a cloud provider's.
    Vlek,
}

impl Role {
    /// The role of a name that has AMD's organization and one of AMD's common names, each exactly once.
    pub(super) fn of(name: &Name) -> Result<Self, VerifyError> {
        attribute(name, COMMON_NAME)
            .filter(|_| attribute(name, ORGANIZATION) == Some(AMD_ORGANIZATION))
            .and_then(Self::from_common_name)
            .ok_or_else(|| {
                VerifyError::new(Check::CertificateName, "AMD's name for a key of its SEV chains", name)
            })
    }

    /// The role that AMD gives this common name.
    fn from_common_name(name: &str) -> Option<Self> {
        let product = |name: &str| match name {
            "Milan" => Some(Product::Milan),
            "Genoa" => Some(Product::Genoa),
            "Turin" => Some(Product::Turin),
            _ => None,
        };
        match name {
            "SEV-VCEK" => Some(Self::Vcek),
            "SEV-VLEK" => Some(Self::Vlek),
            _ => match (name.strip_prefix("ARK-"), name.strip_prefix("SEV-VLEK-"), name.strip_prefix("SEV-"))
            {
                (Some(line), _, _) => product(line).map(Self::Ark),
                (_, Some(line), _) => product(line).map(Self::Asvk),
                (_, _, Some(line)) => product(line).map(Self::Ask),
                _ => None,
            },
        }
    }
}

/// The value of the extension `AMD.{arcs}`, as it stands in the certificate.
pub(super) fn extension<'c>(certificate: &'c Certificate<'_>, arcs: &[u32]) -> Option<&'c [u8]> {
    let oid = arcs.iter().try_fold(AMD_ARC, |oid, arc| oid.push_arc(*arc)).ok()?;
    certificate.extension(oid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_are_the_ones_of_amds_document() {
        assert_eq!(Role::from_common_name("ARK-Milan"), Some(Role::Ark(Product::Milan)));
        assert_eq!(Role::from_common_name("SEV-Genoa"), Some(Role::Ask(Product::Genoa)));
        assert_eq!(Role::from_common_name("SEV-VLEK-Turin"), Some(Role::Asvk(Product::Turin)));
        assert_eq!(Role::from_common_name("SEV-VCEK"), Some(Role::Vcek));
        assert_eq!(Role::from_common_name("SEV-VLEK"), Some(Role::Vlek));
        for other in ["", "ARK-", "ARK-Rome", "SEV-VCEK-Milan", "ark-Milan", "SEV-ARK-Milan", "SEV-Milan "] {
            assert_eq!(Role::from_common_name(other), None, "{other}");
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_are_refused() {
        for bytes in [&[][..], &[0x30], &[0x30, 0x80], &[0x30, 0x03, 1, 1, 1], &[0xff; 64]] {
            let error = Certificate::parse(bytes, &AMD).err().map(|error| error.check);
            assert_eq!(error, Some(Check::CertificateSyntax));
        }
    }
}
