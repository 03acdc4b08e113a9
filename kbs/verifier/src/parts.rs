//! Step 1: the evidence taken apart.

mod json;

use crate::challenge::Challenge;
use crate::error::{Check, VerifyError};
use crate::ima::ImaEvidence;
use crate::reference::ReferenceValues;
use json::JsonError;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::cel::{self, Record};
use sealpod_evidence::ima::Bank;
use sealpod_evidence::initdata::{self, Initdata};
use sealpod_evidence::rcar::protocol::{Attestation, InitData, Tee};
use sealpod_evidence::rcar::{
    AdditionalEvidence, ImaLog, PCR_IMA, PcrValue, QUOTED_BANK, QUOTED_PCRS, SEALPOD_VERSION, SnpEvidence,
    SvsmEvidence, TpmEvidence,
};
use sealpod_evidence::snp::cert_table::{self, CertTable};
use sealpod_evidence::snp::report::{Report, ReportError};
use sealpod_evidence::tpm::{self, Attest, Public, Signature, TpmError};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Display;

/// Most bytes of the text of the additional evidence. The logs at their largest are 8.4 MiB, a third more in
/// base64, and the rest is small.
pub const MAX_ADDITIONAL_LEN: usize = 12 << 20;
/// Most bytes of a `/attest` body that are worth reading: the additional evidence with its quotes escaped,
/// initdata escaped to at most twice its length, certificates and report. The reader of the body has to keep
/// to it before [`parse_body`] can.
pub const MAX_BODY_LEN: usize = MAX_ADDITIONAL_LEN + (1 << 20);
/// Parse the body of `/attest`.
///
/// It is one JSON object within budget, without arrays, and no object in it has a key twice: all that is found out while it is read,
/// once. So the cost is a small multiple of the body's length, and no other reader can see another body.
/// Nothing is believed of it; [`crate::verify`] takes it from here.
///
/// # Errors
///
/// [`Check::Budget`] for a body longer than [`MAX_BODY_LEN`] or with too many or too deeply nested values; [`Check::Body`] for one
/// that is not what KBS protocol 0.4.0 calls for.
pub fn parse_body(body: &[u8]) -> Result<Attestation, VerifyError> {
    let refused =
        |found: String| VerifyError::new(Check::Body, "the body of an /attest request, one object", found);
    require_within("an /attest body", body.len(), MAX_BODY_LEN)?;
    json::read(body).map_err(|error| json_error(error, refused))
}

/// Most bytes of a boot log: firmware reserves 64 KiB for it (EDK2, `PcdTcgLogAreaMinLen`), and a log that
/// grew over that is rare.
const MAX_BOOT_LOG: usize = 128 << 10;
/// Most bytes of an IMA log: some 80,000 entries of 100 bytes, where a long-lived pod has a few thousand.
const MAX_IMA_LOG: usize = 8 << 20;
/// Most bytes of a workload log: 250 container starts with specifications of 1 KiB.
const MAX_WORKLOAD_LOG: usize = 256 << 10;
/// Most bytes of an activated credential: a digest of the longest kind, the most that TPM2_ActivateCredential
/// gives back.
const MAX_CREDENTIAL: usize = 64;
/// The only format of initdata in KBS protocol 0.4.0.
const INITDATA_FORMAT: &str = "toml";

/// Every part of one piece of evidence, parsed and within budget. Well formed, not yet believed.
pub(crate) struct Parts<'a> {
    pub nonce: &'a str,
    pub tee_pubkey: Value,
    /// The additional evidence as the text that the report covers.
    pub additional_text: &'a str,
    pub report: Report,
    /// The certificate table's bytes, as sent; a well-formed table.
    pub certificates: Vec<u8>,
    pub initdata: Initdata,
    pub ek: Public,
    pub ak: Public,
    pub activated_credential: Vec<u8>,
    /// What the TPM signed; `Attest::raw` has the bytes.
    pub attest: Attest,
    pub quote_signature: Signature,
    /// Exactly one SHA-256 value for each of `rcar::QUOTED_PCRS`.
    pub pcrs: Pcrs,
    /// Within budget; step 12 parses it.
    pub boot_log: Vec<u8>,
    pub ima_bank: Bank,
    /// From the first entry on and within budget; step 13 parses it, in the one pass in which it replays it.
    pub ima_log: Vec<u8>,
    pub workload: Vec<Record>,
    pub svsm: Option<Svsm>,
}

impl Parts<'_> {
    /// The IMA log with what it is held against, once PCR 0 to 9 are known to be the boot's.
    pub fn ima<'a>(
        &'a self,
        boot_pcrs: &'a [[u8; 32]; 10],
        reference: &'a ReferenceValues,
    ) -> ImaEvidence<'a> {
        ImaEvidence {
            log: &self.ima_log,
            bank: self.ima_bank,
            pcr: self.pcrs.get(PCR_IMA).0,
            boot_pcrs,
            policy: self.initdata.policy(),
            reference,
        }
    }
}

/// The SVSM's word for its vTPM.
pub(crate) struct Svsm {
    pub report: Report,
    pub manifest: Vec<u8>,
}

/// The SHA-256 PCR values sent, one for each of `rcar::QUOTED_PCRS`.
pub(crate) struct Pcrs(pub BTreeMap<u8, PcrValue>);

impl Pcrs {
    /// A quoted PCR's value. An index that is not quoted reads as all ones, which no log replays to.
    pub fn get(&self, index: u8) -> PcrValue {
        self.0.get(&index).copied().unwrap_or(HexArray([0xff; 32]))
    }
}

/// Step 1. Proves that all parts are there, in known versions, within budget and without surplus; nothing
/// about what they say.
///
/// The challenge is asked only for the kind of evidence to expect.
pub(crate) fn parse<'a>(
    attestation: &'a Attestation,
    challenge: &Challenge,
) -> Result<Parts<'a>, VerifyError> {
    if challenge.tee != Tee::Snp {
        return Err(VerifyError::new(
            Check::ChallengeTee,
            "snp, the one TEE that is appraised here",
            challenge.tee,
        ));
    }
    let additional_text = attestation.tee_evidence.additional_evidence.as_str();
    let tpm = additional_evidence(additional_text)?;
    let (report, certificates) = primary_evidence(&attestation.tee_evidence.primary_evidence)?;
    let tee_pubkey = serde_json::to_value(&attestation.runtime_data.tee_pubkey)
        .map_err(|error| VerifyError::new(Check::PrimaryEvidence, "a JWK", error))?;
    Ok(Parts {
        nonce: &attestation.runtime_data.nonce,
        tee_pubkey,
        additional_text,
        report,
        certificates,
        initdata: initdata(attestation.init_data.as_ref())?,
        ek: structure("the endorsement key", Public::parse(&tpm.ek_public.0))?,
        ak: structure("the attestation key", Public::parse(&tpm.ak_public.0))?,
        activated_credential: within("the activated credential", tpm.activated_credential.0, MAX_CREDENTIAL)?,
        attest: structure("the quote", Attest::parse(&tpm.quote.message.0))?,
        quote_signature: structure("the quote's signature", Signature::parse(&tpm.quote.signature.0))?,
        pcrs: pcr_values(&tpm.pcrs)?,
        boot_log: within("the boot log", tpm.boot_log.0, MAX_BOOT_LOG)?,
        ima_bank: ima_bank(&tpm.ima_log)?,
        ima_log: within("the IMA log", tpm.ima_log.data.0, MAX_IMA_LOG)?,
        workload: workload_log(&tpm.workload_log.0)?,
        svsm: tpm.svsm.map(svsm).transpose()?,
    })
}

/// The text of the additional evidence. No object in it may have a key twice, or two readers could see two
/// different things.
fn additional_evidence(text: &str) -> Result<TpmEvidence, VerifyError> {
    let refused = |found: String| {
        VerifyError::new(
            Check::AdditionalEvidence,
            "JSON with one \"tpm\", as RCAR evidence of sealpod has it",
            found,
        )
    };
    require_within("the additional evidence", text.len(), MAX_ADDITIONAL_LEN)?;
    if text.is_empty() {
        return Err(refused("none".to_owned()));
    }
    let evidence: AdditionalEvidence =
        json::read(text.as_bytes()).map_err(|error| json_error(error, refused))?;
    if evidence.tpm.version != SEALPOD_VERSION {
        return Err(VerifyError::new(Check::EvidenceVersion, SEALPOD_VERSION, evidence.tpm.version));
    }
    Ok(evidence.tpm)
}

fn json_error(error: JsonError, syntax: impl FnOnce(String) -> VerifyError) -> VerifyError {
    match error {
        JsonError::Budget(found) => {
            let expected =
                format!("JSON of at most {} keys and values, {} deep", json::MAX_NODES, json::MAX_DEPTH);
            VerifyError::new(Check::Budget, expected, found)
        }
        JsonError::Syntax(found) => syntax(found),
    }
}

/// The report and the certificate table.
fn primary_evidence(value: &Value) -> Result<(Report, Vec<u8>), VerifyError> {
    if !value.is_object() {
        // An array would be taken for an object without names.
        return Err(VerifyError::new(
            Check::PrimaryEvidence,
            "an object with report and certificates",
            "no object",
        ));
    }
    let evidence: SnpEvidence = serde::Deserialize::deserialize(value).map_err(|error| {
        VerifyError::new(Check::PrimaryEvidence, "an SNP report and a certificate table", error)
    })?;
    let report = Report::parse(&evidence.report.0).map_err(|error| report_error(&error))?;
    let certificates = within("the certificate table", evidence.certificates.0, cert_table::MAX_LEN)?;
    CertTable::parse(&certificates).map_err(|error| {
        VerifyError::new(
            Check::CertificateTable,
            "a certificate table as the GHCB specification has it",
            error,
        )
    })?;
    Ok((report, certificates))
}

/// Which check a report fails that is not well formed.
pub(crate) fn report_error(error: &ReportError) -> VerifyError {
    let check = match error {
        ReportError::Version { .. } => Check::EvidenceVersion,
        ReportError::Reserved { .. } | ReportError::PolicyBit { .. } => Check::ReservedBytes,
        ReportError::Length { .. } | ReportError::Product { .. } => Check::PrimaryEvidence,
    };
    VerifyError::new(check, "a well-formed SNP report", error)
}

fn initdata(sent: Option<&InitData>) -> Result<Initdata, VerifyError> {
    let refused = |expected: &str, found: String| VerifyError::new(Check::InitdataSyntax, expected, found);
    let sent = sent.ok_or_else(|| refused("initdata", "none".to_owned()))?;
    if sent.format != INITDATA_FORMAT {
        return Err(refused("initdata of format toml", format!("{:?}", sent.format)));
    }
    require_within("initdata", sent.body.len(), initdata::MAX_LEN)?;
    Initdata::parse(&sent.body)
        .map_err(|error| refused("initdata 0.1.0 with sealpod's policy", error.to_string()))
}

/// A TPM structure. What is not a quote is known by the magic and type that the TPM puts in front.
fn structure<T>(what: &str, parsed: Result<T, TpmError>) -> Result<T, VerifyError> {
    parsed.map_err(|error| {
        let check = match error {
            TpmError::Magic { .. } | TpmError::AttestType { .. } => Check::QuoteType,
            TpmError::TooLong { .. } => Check::Budget,
            _ => Check::TpmStructure,
        };
        VerifyError::new(check, format!("{what}, at most {} bytes", tpm::MAX_LEN), error)
    })
}

/// One bank, and in it one value for each quoted PCR.
fn pcr_values(sent: &BTreeMap<String, BTreeMap<u8, String>>) -> Result<Pcrs, VerifyError> {
    let refused = |found: String| {
        let expected =
            format!("one {QUOTED_BANK} value in lower-case hex for each of {QUOTED_PCRS:?}, and no other");
        VerifyError::new(Check::PcrValues, expected, found)
    };
    let bank = match sent.get(QUOTED_BANK) {
        Some(bank) if sent.len() == 1 => bank,
        _ => return Err(refused(format!("banks {:?}", sent.keys()))),
    };
    if !bank.keys().eq(&QUOTED_PCRS) {
        return Err(refused(format!("PCRs {:?}", bank.keys())));
    }
    let parse = |(index, text): (&u8, &String)| {
        text.parse().map(|value| (*index, value)).map_err(|error| refused(format!("PCR {index}: {error}")))
    };
    bank.iter().map(parse).collect::<Result<_, _>>().map(Pcrs)
}

/// The log's bank; and that the log is a whole one, since nothing is kept of what came before.
fn ima_bank(log: &ImaLog) -> Result<Bank, VerifyError> {
    if log.first_index != 0 {
        return Err(VerifyError::new(Check::ImaLogStart, "a log from entry 0 on", log.first_index));
    }
    match log.bank.as_str() {
        "sha1" => Ok(Bank::Sha1),
        "sha256" => Ok(Bank::Sha256),
        other => Err(VerifyError::new(Check::ImaLogSyntax, "bank sha1 or sha256", format!("{other:?}"))),
    }
}

fn workload_log(bytes: &[u8]) -> Result<Vec<Record>, VerifyError> {
    require_within("the workload log", bytes.len(), MAX_WORKLOAD_LOG)?;
    cel::parse(bytes).map_err(|error| {
        VerifyError::new(Check::WorkloadLogSyntax, "CEL records as sealpod writes them", error)
    })
}

fn svsm(sent: SvsmEvidence) -> Result<Svsm, VerifyError> {
    let report = Report::parse(&sent.report.0).map_err(|error| {
        VerifyError::new(Check::SvsmReport, "a well-formed SNP report of the SVSM", error)
    })?;
    Ok(Svsm { report, manifest: within("the SVSM's manifest", sent.manifest.0, tpm::MAX_LEN)? })
}

fn within(what: &str, bytes: Vec<u8>, most: usize) -> Result<Vec<u8>, VerifyError> {
    require_within(what, bytes.len(), most).map(|()| bytes)
}

fn require_within(what: impl Display, found: usize, most: usize) -> Result<(), VerifyError> {
    if found > most {
        return Err(VerifyError::new(Check::Budget, format!("{what} of at most {most} bytes"), found));
    }
    Ok(())
}
