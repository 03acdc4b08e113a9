//! The administration interface, and what outlives the server.

use crate::support::{Fixture, RESOURCE, SECRET};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::Method;
use sealpod_kbs::jwt;
use sealpod_testkit::{Bundle, channel, pki};
use serde_json::json;

fn admin_token(fixture: &Fixture) -> String {
    let key = std::fs::read(fixture.layout.admin_key()).unwrap();
    jwt::admin_token(&key, pki::NOW, 60).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_admin_key_changes_anything() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.attest().await;
    let guest = client.token.clone();
    let (stranger, _) = jwt::generate_admin_key().unwrap();
    let stranger = jwt::admin_token(&stranger, pki::NOW, 60).unwrap();
    let late =
        jwt::admin_token(&std::fs::read(fixture.layout.admin_key()).unwrap(), pki::NOW - 60, 60).unwrap();
    let before = fixture.audit().len();
    for token in [None, guest, Some(stranger), Some(late), Some("x".to_owned())] {
        client.token = token;
        for (method, path) in [
            (Method::POST, RESOURCE),
            (Method::PUT, RESOURCE),
            (Method::DELETE, RESOURCE),
            (Method::POST, "/kbs/v0/resource-policy"),
            (Method::GET, "/kbs/v0/resource-policy"),
            (Method::POST, "/kbs/v0/reference-value"),
        ] {
            client.send(method, path, "x").await.refused(401, "AdminAuthAccess");
        }
    }
    assert_eq!(fixture.audit().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_stores_replaces_and_removes_secrets() {
    let fixture = Fixture::start().await;
    let mut admin = fixture.client().await;
    admin.token = Some(admin_token(&fixture));
    let mut client = fixture.client().await;
    client.attest().await;
    let binary: Vec<u8> = (0..=255).collect();
    assert_eq!(admin.send(Method::POST, RESOURCE, binary.clone()).await.status, 200);
    assert_eq!(channel::open(&client.get(RESOURCE).await.json()).unwrap(), binary);
    assert_eq!(admin.send(Method::PUT, RESOURCE, "two").await.status, 200);
    assert_eq!(channel::open(&client.get(RESOURCE).await.json()).unwrap(), b"two");
    assert_eq!(admin.send(Method::DELETE, RESOURCE, "").await.status, 200);
    client.get(RESOURCE).await.refused(401, "PluginInternalError");
    admin.send(Method::DELETE, RESOURCE, "").await.refused(401, "PluginInternalError");
    let done: Vec<_> =
        fixture.audit().iter().map(|line| line["action"].as_str().unwrap().to_owned()).collect();
    let done: Vec<_> = done.iter().filter(|action| action.starts_with("secret-")).collect();
    // The first is the fixture's.
    assert_eq!(done, ["secret-set", "secret-set", "secret-set", "secret-delete"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_installs_policies_and_reference_values() {
    let fixture = Fixture::start().await;
    let mut admin = fixture.client().await;
    admin.token = Some(admin_token(&fixture));
    let policy = |text: &str| json!({"policy": URL_SAFE_NO_PAD.encode(text)});
    let good = policy("package policy\nallow := true");
    assert_eq!(admin.post("/kbs/v0/resource-policy", &good).await.status, 200);
    assert_eq!(admin.get("/kbs/v0/resource-policy").await.json(), json!(["release.rego"]));
    for bad in [policy("allow"), json!({}), json!({"policy": "!"}), policy("package p\nallow := true")] {
        admin.post("/kbs/v0/resource-policy", &bad).await.refused(401, "ParsePolicyError");
    }
    let mut document = serde_json::to_value(Bundle::valid().reference()).unwrap();
    document["description"] = "another".into();
    let added = admin.post("/kbs/v0/reference-value", &document).await;
    assert_eq!(added.status, 200);
    let ids: Vec<_> = fixture.admin().references().unwrap().into_iter().map(|(id, _)| id).collect();
    assert!(ids.contains(&added.json()["id"].as_str().unwrap().to_owned()));
    document["version"] = 2.into();
    admin.post("/kbs/v0/reference-value", &document).await.refused(401, "RvpsError");
    admin.post("/kbs/v0/reference-value", &json!({"x": 1})).await.refused(401, "RvpsError");
}

#[tokio::test(flavor = "multi_thread")]
async fn reference_values_that_are_removed_are_no_longer_accepted() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.attest().await;
    let admin = fixture.admin();
    for (id, _) in admin.references().unwrap() {
        assert!(admin.remove_reference(fixture.by(), &id).unwrap());
    }
    let pod = client.challenged(Bundle::valid()).await;
    let refused = client.send_evidence(&pod.seal().attestation()).await.refused(401, "AttestationError");
    assert_eq!(refused["sealpod"]["step"], 6, "no minimum TCB is left: {refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_everything_the_owner_said() {
    let mut fixture = Fixture::start().await;
    fixture.restart().await;
    let mut client = fixture.client().await;
    client.attest().await;
    assert_eq!(channel::open(&client.get(RESOURCE).await.json()).unwrap(), SECRET);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_directory_has_one_server() {
    let mut fixture = Fixture::start().await;
    assert!(matches!(fixture.open(), Err(sealpod_kbs::broker::StartError::Running { .. })));
    fixture.stop().await;
    assert!(fixture.open().is_ok());
}
