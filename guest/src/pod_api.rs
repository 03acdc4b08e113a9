//! The pod-local API: `GET http://127.0.0.1:8006/cdh/resource/<repository>/<type>/<tag>`.
//!
//! The path is the one that Confidential Containers' data hub serves. Every answer is fetched with a fresh
//! handshake over the current logs: a pod that drifted since its start gets nothing.

use crate::rcar::{Client, RcarError};
use crate::secret::SecretBytes;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use sealpod_evidence::workload::ResourcePath;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};

/// Where it listens, as Confidential Containers' `api-server-rest` does.
pub const ADDRESS: &str = "127.0.0.1:8006";

const PREFIX: &str = "/cdh/resource/";
/// Names by which a client may have found it. Any other one means that a request was sent somewhere else and led here, as
/// by a web page's rebound name or a proxy that the container runs.
const HOSTS: [&str; 4] = ["127.0.0.1:8006", "localhost:8006", "127.0.0.1", "localhost"];
/// Pause after a connection that could not be accepted: most causes are a lack of something, which passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections served at once: the container is the only client.
const MAX_CONNECTIONS: usize = 8;
/// Longest wait for a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest request head.
const MAX_HEAD: usize = 16 * 1024;

/// What the API may fetch, and with what.
pub struct PodApi {
    client: Client,
    allowed: BTreeSet<String>,
    /// One handshake at a time: each one is a TPM quote and a TEE report.
    turn: Mutex<()>,
}

impl PodApi {
    /// An API for exactly these resources.
    pub fn new(client: Client, allowed: impl IntoIterator<Item = ResourcePath>) -> Self {
        let allowed = allowed.into_iter().map(|path| path.to_string()).collect();
        Self { client, allowed, turn: Mutex::new(()) }
    }

    /// Serve until dropped; one connection that fails ends nothing. Needs a `LocalSet`.
    pub async fn run(self, listener: TcpListener) -> io::Result<Infallible> {
        let (api, slots) = (Rc::new(self), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
        loop {
            let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    eprintln!("sealpod-guest: pod-local API: a connection was not accepted: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let api = api.clone();
            tokio::task::spawn_local(async move {
                let service = service_fn(|request| {
                    let api = api.clone();
                    async move { Ok::<_, Infallible>(api.answer(&request).await) }
                });
                let mut server = http1::Builder::new();
                // A client may end its half once it has asked, as `nc` does; it still wants the answer.
                server
                    .half_close(true)
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT)
                    .max_buf_size(MAX_HEAD);
                // A client that breaks off is its own business.
                drop(server.serve_connection(TokioIo::new(stream), service).await);
                drop(slot);
            });
        }
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let named = request.uri().authority().map(|authority| authority.as_str());
        let routed = check_host(named, request.headers())
            .and_then(|()| route(&self.allowed, request.method(), request.uri().path()));
        match routed {
            Ok(resource) => self.fetch(resource).await,
            Err((status, detail)) => respond(status, &json!({ "error": detail })),
        }
    }

    async fn fetch(&self, resource: ResourcePath) -> Response<Full<Bytes>> {
        let _turn = self.turn.lock().await;
        match self.client.fetch(&[resource]).await {
            Ok(secrets) => {
                // Wiped when it has been sent; what the HTTP library has copied to its own buffer is not.
                let bytes =
                    secrets.into_iter().next().map(|s| Bytes::from_owner(Served(s))).unwrap_or_default();
                let mut response = Response::new(Full::new(bytes));
                let kind = hyper::header::HeaderValue::from_static("application/octet-stream");
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            Err(error) => respond(status_of(&error), &describe(&error)),
        }
    }
}

/// A secret on its way out.
struct Served(SecretBytes);

impl AsRef<[u8]> for Served {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

/// Exactly one `Host`, of [`HOSTS`], and no other name in the request's target.
fn check_host(named: Option<&str>, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
    const OTHER: &str = "this is 127.0.0.1:8006 or localhost:8006, and the request names another host";
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err((StatusCode::BAD_REQUEST, "a request has one Host header"));
    };
    let is_ours = |name: &[u8]| HOSTS.iter().any(|host| host.as_bytes().eq_ignore_ascii_case(name));
    if is_ours(host.as_bytes()) && named.is_none_or(|name| is_ours(name.as_bytes())) {
        return Ok(());
    }
    Err((StatusCode::MISDIRECTED_REQUEST, OTHER))
}

/// The resource asked for, or status and reason.
fn route(
    allowed: &BTreeSet<String>,
    method: &Method,
    path: &str,
) -> Result<ResourcePath, (StatusCode, &'static str)> {
    let text = path.strip_prefix(PREFIX).ok_or((StatusCode::NOT_FOUND, "no such path"))?;
    if method != Method::GET {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "only GET is served"));
    }
    let resource: ResourcePath =
        text.parse().map_err(|_| (StatusCode::BAD_REQUEST, "a resource is repository/type/tag"))?;
    if !allowed.contains(text) {
        return Err((StatusCode::FORBIDDEN, "initdata names no such resource for this container"));
    }
    Ok(resource)
}

fn status_of(error: &RcarError) -> StatusCode {
    match error {
        RcarError::Refused { .. } => StatusCode::FORBIDDEN,
        RcarError::Http(_) | RcarError::Answer { .. } | RcarError::NoCredential => StatusCode::BAD_GATEWAY,
        RcarError::Attest(_) | RcarError::Aborted | RcarError::Jwe(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn describe(error: &RcarError) -> Value {
    let verdict = match error {
        RcarError::Refused { verdict, .. } => verdict.clone(),
        _ => None,
    };
    match verdict {
        None => json!({ "error": error.to_string() }),
        Some(v) => json!({ "error": error.to_string(),
            "step": v.step, "check": v.check, "expected": v.expected, "found": v.found }),
    }
}

fn respond(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rcar::Verdict;

    fn status(method: Method, path: &str) -> Option<StatusCode> {
        let allowed = BTreeSet::from(["a/b/c".to_owned()]);
        route(&allowed, &method, path).err().map(|(status, _)| status)
    }

    #[test]
    fn only_named_resources_are_served() {
        assert_eq!(status(Method::GET, "/cdh/resource/a/b/c"), None);
        assert_eq!(status(Method::GET, "/cdh/resource/a/b/d"), Some(StatusCode::FORBIDDEN));
        assert_eq!(status(Method::GET, "/cdh/resource/a/b"), Some(StatusCode::BAD_REQUEST));
        assert_eq!(status(Method::GET, "/cdh/resource/../b/c"), Some(StatusCode::BAD_REQUEST));
        assert_eq!(status(Method::GET, "/aa/token"), Some(StatusCode::NOT_FOUND));
        assert_eq!(status(Method::POST, "/cdh/resource/a/b/c"), Some(StatusCode::METHOD_NOT_ALLOWED));
    }

    /// One raw request against a listener on a free port; the whole answer as text.
    async fn ask(request: &str) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let client = crate::rcar::tests::client_of_an_honest_broker();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let api = PodApi::new(client, ["a/b/c".parse().unwrap()]);
        let serving = tokio::task::spawn_local(api.run(listener));
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        serving.abort();
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn a_named_resource_is_fetched_and_served() {
        let asking =
            ask("GET /cdh/resource/a/b/c HTTP/1.1\r\nHost: 127.0.0.1:8006\r\nConnection: close\r\n\r\n");
        let answer = tokio::task::LocalSet::new().run_until(asking).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nthe secret"), "{answer}");
    }

    #[tokio::test]
    async fn other_requests_get_an_error_in_json() {
        for (request, status) in [
            ("GET /cdh/resource/a/b/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "403"),
            ("GET / HTTP/1.0\r\nHost: localhost:8006\r\n\r\n", "404"),
            ("nonsense\r\n\r\n", "400"),
        ] {
            let answer = tokio::task::LocalSet::new().run_until(ask(request)).await;
            assert_eq!(answer.split(' ').nth(1), Some(status), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_request_for_another_host_gets_nothing() {
        const RESOURCE: &str = "/cdh/resource/a/b/c";
        for (target, hosts, status) in [
            (RESOURCE, "Host: evil.example\r\n", "421"),
            (RESOURCE, "Host: evil.example:8006\r\n", "421"),
            (RESOURCE, "Host: localhost:80\r\n", "421"),
            (RESOURCE, "Host: localhost.evil.example\r\n", "421"),
            (RESOURCE, "", "400"),
            (RESOURCE, "Host: localhost\r\nHost: evil.example\r\n", "400"),
            ("http://evil.example/cdh/resource/a/b/c", "Host: localhost\r\n", "421"),
            ("http://localhost:8006/cdh/resource/a/b/c", "Host: LocalHost:8006\r\n", "200"),
            (RESOURCE, "Host: 127.0.0.1\r\n", "200"),
        ] {
            let request = format!("GET {target} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
            let answer = tokio::task::LocalSet::new().run_until(ask(&request)).await;
            assert_eq!(answer.split(' ').nth(1), Some(status), "{request}{answer}");
            assert_eq!(answer.contains("the secret"), status == "200", "{request}");
        }
    }

    #[test]
    fn a_refusal_names_the_step_that_failed() {
        let verdict = Verdict { step: Some(14), check: Some("ima-appraisal".into()), ..Verdict::default() };
        let error = RcarError::Refused {
            request: "POST /kbs/v0/attest".into(),
            status: 401,
            detail: "no".into(),
            verdict: Some(Box::new(verdict)),
        };
        assert_eq!(status_of(&error), StatusCode::FORBIDDEN);
        assert_eq!(describe(&error)["step"], 14);
        assert_eq!(describe(&error)["check"], "ima-appraisal");
    }
}
