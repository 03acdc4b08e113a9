//! Bodies that are too large or too slow, and connections that are too many.

use crate::support::{Fixture, RESOURCE};
use hyper::Method;
use sealpod_kbs::broker::MAX_LISTED;
use sealpod_kbs::config::Config;
use sealpod_kbs::http::{MAX_ATTEST, MAX_AUTH};
use sealpod_testkit::Bundle;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test(flavor = "multi_thread")]
async fn bodies_above_their_budget_are_refused() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.send(Method::POST, "/kbs/v0/auth", vec![b' '; MAX_AUTH]).await.refused(401, "SerdeError");
    client.send(Method::POST, "/kbs/v0/auth", vec![b' '; MAX_AUTH + 1]).await.refused(413, "BodyTooLarge");
    let mut client = fixture.client().await;
    client.challenge(&Bundle::valid()).await;
    client
        .send(Method::POST, "/kbs/v0/attest", vec![b' '; MAX_ATTEST + 1])
        .await
        .refused(413, "BodyTooLarge");
}

/// Send these bytes and read to the end of the answer.
async fn raw(fixture: &Fixture, request: &[u8]) -> String {
    let mut stream = fixture.tls().await;
    // A server that has seen enough answers and closes before all is written.
    drop(stream.write_all(request).await);
    let mut answer = Vec::new();
    // A server that closes without TLS's farewell has still answered.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_is_held_to_the_same_budget() {
    let fixture = Fixture::start().await;
    let mut request = b"POST /kbs/v0/auth HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..=MAX_AUTH / 1024 {
        request.extend(b"400\r\n");
        request.extend([b' '; 1024]);
        request.extend(b"\r\n");
    }
    let answer = raw(&fixture, &request).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_ends_the_connection() {
    let fixture = Fixture::with(Config { request_seconds: 1, ..Config::default() }).await;
    let answer = raw(&fixture, b"POST /kbs/v0/auth HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("BodyTooSlow"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_ends_the_connection() {
    let fixture = Fixture::with(Config { idle_seconds: 1, ..Config::default() }).await;
    let answer = raw(&fixture, b"GET /healthz HTTP/1.1\r\nhost:").await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_above_the_limit_wait_for_one_to_end() {
    let fixture = Fixture::with(Config { max_connections: 1, ..Config::default() }).await;
    let mut first = fixture.client().await;
    assert_eq!(first.get("/healthz").await.status, 200);
    let second = async {
        let mut second = fixture.client().await;
        second.get("/healthz").await.status
    };
    let mut second = std::pin::pin!(second);
    // The first is answered while the second waits.
    tokio::select! {
        biased;
        _ = &mut second => panic!("the second connection was served beside the first"),
        answer = first.get("/healthz") => assert_eq!(answer.status, 200),
    }
    drop(first);
    assert_eq!(second.await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_http_is_answered_without_harm() {
    let fixture = Fixture::start().await;
    for junk in [&b"\0\0\0\0\r\n\r\n"[..], b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", &[b'A'; 300_000]] {
        let answer = raw(&fixture, junk).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    let mut client = fixture.client().await;
    client.get(RESOURCE).await.refused(401, "TokenNotFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn very_many_refusals_are_counted_and_not_listed() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.challenge(&Bundle::valid()).await;
    let before = fixture.audit().len();
    for index in 0..MAX_LISTED + 5 {
        let refused = client.send(Method::POST, "/kbs/v0/attest", "{}").await.refused(401, "SerdeError");
        assert_eq!(refused["sealpod"]["id"].is_string(), index < MAX_LISTED, "{index}: {refused}");
    }
    assert_eq!((fixture.audit().len() - before) as u64, MAX_LISTED);
    fixture.wait(60);
    let refused = client.send(Method::POST, "/kbs/v0/attest", "{}").await.refused(401, "SerdeError");
    let audit = fixture.audit();
    let [.., told, last] = audit.as_slice() else { panic!() };
    assert_eq!((told["check"].as_str(), told["found"].as_str()), (Some("not-listed"), Some("5 more")));
    assert_eq!(last["id"], refused["sealpod"]["id"]);
    assert_eq!((audit.len() - before) as u64, MAX_LISTED + 2);
}
