//! A guest under Azure's paravisor, from challenge to secret.

use crate::support::{Client, Fixture, RESOURCE, SECRET};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealpod_kbs::config::Config;
use sealpod_testkit::{AzureBundle, channel};
use serde_json::{Value, json};

/// A broker that knows the paravisor and, because the wire has the chip's certificate alone, its chain.
async fn fixture() -> Fixture {
    let endorsement_certificates = vec!["ask.der".into(), "root.der".into()];
    let fixture = Fixture::with(Config { endorsement_certificates, ..Config::default() }).await;
    let reference = serde_json::to_vec(&AzureBundle::snp().reference()).unwrap();
    fixture.admin().add_reference(fixture.by(), &reference).unwrap();
    fixture
}

/// A plain client's challenge: there is no credential to ask for.
async fn challenged(client: &mut Client, mut bundle: AzureBundle) -> AzureBundle {
    let body = json!({"version": "0.4.0", "tee": "az-snp-vtpm", "extra-params": ""});
    let answer = client.post("/kbs/v0/auth", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    bundle.pod.nonce = answer.json()["nonce"].as_str().unwrap().to_owned();
    bundle
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_under_the_paravisor_gets_its_secret_whatever_the_version_of_the_wire() {
    let fixture = fixture().await;
    for wire in 0..=2 {
        let mut client = fixture.client().await;
        let bundle = challenged(&mut client, AzureBundle { wire, ..AzureBundle::snp() }).await;
        let answer = client.send_evidence(&bundle.seal().attestation()).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let token = answer.json()["token"].as_str().unwrap().to_owned();
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        let annotated = &claims["submods"]["cpu0"]["ear.veraison.annotated-evidence"];
        assert_eq!(annotated["sealpod"]["binding_level"], "paravisor");
        assert_eq!(annotated["az-snp-vtpm"]["hcl"]["description"], "test paravisor");
        client.token = Some(token);
        let answer = client.get(RESOURCE).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        assert_eq!(channel::open(&answer.json()).unwrap(), SECRET);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_for_another_challenge_is_refused() {
    let fixture = fixture().await;
    let mut client = fixture.client().await;
    let bundle = challenged(&mut client, AzureBundle::snp()).await;
    let mut sealed = bundle.seal();
    // The user data is the challenge's, the quote is not.
    sealed.attest.extra_data[0] ^= 1;
    sealed.resign_quote();
    let answer = client.send_evidence(&sealed.attestation()).await;
    let body = answer.refused(401, "AttestationError");
    assert_eq!(
        (body["sealpod"]["step"].as_u64(), &body["sealpod"]["check"]),
        (Some(11), &json!("quote-nonce"))
    );
}
