//! Step 1 for what a vTPM and the measured guest add: keys, quote, PCR values and logs.

use super::{require_within, within};
use crate::error::{Check, VerifyError};
use crate::ima::ImaEvidence;
use crate::reference::ReferenceValues;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::cel::{self, Record};
use sealpod_evidence::ima::Bank;
use sealpod_evidence::initdata::PodPolicy;
use sealpod_evidence::rcar::{ImaLog, PCR_IMA, PcrValue, QUOTED_BANK, QUOTED_PCRS, TpmEvidence};
use sealpod_evidence::tpm::{self, Attest, Public, Signature, TpmError};
use std::collections::BTreeMap;

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
/// What a vTPM says. Well formed, not yet believed.
pub(crate) struct TpmPart {
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
}

/// What the measured guest wrote down.
pub(crate) struct Logs {
    pub ima_bank: Bank,
    /// From the first entry on and within budget; step 13 parses it, in the one pass in which it replays it.
    pub ima_log: Vec<u8>,
    pub workload: Vec<Record>,
}

impl Logs {
    /// The IMA log with what it is held against, once PCR 0 to 9 are known to be the boot's.
    pub fn ima<'a>(
        &'a self,
        pcrs: &Pcrs,
        boot_pcrs: &'a [[u8; 32]; 10],
        policy: &'a PodPolicy,
        reference: &'a ReferenceValues,
    ) -> ImaEvidence<'a> {
        let (log, bank, pcr) = (self.ima_log.as_slice(), self.ima_bank, pcrs.get(PCR_IMA).0);
        ImaEvidence { log, bank, pcr, boot_pcrs, policy, reference }
    }
}

/// The SHA-256 PCR values sent, one for each of `rcar::QUOTED_PCRS`.
pub(crate) struct Pcrs(pub BTreeMap<u8, PcrValue>);

impl Pcrs {
    /// A quoted PCR's value. An index that is not quoted reads as all ones, which no log replays to.
    pub fn get(&self, index: u8) -> PcrValue {
        self.0.get(&index).copied().unwrap_or(HexArray([0xff; 32]))
    }
}

/// The parts of the TPM's evidence but for an SVSM's word, which is its TEE's matter.
pub(crate) fn parse(sent: TpmEvidence) -> Result<(TpmPart, Logs), VerifyError> {
    let tpm = TpmPart {
        ek: structure("the endorsement key", Public::parse(&sent.ek_public.0))?,
        ak: structure("the attestation key", Public::parse(&sent.ak_public.0))?,
        activated_credential: within(
            "the activated credential",
            sent.activated_credential.0,
            MAX_CREDENTIAL,
        )?,
        attest: structure("the quote", Attest::parse(&sent.quote.message.0))?,
        quote_signature: structure("the quote's signature", Signature::parse(&sent.quote.signature.0))?,
        pcrs: pcr_values(&sent.pcrs)?,
        boot_log: boot_log(sent.boot_log.0)?,
    };
    Ok((tpm, logs(sent.ima_log, &sent.workload_log.0)?))
}

/// A boot log within budget.
pub(crate) fn boot_log(sent: Vec<u8>) -> Result<Vec<u8>, VerifyError> {
    within("the boot log", sent, MAX_BOOT_LOG)
}

/// The logs by themselves.
pub(crate) fn logs(ima: ImaLog, workload: &[u8]) -> Result<Logs, VerifyError> {
    Ok(Logs {
        ima_bank: ima_bank(&ima)?,
        ima_log: within("the IMA log", ima.data.0, MAX_IMA_LOG)?,
        workload: workload_log(workload)?,
    })
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
    Bank::from_name(&log.bank).ok_or_else(|| {
        let banks = Bank::ALL.map(Bank::name).join(", ");
        VerifyError::new(Check::ImaLogSyntax, format!("bank {banks}"), format!("{:?}", log.bank))
    })
}

fn workload_log(bytes: &[u8]) -> Result<Vec<Record>, VerifyError> {
    require_within("the workload log", bytes.len(), MAX_WORKLOAD_LOG)?;
    cel::parse(bytes).map_err(|error| {
        VerifyError::new(Check::WorkloadLogSyntax, "CEL records as sealpod writes them", error)
    })
}
