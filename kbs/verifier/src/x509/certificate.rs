//! One certificate by itself. How certificates chain is for the vendors' modules.

use super::key::SubjectKey;
use super::signed::{Signed, text};
use super::{Algorithm, KeyKind, Profile};
use crate::{Check, UnixTime, VerifyError};
use const_oid::ObjectIdentifier;
use der::{Decode as _, Encode as _};
use std::collections::BTreeSet;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
use x509_cert::name::Name;
use x509_cert::{TbsCertificate, Version};

const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
/// Most extensions of one certificate; AMD's have up to eleven, Intel's eight.
const MAX_EXTENSIONS: usize = 32;

/// The first and the last second of something.
pub type Window = (UnixTime, UnixTime);

/// A well-formed certificate of a profile. Whether it chains to anything is for the caller to find out.
pub struct Certificate<'a> {
    der: &'a [u8],
    profile: &'static Profile,
    signed: Signed<'a>,
    tbs: TbsCertificate,
    key: SubjectKey,
}

impl<'a> Certificate<'a> {
    /// Takes one DER certificate of X.509 version 3 with nothing left over, no extension twice and no unknown
    /// critical extension, in an algorithm and with a key that the profile has.
    ///
    /// # Errors
    ///
    /// [`Check::CertificateSyntax`].
    pub fn parse(der: &'a [u8], profile: &'static Profile) -> Result<Self, VerifyError> {
        Self::take_apart(der, profile).map_err(|found| {
            let expected = format!("a certificate as {} describes it", profile.source);
            VerifyError::new(Check::CertificateSyntax, expected, found)
        })
    }

    fn take_apart(der: &'a [u8], profile: &'static Profile) -> Result<Self, String> {
        let signed = Signed::parse(der, profile.algorithms)?;
        let tbs = TbsCertificate::from_der(signed.body).map_err(text)?;
        if tbs.version != Version::V3 {
            return Err(format!("X.509 version {:?}", tbs.version));
        }
        if tbs.signature != signed.identifier {
            return Err("two different signature algorithms".to_owned());
        }
        let extensions = tbs.extensions.as_deref().unwrap_or_default();
        if extensions.len() > MAX_EXTENSIONS {
            return Err(format!("{} extensions", extensions.len()));
        }
        let mut seen = BTreeSet::new();
        for extension in extensions {
            let oid = extension.extn_id;
            if !seen.insert(oid) {
                return Err(format!("extension {oid} twice"));
            }
            let known = [BASIC_CONSTRAINTS, KEY_USAGE].contains(&oid) || profile.critical.contains(&oid);
            if extension.critical && !known {
                return Err(format!("unknown critical extension {oid}"));
            }
        }
        let key = SubjectKey::new(&tbs.subject_public_key_info)?;
        if !profile.authority_keys.contains(&key.kind()) && !profile.leaf_keys.contains(&key.kind()) {
            return Err(format!("a key of kind {:?}", key.kind()));
        }
        Ok(Self { der, profile, signed, tbs, key })
    }

    /// The bytes as received.
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// Whom it is for.
    pub fn subject(&self) -> &Name {
        &self.tbs.subject
    }

    /// Who is said to have issued it.
    pub fn issuer(&self) -> &Name {
        &self.tbs.issuer
    }

    /// The serial number's bytes without leading zeros.
    pub fn serial(&self) -> &[u8] {
        self.tbs.serial_number.as_bytes()
    }

    /// How it is signed.
    pub fn algorithm(&self) -> Algorithm {
        self.signed.algorithm
    }

    /// DER of the key with its algorithm, the form that a root is pinned by.
    pub fn spki(&self) -> Vec<u8> {
        // Encoding what was decoded cannot fail; an empty vector would match no pinned digest.
        self.tbs.subject_public_key_info.to_der().unwrap_or_default()
    }

    /// The key.
    pub fn key(&self) -> &SubjectKey {
        &self.key
    }

    pub(super) fn profile(&self) -> &'static Profile {
        self.profile
    }

    /// Whether `issuer`'s key made the signature. Only an authority's key can have.
    pub fn is_signed_by(&self, issuer: &Certificate<'_>) -> bool {
        let Signed { body, algorithm, signature, .. } = &self.signed;
        issuer.has_key_of(issuer.profile.authority_keys) && issuer.key.verifies(*algorithm, body, signature)
    }

    /// From when to when it says that it is valid.
    pub fn window(&self) -> Window {
        let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
        (seconds(self.tbs.validity.not_before), seconds(self.tbs.validity.not_after))
    }

    /// Its window, if `now` is in it.
    ///
    /// # Errors
    ///
    /// [`Check::CertificateValidity`].
    pub fn validity(&self, now: UnixTime) -> Result<Window, VerifyError> {
        let (from, to) = self.window();
        if (from..=to).contains(&now) {
            return Ok((from, to));
        }
        let expected = format!("{} valid at {now}", self.tbs.subject);
        let found = format!("valid from {from} to {to}");
        Err(VerifyError::new(Check::CertificateValidity, expected, found))
    }

    /// Refuses a certificate that may not sign certificates; `depth` is the number of authorities below it.
    ///
    /// # Errors
    ///
    /// [`Check::CertificateAuthority`].
    pub fn require_authority(&self, depth: u8) -> Result<(), VerifyError> {
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
        if self.has_key_of(self.profile.authority_keys) {
            return Ok(());
        }
        Err(refuse(format!("a key of kind {:?}", self.key.kind())))
    }

    /// Refuses a certificate that could sign other certificates.
    ///
    /// # Errors
    ///
    /// [`Check::CertificateAuthority`].
    pub fn require_leaf(&self) -> Result<(), VerifyError> {
        let kinds = self.profile.leaf_keys;
        let refuse = |found: String| {
            let expected = format!("{} to be no CA and to have a key of {kinds:?}", self.tbs.subject);
            VerifyError::new(Check::CertificateAuthority, expected, found)
        };
        if self.basic_constraints().map_err(refuse)?.is_some_and(|constraints| constraints.ca) {
            return Err(refuse("the CA flag".to_owned()));
        }
        if self.key_usage().map_err(refuse)?.is_some_and(|usage| usage.key_cert_sign()) {
            return Err(refuse("keyCertSign".to_owned()));
        }
        if self.has_key_of(kinds) {
            return Ok(());
        }
        Err(refuse(format!("a key of kind {:?}", self.key.kind())))
    }

    /// Whether the key may sign revocation lists.
    pub fn may_sign_lists(&self) -> bool {
        self.has_key_of(self.profile.authority_keys)
            && self.key_usage().is_ok_and(|usage| usage.is_some_and(|usage| usage.crl_sign()))
    }

    /// The value of an extension, as it stands in the certificate.
    pub fn extension(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        self.find(oid).map(|extension| extension.extn_value.as_bytes())
    }

    fn has_key_of(&self, kinds: &[KeyKind]) -> bool {
        kinds.contains(&self.key.kind())
    }

    fn basic_constraints(&self) -> Result<Option<BasicConstraints>, String> {
        self.extension(BASIC_CONSTRAINTS)
            .map(|value| BasicConstraints::from_der(value).map_err(text))
            .transpose()
    }

    fn key_usage(&self) -> Result<Option<KeyUsage>, String> {
        self.extension(KEY_USAGE).map(|value| KeyUsage::from_der(value).map_err(text)).transpose()
    }

    fn find(&self, oid: ObjectIdentifier) -> Option<&Extension> {
        self.tbs.extensions.as_deref().unwrap_or_default().iter().find(|extension| extension.extn_id == oid)
    }
}

/// The text of an attribute that a name has exactly once, such as its common name.
pub fn attribute(name: &Name, oid: ObjectIdentifier) -> Option<&str> {
    let mut found = name.0.iter().flat_map(|part| part.0.iter()).filter(|attribute| attribute.oid == oid);
    match (found.next(), found.next()) {
        (Some(attribute), None) => std::str::from_utf8(attribute.value.value()).ok(),
        _ => None,
    }
}
