//! The platform that a PCK certificate is for.
//!
//! Source: Intel "SGX PCK Certificate and CRL Profile Specification" 1.5, section 1.3.5: extension 1.2.840.113741.1.13.1.

use crate::{Check, VerifyError};
use const_oid::ObjectIdentifier;
use der::asn1::{AnyRef, OctetStringRef};
use der::{Decode as _, Sequence};
use sealpod_evidence::bytes::HexArray;

/// The extension with everything about the platform.
pub(super) const SGX_EXTENSIONS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1");

/// Number of security version components of an SGX TCB.
pub(super) const COMPONENTS: usize = 16;

/// A platform and its TCB, as its PCK certificate says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Platform {
    /// Family, model, stepping and more: names the collateral that it needs.
    pub fmspc: HexArray<6>,
    /// Which provisioning certification enclave.
    pub pce_id: HexArray<2>,
    /// The platform's pseudonymous id.
    pub ppid: HexArray<16>,
    /// Security versions of the 16 components.
    pub components: [u8; COMPONENTS],
    /// Security version of the provisioning certification enclave.
    pub pce_svn: u16,
}

#[derive(Sequence)]
struct Entry<'a> {
    id: ObjectIdentifier,
    value: AnyRef<'a>,
}

impl Platform {
    /// Reads the value of the extension.
    ///
    /// # Errors
    ///
    /// [`Check::PckExtensions`] where a field is missing, there twice or of another length.
    pub(super) fn parse(extension: Option<&[u8]>) -> Result<Self, VerifyError> {
        let refuse = |found: String| {
            VerifyError::new(
                Check::PckExtensions,
                "one each of FMSPC, PCEID, PPID and TCB in the PCK certificate",
                found,
            )
        };
        let extension = extension.ok_or_else(|| refuse("no SGX extensions".to_owned()))?;
        Self::read(extension).map_err(refuse)
    }

    fn read(extension: &[u8]) -> Result<Self, String> {
        let entries = Vec::<Entry<'_>>::from_der(extension).map_err(text)?;
        let tcb: Vec<Entry<'_>> = find(&entries, &[2])?.decode_as().map_err(text)?;
        let mut components = [0; COMPONENTS];
        for (arc, component) in (1..).zip(&mut components) {
            *component = find(&tcb, &[2, arc])?.decode_as().map_err(text)?;
        }
        Ok(Self {
            fmspc: octets(&entries, 4)?,
            pce_id: octets(&entries, 3)?,
            ppid: octets(&entries, 1)?,
            components,
            pce_svn: find(&tcb, &[2, 17])?.decode_as().map_err(text)?,
        })
    }
}

/// The value of the one entry `SGX_EXTENSIONS.{arcs}`.
fn find<'e, 'a>(entries: &'e [Entry<'a>], arcs: &[u32]) -> Result<&'e AnyRef<'a>, String> {
    let id = arcs
        .iter()
        .try_fold(SGX_EXTENSIONS, |id, arc| id.push_arc(*arc))
        .map_err(|error| error.to_string())?;
    let mut found = entries.iter().filter(|entry| entry.id == id);
    match (found.next(), found.next()) {
        (Some(entry), None) => Ok(&entry.value),
        (None, _) => Err(format!("no {id}")),
        (Some(_), Some(_)) => Err(format!("{id} twice")),
    }
}

fn octets<const N: usize>(entries: &[Entry<'_>], arc: u32) -> Result<HexArray<N>, String> {
    let value: OctetStringRef<'_> = find(entries, &[arc])?.decode_as().map_err(text)?;
    let bytes = value.as_bytes();
    let wrong = format!("{} bytes in field {arc}, expected {N}", bytes.len());
    bytes.try_into().map(HexArray).map_err(|_| wrong)
}

fn text(error: der::Error) -> String {
    error.to_string()
}
