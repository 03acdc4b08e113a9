//! One round with a broker: its challenge, the evidence, what it says of it. TLS trusts one authority and no other.

use super::NodeError;
use super::collect::Challenge;
use crate::rcar::http::{self, BrokerUrl, HttpError, Session};
use crate::rcar::{RcarError, call};
use hyper::Method;
use rustls::ClientConfig;
use sealpod_evidence::node::evidence::{MAX_NONCE, NodeEvidence};
use sealpod_evidence::node::request::{MeasureRequest, RequestError};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::timeout;

/// Longest wait for a connection.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest name of a node, as brokers have it.
const MAX_NAME: usize = 64;
/// Longest file of certificates that is read.
const MAX_AUTHORITY: usize = 1 << 20;

/// Why a round with a broker failed.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// Not a URL that is used.
    #[error("--broker: {0}")]
    Url(HttpError),
    /// The authority's file.
    #[error("--ca {}: {found}; copy ca.pem from the broker's directory", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why it is of no use.
        found: String,
    },
    /// Not a node's name.
    #[error("--name: expected letters, digits, `-` and `.`, at most {MAX_NAME} of them, found {found:?}")]
    Name {
        /// The text, cut.
        found: String,
    },
    /// The broker, or the way to it.
    #[error(transparent)]
    Broker(#[from] RcarError),
    /// A challenge that is none.
    #[error("the broker's challenge: {0}")]
    Challenge(String),
    /// What the challenge asks for.
    #[error("the broker's challenge: {0}")]
    Request(#[from] RequestError),
    /// The round itself.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// No runtime for the connection.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

/// A broker that takes this node's rounds.
#[derive(Debug, Clone)]
pub struct Broker {
    url: BrokerUrl,
    tls: Arc<ClientConfig>,
    name: String,
}

/// What the broker says of a round.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Taken {
    /// One for each profile.
    pub profiles: Vec<ProfileResult>,
    /// Whether it holds the node.
    pub held: bool,
}

/// What a round came to by one profile.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ProfileResult {
    /// The profile.
    pub id: String,
    /// One line.
    pub summary: String,
}

/// The broker's challenge. Members that later brokers add are left aside.
#[derive(Deserialize)]
struct Offered {
    nonce: String,
    request: Box<RawValue>,
}

impl Broker {
    /// The broker at `https://host[:port]` that this file's certificates vouch for, to which this node is known as `name`.
    ///
    /// # Errors
    ///
    /// [`RoundError::Url`], [`RoundError::Authority`], [`RoundError::Name`].
    pub fn new(url: &str, authority: &Path, name: &str) -> Result<Self, RoundError> {
        let url = BrokerUrl::parse(url).map_err(RoundError::Url)?;
        let unfit = |found: String| RoundError::Authority { path: authority.to_owned(), found };
        let pem = crate::files::read(authority, MAX_AUTHORITY).map_err(|error| unfit(error.to_string()))?;
        let pem = String::from_utf8(pem).map_err(|_| unfit("not PEM".to_owned()))?;
        let tls = http::tls_config(&pem).map_err(|error| match error {
            HttpError::Authority(found) => unfit(found),
            other => unfit(other.to_string()),
        })?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(plain) || name.starts_with('.') {
            return Err(RoundError::Name { found: name.chars().take(128).collect() });
        }
        Ok(Self { url, tls, name: name.to_owned() })
    }

    /// One round. `collect` gathers the evidence; no connection is open and no other thread runs meanwhile.
    ///
    /// # Errors
    ///
    /// [`RoundError`]
    pub fn round(
        &self,
        collect: impl FnOnce(&Challenge<'_>) -> Result<NodeEvidence, NodeError>,
    ) -> Result<Taken, RoundError> {
        let (body, cookie) = wait(self.post("challenge", Vec::new(), None))?;
        let offered: Offered = read("challenge", &body)?;
        if offered.nonce.is_empty() || offered.nonce.len() > MAX_NONCE {
            let found = offered.nonce.len();
            return Err(RoundError::Challenge(format!("a nonce is 1 to {MAX_NONCE} bytes, found {found}")));
        }
        let cookie = cookie.ok_or_else(|| RoundError::Challenge("it came without a cookie".to_owned()))?;
        let request = MeasureRequest::parse(offered.request.get().as_bytes())?;
        let evidence = collect(&Challenge { nonce: &offered.nonce, request: &request, credential: None })?;
        let json = serde_json::to_vec(&evidence).map_err(NodeError::from)?;
        drop(evidence);
        let (body, _) = wait(self.post("evidence", json, Some(cookie)))?;
        Ok(read("evidence", &body)?)
    }

    async fn post(
        &self,
        what: &str,
        body: Vec<u8>,
        cookie: Option<String>,
    ) -> Result<(Vec<u8>, Option<String>), RcarError> {
        let connecting = timeout(PATIENCE, TcpStream::connect(self.url.address()));
        let stream = connecting.await.map_err(|_| HttpError::Timeout)?.map_err(HttpError::Connect)?;
        let mut session = Session::open(Box::new(stream), self.tls.clone(), self.url.clone()).await?;
        if let Some(cookie) = cookie {
            session.resume(cookie);
        }
        let path = format!("/sealpod/v0/nodes/{}/{what}", self.name);
        let answer = call(&mut session, Method::POST, &path, body).await?;
        Ok((answer, session.cookie().map(str::to_owned)))
    }
}

/// One line for the journal.
impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It is the broker's text, but a terminal may show it.
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(256).collect::<String>();
        for (index, profile) in self.profiles.iter().enumerate() {
            let separator = if index > 0 { "; " } else { "" };
            write!(f, "{separator}{}: {}", plain(&profile.id), plain(&profile.summary))?;
        }
        if self.held {
            f.write_str("; this node is HELD until a round without failing items")
        } else {
            Ok(())
        }
    }
}

/// A runtime for one request. It ends before a round begins: that wants a process of one thread.
fn wait<T>(work: impl Future<Output = Result<T, RcarError>>) -> Result<T, RoundError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RoundError::Runtime)?;
    Ok(LocalSet::new().block_on(&runtime, work)?)
}

fn read<T: serde::de::DeserializeOwned>(request: &'static str, bytes: &[u8]) -> Result<T, RcarError> {
    serde_json::from_slice(bytes).map_err(|error| RcarError::Answer { request, message: error.to_string() })
}

#[cfg(test)]
mod tests;
