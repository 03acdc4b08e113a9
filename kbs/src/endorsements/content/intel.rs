//! Intel's TDX collateral (PCS API version 4).

use super::{Content, common_name, excerpt, pem_sections, words};
use crate::endorsements::error::ContentError;
use crate::endorsements::item::{Item, PckCa};
use rustls_pki_types::pem::SectionKind;
use sealpod_verifier::UnixTime;
use serde::Deserialize;
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::{DateTime, Decode as _};

const ROOT_CA: &str = "Intel SGX Root CA";
const TDX: &str = "TDX";
const TD_QE: &str = "TD_QE";
/// Versions of the signed parts (PCS API version 4, appendices A and B).
const TCB_INFO_VERSION: u32 = 3;
const QE_IDENTITY_VERSION: u32 = 2;

/// `{"tcbInfo": …, "signature": …}`. The signature covers the text of `tcbInfo`, so the whole body is kept as it came.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct TcbInfoBody {
    tcb_info: Signed,
    signature: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct QeIdentityBody {
    enclave_identity: Signed,
    signature: String,
}

/// What is looked at of the signed part.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signed {
    id: String,
    version: u32,
    issue_date: String,
    next_update: String,
    fmspc: Option<String>,
}

/// TCB levels of this kind of platform.
pub(super) fn tcb_info(body: &[u8], fmspc: &[u8; 6], chain: Option<String>) -> Result<Content, ContentError> {
    let (found, content) = any_tcb_info(body, chain)?;
    if found != *fmspc {
        return Err(other("FMSPC", hex::encode(fmspc), hex::encode(found)));
    }
    require_chain(content)
}

/// Identity of the TD quoting enclave.
pub(super) fn qe_identity(body: &[u8], chain: Option<String>) -> Result<Content, ContentError> {
    require_chain(any_qe_identity(body, chain)?)
}

/// What an authority for PCK certificates withdrew.
pub(super) fn pck_crl(body: &[u8], ca: PckCa, chain: Option<String>) -> Result<Content, ContentError> {
    let (found, content) = list(body, chain)?;
    require_issuer(&found, pck_ca_name(ca))?;
    require_chain(content)
}

/// What Intel's root withdrew. The root itself is pinned by the verifier, so no chain comes with it.
pub(super) fn root_crl(body: &[u8]) -> Result<Content, ContentError> {
    let (found, content) = list(body, None)?;
    require_issuer(&found, ROOT_CA)?;
    Ok(content)
}

/// What a file of Intel's is, where nobody said what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntelFile {
    /// Collateral or a list; its issuer chain may have to be found among other files.
    Item(Item, Content),
    /// A certificate (DER) that may be part of an issuer chain, with its subject's and issuer's common names.
    Certificate {
        /// Of the subject.
        subject: String,
        /// Of the issuer.
        issuer: String,
    },
}

impl IntelFile {
    /// Look at JSON as the service sends it.
    pub fn read_json(text: &[u8]) -> Option<Self> {
        if let Ok((fmspc, content)) = any_tcb_info(text, None) {
            return Some(Self::Item(Item::TdxTcbInfo { fmspc }, content));
        }
        any_qe_identity(text, None).ok().map(|content| Self::Item(Item::TdxQeIdentity, content))
    }

    /// Look at a certificate or list (DER).
    pub fn read_der(der: &[u8]) -> Option<Self> {
        if let Ok(certificate) = Certificate::from_der(der) {
            let tbs = &certificate.tbs_certificate;
            let (subject, issuer) = (common_name(&tbs.subject)?, common_name(&tbs.issuer)?);
            let both = subject.starts_with("Intel SGX") && issuer.starts_with("Intel SGX");
            let found = || Self::Certificate { subject: subject.to_owned(), issuer: issuer.to_owned() };
            return both.then(found);
        }
        let (issuer, content) = list(der, None).ok()?;
        let item = match issuer.as_str() {
            ROOT_CA => Item::IntelRootCrl,
            name if name == pck_ca_name(PckCa::Platform) => Item::PckCrl(PckCa::Platform),
            name if name == pck_ca_name(PckCa::Processor) => Item::PckCrl(PckCa::Processor),
            _ => return None,
        };
        Some(Self::Item(item, content))
    }

    /// Common name of the certificate whose key signs an item.
    pub fn signer(item: &Item) -> Option<&'static str> {
        match item {
            Item::TdxTcbInfo { .. } | Item::TdxQeIdentity => Some("Intel SGX TCB Signing"),
            Item::PckCrl(ca) => Some(pck_ca_name(*ca)),
            _ => None,
        }
    }
}

/// All collateral of one quote in one JSON document, as `dcap-qvl` and tools around it write it: texts and chains as text,
/// lists and signatures in hex.
#[derive(Debug, Clone, Deserialize)]
pub struct Collateral {
    pck_crl_issuer_chain: String,
    root_ca_crl: String,
    pck_crl: String,
    tcb_info_issuer_chain: String,
    tcb_info: String,
    tcb_info_signature: String,
    qe_identity_issuer_chain: String,
    qe_identity: String,
    qe_identity_signature: String,
}

impl Collateral {
    /// Read a document; `None` where it is none.
    pub fn read(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// The items in it.
    pub fn items(&self) -> Result<Vec<(Item, Content)>, ContentError> {
        // The signed text goes in as it is; it is JSON, or the next step says that it is not.
        let tcb_info = format!(
            "{{\"tcbInfo\":{},\"signature\":\"{}\"}}",
            self.tcb_info,
            self.tcb_info_signature.escape_default()
        );
        let identity = format!(
            "{{\"enclaveIdentity\":{},\"signature\":\"{}\"}}",
            self.qe_identity,
            self.qe_identity_signature.escape_default()
        );
        let (fmspc, tcb_info) = any_tcb_info(tcb_info.as_bytes(), Some(self.tcb_info_issuer_chain.clone()))?;
        let identity = qe_identity(identity.as_bytes(), Some(self.qe_identity_issuer_chain.clone()))?;
        let (issuer, pck_crl) = list(self.pck_crl.as_bytes(), Some(self.pck_crl_issuer_chain.clone()))?;
        let ca = [PckCa::Platform, PckCa::Processor].into_iter().find(|ca| pck_ca_name(*ca) == issuer);
        let ca = ca.ok_or_else(|| other("issuer", "a PCK authority", &issuer))?;
        Ok(vec![
            (Item::TdxTcbInfo { fmspc }, require_chain(tcb_info)?),
            (Item::TdxQeIdentity, identity),
            (Item::PckCrl(ca), require_chain(pck_crl)?),
            (Item::IntelRootCrl, root_crl(self.root_ca_crl.as_bytes())?),
        ])
    }
}

fn any_tcb_info(body: &[u8], chain: Option<String>) -> Result<([u8; 6], Content), ContentError> {
    const EXPECTED: &str = "TDX TCB info in JSON, with its signature";
    let parsed: TcbInfoBody = serde_json::from_slice(body).map_err(|e| syntax(EXPECTED, body, e))?;
    let window = window(&parsed.tcb_info, &parsed.signature)?;
    let signed = parsed.tcb_info;
    if (signed.id.as_str(), signed.version) != (TDX, TCB_INFO_VERSION) {
        let found = format!("{} {}", signed.id, signed.version);
        return Err(other("kind", format!("{TDX} {TCB_INFO_VERSION}"), found));
    }
    let fmspc = signed.fmspc.unwrap_or_default();
    let bytes = hex::decode(&fmspc).ok().and_then(|bytes| bytes.try_into().ok());
    let fmspc = bytes.ok_or_else(|| other("FMSPC", "six bytes in hex", fmspc))?;
    Ok((fmspc, Content { body: body.to_vec(), chain, window, issued: window.0 }))
}

fn any_qe_identity(body: &[u8], chain: Option<String>) -> Result<Content, ContentError> {
    const EXPECTED: &str = "the TD quoting enclave's identity in JSON, with its signature";
    let parsed: QeIdentityBody = serde_json::from_slice(body).map_err(|e| syntax(EXPECTED, body, e))?;
    let window = window(&parsed.enclave_identity, &parsed.signature)?;
    let signed = parsed.enclave_identity;
    if (signed.id.as_str(), signed.version) != (TD_QE, QE_IDENTITY_VERSION) {
        let found = format!("{} {}", signed.id, signed.version);
        return Err(other("kind", format!("{TD_QE} {QE_IDENTITY_VERSION}"), found));
    }
    Ok(Content { body: body.to_vec(), chain, window, issued: window.0 })
}

fn window(signed: &Signed, signature: &str) -> Result<(UnixTime, UnixTime), ContentError> {
    if hex::decode(signature).map_or(0, |bytes| bytes.len()) != 64 {
        return Err(other("signature", "64 bytes in hex", format!("{} characters", signature.len())));
    }
    Ok((time(&signed.issue_date)?, time(&signed.next_update)?))
}

/// Issuer's common name, and the list. Intel sends DER or PEM, a PCCS also hex.
fn list(body: &[u8], chain: Option<String>) -> Result<(String, Content), ContentError> {
    const EXPECTED: &str = "a revocation list in DER, PEM or hex";
    let der = match body.first() {
        Some(b'-') => match pem_sections(body)?.as_slice() {
            [(SectionKind::Crl, der)] => der.clone(),
            _ => return Err(syntax(EXPECTED, body, "not one list")),
        },
        Some(0x30) if body.get(1).is_some_and(|byte| byte & 0x80 != 0) => body.to_vec(),
        _ => hex::decode(body.trim_ascii()).map_err(|e| syntax(EXPECTED, body, e))?,
    };
    let list = CertificateList::from_der(&der).map_err(|e| syntax(EXPECTED, body, e))?.tbs_cert_list;
    let issuer = common_name(&list.issuer).unwrap_or_default().to_owned();
    let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
    let next = list.next_update.ok_or_else(|| syntax(EXPECTED, body, "no nextUpdate"))?;
    let window = (seconds(list.this_update), seconds(next));
    Ok((issuer, Content { body: der, chain, window, issued: window.0 }))
}

/// Whoever signed it must be named beside it, as certificates.
fn require_chain(content: Content) -> Result<Content, ContentError> {
    let expected = "the certificates of whoever signed it, in PEM";
    let text = content.chain.as_deref().unwrap_or_default();
    for (kind, der) in pem_sections(text.as_bytes())? {
        let certificate = Certificate::from_der(&der).map_err(|e| syntax(expected, &der, e));
        if kind != SectionKind::Certificate {
            return Err(syntax(expected, &der, "a list"));
        }
        certificate?;
    }
    Ok(content)
}

fn require_issuer(found: &str, expected: &str) -> Result<(), ContentError> {
    if found == expected { Ok(()) } else { Err(other("issuer", expected, found)) }
}

fn pck_ca_name(ca: PckCa) -> &'static str {
    match ca {
        PckCa::Processor => "Intel SGX PCK Processor CA",
        PckCa::Platform => "Intel SGX PCK Platform CA",
    }
}

fn time(text: &str) -> Result<UnixTime, ContentError> {
    text.parse::<DateTime>()
        .map(|time| time.unix_duration().as_secs())
        .map_err(|_| other("date", "YYYY-MM-DDThh:mm:ssZ", text.chars().take(40).collect::<String>()))
}

fn syntax(expected: &'static str, body: &[u8], error: impl std::fmt::Display) -> ContentError {
    ContentError::Syntax { expected, found: format!("{} ({})", words(&error.to_string()), excerpt(body)) }
}

fn other(what: &'static str, expected: impl ToString, found: impl ToString) -> ContentError {
    ContentError::Other { what, expected: expected.to_string(), found: words(&found.to_string()) }
}
