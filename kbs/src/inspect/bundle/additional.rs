//! The additional evidence of a bundle.

use crate::inspect::outcome::Appraisal;
use crate::inspect::pcrs;
use crate::inspect::piece::{ImaForm, Pcrs, Piece, TpmQuote};
use sealpod_evidence::azure::AzAdditionalEvidence;
use sealpod_evidence::rcar::{SEALPOD_VERSION, TdAdditionalEvidence, TpmEvidence};
use sealpod_evidence::tpm::HashAlg;
use sealpod_verifier::{Check, VerifyError};

/// The additional evidence, by what each TEE's has.
pub(super) enum Additional {
    Tpm(Box<TpmEvidence>),
    /// The logs of a TD without a TPM: IMA log and workload log.
    Td(Vec<u8>, Vec<u8>),
    /// The logs of an Azure guest: boot log, IMA log and workload log.
    Azure(Vec<u8>, Vec<u8>, Vec<u8>),
    None,
}

impl Additional {
    pub(super) fn read(text: &str, out: &mut Appraisal) -> Self {
        let expected = "sealpod's additional evidence: \"tpm\" or \"logs\"";
        if text.is_empty() {
            let needs = "a guest that sends it: this is plain Confidential Containers evidence";
            out.not_run(Check::AdditionalEvidence, expected, needs);
            return Self::None;
        }
        let (read, version) = match Self::parse(text) {
            Ok(both) => both,
            Err(error) => {
                out.failed(VerifyError::new(Check::AdditionalEvidence, expected, error));
                return Self::None;
            }
        };
        if version != SEALPOD_VERSION {
            out.failed(VerifyError::new(Check::EvidenceVersion, SEALPOD_VERSION, version));
        }
        out.ran(Check::AdditionalEvidence, expected, Ok(format!("version {version}, {}", read.name())));
        read
    }

    pub(super) fn parse(text: &str) -> Result<(Self, u32), serde_json::Error> {
        if let Ok(AzAdditionalEvidence { tpm }) = serde_json::from_str(text) {
            return Ok((Self::Azure(tpm.boot_log.0, tpm.ima_log.data.0, tpm.workload_log.0), tpm.version));
        }
        let evidence: TdAdditionalEvidence = serde_json::from_str(text)?;
        Ok(match (evidence.tpm, evidence.logs) {
            (Some(tpm), _) => {
                let version = tpm.version;
                (Self::Tpm(Box::new(tpm)), version)
            }
            (None, Some(logs)) => (Self::Td(logs.ima_log.data.0, logs.workload_log.0), logs.version),
            (None, None) => (Self::None, SEALPOD_VERSION),
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Tpm(_) => "a vTPM's quote and logs",
            Self::Td(..) => "logs of a TD without a TPM",
            Self::Azure(..) => "logs beside a paravisor's quote",
            Self::None => "nothing",
        }
    }

    pub(super) fn workload_log(&self) -> Option<&[u8]> {
        match self {
            Self::Tpm(tpm) => Some(&tpm.workload_log.0),
            Self::Td(_, log) | Self::Azure(_, _, log) => Some(log),
            Self::None => None,
        }
    }

    pub(super) fn add_to(&self, piece: &mut Piece) {
        let (boot, ima) = match self {
            Self::Tpm(tpm) => return add_tpm(tpm, piece),
            Self::Td(ima, _) => (None, ima),
            Self::Azure(boot, ima, _) => (Some(boot), ima),
            Self::None => return,
        };
        piece.boot_log = boot.cloned().filter(|log| !log.is_empty());
        piece.ima_log = Some((ima.clone(), ImaForm::Binary)).filter(|(log, _)| !log.is_empty());
    }
}

fn add_tpm(tpm: &TpmEvidence, piece: &mut Piece) {
    let mut values = Pcrs::new();
    for (bank, of) in &tpm.pcrs {
        for (index, text) in of {
            if let (Some(bank), Ok(value)) = (HashAlg::from_name(bank), hex::decode(text)) {
                // A value of the wrong length is missing then, which the quote's digest shows.
                let _ = pcrs::insert(&mut values, Some(bank), u64::from(*index), value);
            }
        }
    }
    piece.tpm_quotes.push(TpmQuote {
        message: tpm.quote.message.0.clone(),
        signature: Some(tpm.quote.signature.0.clone()),
        pcrs: values,
        nonce: None,
    });
    piece.ak = Some(tpm.ak_public.0.clone());
    piece.boot_log = Some(tpm.boot_log.0.clone()).filter(|log| !log.is_empty());
    piece.ima_log = Some((tpm.ima_log.data.0.clone(), ImaForm::Binary)).filter(|(log, _)| !log.is_empty());
}
