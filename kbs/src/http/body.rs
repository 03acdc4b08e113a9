//! Reading a body within its budget of bytes and time.

use super::refusal::{Kind, Refusal};
use crate::broker::Broker;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Bytes, Incoming};
use std::time::Duration;
use tokio::time::timeout;

/// Longest time for reading on in a body that is refused already.
const DISCARD: Duration = Duration::from_secs(1);

/// The whole body.
///
/// Of one that is too large, as much again is read and thrown away: a sender that has not sent all would otherwise lose the answer to
/// the reset of its connection.
pub async fn read(broker: &Broker, body: Incoming, limit: usize) -> Result<Bytes, Refusal> {
    let too_large = || {
        let what = format!("the body is larger than {limit} bytes");
        Refusal::new(Kind::BodyTooLarge, what, "send less")
    };
    if body.size_hint().lower() > 2 * limit as u64 {
        return Err(too_large());
    }
    let seconds = broker.config.request_seconds;
    let late = |what: String| Refusal::new(Kind::BodyTooSlow, what, "send the request again");
    match timeout(Duration::from_secs(seconds), collect(body, limit)).await {
        Err(_) => Err(late(format!("the body did not come within {seconds} s"))),
        Ok(Err(error)) => Err(late(format!("the body broke off: {error}"))),
        Ok(Ok(None)) => Err(too_large()),
        Ok(Ok(Some(bytes))) => Ok(bytes),
    }
}

/// The body, or `None` where it is longer than `limit`.
async fn collect(mut body: Incoming, limit: usize) -> Result<Option<Bytes>, hyper::Error> {
    let hint = usize::try_from(body.size_hint().lower()).unwrap_or(limit).min(limit);
    let mut bytes = Vec::with_capacity(hint);
    while let Some(frame) = body.frame().await {
        // Trailers say nothing here.
        let Ok(data) = frame?.into_data() else { continue };
        if data.len() > limit.saturating_sub(bytes.len()) {
            drop(timeout(DISCARD, discard(body, limit)).await);
            return Ok(None);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Some(bytes.into()))
}

/// Read on, at most `limit` bytes.
async fn discard(mut body: Incoming, limit: usize) {
    let mut left = limit;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
