//! The client against a broker made here: TLS, cookies, refusals, and answers that are not the protocol's.

use super::jwe::tests::seal;
use super::*;
use crate::attester::Gather;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request as HttpRequest, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use sealpod_evidence::bytes::Base64;
use sealpod_evidence::rcar::AuthRequest;
use sealpod_evidence::rcar::protocol::{Attestation, CompositeEvidence, RuntimeData, TeePubKey};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::rc::Rc;

/// Evidence without a TPM: what matters here is which bytes reach it.
struct FixedEvidence;

impl Gather for FixedEvidence {
    fn keys(&mut self) -> Result<AuthRequest, AttestError> {
        Ok(AuthRequest {
            version: 1,
            ek_public: Base64(vec![1]),
            ak_public: Base64(vec![2]),
            ek_certificate: None,
        })
    }

    fn attest(
        &mut self,
        nonce: &str,
        key: &TeePubKey,
        credential: &CredentialChallenge,
    ) -> Result<Attestation, AttestError> {
        assert_eq!(credential.credential_blob.0, [3]);
        Ok(Attestation {
            init_data: None,
            runtime_data: RuntimeData { nonce: nonce.to_owned(), tee_pubkey: key.clone() },
            tee_evidence: CompositeEvidence {
                primary_evidence: Value::Null,
                additional_evidence: String::new(),
            },
        })
    }
}

/// How the broker behaves.
#[derive(Clone, Copy, PartialEq)]
enum Broker {
    Honest,
    NoCredential,
    LongNonce,
    RefusesEvidence,
    RefusesSecret,
    SealsToAnotherKey,
    AnswersEndlessly,
    SpeaksGarbage,
}

pub(crate) struct Authority {
    pub(crate) pem: String,
    pub(crate) tls: Arc<ServerConfig>,
}

/// An authority and a server certificate for `name` from it.
pub(crate) fn authority(name: &str) -> Authority {
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    Authority { pem: ca.pem(), tls: Arc::new(tls) }
}

fn answer(status: u16, cookie: Option<&str>, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(status);
    if let Some(cookie) = cookie {
        response = response.header("set-cookie", cookie);
    }
    response.body(Full::new(body.into())).unwrap()
}

fn refusal(step: u8) -> String {
    let verdict = json!({"step": step, "check": "quote", "expected": "a", "found": "b"});
    json!({"type": "x/errors/AttestationError", "detail": "no", "sealpod": verdict}).to_string()
}

async fn handle(
    kind: Broker,
    key: Rc<std::cell::RefCell<Option<TeePubKey>>>,
    request: HttpRequest<Incoming>,
) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let cookie = request.headers().get("cookie").map(|c| c.to_str().unwrap().to_owned());
    let bearer = request.headers().get("authorization").map(|c| c.to_str().unwrap().to_owned());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    match (path.as_str(), kind) {
        (_, Broker::SpeaksGarbage) => answer(200, None, "<html>"),
        (_, Broker::AnswersEndlessly) => answer(200, None, vec![b' '; 4 * 1024 * 1024]),
        ("/kbs/v0/auth", kind) => {
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((&body["version"], &body["tee"]), (&json!("0.4.0"), &json!("snp")));
            assert_eq!(body["extra-params"]["sealpod"]["ek_public"], "AQ==");
            let credential =
                json!({"sealpod": {"version": 1, "credential_blob": "Aw==", "encrypted_secret": "BA=="}});
            let extra = if kind == Broker::NoCredential { json!("") } else { credential };
            let nonce = if kind == Broker::LongNonce { "n".repeat(1000) } else { "bm9uY2U=".to_owned() };
            let body = json!({"nonce": nonce, "extra-params": extra}).to_string();
            answer(200, Some("kbs-session-id=first; Expires=x"), body)
        }
        ("/kbs/v0/attest", Broker::RefusesEvidence) => answer(401, None, refusal(11)),
        ("/kbs/v0/attest", _) => {
            assert_eq!(cookie.as_deref(), Some("kbs-session-id=first"));
            let attestation: Attestation = serde_json::from_slice(&body).unwrap();
            assert_eq!(attestation.runtime_data.nonce, "bm9uY2U=");
            *key.borrow_mut() = Some(attestation.runtime_data.tee_pubkey);
            answer(200, Some("kbs-session-id=second"), json!({"token": "t.o.k"}).to_string())
        }
        ("/kbs/v0/resource/a/b/c", Broker::RefusesSecret) => answer(401, None, "Access denied"),
        ("/kbs/v0/resource/a/b/c", kind) => {
            assert_eq!(cookie.as_deref(), Some("kbs-session-id=second"));
            assert_eq!(bearer.as_deref(), Some("Bearer t.o.k"));
            let other = ChannelKey::generate().unwrap();
            let guest = key.borrow().clone().unwrap();
            let to = if kind == Broker::SealsToAnotherKey { other.public() } else { &guest };
            answer(200, None, seal(to, b"the secret").to_string())
        }
        _ => answer(404, None, ""),
    }
}

/// A client that trusts `trusted`, of a broker of this kind whose certificate comes from `server`.
fn client(kind: Broker, server: &Authority, trusted: &str, url: &str) -> Result<Client, RcarError> {
    let tls = server.tls.clone();
    let connector: http::Connector = Rc::new(move || {
        let tls = tls.clone();
        Box::pin(async move {
            let (near, far) = tokio::io::duplex(16 * 1024);
            tokio::task::spawn_local(serve(kind, tls, far));
            Ok(Box::new(near) as Box<dyn http::Stream>)
        })
    });
    let broker = sealpod_evidence::initdata::Broker { url: url.to_owned(), ca: trusted.to_owned() };
    Client::new(&broker, connector, Arc::new(Mutex::new(FixedEvidence)))
}

async fn serve(kind: Broker, tls: Arc<ServerConfig>, stream: tokio::io::DuplexStream) {
    let Ok(stream) = tokio_rustls::TlsAcceptor::from(tls).accept(stream).await else {
        return;
    };
    let key = Rc::default();
    let service = service_fn(move |request| {
        let key = Rc::clone(&key);
        async move { Ok::<_, Infallible>(handle(kind, key, request).await) }
    });
    let server = hyper::server::conn::http1::Builder::new();
    drop(server.serve_connection(TokioIo::new(stream), service).await);
}

/// For the tests of what stands on the client.
pub(crate) fn client_of_an_honest_broker() -> Client {
    let server = authority("kbs.test");
    client(Broker::Honest, &server, &server.pem, "https://kbs.test").unwrap()
}

/// Fetch `a/b/c`.
async fn fetch(kind: Broker, server: &Authority, trusted: &str, url: &str) -> Result<Vec<u8>, RcarError> {
    let client = client(kind, server, trusted, url)?;
    let resources = ["a/b/c".parse().unwrap()];
    let fetching = client.fetch(&resources);
    let secrets = tokio::task::LocalSet::new().run_until(fetching).await?;
    Ok(secrets[0].expose().to_vec())
}

async fn with(kind: Broker) -> Result<Vec<u8>, RcarError> {
    let server = authority("kbs.test");
    fetch(kind, &server, &server.pem, "https://kbs.test:8080").await
}

#[tokio::test]
async fn an_honest_broker_gives_the_secret() {
    assert_eq!(with(Broker::Honest).await.unwrap(), b"the secret");
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let (server, other) = (authority("kbs.test"), authority("kbs.test"));
    let result = fetch(Broker::Honest, &server, &other.pem, "https://kbs.test").await;
    assert!(matches!(result, Err(RcarError::Http(HttpError::Tls(_)))), "{:?}", result.err());
}

#[tokio::test]
async fn a_server_of_another_name_is_refused() {
    let server = authority("kbs.test");
    let result = fetch(Broker::Honest, &server, &server.pem, "https://other.test").await;
    assert!(matches!(result, Err(RcarError::Http(HttpError::Tls(_)))), "{:?}", result.err());
}

#[tokio::test]
async fn a_refusal_carries_the_verifiers_verdict() {
    let Err(RcarError::Refused { request, status, detail, verdict }) = with(Broker::RefusesEvidence).await
    else {
        panic!("not refused");
    };
    assert_eq!((request.as_str(), detail.as_str()), ("POST /kbs/v0/attest", "no"));
    assert_eq!(StatusCode::from_u16(status).unwrap(), StatusCode::UNAUTHORIZED);
    let verdict = verdict.unwrap();
    assert_eq!((verdict.step, verdict.check.as_deref()), (Some(11), Some("quote")));
}

#[tokio::test]
async fn a_refusal_without_json_keeps_its_text() {
    let Err(RcarError::Refused { detail, verdict, .. }) = with(Broker::RefusesSecret).await else {
        panic!("not refused");
    };
    assert_eq!((detail.as_str(), verdict), ("Access denied", None));
}

#[tokio::test]
async fn answers_outside_the_protocol_are_refused() {
    assert!(matches!(with(Broker::NoCredential).await, Err(RcarError::NoCredential)));
    assert!(matches!(with(Broker::LongNonce).await, Err(RcarError::Answer { request: "/auth", .. })));
    assert!(matches!(with(Broker::SpeaksGarbage).await, Err(RcarError::Answer { request: "/auth", .. })));
    assert!(matches!(with(Broker::AnswersEndlessly).await, Err(RcarError::Http(HttpError::Body(_)))));
    assert!(matches!(with(Broker::SealsToAnotherKey).await, Err(RcarError::Jwe(JweError::Crypto(_)))));
}
