//! Attestation: evidence in, token out, with its archive record and audit line.

use super::{Broker, MAX_LISTED};
use crate::audit::{Entry, Verdict};
use crate::clock::rfc3339;
use crate::crypto;
use crate::ear::{self, Appraised, Issue};
use crate::endorsements::Need;
use crate::http::refusal::{Finding, Kind, Refusal};
use crate::sessions::{self, Session};
use sealpod_evidence::rcar::protocol::Attestation;
use sealpod_verifier::{
    AttestationResult, Challenge, Check, Input, UnixTime, VerifyError, parse_body, verify,
};
use serde_json::json;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

/// A successful attestation.
pub struct Attested {
    /// The token.
    pub token: String,
    /// Its hash, for the cookie.
    pub key: [u8; 32],
    /// From when on it is worth nothing.
    pub expires: UnixTime,
}

/// How far an attestation came.
pub enum Begun {
    /// It is decided.
    Attested(Attested),
    /// Endorsements must be fetched first, which takes time but no computing.
    Lacking(Box<Lacking>),
}

/// An attestation that waits for endorsements.
pub struct Lacking {
    attestation: Attestation,
    missing: Vec<Need>,
    /// Why they were not fetched.
    notes: Vec<String>,
}

impl Broker {
    /// Appraise the answer to a challenge, if all endorsements are there. Takes milliseconds of computing: not for an asynchronous
    /// thread.
    ///
    /// The decision is in the audit log and the evidence in the archive before this returns; of very many refusals, their number.
    pub fn attest(&self, body: &[u8], challenge: &Challenge, peer: &str) -> Result<Begun, Refusal> {
        let now = self.now();
        let attestation = match parse_body(body) {
            Ok(attestation) => attestation,
            Err(error) => {
                let next = Cow::Borrowed("send what KBS protocol 0.4.0 calls for");
                let id = &new_id(now)?;
                let refused = Refused { id, body: None, error: &error, kind: Kind::SerdeError, next };
                return Err(self.refuse(refused, now, peer)?);
            }
        };
        // Nothing is fetched for an answer to another challenge.
        let needs = match attestation.runtime_data.nonce == challenge.nonce {
            true => self.endorsed.needs(&attestation, challenge.tee, now),
            false => Vec::new(),
        };
        let missing = self.endorsed.missing(needs, now);
        let lacking = Lacking { attestation, missing, notes: Vec::new() };
        if lacking.missing.is_empty() {
            return self.decide(&lacking, body, challenge, peer).map(Begun::Attested);
        }
        Ok(Begun::Lacking(Box::new(lacking)))
    }

    /// Fetch what an attestation lacks, for as long as the settings allow. The appraisal then says what is still missing.
    pub async fn gather(&self, lacking: &mut Lacking, peer: &str) {
        let source = peer.parse().ok().map(|peer: SocketAddr| peer.ip());
        let missing = std::mem::take(&mut lacking.missing);
        lacking.notes = self.endorsed.gather(missing, source).await;
    }

    /// Appraise what waited, with whatever came. As [`Self::attest`] otherwise.
    pub fn decide(
        &self,
        lacking: &Lacking,
        body: &[u8],
        challenge: &Challenge,
        peer: &str,
    ) -> Result<Attested, Refusal> {
        let now = self.now();
        let id = new_id(now)?;
        let attestation = &lacking.attestation;
        match self.appraise(attestation, challenge, now)? {
            Ok(result) => {
                self.archive(&id, body, Ok(&result), now)?;
                let entry = Entry {
                    id: Some(&id),
                    trust_vector: Some(result.trust_vector()),
                    binding_level: Some(result.binding_level().as_str()),
                    peer: Some(peer),
                    ..Entry::new("attest", Verdict::Allow)
                };
                self.audit(&entry, now)?;
                self.issue(&id, attestation, &result, now)
            }
            Err(error) => {
                let next = next_step(error.check, &lacking.notes);
                let kind = Kind::AttestationError;
                let refused = Refused { id: &id, body: Some(body), error: &error, kind, next };
                Err(self.refuse(refused, now, peer)?)
            }
        }
    }

    fn appraise(
        &self,
        attestation: &Attestation,
        challenge: &Challenge,
        now: UnixTime,
    ) -> Result<Result<AttestationResult, VerifyError>, Refusal> {
        let owner = self.owner().map_err(Refusal::internal)?;
        let reference = owner.reference.as_ref().map_err(Refusal::internal)?;
        let endorsed = self.endorsed.now();
        let (endorsements, generation) = (endorsed.endorsements(), endorsed.generation());
        let input =
            Input { attestation, challenge, endorsements, reference, policy: &self.config.appraisal, now };
        let result = verify(&input);
        let found = result.as_ref().ok();
        let key =
            found.and_then(AttestationResult::snp_key).filter(|key| !endorsements.remembers(key)).cloned();
        let platform = found.and_then(AttestationResult::tdx_platform);
        let platform = platform.filter(|it| !endorsements.tdx().remembers(it)).cloned();
        drop(endorsed);
        self.endorsed.remember(key, platform, generation);
        Ok(result)
    }

    fn issue(
        &self,
        id: &str,
        attestation: &Attestation,
        result: &AttestationResult,
        now: UnixTime,
    ) -> Result<Attested, Refusal> {
        let expires = now.saturating_add(self.config.token_seconds);
        let issue = Issue { id, nonce: &attestation.runtime_data.nonce, issued: now, expires };
        let claims = ear::token_claims(&Appraised::from(result), &issue).to_string();
        let session = Session::from_claims(claims.as_bytes()).map_err(|e| {
            Refusal::new(
                Kind::JweError,
                e,
                "send a tee-pubkey for ECDH-ES+A256KW on P-256 or for RSA-OAEP-256",
            )
        })?;
        let token = self.keys.token.sign(claims.as_bytes()).map_err(Refusal::internal)?;
        let key = sessions::key(&token);
        self.sessions.insert(key, Arc::new(session));
        Ok(Attested { token, key, expires })
    }

    /// The record is the request as it came, with the decision beside it.
    fn archive(
        &self,
        id: &str,
        body: &[u8],
        outcome: Result<&AttestationResult, &VerifyError>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let decision = match outcome {
            Ok(result) => json!({"verdict": "allow", "trust_vector": result.trust_vector(),
                                 "binding_level": result.binding_level().as_str()}),
            Err(error) => {
                json!({"verdict": "refuse", "step": error.check.step(), "check": error.check.name(),
                                 "expected": error.expected, "found": error.found})
            }
        };
        let head = json!({"id": id, "time": rfc3339(now), "decision": decision}).to_string();
        let head = head.strip_suffix('}').unwrap_or(&head);
        // The body parsed, so it is JSON.
        let record = [head.as_bytes(), b",\"request\":", body, b"}"].concat();
        self.archive.put(outcome.is_ok(), id, &record).map_err(Refusal::internal)
    }

    pub(super) fn audit(&self, entry: &Entry<'_>, now: UnixTime) -> Result<(), Refusal> {
        // What cannot be written down is not done.
        self.admin.audit.append(now, entry).map_err(Refusal::internal)
    }

    /// A refusal, with its archive record where the body parsed and its audit line, as far as this minute's are listed.
    fn refuse(&self, refused: Refused<'_>, now: UnixTime, peer: &str) -> Result<Refusal, Refusal> {
        let Refused { id, body, error, kind, next } = refused;
        self.audit_unlisted(now)?;
        let finding = Finding::from(error);
        if !self.refusals.admit(now) {
            return Ok(Refusal::found(kind, finding, &next));
        }
        if let Some(body) = body {
            self.archive(id, body, Err(error), now)?;
        }
        let entry = Entry {
            id: Some(id),
            step: finding.step,
            check: Some(&finding.check),
            expected: Some(&finding.expected),
            found: Some(&finding.found),
            trust_vector: Some(&error.trust_vector()),
            peer: Some(peer),
            ..Entry::new("attest", Verdict::Refuse)
        };
        self.audit(&entry, now)?;
        Ok(Refusal::found(kind, Finding { id: Some(id.to_owned()), ..finding }, &next))
    }

    /// Write down how many refusals of an earlier minute were not, if any were not.
    pub(crate) fn audit_unlisted(&self, now: UnixTime) -> Result<(), Refusal> {
        let Some(unlisted) = self.refusals.unlisted(now) else { return Ok(()) };
        let entry = Entry {
            check: Some("not-listed"),
            expected: Some(&format!("at most {MAX_LISTED} refused attestations a minute")),
            found: Some(&format!("{unlisted} more")),
            ..Entry::new("attest", Verdict::Refuse)
        };
        self.audit(&entry, now)
    }
}

/// What is said of a refused attestation.
struct Refused<'a> {
    id: &'a str,
    /// The request, where it parsed.
    body: Option<&'a [u8]>,
    error: &'a VerifyError,
    kind: Kind,
    next: Cow<'static, str>,
}

/// Ids sort by time, to the second.
fn new_id(now: UnixTime) -> Result<String, Refusal> {
    let random: [u8; 8] = crypto::random().map_err(Refusal::internal)?;
    Ok(format!("{now:010x}-{}", hex::encode(random)))
}

/// What whoever reads a refusal should look at, by verification step.
fn next_step(check: Check, notes: &[String]) -> Cow<'static, str> {
    let next = match check.step() {
        _ if check == Check::Collateral => {
            "set intel_pcs in [endorsements] of config.toml, or `sealpod-kbs endorsements import` the platform's collateral"
        }
        _ if check == Check::ChainIncomplete => {
            "`sealpod-kbs endorsements import` the chip's certificates, set amd_kds in [endorsements] of config.toml, or update the host's certificate table"
        }
        1 => "check that guest and broker are of the same release",
        2 => "ask /kbs/v0/auth for a new challenge and answer that one",
        3 | 4 => {
            "`sealpod-kbs endorsements import` the chip's certificates and a current revocation list, or update the host's certificate table"
        }
        5 | 7 => "attest anew from the guest itself; evidence cannot be stored or moved",
        6 => "update the host's firmware, or lower snp_minimum_tcb or [appraisal] if the owner accepts this",
        8 => {
            "`sealpod-kbs reference add` the values of this guest image and this initdata, if they are yours"
        }
        9 => "start the guest under an SVSM, or lower minimum_binding_level if the owner accepts this",
        10 | 11 => "attest anew with the vTPM that the guest was started with",
        12 => {
            "`sealpod-kbs reference add` this boot, if it is yours: see `sealpod-kbs evidence show` for its log"
        }
        13 | 14 => {
            "restart the pod; if the file named belongs to an image, `sealpod-kbs reference add` that image's values"
        }
        15 => "start only the containers that initdata allows, or extend initdata",
        _ => "see `sealpod-kbs audit show`",
    };
    match (check.step(), notes) {
        (3 | 4, [_, ..]) => format!("{next}; not fetched: {}", notes.join("; ")).into(),
        _ => next.into(),
    }
}
