//! The administration interface. There is no anonymous administrator.

use super::refusal::{Kind, Refusal};
use super::{Answer, json_answer};
use crate::admin::{AdminError, By};
use crate::broker::Broker;
use crate::release::{MAX_POLICY, POLICY_NAME};
use crate::secret::SecretBytes;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::body::Bytes;
use sealpod_evidence::workload::ResourcePath;
use serde::Deserialize;
use serde_json::json;

/// Largest `/resource-policy` body in bytes: the policy in base64, and its frame.
pub const MAX_POLICY_BODY: usize = MAX_POLICY / 3 * 4 + 1024;

/// Whether the bearer is an administrator. Comes before any body is read.
pub fn authorize(broker: &Broker, bearer: Option<&str>) -> Result<(), Refusal> {
    let next = "send `Authorization: Bearer TOKEN` with what `sealpod-kbs admin-token` prints";
    let refuse = |what: &dyn std::fmt::Display| Refusal::new(Kind::AdminAuthAccess, what, next);
    let token = bearer.ok_or_else(|| refuse(&"no administrator's token"))?;
    broker.keys.admin.verify(token, broker.now()).map_err(|e| refuse(&e))
}

/// Store a secret.
pub fn set_secret(broker: &Broker, peer: &str, path: &ResourcePath, body: Bytes) -> Result<Answer, Refusal> {
    let secret = SecretBytes::new(body.into());
    broker.admin.set_secret(by(broker, peer), path, &secret).map_err(Refusal::internal)?;
    Ok(json_answer(Vec::new()))
}

/// Remove a secret.
pub fn delete_secret(broker: &Broker, peer: &str, path: &ResourcePath) -> Result<Answer, Refusal> {
    match broker.admin.delete_secret(by(broker, peer), path).map_err(Refusal::internal)? {
        true => Ok(json_answer(Vec::new())),
        false => Err(Refusal::new(
            Kind::PluginInternalError,
            format!("there is no secret at {path}"),
            "see `sealpod-kbs secret list`",
        )),
    }
}

/// Names of the policies.
pub fn policies(broker: &Broker) -> Result<Answer, Refusal> {
    let found = broker.admin.policy().map_err(Refusal::internal)?;
    let names: Vec<&str> = found.iter().map(|_| POLICY_NAME).collect();
    Ok(json_answer(json!(names).to_string().into_bytes()))
}

/// Install the release policy.
pub fn set_policy(broker: &Broker, peer: &str, body: &[u8]) -> Result<Answer, Refusal> {
    #[derive(Deserialize)]
    struct Body {
        policy: String,
    }
    let next = "send {\"policy\": \"<base64url of Rego text>\"}";
    let refuse = |what: &dyn std::fmt::Display| Refusal::new(Kind::ParsePolicyError, what, next);
    let body: Body = serde_json::from_slice(body).map_err(|e| refuse(&e))?;
    let text = URL_SAFE_NO_PAD.decode(body.policy.trim_end_matches('=')).map_err(|e| refuse(&e))?;
    let text = String::from_utf8(text).map_err(|e| refuse(&e))?;
    match broker.admin.set_policy(by(broker, peer), &text) {
        Ok(_) => Ok(json_answer(Vec::new())),
        Err(AdminError::Policy(error)) => Err(refuse(&error)),
        Err(error) => Err(Refusal::internal(error)),
    }
}

/// Add a Reference Value document.
pub fn add_reference(broker: &Broker, peer: &str, body: &[u8]) -> Result<Answer, Refusal> {
    match broker.admin.add_reference(by(broker, peer), body) {
        Ok(id) => Ok(json_answer(json!({"id": id}).to_string().into_bytes())),
        Err(error @ (AdminError::Document(_) | AdminError::Reference(_))) => Err(Refusal::new(
            Kind::RvpsError,
            error,
            "send a document that `sealpod-images reference-values` wrote",
        )),
        Err(error) => Err(Refusal::internal(error)),
    }
}

fn by<'a>(broker: &Broker, peer: &'a str) -> By<'a> {
    By { peer: Some(peer), now: broker.now() }
}
