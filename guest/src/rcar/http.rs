//! HTTPS to one server over a stream that somebody else carries.

use futures::future::LocalBoxFuture;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use sealpod_evidence::rcar::SESSION_COOKIE;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use zeroize::{Zeroize as _, Zeroizing};

/// Longest answer: a resource of 1 MiB, in base64, with room for the rest.
const MAX_ANSWER: usize = 2 * 1024 * 1024;
/// Longest cookie that is sent back: browsers keep 4 KiB (RFC 6265 section 6.1).
const MAX_COOKIE: usize = 4096;
/// Longest wait for the connection, and for each answer. A broker answers in milliseconds; the machine may be slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// The port of https (RFC 9110 section 4.2.2).
const HTTPS: u16 = 443;

/// A byte stream towards the broker.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + 'static> Stream for T {}

/// Makes a new stream towards the broker.
pub type Connector = Rc<dyn Fn() -> LocalBoxFuture<'static, io::Result<Box<dyn Stream>>>>;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The URL in initdata is not one that is used.
    #[error("{found:?} is not `https://host[:port]`")]
    Url {
        /// The text.
        found: String,
    },
    /// The certificate authority in initdata is not one.
    #[error("initdata's certificate authority is not usable: {0}")]
    Authority(String),
    /// The host carried no stream.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The server is not the one that initdata names, or the stream broke.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// HTTP failed.
    #[error("HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// A request that cannot be written.
    #[error("HTTP request: {0}")]
    Request(#[from] hyper::http::Error),
    /// An answer that broke off or is longer than the budget.
    #[error("HTTP answer (at most {MAX_ANSWER} bytes): {0}")]
    Body(String),
    /// No answer in time.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Timeout,
}

/// `https://host[:port]`, nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    authority: String,
    server: ServerName<'static>,
}

impl BrokerUrl {
    /// Check a URL.
    pub fn parse(text: &str) -> Result<Self, HttpError> {
        let error = || HttpError::Url { found: text.chars().take(256).collect() };
        let uri: Uri = text.parse().map_err(|_| error())?;
        if uri.scheme_str() != Some("https") || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(error());
        }
        let authority = uri.authority().filter(|a| !a.as_str().contains('@')).ok_or_else(error)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let server = ServerName::try_from(host).map_err(|_| error())?;
        Ok(Self { authority: authority.to_string(), server })
    }

    /// Where a socket is to be connected to: name or address without brackets, and port.
    pub fn address(&self) -> (String, u16) {
        let port = self.authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        (self.server.to_str().into_owned(), port.unwrap_or(HTTPS))
    }
}

/// TLS 1.3 with this PEM's certificates as the only trust anchors.
pub fn tls_config(authority: &str) -> Result<Arc<ClientConfig>, HttpError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        let certificate = certificate.map_err(|e| HttpError::Authority(e.to_string()))?;
        roots.add(certificate).map_err(|e| HttpError::Authority(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(HttpError::Authority("it holds no certificate".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| HttpError::Authority(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// One connection, with the cookie and token that the server gave.
pub struct Session {
    sender: SendRequest<Full<Bytes>>,
    url: BrokerUrl,
    cookie: Option<String>,
    token: Option<Zeroizing<String>>,
}

impl Session {
    /// Shake hands over `stream`.
    pub async fn open(
        stream: Box<dyn Stream>,
        tls: Arc<ClientConfig>,
        url: BrokerUrl,
    ) -> Result<Self, HttpError> {
        let connector = tokio_rustls::TlsConnector::from(tls);
        let handshake = timeout(PATIENCE, connector.connect(url.server.clone(), stream));
        let stream = handshake.await.map_err(|_| HttpError::Timeout)?.map_err(HttpError::Tls)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Its end is seen by the next request.
        tokio::task::spawn_local(async move { drop(connection.await) });
        Ok(Self { sender, url, cookie: None, token: None })
    }

    /// Send this token from here on.
    pub fn authorize(&mut self, token: String) {
        self.token = Some(Zeroizing::new(token));
    }

    /// The cookie that the server gave, for a later connection.
    pub fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    /// Send this cookie, which an earlier connection was given.
    pub fn resume(&mut self, cookie: String) {
        self.cookie = Some(cookie);
    }

    /// One request and its whole answer.
    pub async fn request(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Vec<u8>), HttpError> {
        timeout(PATIENCE, self.exchange(method, path, body)).await.map_err(|_| HttpError::Timeout)?
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Vec<u8>), HttpError> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.url.authority);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        if let Some(token) = &self.token {
            let mut value = format!("Bearer {}", token.as_str());
            request = request.header(AUTHORIZATION, &value);
            value.zeroize();
        }
        self.sender.ready().await?;
        let answer = self.sender.send_request(request.body(Full::new(body.into()))?).await?;
        for header in answer.headers().get_all(SET_COOKIE) {
            if let Some(cookie) = header.to_str().ok().and_then(session_cookie) {
                self.cookie = Some(cookie);
            }
        }
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|e| HttpError::Body(e.to_string()))?;
        Ok((status, body.to_bytes().to_vec()))
    }
}

/// The `name=value` part of a `Set-Cookie` of the session.
fn session_cookie(header: &str) -> Option<String> {
    let pair = header.split(';').next()?.trim();
    let (name, _) = pair.split_once('=')?;
    (name == SESSION_COOKIE && pair.len() <= MAX_COOKIE).then(|| pair.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_https_urls_are_used() {
        for good in ["https://kbs", "https://kbs:8080", "https://10.0.2.2:8080/", "https://[::1]:1"] {
            assert!(BrokerUrl::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["http://kbs", "https://", "https://kbs/path", "https://u:p@kbs", "https://kbs?x", "kbs", ""]
        {
            assert!(BrokerUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_url_says_where_to_connect_to() {
        for (url, host, port) in [
            ("https://kbs", "kbs", 443),
            ("https://kbs:8080/", "kbs", 8080),
            ("https://10.0.2.2:1", "10.0.2.2", 1),
            ("https://[::1]:1", "::1", 1),
            ("https://[::1]", "::1", 443),
        ] {
            assert_eq!(BrokerUrl::parse(url).unwrap().address(), (host.to_owned(), port), "{url}");
        }
    }

    #[test]
    fn an_authority_without_a_certificate_is_refused() {
        for bad in ["", "text", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(matches!(tls_config(bad), Err(HttpError::Authority(_))), "{bad}");
        }
    }

    #[test]
    fn only_the_session_cookie_is_kept() {
        assert_eq!(session_cookie("kbs-session-id=abc; Path=/").as_deref(), Some("kbs-session-id=abc"));
        assert_eq!(session_cookie("other=abc"), None);
        assert_eq!(session_cookie(&format!("kbs-session-id={}", "a".repeat(MAX_COOKIE))), None);
    }
}
