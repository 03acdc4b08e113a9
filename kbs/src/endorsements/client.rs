//! One GET at a time, each within a budget of bytes and time. No redirection is followed, no connection kept.

use super::error::FetchError;
use super::url::Url;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderValue, IF_NONE_MATCH, LOCATION, USER_AGENT};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Most bytes of an answer's head. Issuer chains in headers take 6 KiB.
const MAX_HEAD: usize = 64 * 1024;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file of certificates.
    #[error("{}: {found}; correct endorsements.ca_certificates in config.toml", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        found: String,
    },
    /// The system has no roots to trust.
    #[error(
        "expected the system's root certificates, found {found}; install ca-certificates, or set endorsements.ca_certificates"
    )]
    NoRoots {
        /// Why.
        found: String,
    },
    /// TLS itself.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Whom to trust when fetching with TLS.
#[derive(Debug, Clone, Copy)]
pub enum Roots<'a> {
    /// Nobody: nothing is fetched with TLS.
    None,
    /// The system's certificates.
    System,
    /// The certificates of a file, PEM.
    File(&'a Path),
}

/// Fetches.
pub struct Client {
    tls: Option<TlsConnector>,
    seconds: u64,
}

/// What a server said.
#[derive(Debug)]
pub struct Answer {
    /// 200 or 304.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, within budget; empty with 304.
    pub body: Vec<u8>,
}

impl Client {
    /// A client whose every request takes at most `seconds`.
    pub fn new(roots: Roots<'_>, seconds: u64) -> Result<Self, ClientError> {
        let store = match roots {
            Roots::None => return Ok(Self { tls: None, seconds }),
            Roots::System => system_roots()?,
            Roots::File(path) => file_roots(path)?,
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(store)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Some(TlsConnector::from(Arc::new(config))), seconds })
    }

    /// Ask for what is at `url`, at most `limit` bytes; 304 is an answer only where `etag` is given.
    pub async fn get(&self, url: &Url, etag: Option<&str>, limit: usize) -> Result<Answer, FetchError> {
        let host = url.authority();
        match timeout(Duration::from_secs(self.seconds), self.exchange(url, etag, limit)).await {
            Ok(result) => result,
            Err(_) => Err(FetchError::Timeout { host, seconds: self.seconds }),
        }
    }

    async fn exchange(&self, url: &Url, etag: Option<&str>, limit: usize) -> Result<Answer, FetchError> {
        let failed = |found: String| FetchError::Connect { host: url.authority(), found };
        let stream =
            TcpStream::connect((url.host.as_str(), url.port)).await.map_err(|e| failed(e.to_string()))?;
        if !url.tls {
            return converse(stream, url, etag, limit).await;
        }
        let tls = self.tls.as_ref().ok_or_else(|| failed("no TLS roots were loaded".to_owned()))?;
        let name = ServerName::try_from(url.host.clone()).map_err(|e| failed(e.to_string()))?;
        let stream = tls.connect(name, stream).await.map_err(|e| failed(e.to_string()))?;
        converse(stream, url, etag, limit).await
    }
}

async fn converse<S>(stream: S, url: &Url, etag: Option<&str>, limit: usize) -> Result<Answer, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Errors of the connection reach whoever waits for the answer.
    let _connection = Ended(tokio::spawn(async move { drop(connection.await) }));
    let mut request = Request::get(url.target())
        .header(HOST, url.authority())
        .header(USER_AGENT, concat!("sealpod-kbs/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close");
    if let Some(etag) = etag {
        request = request.header(IF_NONE_MATCH, etag);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(broken)?;
    let answer = sender.send_request(request).await.map_err(broken)?;
    let (head, body) = answer.into_parts();
    match head.status {
        StatusCode::OK => {
            let body = collect(body, limit).await?;
            Ok(Answer { status: head.status, headers: head.headers, body })
        }
        StatusCode::NOT_MODIFIED if etag.is_some() => {
            Ok(Answer { status: head.status, headers: head.headers, body: Vec::new() })
        }
        StatusCode::TOO_MANY_REQUESTS => Err(FetchError::TooOften { seconds: retry_after(&head.headers) }),
        // Nobody named anything that could be unmodified.
        StatusCode::NOT_MODIFIED => Err(FetchError::Status { found: head.status.as_u16() }),
        status if status.is_redirection() => {
            let location = head.headers.get(LOCATION).map(HeaderValue::as_bytes).unwrap_or_default();
            let location = String::from_utf8_lossy(location).chars().take(200).collect();
            Err(FetchError::Redirect { status: status.as_u16(), location })
        }
        status => Err(FetchError::Status { found: status.as_u16() }),
    }
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Vec<u8>, FetchError> {
    let too_large = || FetchError::TooLarge { expected: limit };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        // Trailers say nothing here.
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if data.len() > limit.saturating_sub(bytes.len()) {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// Bounds of Retry-After in seconds: a server can ask for patience, not for ever.
const MIN_RETRY: u64 = 1;
const MAX_RETRY: u64 = 3600;
/// Where it does not say, or says a date.
const DEFAULT_RETRY: u64 = 60;

fn retry_after(headers: &HeaderMap) -> u64 {
    let seconds =
        headers.get(hyper::header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    seconds.unwrap_or(DEFAULT_RETRY).clamp(MIN_RETRY, MAX_RETRY)
}

/// Ends the connection's task when its request is over, whatever the server still sends.
struct Ended(JoinHandle<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn broken(error: impl std::error::Error) -> FetchError {
    let mut found = error.to_string();
    // The cause says more than "error reading a body from connection".
    let mut source = error.source();
    while let Some(cause) = source {
        found = format!("{found}: {cause}");
        source = cause.source();
    }
    FetchError::Broken { found }
}

fn system_roots() -> Result<RootCertStore, ClientError> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    // Systems carry certificates that rustls does not take; the others count.
    let (taken, _) = store.add_parsable_certificates(found.certs);
    if taken == 0 {
        let found = found.errors.first().map_or("none".to_owned(), ToString::to_string);
        return Err(ClientError::NoRoots { found });
    }
    Ok(store)
}

fn file_roots(path: &Path) -> Result<RootCertStore, ClientError> {
    let failed = |found: String| ClientError::Pem { path: path.to_owned(), found };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| failed(e.to_string()))? {
        let certificate = certificate.map_err(|e| failed(e.to_string()))?;
        store.add(certificate).map_err(|e| failed(e.to_string()))?;
    }
    if store.is_empty() { Err(failed("no certificate in it".to_owned())) } else { Ok(store) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_asked_for_is_bounded() {
        for (value, seconds) in [
            (None, DEFAULT_RETRY),
            (Some("7"), 7),
            (Some("0"), MIN_RETRY),
            (Some("999999999"), MAX_RETRY),
            (Some("99999999999999999999999"), DEFAULT_RETRY),
            (Some("Wed, 21 Oct 2026 07:28:00 GMT"), DEFAULT_RETRY),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(hyper::header::RETRY_AFTER, HeaderValue::from_static(value));
            }
            assert_eq!(retry_after(&headers), seconds, "{value:?}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        for text in [None, Some(""), Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")] {
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            assert!(matches!(Client::new(Roots::File(&path), 1), Err(ClientError::Pem { .. })), "{text:?}");
        }
    }
}
