//! Secrets, tokens and the release policy.

use crate::support::{Fixture, RESOURCE, SECRET};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealpod_testkit::channel;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_reaches_the_attested_key_by_token_and_by_cookie() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.attest().await;
    let (cookie, token) = (client.cookie.take(), client.token.take());
    for (cookie, token) in [(cookie.clone(), None), (None, token.clone()), (cookie, token)] {
        (client.cookie, client.token) = (cookie, token);
        let answer = client.get(RESOURCE).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        assert!(answer.cookie.is_none());
        assert_eq!(channel::open(&answer.json()).unwrap(), SECRET);
        let line = fixture.audit().pop().unwrap();
        assert_eq!((line["action"].as_str(), line["verdict"].as_str()), (Some("release"), Some("allow")));
        assert_eq!(line["subject"], sealpod_testkit::bundle::RESOURCE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_token_nothing_is_released_or_written_down() {
    let fixture = Fixture::start().await;
    let other = Fixture::start().await;
    let mut client = fixture.client().await;
    client.attest().await;
    let (cookie, token) = (client.cookie.take(), client.token.take().unwrap());
    let mut stranger = other.client().await;
    stranger.attest().await;
    let before = fixture.audit().len();

    client.get(RESOURCE).await.refused(401, "TokenNotFound");
    client.cookie = Some("AAAA".to_owned());
    client.get(RESOURCE).await.refused(401, "TokenNotFound");
    client.cookie = stranger.cookie.take();
    client.get(RESOURCE).await.refused(401, "TokenNotFound");
    client.cookie = None;
    client.token = stranger.token.take();
    client.get(RESOURCE).await.refused(401, "TokenVerifierError");

    let parts: Vec<&str> = token.split('.').collect();
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    claims["exp"] = (claims["exp"].as_u64().unwrap() + 1).into();
    let altered = URL_SAFE_NO_PAD.encode(claims.to_string());
    let none = URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}");
    for bad in [
        format!("{}.{altered}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{none}.{}.", parts[1]),
        "x".to_owned(),
    ] {
        client.token = Some(bad);
        client.get(RESOURCE).await.refused(401, "TokenVerifierError");
    }

    fixture.wait(300);
    client.token = Some(token);
    client.get(RESOURCE).await.refused(401, "TokenVerifierError");
    client.token = None;
    client.cookie = cookie;
    client.get(RESOURCE).await.refused(401, "TokenNotFound");
    assert_eq!(fixture.audit().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_outlives_the_server_that_gave_it_and_a_cookie_does_not() {
    let mut fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.attest().await;
    let (cookie, token) = (client.cookie.take(), client.token.take());
    fixture.restart().await;
    let mut client = fixture.client().await;
    client.cookie = cookie;
    client.get(RESOURCE).await.refused(401, "TokenNotFound");
    client.token = token.clone();
    assert_eq!(channel::open(&client.get(RESOURCE).await.json()).unwrap(), SECRET);
    // Checked anew, it has still the same end.
    fixture.restart().await;
    fixture.wait(300);
    let mut client = fixture.client().await;
    client.token = token;
    client.get(RESOURCE).await.refused(401, "TokenVerifierError");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_decides_and_a_change_counts_at_once() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.attest().await;
    let admin = fixture.admin();
    admin.set_policy(fixture.by(), "package policy\nallow := false").unwrap();
    let refused = client.get(RESOURCE).await.refused(401, "PolicyDeny");
    assert_eq!(refused["sealpod"]["check"], "release-policy");
    let line = fixture.audit().pop().unwrap();
    assert_eq!((line["action"].as_str(), line["verdict"].as_str()), (Some("release"), Some("refuse")));
    assert_eq!(line["id"], refused["sealpod"]["id"]);
    let policy = "package policy\nimport rego.v1\ndefault allow := false\n\
                  allow if data[\"resource-path\"][2] == \"test\"";
    admin.set_policy(fixture.by(), policy).unwrap();
    assert_eq!(client.get(RESOURCE).await.status, 200);
    // What is denied does not tell whether it exists.
    client.get("/kbs/v0/resource/default/db/other").await.refused(401, "PolicyDeny");
    std::fs::remove_file(fixture.layout.store().join("policies/release.rego")).unwrap();
    admin.storage.delete(sealpod_kbs::storage::Table::References, "none").unwrap();
    admin.vault.delete(&"default/db/other".parse().unwrap()).unwrap();
    // The file was removed behind the broker's back; the next change makes it look again.
    let secret = sealpod_kbs::secret::SecretBytes::new(Vec::new());
    admin.vault.put(&"a/b/c".parse().unwrap(), &secret).unwrap();
    client.get(RESOURCE).await.refused(401, "ParsePolicyError");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_is_not_there_is_named() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.attest().await;
    let path = sealpod_testkit::bundle::RESOURCE;
    fixture.admin().vault.delete(&path.parse().unwrap()).unwrap();
    let refused = client.get(RESOURCE).await.refused(401, "PluginInternalError");
    assert!(refused["detail"].as_str().unwrap().contains(path), "{refused}");
    assert_eq!(fixture.audit().pop().unwrap()["check"], "resource");
    client.get("/kbs/v0/resource/default/db").await.refused(404, "InvalidRequestPath");
    client.get("/kbs/v0/nebula-ca/x").await.refused(404, "PluginNotFound");
    client.get("/").await.refused(404, "InvalidRequestPath");
    assert_eq!(client.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_secret_is_not_released() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.attest().await;
    let path = fixture.layout.store().join("secrets/default+key+test");
    let mut record = std::fs::read(&path).unwrap();
    let last = record.len() - 1;
    record[last] ^= 1;
    std::fs::write(&path, record).unwrap();
    let refused = client.get(RESOURCE).await.refused(401, "PluginInternalError");
    assert!(!refused.to_string().contains("kek"), "{refused}");
}
