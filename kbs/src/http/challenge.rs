//! `/auth`: a challenge that the broker need not remember, with a credential for the guest's vTPM.

use super::refusal::{Finding, Kind, Refusal};
use super::{Answer, json_answer, with_cookie};
use crate::broker::Broker;
use crate::cookie::{self, Session};
use crate::crypto;
use crate::make_credential::make_credential;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sealpod_evidence::rcar::protocol::{Request, Tee};
use sealpod_evidence::rcar::{
    AuthRequest, ChallengeExtraParams, CredentialChallenge, PROTOCOL_VERSION, SEALPOD_VERSION,
};
use sealpod_evidence::tpm::Public;
use sealpod_verifier::{APPRAISED, Challenge};
use serde::Deserialize as _;
use serde_json::{Value, json};

const AUTH_FIRST: &str = "ask /kbs/v0/auth for a challenge and send its cookie along";

/// Answer `/auth`.
pub fn auth(broker: &Broker, body: &[u8]) -> Result<Answer, Refusal> {
    let request: Request = serde_json::from_slice(body)
        .map_err(|e| Refusal::new(Kind::SerdeError, e, "send what KBS protocol 0.4.0 calls for"))?;
    if request.version != PROTOCOL_VERSION {
        let finding = Finding::without_step("protocol-version", PROTOCOL_VERSION, &request.version);
        return Err(Refusal::found(Kind::AttestationError, finding, "use a client of that version"));
    }
    if !APPRAISED.contains(&request.tee) {
        let names: Vec<_> = APPRAISED.iter().map(Tee::to_string).collect();
        let finding = Finding::without_step("tee", names.join(", "), request.tee);
        return Err(Refusal::found(Kind::AttestationError, finding, "start the guest under one of these"));
    }
    let nonce = STANDARD.encode(crypto::random::<32>().map_err(Refusal::internal)?);
    // A client that is not ours sends other parameters, and expects this empty string.
    let extra_params = match request.extra_params.get("sealpod") {
        None | Some(Value::Null) => json!(""),
        Some(value) => json!(ChallengeExtraParams { sealpod: Some(credential(broker, &nonce, value)?) }),
    };
    let seconds = broker.config.challenge_seconds;
    let session = Session::Challenged {
        nonce: nonce.clone(),
        tee: request.tee,
        expires: broker.now().saturating_add(seconds),
    };
    let value = cookie::seal(&broker.keys.cookie, &session).map_err(Refusal::internal)?;
    let answer = json_answer(json!({"nonce": nonce, "extra-params": extra_params}).to_string().into_bytes());
    with_cookie(broker, answer, &value, seconds)
}

fn credential(broker: &Broker, nonce: &str, value: &Value) -> Result<CredentialChallenge, Refusal> {
    let refuse = |what: &dyn std::fmt::Display| {
        let finding =
            Finding::without_step("extra-params", "the public areas of a vTPM's EK and AK", what.to_string());
        Refusal::found(
            Kind::AttestationError,
            finding,
            "use the endorsement key of the TPM's default template",
        )
    };
    let request = AuthRequest::deserialize(value).map_err(|e| refuse(&e))?;
    if request.version != SEALPOD_VERSION {
        return Err(refuse(&format!("version {}", request.version)));
    }
    let ek = Public::parse(&request.ek_public.0).map_err(|e| refuse(&format!("ek_public: {e}")))?;
    let ak = Public::parse(&request.ak_public.0).map_err(|e| refuse(&format!("ak_public: {e}")))?;
    let (ek_name, ak_name) = (ek.name().as_bytes(), ak.name().as_bytes());
    let credential = broker.keys.credential.credential(nonce, ek_name, ak_name);
    make_credential(&ek, ak_name, &credential).map_err(|e| refuse(&e))
}

/// The challenge of a cookie that this broker sealed.
pub fn open(broker: &Broker, cookie: Option<&str>) -> Result<Challenge, Refusal> {
    let refuse = |found: &dyn std::fmt::Display| {
        let finding = Finding::new(2, "session-cookie", "the cookie of a challenge of this broker", found);
        Refusal::found(Kind::AttestationError, finding, AUTH_FIRST)
    };
    let value = cookie.ok_or_else(|| refuse(&cookie::CookieError::Missing))?;
    match cookie::open(&broker.keys.cookie, value, broker.now()).map_err(|e| refuse(&e))? {
        Session::Challenged { nonce, tee, expires } => {
            Ok(Challenge { nonce, tee, expires, credential_key: broker.keys.credential.clone() })
        }
        Session::Attested { .. } => Err(refuse(&"the cookie of a session that has attested")),
        Session::Node { .. } => Err(refuse(&"the cookie of a node's challenge")),
    }
}
