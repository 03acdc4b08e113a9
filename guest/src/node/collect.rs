//! One round, from challenge to evidence.

use super::round::Round;
use super::statements::StatementLog;
use super::{NodeError, facts, files};
use crate::attester;
use crate::tpm::Tpm;
use sealpod_evidence::bytes::Base64;
use sealpod_evidence::node::evidence::{NodeEvidence, VERSION, quote_nonce};
use sealpod_evidence::node::request::MeasureRequest;
use sealpod_evidence::node::{RoundNonce, contents};
use sealpod_evidence::rcar::{CredentialChallenge, ImaLog, QUOTED_BANK, QUOTED_PCRS, Quote};
use std::collections::BTreeMap;

/// What is asked of a node.
#[derive(Debug)]
pub struct Challenge<'a> {
    /// The nonce, as text.
    pub nonce: &'a str,
    /// What to measure and state.
    pub request: &'a MeasureRequest,
    /// To be activated, where the broker does not know the attestation key yet.
    pub credential: Option<&'a CredentialChallenge>,
}

/// Answers a challenge. Leaves the process in a mount namespace of its own, so it is the last thing that the process does.
///
/// # Errors
///
/// [`NodeError`]; nothing is sent of a round that broke off, though its statement may be in PCR 13 already.
pub fn collect(challenge: &Challenge<'_>) -> Result<NodeEvidence, NodeError> {
    if !nix::unistd::geteuid().is_root() {
        return Err(NodeError::NotRoot);
    }
    let mut tpm = Tpm::open()?.ok_or(NodeError::NoTpm)?;
    let nonce = RoundNonce::of_challenge(challenge.nonce);
    // Stated before the namespace is left, so that mounts and scan are the node's.
    let mut statement = facts::blank(nonce);
    facts::state(challenge.request, &mut statement);
    let mut round = Round::begin(nonce)?;
    let contents = files::measure(&mut round, challenge.request, &mut statement)?;
    statement.overlays = round.overlays()?;
    drop(round);
    let statement = statement.to_bytes();
    let log = StatementLog::open(&mut tpm)?.extend(&mut tpm, nonce, &statement)?;
    let activated = challenge.credential.map(|credential| activate(&mut tpm, credential)).transpose()?;
    let quoted = tpm.quote(&quote_nonce(challenge.nonce), &QUOTED_PCRS)?;
    // The logs are read after the quote, so that they hold at least what it covers.
    let values = quoted.pcrs.iter().map(|(pcr, value)| (*pcr, value.to_string())).collect();
    let ima_log: ImaLog = attester::ima_log(attester::MAX_NODE_IMA_LOG)?;
    let ek_certificate = tpm.ek_certificate();
    let keys = tpm.keys()?;
    Ok(NodeEvidence {
        version: VERSION,
        nonce: challenge.nonce.to_owned(),
        ek_public: Base64(keys.ek_public.clone()),
        ek_certificate: ek_certificate.map(Base64),
        ak_public: Base64(keys.ak_public.clone()),
        activated_credential: activated.map(Base64),
        quote: Quote { message: Base64(quoted.message), signature: Base64(quoted.signature) },
        pcrs: BTreeMap::from([(QUOTED_BANK.to_owned(), values)]),
        boot_log: Base64(attester::boot_log()?),
        ima_log,
        statement_log: Base64(log),
        statement: Base64(statement),
        contents: Base64(contents::pack(&contents)?),
    })
}

fn activate(tpm: &mut Tpm, credential: &CredentialChallenge) -> Result<Vec<u8>, NodeError> {
    Ok(tpm.activate_credential(&credential.credential_blob.0, &credential.encrypted_secret.0)?)
}
