//! The broker's client: challenge, evidence, secrets (KBS protocol 0.4.0), over TLS that ends in this guest.
//!
//! The host carries the bytes and chooses where they go; the certificate authority in initdata decides who is
//! spoken to.

use crate::attester::{AttestError, Gather};
use crate::secret::SecretBytes;
use http::{BrokerUrl, HttpError, Session};
use hyper::Method;
use jwe::{ChannelKey, JweError};
use rustls::ClientConfig;
use sealpod_evidence::initdata::Broker;
use sealpod_evidence::rcar::protocol::{Challenge, Request, Tee};
use sealpod_evidence::rcar::{AuthExtraParams, ChallengeExtraParams, CredentialChallenge, PROTOCOL_VERSION};
use sealpod_evidence::workload::ResourcePath;
use serde::Deserialize;
use std::sync::{Arc, Mutex};

pub mod http;
pub mod jwe;

/// Longest nonce text: 32 bytes are 44 characters of base64.
const MAX_NONCE: usize = 256;

/// Why the broker gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum RcarError {
    /// The connection or a request failed.
    #[error("broker: {0}")]
    Http(#[from] HttpError),
    /// The broker said no.
    #[error("broker refused {request} ({status}): {detail}")]
    Refused {
        /// Which request.
        request: String,
        /// HTTP status.
        status: u16,
        /// Its own words.
        detail: String,
        /// Which check failed, where it says so.
        verdict: Option<Box<Verdict>>,
    },
    /// An answer that is not the protocol's.
    #[error("broker: answer to {request} does not parse: {message}")]
    Answer {
        /// Which request.
        request: &'static str,
        /// Why.
        message: String,
    },
    /// The broker gave no credential for the vTPM, so its evidence could not be bound.
    #[error("broker: the challenge holds no credential for the vTPM; it is not a sealpod broker")]
    NoCredential,
    /// Evidence cannot be gathered.
    #[error(transparent)]
    Attest(#[from] AttestError),
    /// The gathering task died.
    #[error("gathering evidence was aborted")]
    Aborted,
    /// The secret does not open.
    #[error(transparent)]
    Jwe(#[from] JweError),
}

/// Which check of the verifier failed, in the broker's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Verdict {
    /// Number of the verification step.
    pub step: Option<u8>,
    /// Its name.
    pub check: Option<String>,
    /// What was expected.
    pub expected: Option<String>,
    /// What was found.
    pub found: Option<String>,
}

/// The body of a refusal.
#[derive(Deserialize)]
struct Refusal {
    detail: String,
    #[serde(default)]
    sealpod: Option<Box<Verdict>>,
}

/// A client of the one broker that initdata names.
#[derive(Clone)]
pub struct Client {
    connector: http::Connector,
    tls: Arc<ClientConfig>,
    url: BrokerUrl,
    attester: Arc<Mutex<dyn Gather>>,
}

impl Client {
    /// A client for this broker; connections are made by `connector`.
    pub fn new(
        broker: &Broker,
        connector: http::Connector,
        attester: Arc<Mutex<dyn Gather>>,
    ) -> Result<Self, RcarError> {
        let (url, tls) = (BrokerUrl::parse(&broker.url)?, http::tls_config(&broker.ca)?);
        Ok(Self { connector, tls, url, attester })
    }

    /// Attest with a fresh key and challenge, then fetch these resources in order.
    pub async fn fetch(&self, resources: &[ResourcePath]) -> Result<Vec<SecretBytes>, RcarError> {
        let stream = (self.connector)().await.map_err(HttpError::Connect)?;
        let mut session = Session::open(stream, self.tls.clone(), self.url.clone()).await?;
        let key = ChannelKey::generate()?;
        self.handshake(&mut session, &key).await?;
        let mut secrets = Vec::with_capacity(resources.len());
        for resource in resources {
            let path = format!("/kbs/v0/resource/{resource}");
            secrets.push(key.open(&call(&mut session, Method::GET, &path, Vec::new()).await?)?);
        }
        Ok(secrets)
    }

    async fn handshake(&self, session: &mut Session, key: &ChannelKey) -> Result<(), RcarError> {
        let (nonce, credential) = self.challenge(session).await?;
        let public = key.public().clone();
        let attestation = self.gather(move |attester| attester.attest(&nonce, &public, &credential)).await?;
        let body = serde_json::to_vec(&attestation).map_err(AttestError::from)?;
        let answer = call(session, Method::POST, "/kbs/v0/attest", body).await?;
        #[derive(Deserialize)]
        struct Token {
            token: String,
        }
        let Token { token } = parse("/attest", &answer)?;
        session.authorize(token);
        Ok(())
    }

    /// TPM and TEE commands block, and stdio must flow meanwhile.
    async fn gather<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut dyn Gather) -> Result<T, AttestError> + Send + 'static,
    ) -> Result<T, RcarError> {
        let attester = self.attester.clone();
        let gathering = tokio::task::spawn_blocking(move || {
            let mut attester = attester.lock().map_err(|_| RcarError::Aborted)?;
            ask(&mut *attester).map_err(RcarError::from)
        });
        gathering.await.map_err(|_| RcarError::Aborted)?
    }

    async fn challenge(&self, session: &mut Session) -> Result<(String, CredentialChallenge), RcarError> {
        let keys = self.gather(|attester| attester.keys()).await?;
        let extra =
            serde_json::to_value(AuthExtraParams { sealpod: Some(keys) }).map_err(AttestError::from)?;
        let request = Request { version: PROTOCOL_VERSION.to_owned(), tee: Tee::Snp, extra_params: extra };
        let body = serde_json::to_vec(&request).map_err(AttestError::from)?;
        let answer = call(session, Method::POST, "/kbs/v0/auth", body).await?;
        let challenge: Challenge = parse("/auth", &answer)?;
        if challenge.nonce.len() > MAX_NONCE {
            let message =
                format!("the nonce is {} characters, at most {MAX_NONCE} are used", challenge.nonce.len());
            return Err(RcarError::Answer { request: "/auth", message });
        }
        // A broker that is not ours sends a plain string here.
        let extra: ChallengeExtraParams =
            serde_json::from_value(challenge.extra_params).map_err(|_| RcarError::NoCredential)?;
        Ok((challenge.nonce, extra.sealpod.ok_or(RcarError::NoCredential)?))
    }
}

/// One request whose answer must be a success.
pub(crate) async fn call(
    session: &mut Session,
    method: Method,
    path: &str,
    body: Vec<u8>,
) -> Result<Vec<u8>, RcarError> {
    let request = format!("{method} {path}");
    let (status, answer) = session.request(method, path, body).await?;
    if status.is_success() {
        return Ok(answer);
    }
    let refusal = serde_json::from_slice(&answer).unwrap_or_else(|_| Refusal {
        detail: String::from_utf8_lossy(&answer[..answer.len().min(512)]).into_owned(),
        sealpod: None,
    });
    let detail = refusal.detail.chars().take(2048).collect();
    Err(RcarError::Refused { request, status: status.as_u16(), detail, verdict: refusal.sealpod })
}

fn parse<T: serde::de::DeserializeOwned>(request: &'static str, bytes: &[u8]) -> Result<T, RcarError> {
    serde_json::from_slice(bytes).map_err(|e| RcarError::Answer { request, message: e.to_string() })
}

#[cfg(test)]
pub(crate) mod tests;
