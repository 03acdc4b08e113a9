//! Routes and answers of KBS protocol 0.4.0 (kbs-protocol.md) and the administration interface beside it.

use crate::broker::{Begun, Broker};
use crate::{cookie, vault};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, COOKIE, HeaderValue, SET_COOKIE};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use refusal::{Kind, Refusal};
use route::Route;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::Semaphore;

pub mod refusal;

mod admin;
mod body;
mod challenge;
mod node;
mod route;

/// Largest `/auth` body in bytes: two public areas and an EK certificate, in base64.
pub const MAX_AUTH: usize = 16 * 1024;
/// Largest `/attest` body in bytes: IMA logs of long-running pods are a megabyte or two.
pub const MAX_ATTEST: usize = 4 * 1024 * 1024;
/// Largest body of a node's evidence in bytes: 8 MiB of IMA log, the most that an agent sends, and the rest, in base64.
pub const MAX_NODE_EVIDENCE: usize = 4 * MAX_ATTEST;

/// An answer.
pub type Answer = Response<Full<Bytes>>;

/// Answer one request of `peer`.
pub async fn handle(broker: Arc<Broker>, peer: Arc<str>, request: Request<Incoming>) -> Answer {
    match answer(&broker, &peer, request).await {
        Ok(answer) => answer,
        Err(refusal) => {
            if refusal.is_internal() {
                // Whoever runs the broker must see it; whoever asked is told no more than the first line.
                eprintln!("sealpod-kbs: {}", refusal.detail());
            }
            refusal.into()
        }
    }
}

async fn answer(
    broker: &Arc<Broker>,
    peer: &Arc<str>,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    match route::parse(request.method(), request.uri().path())? {
        Route::Health => Ok(text(StatusCode::OK, "ok\n")),
        Route::Auth => {
            let bytes = body::read(broker, request.into_body(), MAX_AUTH).await?;
            challenge::auth(broker, &bytes)
        }
        Route::Attest => attest(broker, peer, request).await,
        Route::GetResource(path) => {
            let query = route::query(request.uri().query().unwrap_or_default())?;
            let session = broker.session(session_cookie(request.headers()), bearer(request.headers()))?;
            broker.release(&session, &path, &query, peer).map(json_answer)
        }
        Route::PutResource(path) => {
            admin::authorize(broker, bearer(request.headers()))?;
            let bytes = body::read(broker, request.into_body(), vault::MAX_SECRET).await?;
            admin::set_secret(broker, peer, &path, bytes)
        }
        Route::DeleteResource(path) => {
            admin::authorize(broker, bearer(request.headers()))?;
            admin::delete_secret(broker, peer, &path)
        }
        Route::Policy(method) => {
            admin::authorize(broker, bearer(request.headers()))?;
            if method == Method::GET {
                return admin::policies(broker);
            }
            let bytes = body::read(broker, request.into_body(), admin::MAX_POLICY_BODY).await?;
            admin::set_policy(broker, peer, &bytes)
        }
        Route::Reference => {
            admin::authorize(broker, bearer(request.headers()))?;
            let bytes = body::read(broker, request.into_body(), crate::admin::MAX_REFERENCE).await?;
            admin::add_reference(broker, peer, &bytes)
        }
        Route::NodeChallenge(name) => node::challenge(broker, &name),
        Route::NodeEvidence(name) => node::evidence(broker, peer, &name, request).await,
    }
}

/// Nothing is read from a sender whose cookie does not open.
async fn attest(
    broker: &Arc<Broker>,
    peer: &Arc<str>,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let challenge = challenge::open(broker, session_cookie(request.headers()))?;
    // Two limits, so that a sender who is slow holds up no appraisal.
    let place = broker.bodies.clone().acquire_owned().await.map_err(Refusal::internal)?;
    let bytes = body::read(broker, request.into_body(), MAX_ATTEST).await?;
    let challenge = Arc::new(challenge);
    let work = {
        let (worker, peer, bytes, challenge) =
            (broker.clone(), peer.clone(), bytes.clone(), challenge.clone());
        // The place is taken until the work is done, also where its sender has hung up meanwhile.
        move || (worker.attest(&bytes, &challenge, &peer), place)
    };
    let (begun, place) = compute(broker.appraisals.clone(), work).await?;
    let attested = match begun? {
        Begun::Attested(attested) => attested,
        Begun::Lacking(mut lacking) => {
            // Others are appraised while this one waits.
            broker.gather(&mut lacking, peer).await;
            let (worker, peer) = (broker.clone(), peer.clone());
            let work = move || {
                let _until_done = place;
                worker.decide(&lacking, &bytes, &challenge, &peer)
            };
            compute(broker.appraisals.clone(), work).await??
        }
    };
    let session = cookie::Session::Attested {
        token: sealpod_evidence::bytes::HexArray(attested.key),
        expires: attested.expires,
    };
    let value = cookie::seal(&broker.keys.cookie, &session).map_err(Refusal::internal)?;
    let answer = json_answer(json!({"token": attested.token}).to_string().into_bytes());
    with_cookie(broker, answer, &value, broker.config.token_seconds)
}

/// Work on a thread of its own, within `limit`. It counts until it has ended, also where its sender has hung up meanwhile.
async fn compute<T: Send + 'static>(
    limit: Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let permit = limit.acquire_owned().await.map_err(Refusal::internal)?;
    let work = tokio::task::spawn_blocking(move || {
        let _until_done = permit;
        work()
    });
    work.await.map_err(Refusal::internal)
}

fn with_cookie(broker: &Broker, mut answer: Answer, value: &str, seconds: u64) -> Result<Answer, Refusal> {
    let header = cookie::set_cookie(value, seconds, !broker.config.dangerous_plain_http);
    let header = HeaderValue::try_from(header).map_err(Refusal::internal)?;
    answer.headers_mut().insert(SET_COOKIE, header);
    Ok(answer)
}

fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    cookie::find(headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()))
}

/// The token of an `Authorization` header (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn json_answer(bytes: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(bytes)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn text(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = status;
    answer
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let mut answer = json_answer(refusal.body());
        *answer.status_mut() = refusal.status();
        if matches!(refusal.kind(), Kind::BodyTooLarge | Kind::BodyTooSlow) {
            // What is left of the body is not read.
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn work_counts_until_it_has_ended_though_nobody_waits_for_it() {
        let limit = Arc::new(Semaphore::new(1));
        let (started, begun) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let waiting = tokio::spawn(compute(limit.clone(), move || {
            started.send(()).unwrap();
            ended.recv().unwrap();
        }));
        tokio::task::spawn_blocking(move || begun.recv().unwrap()).await.unwrap();
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert_eq!(limit.available_permits(), 0);
        end.send(()).unwrap();
        drop(limit.acquire().await.unwrap());
    }
}
