//! JSON of three other verifiers. Members that are not read are left alone: these are files of other projects, which add to
//! them.

use super::{AkPublic, Contained, ContainedQuote, ContainerError, form, within};
use crate::bytes::Base64;
use crate::tpm::{Attest, HashAlg, PcrBanks, Signature};
use serde::Deserialize;
use std::collections::BTreeMap;

/// `tpm` evidence of Confidential Containers' Trustee: a key as `SubjectPublicKeyInfo`, and a quote of the SHA-256 bank from PCR 0
/// on.
///
/// # Errors
///
/// See [`ContainerError`].
pub fn trustee(bytes: &[u8]) -> Result<Contained, ContainerError> {
    #[derive(Deserialize)]
    struct Evidence {
        ak_public: Base64,
        tpm_quote: Quote,
    }
    #[derive(Deserialize)]
    struct Quote {
        message: Base64,
        signature: Base64,
        pcrs: Vec<String>,
    }
    let Evidence { ak_public, tpm_quote } = read(bytes)?;
    let mut pcrs = PcrBanks::default();
    for (pcr, value) in (0_u8..).zip(&tpm_quote.pcrs) {
        let value = hex::decode(value).map_err(|error| form("a PCR", "hex", error))?;
        pcrs.insert(HashAlg::Sha256, pcr, &value)?;
    }
    let quote = quote(&tpm_quote.message, &tpm_quote.signature, pcrs)?;
    Ok(Contained { ak: Some(AkPublic::parse(&ak_public.0)?), quotes: vec![quote], boot_log: Vec::new() })
}

/// A dump of go-attestation (`attest.Dump`): key, one quote, PCR values and boot log.
///
/// # Errors
///
/// See [`ContainerError`].
pub fn go_attestation(bytes: &[u8]) -> Result<Contained, ContainerError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Dump {
        #[serde(rename = "AK")]
        ak: Ak,
        quote: Quote,
        log: Log,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Ak {
        public: Base64,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Quote {
        quote: Base64,
        signature: Base64,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Log {
        #[serde(rename = "PCRs")]
        pcrs: Vec<Pcr>,
        raw: Base64,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Pcr {
        index: u8,
        digest: Base64,
        digest_alg: u32,
    }
    let Dump { ak, quote: sent, log } = read(bytes)?;
    let mut pcrs = PcrBanks::default();
    for pcr in &log.pcrs {
        // Numbers of Go's `crypto.Hash`.
        let bank = match pcr.digest_alg {
            3 => HashAlg::Sha1,
            5 => HashAlg::Sha256,
            6 => HashAlg::Sha384,
            7 => HashAlg::Sha512,
            other => return Err(form("DigestAlg", "3, 5, 6 or 7", other)),
        };
        pcrs.insert(bank, pcr.index, &pcr.digest.0)?;
    }
    let quotes = vec![quote(&sent.quote, &sent.signature, pcrs)?];
    Ok(Contained { ak: Some(AkPublic::parse(&ak.public.0)?), quotes, boot_log: log.raw.0 })
}

/// `evidence/1` of guard-oss: a quote, the values of one bank and a boot log; the key is the server's to know.
///
/// # Errors
///
/// See [`ContainerError`].
pub fn guard(bytes: &[u8]) -> Result<Contained, ContainerError> {
    #[derive(Deserialize)]
    struct Evidence {
        r#type: String,
        quote: Base64,
        signature: Base64,
        algorithm: String,
        pcrs: BTreeMap<String, Base64>,
        event_log: Log,
    }
    #[derive(Deserialize)]
    struct Log {
        data: Base64,
    }
    let evidence: Evidence = read(bytes)?;
    if evidence.r#type != "evidence/1" {
        return Err(form("type", "evidence/1", evidence.r#type));
    }
    let bank = evidence.algorithm.parse().ok().and_then(HashAlg::from_id);
    let bank = bank.ok_or_else(|| form("algorithm", "a TPM's number of a bank", &evidence.algorithm))?;
    let mut pcrs = PcrBanks::default();
    for (pcr, value) in &evidence.pcrs {
        let pcr = pcr.parse().map_err(|error| form("a PCR", "a number", error))?;
        pcrs.insert(bank, pcr, &value.0)?;
    }
    let quotes = vec![quote(&evidence.quote, &evidence.signature, pcrs)?];
    Ok(Contained { ak: None, quotes, boot_log: evidence.event_log.data.0 })
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ContainerError> {
    within(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| form("the evidence", "JSON of its form", error))
}

fn quote(message: &Base64, signature: &Base64, pcrs: PcrBanks) -> Result<ContainedQuote, ContainerError> {
    Ok(ContainedQuote {
        attest: Attest::parse(&message.0)?,
        signature: Signature::parse(&signature.0)?,
        pcrs,
    })
}
