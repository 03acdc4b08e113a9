//! What Intel says of a platform: TCB Info, the quoting enclave's identity, and revocation lists.
//!
//! [`Collateral`] is what was fetched, taken apart and not believed. [`VerifiedCollateral`] is made by [`verify`] alone.

use super::chain::{self, Roots};
use super::document::{EnclaveIdentity, TcbInfo};
use super::intel::{self, PckCa};
use super::text;
use crate::signature::PublicKey;
use crate::x509::crl::Lists;
use crate::x509::lengths;
use crate::{Check, UnixTime, VerifyError};
use der::Decode as _;
use sealpod_evidence::bytes::HexArray;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use x509_cert::crl::CertificateList;

/// Most bytes of any one part. PCK revocation lists grow with the machines that were withdrawn; 4 KB today.
const MAX_PART: usize = 1 << 20;
/// Most bytes of collateral in one JSON text; real ones have 25 KB.
pub const MAX_COLLATERAL: usize = 4 << 20;

/// Collateral as it was fetched. Nothing is believed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collateral {
    tcb_info: SignedText,
    qe_identity: SignedText,
    /// What the two say, read once.
    info: Arc<TcbInfo>,
    identity: Arc<EnclaveIdentity>,
    /// The root's and the PCK authority's.
    lists: [Vec<u8>; 2],
    ca: PckCa,
}

/// A JSON document, exactly as it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SignedText {
    text: String,
    /// R and S, big-endian.
    signature: Vec<u8>,
    /// The signer and its issuers, DER.
    chain: Vec<Vec<u8>>,
}

/// Answers of Intel's service (API 4) or of a caching service, one by one.
#[derive(Debug, Clone, Copy)]
pub struct CollateralParts<'a> {
    /// Body of `tcb`: `{"tcbInfo":…,"signature":…}`.
    pub tcb_info: &'a [u8],
    /// Its header `TCB-Info-Issuer-Chain`, escaped or not.
    pub tcb_info_issuer_chain: &'a [u8],
    /// Body of `qe/identity`: `{"enclaveIdentity":…,"signature":…}`.
    pub qe_identity: &'a [u8],
    /// Its header `SGX-Enclave-Identity-Issuer-Chain`.
    pub qe_identity_issuer_chain: &'a [u8],
    /// Body of `pckcrl`: DER, PEM or hex. Its issuer is found in the PCK chain.
    pub pck_crl: &'a [u8],
    /// Body of `rootcacrl`.
    pub root_ca_crl: &'a [u8],
}

/// `QuoteCollateralV3` as JSON: the form in which quote verification libraries and caching services hand it on.
#[derive(Deserialize)]
struct QuoteCollateralV3 {
    root_ca_crl: String,
    pck_crl: String,
    tcb_info_issuer_chain: String,
    tcb_info: String,
    tcb_info_signature: String,
    qe_identity_issuer_chain: String,
    qe_identity: String,
    qe_identity_signature: String,
}

#[derive(Deserialize)]
struct TcbInfoBody<'a> {
    #[serde(rename = "tcbInfo", borrow)]
    tcb_info: &'a RawValue,
    signature: String,
}

#[derive(Deserialize)]
struct IdentityBody<'a> {
    #[serde(rename = "enclaveIdentity", borrow)]
    identity: &'a RawValue,
    signature: String,
}

impl Collateral {
    /// Takes `QuoteCollateralV3` JSON: documents as strings, signatures and lists in hex, chains in PEM.
    ///
    /// # Errors
    ///
    /// [`Check::Collateral`] where a part is missing or not well formed; [`Check::Budget`] where it is larger than any is.
    pub fn from_json(json: &[u8]) -> Result<Self, VerifyError> {
        within("collateral", json.len(), MAX_COLLATERAL)?;
        let parts: QuoteCollateralV3 =
            serde_json::from_slice(json).map_err(|error| refuse("QuoteCollateralV3 JSON", error))?;
        Self::new(
            SignedText::new(
                parts.tcb_info,
                &parts.tcb_info_signature,
                parts.tcb_info_issuer_chain.as_bytes(),
            )?,
            SignedText::new(
                parts.qe_identity,
                &parts.qe_identity_signature,
                parts.qe_identity_issuer_chain.as_bytes(),
            )?,
            parts.root_ca_crl.as_bytes(),
            parts.pck_crl.as_bytes(),
        )
    }

    /// Puts together what a service answered. The signed bytes of the two documents are those of the value in each body.
    ///
    /// # Errors
    ///
    /// As [`Self::from_json`].
    pub fn from_parts(parts: CollateralParts<'_>) -> Result<Self, VerifyError> {
        for part in [parts.tcb_info, parts.qe_identity] {
            within("an answer of Intel's service", part.len(), MAX_PART)?;
        }
        Self::new(
            SignedText::tcb_info(parts.tcb_info, parts.tcb_info_issuer_chain)?,
            SignedText::identity(parts.qe_identity, parts.qe_identity_issuer_chain)?,
            parts.root_ca_crl,
            parts.pck_crl,
        )
    }

    fn new(
        tcb_info: SignedText,
        qe_identity: SignedText,
        root_crl: &[u8],
        pck_crl: &[u8],
    ) -> Result<Self, VerifyError> {
        for part in [tcb_info.text.len(), qe_identity.text.len(), root_crl.len(), pck_crl.len()] {
            within("a part of the collateral", part, MAX_PART)?;
        }
        let info = tcb_info.as_tcb_info()?;
        let identity = qe_identity.as_identity()?;
        let list =
            |bytes: &[u8]| text::revocation_list(bytes).map_err(|found| refuse("a revocation list", found));
        let (root_crl, pck_crl) = (list(root_crl)?, list(pck_crl)?);
        lengths::check(&pck_crl).map_err(|error| refuse("a revocation list of a PCK authority", error))?;
        let issuer = CertificateList::from_der(&pck_crl)
            .map_err(|error| refuse("a revocation list of a PCK authority", error))?
            .tbs_cert_list
            .issuer;
        let ca = intel::list_issuer(&issuer)
            .ok_or_else(|| refuse("a list of Intel's PCK Processor or Platform CA", &issuer))?;
        let lists = [root_crl, pck_crl];
        Ok(Self { tcb_info, qe_identity, info: Arc::new(info), identity: Arc::new(identity), lists, ca })
    }

    /// The platforms that it is about.
    pub fn fmspc(&self) -> HexArray<6> {
        self.info.fmspc
    }

    /// `TDX` or `SGX`.
    pub fn tee(&self) -> &str {
        &self.info.id
    }

    /// The authority whose revocation list is in it.
    pub fn ca(&self) -> PckCa {
        self.ca
    }

    /// The root's and the PCK authority's revocation lists, DER.
    pub fn revocation_lists(&self) -> [&[u8]; 2] {
        self.lists.each_ref().map(Vec::as_slice)
    }

    pub(super) fn lists(&self) -> &[Vec<u8>; 2] {
        &self.lists
    }
}

impl SignedText {
    fn new(text: String, signature: &str, chain: &[u8]) -> Result<Self, VerifyError> {
        let signature =
            hex::decode(signature.trim()).map_err(|error| refuse("a signature of 64 bytes in hex", error))?;
        Ok(Self { text, signature, chain: text::certificates(chain)? })
    }

    fn tcb_info(body: &[u8], chain: &[u8]) -> Result<Self, VerifyError> {
        let body: TcbInfoBody<'_> =
            serde_json::from_slice(body).map_err(|error| refuse("{\"tcbInfo\", \"signature\"}", error))?;
        Self::new(body.tcb_info.get().to_owned(), &body.signature, chain)
    }

    fn identity(body: &[u8], chain: &[u8]) -> Result<Self, VerifyError> {
        let body: IdentityBody<'_> = serde_json::from_slice(body)
            .map_err(|error| refuse("{\"enclaveIdentity\", \"signature\"}", error))?;
        Self::new(body.identity.get().to_owned(), &body.signature, chain)
    }

    fn as_tcb_info(&self) -> Result<TcbInfo, VerifyError> {
        TcbInfo::parse(&self.text).map_err(|found| refuse("TCB Info, version 3", found))
    }

    fn as_identity(&self) -> Result<EnclaveIdentity, VerifyError> {
        EnclaveIdentity::parse(&self.text).map_err(|found| refuse("an enclave identity, version 2", found))
    }

    fn signer_without_lists(&self, roots: &[[u8; 48]], now: UnixTime) -> Result<PublicKey, VerifyError> {
        let (mut roots, mut lists) = (Roots::new(roots), Lists::new(&[]));
        chain::tcb_signing(&self.chain, &mut roots, &mut lists, now).map(|(signer, _)| signer)
    }

    fn require_signed(&self, what: &str, signer: &PublicKey) -> Result<(), VerifyError> {
        if signer.verifies(self.text.as_bytes(), &self.signature) {
            return Ok(());
        }
        let expected = format!("{what}, signed by Intel SGX TCB Signing");
        let found = format!("signature {}, not of these bytes by that key", hex::encode(&self.signature));
        Err(VerifyError::new(Check::CollateralSignature, expected, found))
    }
}

/// Collateral that Intel signed and that is valid now.
#[derive(Debug, Clone)]
pub struct VerifiedCollateral {
    pub(super) tcb_info: Arc<TcbInfo>,
    pub(super) qe_identity: Arc<EnclaveIdentity>,
    /// The narrowest of documents and signers.
    pub(super) window: (UnixTime, UnixTime),
}

impl VerifiedCollateral {
    /// What levels mean on these platforms.
    pub fn tcb_info(&self) -> &TcbInfo {
        &self.tcb_info
    }

    /// What their quoting enclave must be.
    pub fn qe_identity(&self) -> &EnclaveIdentity {
        &self.qe_identity
    }

    /// From when to when documents and signers are valid, seconds since 1970. Revocation lists have their own times, which
    /// [`super::VerifiedPck`] counts in.
    pub fn window(&self) -> (UnixTime, UnixTime) {
        self.window
    }
}

/// Step 3. TCB Info and the quoting enclave's identity are signed, over their exact bytes, by a TCB signing key that chains to a
/// trusted root and is not revoked, and `issueDate <= now <= nextUpdate` for each.
///
/// Proves that Intel said all this. Whether it is about the platform at hand is step 4's to show.
///
/// # Errors
///
/// [`Check::CollateralSignature`], [`Check::CollateralValidity`], and those of a certificate chain.
pub fn verify(
    collateral: &Collateral,
    roots: &[[u8; 48]],
    now: UnixTime,
) -> Result<VerifiedCollateral, VerifyError> {
    verify_under(collateral, &mut Roots::new(roots), &mut Lists::new(&collateral.lists), now)
}

/// [`verify`] in an appraisal that has verified roots and lists already. `lists` are the collateral's.
pub(super) fn verify_under<'a>(
    collateral: &'a Collateral,
    roots: &mut Roots<'a>,
    lists: &mut Lists<'a>,
    now: UnixTime,
) -> Result<VerifiedCollateral, VerifyError> {
    let Collateral { tcb_info, qe_identity, info, identity, .. } = collateral;
    let (signer, mut window) = chain::tcb_signing(&tcb_info.chain, roots, lists, now)?;
    tcb_info.require_signed("TCB Info", &signer)?;
    let signer = if qe_identity.chain == tcb_info.chain {
        signer
    } else {
        let (signer, other) = chain::tcb_signing(&qe_identity.chain, roots, lists, now)?;
        window = chain::narrow(window, other);
        signer
    };
    qe_identity.require_signed("the quoting enclave's identity", &signer)?;
    for (what, valid) in [
        ("TCB Info", (info.issue_date, info.next_update)),
        ("the quoting enclave's identity", (identity.issue_date, identity.next_update)),
    ] {
        if !(valid.0..=valid.1).contains(&now) {
            let found = format!("issued at {}, next update at {}", valid.0, valid.1);
            return Err(VerifyError::new(Check::CollateralValidity, format!("{what} valid at {now}"), found));
        }
        window = chain::narrow(window, valid);
    }
    Ok(VerifiedCollateral { tcb_info: Arc::clone(info), qe_identity: Arc::clone(identity), window })
}

/// One body of Intel's TCB Info by itself: signature and chain as in [`verify`], without a revocation list where none is given.
///
/// Says nothing about its dates: the document that comes back has them.
///
/// # Errors
///
/// As [`verify`], and [`Check::Collateral`] where it does not parse.
pub fn verify_tcb_info(
    body: &[u8],
    chain: &[u8],
    roots: &[[u8; 48]],
    now: UnixTime,
) -> Result<TcbInfo, VerifyError> {
    within("TCB Info", body.len(), MAX_PART)?;
    let signed = SignedText::tcb_info(body, chain)?;
    let signer = signed.signer_without_lists(roots, now)?;
    signed.require_signed("TCB Info", &signer)?;
    signed.as_tcb_info()
}

/// One body of Intel's enclave identity by itself, as [`verify_tcb_info`].
///
/// # Errors
///
/// As [`verify_tcb_info`].
pub fn verify_qe_identity(
    body: &[u8],
    chain: &[u8],
    roots: &[[u8; 48]],
    now: UnixTime,
) -> Result<EnclaveIdentity, VerifyError> {
    within("an enclave identity", body.len(), MAX_PART)?;
    let signed = SignedText::identity(body, chain)?;
    let signer = signed.signer_without_lists(roots, now)?;
    signed.require_signed("the quoting enclave's identity", &signer)?;
    signed.as_identity()
}

fn within(what: &str, found: usize, most: usize) -> Result<(), VerifyError> {
    if found > most {
        return Err(VerifyError::new(Check::Budget, format!("{what} of at most {most} bytes"), found));
    }
    Ok(())
}

fn refuse(expected: &str, found: impl std::fmt::Display) -> VerifyError {
    VerifyError::new(Check::Collateral, expected, found)
}
