//! Challenge and evidence.

use crate::support::{Client, Fixture};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealpod_evidence::rcar::protocol::Attestation;
use sealpod_kbs::archive;
use sealpod_kbs::storage::{FileStorage, Storage as _, Table};
use sealpod_testkit::{Bundle, tpm};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_client_gets_the_plain_challenge() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    for extra in [json!(""), json!({"supported-hash-algorithms": ["sha256"]}), json!(null)] {
        let answer = client
            .post("/kbs/v0/auth", &json!({"version": "0.4.0", "tee": "snp", "extra-params": extra}))
            .await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["extra-params"], "");
        let nonce = answer.json()["nonce"].as_str().unwrap().to_owned();
        assert_eq!(base64::engine::general_purpose::STANDARD.decode(nonce).unwrap().len(), 32);
        assert!(answer.cookie.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_versions_and_tees_are_refused_by_name() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    for version in ["0.3.0", "0.4.1", "0.4", "", " 0.4.0"] {
        let answer =
            client.post("/kbs/v0/auth", &json!({"version": version, "tee": "snp", "extra-params": ""})).await;
        let body = answer.refused(401, "AttestationError");
        assert_eq!(body["sealpod"]["found"], version);
    }
    for tee in ["sgx", "cca", "sample"] {
        let answer =
            client.post("/kbs/v0/auth", &json!({"version": "0.4.0", "tee": tee, "extra-params": ""})).await;
        assert_eq!(answer.refused(401, "AttestationError")["sealpod"]["found"], tee);
    }
    let answer =
        client.post("/kbs/v0/auth", &json!({"version": "0.4.0", "tee": "abacus", "extra-params": ""})).await;
    answer.refused(401, "SerdeError");
    assert_eq!(client.cookie, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_no_credential_can_be_made_for_are_refused() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let good = serde_json::to_value(tpm::Tpm::default().auth_request()).unwrap();
    let spoil = |field: &str, value: Value| {
        let mut keys = good.clone();
        keys[field] = value;
        json!({"version": "0.4.0", "tee": "snp", "extra-params": {"sealpod": keys}})
    };
    for (body, says) in [
        (spoil("version", json!(2)), "version 2"),
        (spoil("ek_public", json!("AAAA")), "ek_public"),
        (spoil("ak_public", json!("")), "ak_public"),
        (spoil("ek_public", good["ak_public"].clone()), "endorsement key"),
        (spoil("surprise", json!(1)), "surprise"),
    ] {
        let refused = client.post("/kbs/v0/auth", &body).await.refused(401, "AttestationError");
        assert!(refused["detail"].as_str().unwrap().contains(says), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_says_what_the_verifier_found() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.attest().await;
    let token = client.token.clone().unwrap();
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap();
    let pod = &claims["submods"]["cpu0"];
    assert_eq!(pod["ear.status"], "affirming");
    assert_eq!(pod["ear_status"], "affirming");
    let annotated = &pod["ear.veraison.annotated-evidence"];
    assert_eq!(annotated["sealpod"]["binding_level"], "svsm");
    assert_eq!(annotated["init_data"], Bundle::valid().initdata().digest().to_string());
    assert_eq!(annotated["runtime_data_claims"]["tee-pubkey"]["crv"], "P-256");
    assert_eq!(annotated["snp"]["product"], "genoa");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 300);
    let header: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap();
    assert_eq!((header["alg"].as_str(), header["jwk"]["crv"].as_str()), (Some("ES256"), Some("P-256")));

    let line = fixture.audit().pop().unwrap();
    assert_eq!((line["action"].as_str(), line["verdict"].as_str()), (Some("attest"), Some("allow")));
    assert_eq!(line["id"], claims["jti"]);
    assert_eq!(line["trust_vector"]["hardware"], 2);
    let storage = FileStorage::open(&fixture.layout.store()).unwrap();
    let record = archive::find(&storage, line["id"].as_str().unwrap()).unwrap().unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(record["request"]["runtime-data"]["nonce"], annotated["runtime_data_claims"]["nonce"]);
    assert_eq!(record["decision"]["verdict"], "allow");
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_without_the_brokers_challenge_is_not_looked_at() {
    let fixture = Fixture::start().await;
    let other = Fixture::start().await;
    let mut client = fixture.client().await;
    let pod = client.challenged(Bundle::valid()).await;
    let attestation = pod.seal().attestation();
    let cookie = client.cookie.take().unwrap();
    let before = fixture.audit().len();
    let check = async |client: &mut Client, says: &str| {
        let refused = client.send_evidence(&attestation).await.refused(401, "AttestationError");
        assert_eq!(refused["sealpod"]["check"], "session-cookie", "{refused}");
        assert_eq!(refused["sealpod"]["step"], 2);
        assert!(refused["sealpod"]["found"].as_str().unwrap().contains(says), "{refused}");
    };
    check(&mut client, "no session cookie").await;
    let mut forged = cookie.clone().into_bytes();
    forged[40] = if forged[40] == b'A' { b'B' } else { b'A' };
    client.cookie = String::from_utf8(forged).ok();
    check(&mut client, "did not make").await;
    let mut stranger = other.client().await;
    stranger.challenge(&pod).await;
    client.cookie = stranger.cookie;
    check(&mut client, "did not make").await;
    client.cookie = Some(cookie);
    fixture.wait(300);
    check(&mut client, "expired").await;
    // Nothing is kept of all this.
    assert_eq!(fixture.audit().len(), before);
    let storage = FileStorage::open(&fixture.layout.store()).unwrap();
    assert_eq!(storage.list(Table::Refused).unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attested_cookie_is_not_a_challenge() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let pod = client.challenged(Bundle::valid()).await;
    let attestation = pod.seal().attestation();
    assert_eq!(client.send_evidence(&attestation).await.status, 200);
    let refused = client.send_evidence(&attestation).await.refused(401, "AttestationError");
    assert!(refused["sealpod"]["found"].as_str().unwrap().contains("has attested"), "{refused}");
}

/// Assert that this answer to a new challenge is refused by `check` of `step`, with an audit line and archived evidence.
async fn refused(fixture: &Fixture, client: &mut Client, attestation: &Attestation, step: u64, check: &str) {
    let body = client.send_evidence(attestation).await.refused(401, "AttestationError");
    assert_eq!(
        (body["sealpod"]["step"].as_u64(), body["sealpod"]["check"].as_str()),
        (Some(step), Some(check)),
        "{body}"
    );
    let line = fixture.audit().pop().unwrap();
    assert_eq!((line["verdict"].as_str(), line["check"].as_str()), (Some("refuse"), Some(check)));
    for field in ["step", "expected", "found", "id"] {
        assert_eq!(line[field], body["sealpod"][field]);
    }
    let storage = FileStorage::open(&fixture.layout.store()).unwrap();
    let id = line["id"].as_str().unwrap();
    let record: Value = serde_json::from_slice(&archive::find(&storage, id).unwrap().unwrap()).unwrap();
    assert_eq!(record["decision"]["check"], check);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verifiers_refusals_reach_client_audit_log_and_archive() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;

    let pod = client.challenged(Bundle::valid()).await;
    let mut wrong_nonce = pod.clone();
    wrong_nonce.nonce = Bundle::valid().nonce;
    refused(&fixture, &mut client, &wrong_nonce.seal().attestation(), 2, "challenge-nonce").await;

    // An honest pod's evidence, under a new challenge with its nonce exchanged.
    let old = pod.seal().attestation();
    let (nonce, _) = client.challenge(&pod).await;
    let mut replayed = old;
    replayed.runtime_data.nonce = nonce;
    refused(&fixture, &mut client, &replayed, 7, "report-data").await;

    let mut pod = client.challenged(Bundle::valid()).await;
    pod.activated_credential = vec![0; 32];
    refused(&fixture, &mut client, &pod.seal().attestation(), 10, "credential").await;

    let mut pod = client.challenged(Bundle::valid()).await;
    pod.report.measurement[0] ^= 1;
    refused(&fixture, &mut client, &pod.seal().attestation(), 8, "launch-digest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_an_attestation_is_refused_in_words() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    for body in ["", "{", "{}", "[]", "\u{0}", &"[".repeat(10_000)] {
        client.send(hyper::Method::POST, "/kbs/v0/auth", body.to_owned()).await.refused(401, "SerdeError");
        let pod = client.challenged(Bundle::valid()).await;
        let answer = client.send(hyper::Method::POST, "/kbs/v0/attest", body.to_owned()).await;
        assert_eq!(answer.refused(401, "SerdeError")["sealpod"]["step"], 1);
        // The challenge is as good as before.
        assert_eq!(client.send_evidence(&pod.seal().attestation()).await.status, 200);
    }
}
