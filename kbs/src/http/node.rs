//! Rounds of nodes: a challenge that the broker need not remember, and the evidence that answers it.

use super::refusal::{Finding, Kind, Refusal};
use super::{Answer, MAX_ATTEST, MAX_NODE_EVIDENCE, body, compute, json_answer, session_cookie, with_cookie};
use crate::broker::{Broker, NodeChallenge};
use crate::cookie::{self, CookieError, Session};
use hyper::Request;
use hyper::body::Incoming;
use serde_json::json;
use std::sync::Arc;

/// Places among the bodies that one takes: it may be that many times as long as the others.
const PLACES: u32 = (MAX_NODE_EVIDENCE / MAX_ATTEST) as u32;

/// Give a challenge. Nothing is kept for whoever asks.
pub fn challenge(broker: &Broker, node: &str) -> Result<Answer, Refusal> {
    let (given, held) = broker.node_challenge(node)?;
    let seconds = broker.config.challenge_seconds;
    let now = broker.now();
    let session = Session::Node {
        node: node.to_owned(),
        nonce: given.nonce.clone(),
        given: now,
        expires: now.saturating_add(seconds),
    };
    let value = cookie::seal(&broker.keys.cookie, &session).map_err(Refusal::internal)?;
    let body = json!({"nonce": given.nonce, "request": given.request, "held": held});
    with_cookie(broker, json_answer(body.to_string().into_bytes()), &value, seconds)
}

/// Take evidence. Nothing is read from a sender whose cookie does not open.
pub async fn evidence(
    broker: &Arc<Broker>,
    peer: &Arc<str>,
    node: &str,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let challenge = open(broker, node, session_cookie(request.headers()))?;
    let places = broker.bodies.clone().acquire_many_owned(PLACES).await.map_err(Refusal::internal)?;
    let bytes = body::read(broker, request.into_body(), MAX_NODE_EVIDENCE).await?;
    let (worker, peer) = (broker.clone(), peer.clone());
    let work = move || {
        // Taken until the work is done, also where the sender has hung up meanwhile.
        let _until_done = places;
        worker.node_evidence(&challenge, &bytes, &peer)
    };
    let round = compute(broker.appraisals.clone(), work).await??;
    Ok(json_answer(json!({"profiles": round.profiles, "held": round.held}).to_string().into_bytes()))
}

fn open(broker: &Broker, node: &str, cookie: Option<&str>) -> Result<NodeChallenge, Refusal> {
    let refuse = |found: &dyn std::fmt::Display| {
        let expected = format!("the cookie of a challenge of this broker to node {node}");
        let finding = Finding::without_step("node-cookie", expected, found);
        let next = "ask /sealpod/v0/nodes/NODE/challenge for a challenge and send its cookie along";
        Refusal::found(Kind::AttestationError, finding, next)
    };
    let value = cookie.ok_or_else(|| refuse(&CookieError::Missing))?;
    match cookie::open(&broker.keys.cookie, value, broker.now()).map_err(|e| refuse(&e))? {
        Session::Node { node: other, .. } if other != node => {
            Err(refuse(&format!("that of a challenge to node {other}")))
        }
        Session::Node { node, nonce, given, .. } => Ok(NodeChallenge { node, nonce, given }),
        Session::Challenged { .. } | Session::Attested { .. } => Err(refuse(&"the cookie of a pod")),
    }
}
