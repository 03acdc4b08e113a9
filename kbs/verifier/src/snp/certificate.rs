//! One certificate of an AMD chain, taken apart.
//!
//! Profile: AMD 57230 "VCEK Certificate and KDS Interface Specification". Everything
//! here is about one certificate by itself; how certificates chain is in [`super::chain`].

use super::signed::{Signed, text};
use crate::signature::{PublicKey, Scheme};
use crate::{Check, UnixTime, VerifyError};
use const_oid::ObjectIdentifier;
use der::asn1::UintRef;
use der::{Decode as _, Encode as _, Reader as _, SliceReader};
use sealpod_evidence::snp::report::Product;
use std::collections::BTreeSet;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
use x509_cert::name::Name;
use x509_cert::{TbsCertificate, Version};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
/// AMD's arc for SEV certificates (AMD 57230).
const AMD: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1");
/// The organization of every certificate in the chain.
const AMD_ORGANIZATION: &str = "Advanced Micro Devices";
/// Bits of every CA key (AMD 57230).
const CA_KEY_BITS: usize = 4096;
/// Bytes of an uncompressed P-384 point.
const POINT_LEN: usize = 97;
/// Most extensions of one certificate; AMD's have up to eleven.
const MAX_EXTENSIONS: usize = 32;

/// What AMD's names say that a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
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

/// A well-formed certificate with an algorithm that AMD uses. Whether it chains to anything is for the caller
/// to find out.
pub(super) struct Certificate<'a> {
    pub der: &'a [u8],
    signed: Signed<'a>,
    tbs: TbsCertificate,
    key: PublicKey,
    ca_key: bool,
}

impl<'a> Certificate<'a> {
    /// Takes one DER certificate of X.509 version 3 with nothing left over, no extension twice and no unknown
    /// critical extension.
    pub(super) fn parse(der: &'a [u8]) -> Result<Self, VerifyError> {
        Self::take_apart(der).map_err(|found| {
            VerifyError::new(Check::CertificateSyntax, "a certificate as AMD 57230 describes it", found)
        })
    }

    fn take_apart(der: &'a [u8]) -> Result<Self, String> {
        let signed = Signed::parse(der)?;
        let tbs = TbsCertificate::from_der(signed.body).map_err(text)?;
        if tbs.version != Version::V3 {
            return Err(format!("X.509 version {:?}", tbs.version));
        }
        if tbs.signature != signed.algorithm {
            return Err("two different signature algorithms".to_owned());
        }
        let extensions = tbs.extensions.as_deref().unwrap_or_default();
        if extensions.len() > MAX_EXTENSIONS {
            return Err(format!("{} extensions", extensions.len()));
        }
        let mut seen = BTreeSet::new();
        for extension in extensions {
            if !seen.insert(extension.extn_id) {
                return Err(format!("extension {} twice", extension.extn_id));
            }
            if extension.critical && ![BASIC_CONSTRAINTS, KEY_USAGE].contains(&extension.extn_id) {
                return Err(format!("unknown critical extension {}", extension.extn_id));
            }
        }
        let (key, ca_key) = public_key(&tbs)?;
        Ok(Self { der, signed, tbs, key, ca_key })
    }

    /// What AMD's names say that this certificate is.
    pub(super) fn role(&self) -> Result<Role, VerifyError> {
        role(&self.tbs.subject)
    }

    /// What AMD's names say that the issuer of this certificate is.
    pub(super) fn issuer_role(&self) -> Result<Role, VerifyError> {
        role(&self.tbs.issuer)
    }

    pub(super) fn subject(&self) -> &Name {
        &self.tbs.subject
    }

    pub(super) fn issuer(&self) -> &Name {
        &self.tbs.issuer
    }

    /// The serial number's bytes without leading zeros. AMD's VCEKs all have serial 0.
    pub(super) fn serial(&self) -> &[u8] {
        self.tbs.serial_number.as_bytes()
    }

    /// DER of the key with its algorithm, the form that a root is pinned by.
    pub(super) fn spki(&self) -> Vec<u8> {
        // Encoding what was decoded cannot fail; an empty vector would match no pinned digest.
        self.tbs.subject_public_key_info.to_der().unwrap_or_default()
    }

    pub(super) fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// Whether `issuer`'s key made the signature. Only a CA's key can have.
    pub(super) fn is_signed_by(&self, issuer: &Certificate<'_>) -> bool {
        issuer.ca_key && issuer.key.verifies(self.signed.body, &self.signed.signature)
    }

    /// Refuses a certificate that is not valid at `now`; gives its first and last second.
    pub(super) fn validity(&self, now: UnixTime) -> Result<(UnixTime, UnixTime), VerifyError> {
        let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
        let (from, to) = (seconds(self.tbs.validity.not_before), seconds(self.tbs.validity.not_after));
        if !(from..=to).contains(&now) {
            let expected = format!("{} valid at {now}", self.tbs.subject);
            return Err(VerifyError::new(
                Check::CertificateValidity,
                expected,
                format!("valid from {from} to {to}"),
            ));
        }
        Ok((from, to))
    }

    /// Refuses a certificate that may not sign certificates; `depth` is the number of CA certificates below
    /// it.
    pub(super) fn require_authority(&self, depth: u8) -> Result<(), VerifyError> {
        let refuse = |found: String| {
            let expected = format!("{} to be a CA over {depth} more, with keyCertSign", self.tbs.subject);
            VerifyError::new(Check::CertificateAuthority, expected, found)
        };
        let constraints = self.basic_constraints().map_err(refuse)?;
        let Some(constraints) = constraints.filter(|constraints| constraints.ca) else {
            return Err(refuse("no CA flag".to_owned()));
        };
        if constraints.path_len_constraint.is_some_and(|most| most < depth) {
            return Err(refuse(format!("path length {:?}", constraints.path_len_constraint)));
        }
        let usage = self.key_usage().map_err(refuse)?;
        if !usage.is_some_and(|usage| usage.key_cert_sign()) {
            return Err(refuse("no keyCertSign".to_owned()));
        }
        if self.ca_key { Ok(()) } else { Err(refuse("a P-384 key".to_owned())) }
    }

    /// Refuses a certificate that could sign other certificates.
    pub(super) fn require_leaf(&self) -> Result<(), VerifyError> {
        let refuse = |found: String| {
            let expected = format!("{} to be no CA and to have a P-384 key", self.tbs.subject);
            VerifyError::new(Check::CertificateAuthority, expected, found)
        };
        if self.basic_constraints().map_err(refuse)?.is_some_and(|constraints| constraints.ca) {
            return Err(refuse("the CA flag".to_owned()));
        }
        if self.key_usage().map_err(refuse)?.is_some_and(|usage| usage.key_cert_sign()) {
            return Err(refuse("keyCertSign".to_owned()));
        }
        if self.ca_key { Err(refuse("an RSA key".to_owned())) } else { Ok(()) }
    }

    /// Whether the key may sign revocation lists.
    pub(super) fn may_sign_lists(&self) -> bool {
        self.ca_key && self.key_usage().is_ok_and(|usage| usage.is_some_and(|usage| usage.crl_sign()))
    }

    /// The value of the extension `AMD.{arcs}`, as it stands in the certificate.
    pub(super) fn amd_extension(&self, arcs: &[u32]) -> Option<&[u8]> {
        let oid = arcs.iter().try_fold(AMD, |oid, arc| oid.push_arc(*arc)).ok()?;
        self.extension(oid).map(|extension| extension.extn_value.as_bytes())
    }

    fn basic_constraints(&self) -> Result<Option<BasicConstraints>, String> {
        let found = self.extension(BASIC_CONSTRAINTS);
        found
            .map(|extension| BasicConstraints::from_der(extension.extn_value.as_bytes()).map_err(text))
            .transpose()
    }

    fn key_usage(&self) -> Result<Option<KeyUsage>, String> {
        let found = self.extension(KEY_USAGE);
        found.map(|extension| KeyUsage::from_der(extension.extn_value.as_bytes()).map_err(text)).transpose()
    }

    fn extension(&self, oid: ObjectIdentifier) -> Option<&Extension> {
        self.tbs.extensions.as_deref().unwrap_or_default().iter().find(|extension| extension.extn_id == oid)
    }
}

/// The key, and whether it is a CA's: RSA of exactly 4096 bits for a CA, P-384 for a leaf, nothing else.
fn public_key(tbs: &TbsCertificate) -> Result<(PublicKey, bool), String> {
    let spki = &tbs.subject_public_key_info;
    let bytes = spki.subject_public_key.as_bytes().ok_or("a key that is not whole bytes")?;
    let (scheme, ca) = match spki.algorithm.oid {
        RSA_ENCRYPTION => {
            let bits = rsa_bits(bytes).map_err(text)?;
            if bits != CA_KEY_BITS {
                return Err(format!("an RSA key of {bits} bits"));
            }
            (Scheme::RsaPssSha384, true)
        }
        EC_PUBLIC_KEY => {
            let curve = spki.algorithm.parameters.as_ref().and_then(|any| any.decode_as().ok());
            if curve != Some(SECP384R1) || bytes.len() != POINT_LEN {
                return Err(format!("an elliptic curve key of {} bytes on {curve:?}", bytes.len()));
            }
            (Scheme::EcdsaP384Sha384, false)
        }
        other => return Err(format!("a key of algorithm {other}")),
    };
    let key = PublicKey::new(scheme, bytes).ok_or("a public key that is not valid")?;
    Ok((key, ca))
}

/// Bits of the modulus of a DER `RSAPublicKey`.
fn rsa_bits(bytes: &[u8]) -> der::Result<usize> {
    let mut reader = SliceReader::new(bytes)?;
    let modulus = reader.sequence(|inner| {
        let modulus = UintRef::decode(inner)?;
        UintRef::decode(inner)?;
        Ok(modulus)
    })?;
    reader.finish(())?;
    let unused = modulus.as_bytes().first().map_or(0, |byte| byte.leading_zeros() as usize);
    Ok((modulus.as_bytes().len() * 8).saturating_sub(unused))
}

/// The role in a name that has AMD's organization and one of AMD's common names, each exactly once.
fn role(name: &Name) -> Result<Role, VerifyError> {
    let only = |oid: ObjectIdentifier| {
        let mut found = name.0.iter().flat_map(|part| part.0.iter()).filter(|attribute| attribute.oid == oid);
        match (found.next(), found.next()) {
            (Some(attribute), None) => std::str::from_utf8(attribute.value.value()).ok(),
            _ => None,
        }
    };
    only(COMMON_NAME)
        .filter(|_| only(ORGANIZATION) == Some(AMD_ORGANIZATION))
        .and_then(Role::from_common_name)
        .ok_or_else(|| {
            VerifyError::new(Check::CertificateName, "AMD's name for a key of its SEV chains", name)
        })
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
            assert_eq!(
                Certificate::parse(bytes).err().map(|error| error.check),
                Some(Check::CertificateSyntax)
            );
        }
    }
}
