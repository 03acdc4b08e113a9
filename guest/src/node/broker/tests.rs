//! The client against a broker made here, over TCP and TLS.

use super::*;
use crate::rcar::tests::{Authority, authority};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sealpod_evidence::bytes::Base64;
use sealpod_evidence::rcar::{ImaLog, Quote};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Mutex;

type Seen = Arc<Mutex<Vec<(String, Option<String>, Value)>>>;
type Answers = fn(&str) -> (u16, Option<&'static str>, Value);

/// Path, cookie and body of each request, and the port.
fn broker(authority: &Authority, answers: Answers) -> (u16, Seen) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let (tls, all) = (tokio_rustls::TlsAcceptor::from(authority.tls.clone()), seen.clone());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(stream) = tls.accept(stream).await else { continue };
                let service = service_fn(|request| answer(request, &all, answers));
                let server = hyper::server::conn::http1::Builder::new();
                drop(server.serve_connection(TokioIo::new(stream), service).await);
            }
        });
    });
    (port, seen)
}

async fn answer(
    request: Request<Incoming>,
    seen: &Seen,
    answers: Answers,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let cookie = request.headers().get("cookie").map(|value| value.to_str().unwrap().to_owned());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let (status, given, answer) = answers(&path);
    seen.lock().unwrap().push((path, cookie, serde_json::from_slice(&body).unwrap_or_default()));
    let mut response = Response::builder().status(status);
    if let Some(given) = given {
        response = response.header("set-cookie", format!("kbs-session-id={given}; Path=/"));
    }
    Ok(response.body(Full::new(answer.to_string().into())).unwrap())
}

struct Client {
    _directory: tempfile::TempDir,
    broker: Broker,
    seen: Seen,
}

fn client(answers: Answers) -> Client {
    let authority = authority("localhost");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    std::fs::write(&path, &authority.pem).unwrap();
    let (port, seen) = broker(&authority, answers);
    let broker = Broker::new(&format!("https://localhost:{port}"), &path, "worker-1").unwrap();
    Client { _directory: directory, broker, seen }
}

fn request() -> Value {
    json!({"version": 1, "files": {"/etc/motd": "measure"}})
}

fn evidence(challenge: &Challenge<'_>) -> Result<NodeEvidence, NodeError> {
    assert!(challenge.request.files.contains_key(&"/etc/motd".parse().unwrap()));
    let empty = || Base64(Vec::new());
    Ok(NodeEvidence {
        version: 1,
        nonce: challenge.nonce.to_owned(),
        ek_public: empty(),
        ek_certificate: None,
        ak_public: empty(),
        activated_credential: None,
        quote: Quote { message: empty(), signature: empty() },
        pcrs: BTreeMap::new(),
        boot_log: empty(),
        ima_log: ImaLog { bank: "sha256".into(), first_index: 0, data: empty() },
        statement_log: empty(),
        statement: empty(),
        contents: empty(),
    })
}

#[test]
fn a_round_carries_the_cookie_and_the_nonce_over_two_connections() {
    let client = client(|path| match path {
        "/sealpod/v0/nodes/worker-1/challenge" => {
            (200, Some("abc"), json!({"nonce": "n1", "request": request(), "held": true}))
        }
        _ => {
            let profile = json!({"id": "p", "summary": "1 of 2 pass\u{1b}[2J", "pass": 1, "fail": 1});
            (200, None, json!({"profiles": [profile], "held": true}))
        }
    });
    let taken = client.broker.round(evidence).unwrap();
    assert_eq!(taken.to_string(), "p: 1 of 2 pass[2J; this node is HELD until a round without failing items");
    let seen = client.seen.lock().unwrap();
    let [challenge, answer] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((challenge.0.as_str(), &challenge.1), ("/sealpod/v0/nodes/worker-1/challenge", &None));
    assert_eq!(answer.0, "/sealpod/v0/nodes/worker-1/evidence");
    assert_eq!(answer.1.as_deref(), Some("kbs-session-id=abc"));
    assert_eq!(answer.2["nonce"], "n1");
}

#[test]
fn refusals_and_answers_that_are_none_are_named() {
    let refused = client(|_| (404, None, json!({"type": "x", "detail": "no node; next: enrol"})));
    let error = refused.broker.round(evidence).unwrap_err();
    assert!(matches!(&error, RoundError::Broker(RcarError::Refused { status: 404, .. })), "{error}");
    assert!(error.to_string().contains("next: enrol"), "{error}");
    let cases: &[(Answers, &str)] = &[
        (|_| (200, None, json!({"nonce": "n", "request": request()})), "without a cookie"),
        (|_| (200, Some("a"), json!({"nonce": "", "request": request()})), "found 0"),
        (|_| (200, Some("a"), json!({"nonce": "n", "request": {"version": 9}})), "version 9"),
        (|_| (200, Some("a"), json!([])), "answer to challenge does not parse"),
    ];
    for (answers, expected) in cases {
        let error = client(*answers).broker.round(evidence).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn only_the_named_authority_is_trusted() {
    let mut client = client(|_| (200, None, json!({})));
    let other = authority("localhost");
    client.broker.tls = http::tls_config(&other.pem).unwrap();
    let error = client.broker.round(evidence).unwrap_err();
    assert!(matches!(error, RoundError::Broker(RcarError::Http(HttpError::Tls(_)))), "{error}");
    assert!(client.seen.lock().unwrap().is_empty());
}

#[test]
fn what_the_operator_gives_is_checked() {
    let directory = tempfile::tempdir().unwrap();
    let (good, bad) = (directory.path().join("ca.pem"), directory.path().join("bad.pem"));
    std::fs::write(&good, authority("localhost").pem).unwrap();
    std::fs::write(&bad, "x").unwrap();
    let error = |url: &str, ca: &Path, name: &str| Broker::new(url, ca, name).unwrap_err();
    assert!(matches!(error("http://kbs", &good, "w"), RoundError::Url(_)));
    let unfit = error("https://kbs", &bad, "w").to_string();
    assert!(unfit.contains("holds no certificate") && unfit.contains("copy ca.pem"), "{unfit}");
    let absent = error("https://kbs", &directory.path().join("none"), "w");
    assert!(matches!(absent, RoundError::Authority { .. }));
    for name in ["", "a/b", "..", "a b"] {
        assert!(matches!(error("https://kbs", &good, name), RoundError::Name { .. }), "{name}");
    }
}
