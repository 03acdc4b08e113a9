//! What a VCEK or VLEK certificate says of its chip and TCB (AMD 57230).

use super::names::{Role, extension};
use crate::endorsements::VerifiedSnpKey;
use crate::signature::Scheme;
use crate::x509::{Certificate, Window};
use crate::{Check, VerifyError};
use aws_lc_rs::digest;
use der::Decode as _;
use der::asn1::{Ia5StringRef, OctetStringRef};
use sealpod_evidence::snp::report::{Product, Report, SigningKey};

/// Extensions under AMD's arc.
const PRODUCT_NAME: &[u32] = &[2];
const SPL_BOOTLOADER: u32 = 1;
const SPL_TEE: u32 = 2;
const SPL_SNP: u32 = 3;
const SPL_MICROCODE: u32 = 8;
const SPL_FMC: u32 = 9;
/// Bytes of the TCB that no product uses yet; a certificate may say zero of them.
const SPL_RESERVED: [u32; 4] = [4, 5, 6, 7];
const HARDWARE_ID: &[u32] = &[4];
const CSP_ID: &[u32] = &[5];
/// CHIP_ID in the report has this many bytes; Turin's id is 8 bytes and zeros.
const CHIP_ID_LEN: usize = 64;
const SHORT_CHIP_ID_LEN: usize = 8;

/// Reads a leaf whose chain was verified.
pub(super) fn key(
    leaf: &Certificate<'_>,
    product: Product,
    vlek: bool,
    revocation_checked: bool,
    (not_before, not_after): Window,
) -> Result<VerifiedSnpKey, VerifyError> {
    require_product(leaf, product)?;
    let public_key = leaf.key().for_scheme(Scheme::EcdsaP384Sha384).ok_or_else(|| {
        VerifyError::new(
            Check::CertificateSyntax,
            "a P-384 key in the leaf",
            "a point that is not on the curve",
        )
    })?;
    Ok(VerifiedSnpKey {
        id: id(leaf.der()),
        public_key,
        product,
        vlek,
        tcb: tcb(leaf, product)?,
        hardware_id: if vlek { None } else { Some(hardware_id(leaf, product)?) },
        csp_id: vlek.then(|| provider(leaf)).transpose()?,
        revocation_checked,
        not_before,
        not_after,
    })
}

/// The name under which a verified key is kept: SHA-256 of the certificate.
pub(super) fn id(der: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
    out
}

/// What a leaf says that it is for, or what a report calls for. A hint for choosing among several leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LeafFor {
    tcb: [u8; 8],
    /// None for a VLEK.
    hardware_id: Option<[u8; CHIP_ID_LEN]>,
}

impl LeafFor {
    /// What an unverified leaf says; `None` where it does not.
    pub(super) fn of(leaf: &Certificate<'_>) -> Option<Self> {
        let (product, vlek) = match Role::of(leaf.issuer()) {
            Ok(Role::Ask(product)) => (product, false),
            Ok(Role::Asvk(product)) => (product, true),
            _ => return None,
        };
        let hardware_id = if vlek { None } else { Some(hardware_id(leaf, product).ok()?) };
        Some(Self { tcb: tcb(leaf, product).ok()?, hardware_id })
    }

    /// What this report's signature calls for.
    pub(super) fn report(report: &Report) -> Self {
        let vlek = report.key_info().signing_key() == SigningKey::Vlek;
        Self { tcb: report.reported_tcb().0, hardware_id: (!vlek).then(|| report.chip_id()) }
    }
}

/// The product name is the line's, or the line's with a stepping (`Milan-B0`).
fn require_product(leaf: &Certificate<'_>, product: Product) -> Result<(), VerifyError> {
    let name = extension(leaf, PRODUCT_NAME).and_then(|value| Ia5StringRef::from_der(value).ok());
    let found = name.map(|name| name.as_str().to_ascii_lowercase());
    let line = found.as_deref().map(|name| name.split('-').next().unwrap_or_default());
    if line != Some(product.as_str()) {
        return Err(VerifyError::new(Check::CertificateProduct, product, format!("{found:?}")));
    }
    Ok(())
}

/// The TCB in the report's byte layout (AMD 56860, section 2.2).
pub(super) fn tcb(leaf: &Certificate<'_>, product: Product) -> Result<[u8; 8], VerifyError> {
    for arc in SPL_RESERVED {
        match spl(leaf, arc)? {
            None | Some(0) => {}
            Some(found) => return Err(wrong_tcb(format!("zero in the reserved extension 3.{arc}"), found)),
        }
    }
    let need = |arc| spl(leaf, arc)?.ok_or_else(|| wrong_tcb(format!("TCB extension 3.{arc}"), "none"));
    let (bootloader, tee, snp, microcode) =
        (need(SPL_BOOTLOADER)?, need(SPL_TEE)?, need(SPL_SNP)?, need(SPL_MICROCODE)?);
    match product {
        Product::Milan | Product::Genoa => match spl(leaf, SPL_FMC)? {
            None => Ok([bootloader, tee, 0, 0, 0, 0, snp, microcode]),
            Some(found) => Err(wrong_tcb(format!("no FMC version on {product}"), found)),
        },
        Product::Turin => Ok([need(SPL_FMC)?, bootloader, tee, snp, 0, 0, 0, microcode]),
    }
}

/// One security patch level: an INTEGER from 0 to 255.
fn spl(leaf: &Certificate<'_>, arc: u32) -> Result<Option<u8>, VerifyError> {
    let Some(value) = extension(leaf, &[3, arc]) else { return Ok(None) };
    let found = || hex::encode(value);
    u8::from_der(value)
        .map(Some)
        .map_err(|_| wrong_tcb(format!("an INTEGER of one byte in extension 3.{arc}"), found()))
}

/// The chip id, zero-padded as in the report. Old certificates have its bytes bare, newer ones as an OCTET
/// STRING; the lengths differ, so no value can be read both ways.
pub(super) fn hardware_id(
    leaf: &Certificate<'_>,
    product: Product,
) -> Result<[u8; CHIP_ID_LEN], VerifyError> {
    let value = extension(leaf, HARDWARE_ID).unwrap_or_default();
    let expected = match product {
        Product::Milan | Product::Genoa => CHIP_ID_LEN,
        Product::Turin => SHORT_CHIP_ID_LEN,
    };
    let id = match value.len() {
        len if len == expected => Some(value),
        _ => OctetStringRef::from_der(value).ok().map(|id| id.as_bytes()).filter(|id| id.len() == expected),
    };
    let id = id.ok_or_else(|| {
        let expected = format!("a chip id of {expected} bytes");
        VerifyError::new(Check::CertificateHardwareId, expected, hex::encode(value))
    })?;
    let mut out = [0; CHIP_ID_LEN];
    out.iter_mut().zip(id).for_each(|(to, from)| *to = *from);
    Ok(out)
}

/// A VLEK names a cloud provider, and no chip.
fn provider(leaf: &Certificate<'_>) -> Result<String, VerifyError> {
    let (value, chip) = (extension(leaf, CSP_ID), extension(leaf, HARDWARE_ID));
    let name = value.and_then(|value| Ia5StringRef::from_der(value).ok()).filter(|name| !name.is_empty());
    match (name, chip) {
        (Some(name), None) => Ok(name.as_str().to_owned()),
        _ => Err(VerifyError::new(
            Check::CertificateHardwareId,
            "a cloud provider's id and no chip id in a VLEK",
            format!("provider {value:02x?}, chip {chip:02x?}"),
        )),
    }
}

fn wrong_tcb(expected: String, found: impl std::fmt::Display) -> VerifyError {
    VerifyError::new(Check::CertificateTcb, expected, found)
}
