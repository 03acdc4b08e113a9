//! Attestations of guests whose hosts left certificates out, through the broker.

use crate::fake::{CHAIN, CHIP, CRL, Fake, Reply, chain_pem};
use crate::support::{Answer, Fixture};
use sealpod_evidence::snp::report::Product;
use sealpod_kbs::config::Config;
use sealpod_kbs::endorsements::{Cache, EndorsementSettings, Item, import};
use sealpod_testkit::pki::{self, Certificate, CertificateTable, Crl};
use sealpod_testkit::{AzureBundle, Bundle};
use sealpod_verifier::AppraisalPolicy;
use serde_json::{Value, json};

/// A broker that fetches with these settings.
async fn broker(endorsements: EndorsementSettings) -> Fixture {
    Fixture::with(Config { endorsements, ..Config::default() }).await
}

/// What an attestation of this pod is answered, with an empty certificate table.
async fn attest(fixture: &Fixture, spoil: impl FnOnce(&mut Bundle)) -> Answer {
    let mut client = fixture.client().await;
    let mut pod = client.challenged(Bundle::valid()).await;
    pod.certificates = CertificateTable::default().to_bytes();
    spoil(&mut pod);
    client.send_evidence(&pod.seal().attestation()).await
}

async fn attests(fixture: &Fixture) {
    let answer = attest(fixture, |_| {}).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
}

/// The detail of a refusal by this check.
async fn refused(fixture: &Fixture, check: &str, spoil: impl FnOnce(&mut Bundle)) -> String {
    let body = attest(fixture, spoil).await.refused(401, "AttestationError");
    assert_eq!(body["sealpod"]["check"].as_str(), Some(check), "{body}");
    body["detail"].as_str().unwrap().to_owned()
}

fn fetched(fixture: &Fixture) -> Vec<Value> {
    let mut lines = fixture.audit();
    lines.retain(|line| line["action"] == "endorsement-fetch");
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chip_that_nobody_knows_attests_and_is_known_from_then_on() {
    let fake = Fake::start().await;
    let mut fixture = broker(fake.settings()).await;
    attests(&fixture).await;
    assert_eq!(fake.asked().len(), 3);
    for item in [CHIP, CHAIN, CRL] {
        assert_eq!(fake.count(item), 1, "{item}");
    }
    let subjects: Vec<_> = fetched(&fixture).iter().map(|line| line["subject"].clone()).collect();
    for item in [CHIP, CHAIN, CRL] {
        assert!(subjects.contains(&Value::from(item.to_string())), "{subjects:?}");
    }
    attests(&fixture).await;
    fixture.restart().await;
    attests(&fixture).await;
    assert_eq!(fake.asked().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_fetched_for_what_the_table_has() {
    let fake = Fake::start().await;
    let fixture = broker(fake.settings()).await;
    let answer = attest(&fixture, |pod| pod.certificates = pki::certificate_table()).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert_eq!((fake.asked().len(), fake.count(CRL)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paravisor_sends_its_chips_certificate_and_the_rest_is_fetched() {
    let fake = Fake::start().await;
    let fixture = broker(fake.settings()).await;
    let mut bundle = AzureBundle::snp();
    let reference = serde_json::to_vec(&bundle.reference()).unwrap();
    fixture.admin().add_reference(fixture.by(), &reference).unwrap();
    let mut client = fixture.client().await;
    let request = json!({"version": "0.4.0", "tee": "az-snp-vtpm", "extra-params": ""});
    bundle.pod.nonce =
        client.post("/kbs/v0/auth", &request).await.json()["nonce"].as_str().unwrap().to_owned();
    let answer = client.send_evidence(&bundle.seal().attestation()).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert_eq!([CHIP, CHAIN, CRL].map(|item| fake.count(item)), [0, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_nothing_is_fetched_and_the_refusal_says_how_to_go_on() {
    let fixture = Fixture::start().await;
    let detail = refused(&fixture, "chain-incomplete", |_| {}).await;
    for says in ["endorsements import", "amd_kds", "certificate table"] {
        assert!(detail.contains(says), "{detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_does_not_have_is_missing_and_said() {
    let fake = Fake::start().await;
    fake.remove(CHIP);
    let fixture = broker(fake.settings()).await;
    let detail = refused(&fixture, "chain-incomplete", |_| {}).await;
    assert!(detail.contains(&format!("not fetched: {CHIP}: expected status 200, found 404")), "{detail}");
    let detail = refused(&fixture, "chain-incomplete", |_| {}).await;
    assert!(detail.contains("not asked for again before"), "{detail}");
    assert_eq!(fake.count(CHIP), 1);
    fake.set_all();
    fixture.wait(600);
    attests(&fixture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_chips_certificate_does_not_reach_the_verifier() {
    let fake = Fake::start().await;
    fake.set(CHIP, Reply::ok(pki::vlek_der()));
    let fixture = broker(fake.settings()).await;
    let detail = refused(&fixture, "chain-incomplete", |_| {}).await;
    assert!(detail.contains("expected kind a VCEK, found Vlek"), "{detail}");
    assert_eq!(fetched(&fixture).iter().filter(|line| line["verdict"] == "refuse").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_answered_in_time_is_refused_and_served_the_next_time() {
    let fake = Fake::start().await;
    fake.open(false);
    let fixture = broker(EndorsementSettings { wait_seconds: 1, ..fake.settings() }).await;
    let detail = refused(&fixture, "chain-incomplete", |_| {}).await;
    assert!(detail.contains("not all came within 1 s"), "{detail}");
    fake.open(true);
    // The same fetches: nobody who waits for them makes new ones.
    attests(&fixture).await;
    assert_eq!(fake.asked().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_answers_another_challenge_fetches_nothing() {
    let fake = Fake::start().await;
    let fixture = broker(fake.settings()).await;
    refused(&fixture, "challenge-nonce", |pod| pod.nonce = Bundle::valid().nonce).await;
    assert_eq!(fake.asked(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_guest_cannot_make_the_broker_ask_for_many_chips() {
    let fake = Fake::start().await;
    let fixture = broker(EndorsementSettings { chips_per_source: 2, ..fake.settings() }).await;
    let mut detail = String::new();
    for id in 1..=5 {
        detail = refused(&fixture, "chain-incomplete", |pod| pod.report.chip_id = [id; 64]).await;
    }
    let chips = fake.asked().iter().filter(|asked| asked.target.contains("blSPL")).count();
    assert_eq!(chips, 2);
    assert!(detail.contains("at most 2 unknown chips of one address"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_handshakes_of_one_chip_are_one_fetch() {
    let fake = Fake::start().await;
    fake.open(false);
    let fixture = broker(fake.settings()).await;
    let attest = async {
        let mut client = fixture.client().await;
        let mut pod = client.challenged(Bundle::valid()).await;
        pod.certificates = Vec::new();
        client.send_evidence(&pod.seal().attestation()).await.status
    };
    let mut all =
        Box::pin(async { tokio::join!(attest, attests(&fixture), attests(&fixture), attests(&fixture)) });
    // The first request is out; then answers may go.
    tokio::select! {
        _ = &mut all => panic!("answered without the service"),
        () = async { while fake.asked().is_empty() { tokio::task::yield_now().await } } => fake.open(true),
    }
    assert_eq!(all.await.0, 200);
    assert_eq!(fake.asked().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_fetched_revokes() {
    let fake = Fake::start().await;
    fake.set(CRL, Reply::ok(Crl::revoking(&Certificate::ask()).to_der()));
    let fixture = broker(fake.settings()).await;
    refused(&fixture, "certificate-revoked", |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_past_its_time_makes_the_verifier_refuse_until_there_is_a_new_one() {
    let fake = Fake::start().await;
    let list = |this, next| Crl { this_update: this, next_update: Some(next), ..Crl::default() }.to_der();
    fake.set(CRL, Reply::ok(list(pki::NOW - 10, pki::NOW + 1000)));
    let fixture = broker(fake.settings()).await;
    attests(&fixture).await;
    fake.set(CRL, Reply::status(503, ""));
    fixture.wait(1001);
    let detail = refused(&fixture, "revocation-list", |_| {}).await;
    assert!(detail.contains("not fetched: vcek-crl-genoa: expected status 200, found 503"), "{detail}");
    fake.set(CRL, Reply::ok(list(pki::NOW + 900, pki::NOW + 5000)));
    fixture.wait(10);
    attests(&fixture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_asked_for_again_before_it_ends_and_one_that_revokes_counts_at_once() {
    let fake = Fake::start().await;
    let mut fixture = broker(fake.settings()).await;
    attests(&fixture).await;
    // The server does this every minute of its own.
    fixture.stop().await;
    let broker = fixture.open().unwrap_or_else(|e| panic!("{e}"));
    broker.keep_endorsements_fresh().await;
    assert_eq!(fake.count(CRL), 1);
    let revoking = Crl { this_update: pki::NOW + 1, ..Crl::revoking(&Certificate::ask()) };
    fake.set(CRL, Reply::ok(revoking.to_der()).with("etag", "\"crl-2\""));
    fixture.wait(24 * 3600);
    broker.keep_endorsements_fresh().await;
    assert_eq!(fake.count(CRL), 2);
    drop(broker);
    fixture.serve().await;
    refused(&fixture, "certificate-revoked", |_| {}).await;
}

fn files() -> Vec<(String, Vec<u8>)> {
    [("vcek.der", pki::vcek_der().to_vec()), ("cert_chain", chain_pem()), ("crl", Crl::default().to_der())]
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_imported_is_used_by_a_running_broker_that_fetches_nothing() {
    let config = Config {
        appraisal: AppraisalPolicy { require_crl: true, ..AppraisalPolicy::default() },
        ..Config::default()
    };
    let mut fixture = Fixture::with(config).await;
    refused(&fixture, "chain-incomplete", |_| {}).await;
    let cache = Cache::open(&fixture.layout).unwrap();
    let kept = import::import(&cache, &files(), pki::NOW).unwrap();
    assert_eq!(kept.len(), 4);
    attests(&fixture).await;
    fixture.restart().await;
    attests(&fixture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_was_removed_is_forgotten() {
    let mut fixture = Fixture::start().await;
    let cache = Cache::open(&fixture.layout).unwrap();
    let revoking = ("crl".to_owned(), Crl::revoking(&Certificate::ask()).to_der());
    import::import(&cache, &[&files()[..2], &[revoking]].concat(), pki::NOW).unwrap();
    refused(&fixture, "certificate-revoked", |_| {}).await;
    fixture.stop().await;
    let broker = fixture.open().unwrap_or_else(|e| panic!("{e}"));
    for item in [CRL, Item::VlekCrl(Product::Genoa)] {
        assert!(cache.remove(&item).unwrap());
    }
    broker.keep_endorsements_fresh().await;
    fixture.serve_with(broker).await;
    attests(&fixture).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_does_not_ask_for_what_was_imported() {
    let fake = Fake::start().await;
    let fixture = broker(fake.settings()).await;
    import::import(&Cache::open(&fixture.layout).unwrap(), &files(), pki::NOW).unwrap();
    attests(&fixture).await;
    assert_eq!(fake.asked(), []);
}
