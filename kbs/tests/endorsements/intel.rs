//! Intel's collateral: what is filed, what is refused, and what real services sent.

use crate::fake::{Fake, Fetching, Reply, chain_pem};
use crate::support::{Answer, Fixture};
use sealpod_evidence::snp::report::Product;
use sealpod_kbs::clock::rfc3339;
use sealpod_kbs::config::Config;
use sealpod_kbs::endorsements::content::{AmdFile, Content};
use sealpod_kbs::endorsements::import::{self, ImportError};
use sealpod_kbs::endorsements::{Cache, ContentError, EndorsementSettings, FetchError, Item, PckCa};
use sealpod_kbs::layout::Layout;
use sealpod_testkit::keys::Key;
use sealpod_testkit::pki::{self, Certificate, Crl};
use sealpod_testkit::tdx::{self, TdxBundle};
use sealpod_verifier::{AppraisalPolicy, BindingLevel};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

const FMSPC: [u8; 6] = [0x00, 0x80, 0x6f, 0x05, 0x00, 0x00];
const TCB_INFO: Item = Item::TdxTcbInfo { fmspc: FMSPC };

fn tcb_info(spoil: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut body = json!({
        "tcbInfo": {"id": "TDX", "version": 3, "issueDate": rfc3339(pki::NOW - 1000), "nextUpdate": rfc3339(pki::NOW + 100_000),
                    "fmspc": "00806F050000", "pceId": "0000", "tcbLevels": []},
        "signature": "ab".repeat(64)
    });
    spoil(&mut body);
    body.to_string().into_bytes()
}

fn qe_identity(id: &str) -> Vec<u8> {
    let identity = json!({"id": id, "version": 2, "issueDate": rfc3339(pki::NOW - 1000),
                          "nextUpdate": rfc3339(pki::NOW + 100_000), "mrsigner": "00"});
    json!({"enclaveIdentity": identity, "signature": "cd".repeat(64)}).to_string().into_bytes()
}

/// The same bytes each time: signatures are random.
fn list(issuer: &str) -> Vec<u8> {
    static LISTS: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let sign = || Crl { issuer: issuer.to_owned(), ..Crl::default() }.to_der();
    LISTS.lock().unwrap().entry(issuer.to_owned()).or_insert_with(sign).clone()
}

/// Any two certificates: at this door they need only be some.
fn issuer_chain() -> String {
    chain_pem().iter().map(|byte| format!("%{byte:02X}")).collect()
}

fn signed(body: Vec<u8>, header: &str) -> Reply {
    Reply::ok(body).with(header, &issuer_chain())
}

async fn service() -> Fake {
    let fake = Fake::empty().await;
    fake.set(TCB_INFO, signed(tcb_info(|_| {}), "TCB-Info-Issuer-Chain"));
    fake.set(Item::TdxQeIdentity, signed(qe_identity("TD_QE"), "SGX-Enclave-Identity-Issuer-Chain"));
    let platform = list("Intel SGX PCK Platform CA");
    fake.set(Item::PckCrl(PckCa::Platform), signed(platform, "SGX-PCK-CRL-Issuer-Chain"));
    // As a PCCS sends lists.
    let processor = hex::encode(list("Intel SGX PCK Processor CA"));
    fake.set(Item::PckCrl(PckCa::Processor), signed(processor.into_bytes(), "SGX-PCK-CRL-Issuer-Chain"));
    fake.set(Item::IntelRootCrl, Reply::ok(hex::encode_upper(list("Intel SGX Root CA")) + "\n"));
    fake
}

#[tokio::test]
async fn collateral_is_filed_with_the_certificates_of_whoever_signed_it() {
    let fake = service().await;
    let fetching = Fetching::new(&fake.settings());
    let info = fetching.get(TCB_INFO).await.unwrap();
    assert_eq!(info.body, tcb_info(|_| {}));
    assert_eq!(info.head.chain.as_deref().map(str::as_bytes), Some(chain_pem().as_slice()));
    assert_eq!((info.head.from, info.head.to), (pki::NOW - 1000, pki::NOW + 100_000));
    // Well before it ends.
    assert_eq!(info.head.stale, pki::NOW + 75_000);
    assert_eq!(fetching.get(Item::TdxQeIdentity).await.unwrap().body, qe_identity("TD_QE"));
    let hex = fetching.get(Item::PckCrl(PckCa::Processor)).await.unwrap();
    assert_eq!(hex.body, list("Intel SGX PCK Processor CA"));
    assert!(fetching.get(Item::PckCrl(PckCa::Platform)).await.is_ok());
    assert_eq!(fetching.get(Item::IntelRootCrl).await.unwrap().body, list("Intel SGX Root CA"));
    assert_eq!(fetching.fetcher.cache().standing().unwrap().len(), 5);
}

#[tokio::test]
async fn what_is_not_the_collateral_asked_for_is_refused() {
    let header = "TCB-Info-Issuer-Chain";
    for (what, item, reply) in [
        ("FMSPC", TCB_INFO, signed(tcb_info(|b| b["tcbInfo"]["fmspc"] = json!("90C06F000000")), header)),
        ("kind", TCB_INFO, signed(tcb_info(|b| b["tcbInfo"]["id"] = json!("SGX")), header)),
        ("kind", TCB_INFO, signed(tcb_info(|b| b["tcbInfo"]["version"] = json!(2)), header)),
        ("date", TCB_INFO, signed(tcb_info(|b| b["tcbInfo"]["nextUpdate"] = json!("soon")), header)),
        ("signature", TCB_INFO, signed(tcb_info(|b| b["signature"] = json!("ab")), header)),
        ("syntax", TCB_INFO, signed(tcb_info(|b| b["more"] = json!(1)), header)),
        ("syntax", TCB_INFO, signed(b"<html>".to_vec(), header)),
        ("syntax", TCB_INFO, Reply::ok(tcb_info(|_| {}))),
        ("syntax", TCB_INFO, Reply::ok(tcb_info(|_| {})).with(header, "%zz")),
        ("syntax", TCB_INFO, Reply::ok(tcb_info(|_| {})).with(header, "text")),
        (
            "validity",
            TCB_INFO,
            signed(tcb_info(|b| b["tcbInfo"]["nextUpdate"] = json!("2026-01-01T00:00:00Z")), header),
        ),
        ("kind", Item::TdxQeIdentity, signed(qe_identity("QE"), "SGX-Enclave-Identity-Issuer-Chain")),
        ("issuer", Item::IntelRootCrl, Reply::ok(list("Intel SGX PCK Platform CA"))),
        ("syntax", Item::IntelRootCrl, Reply::ok("0123")),
        (
            "issuer",
            Item::PckCrl(PckCa::Platform),
            signed(list("Intel SGX PCK Processor CA"), "SGX-PCK-CRL-Issuer-Chain"),
        ),
    ] {
        let fake = service().await;
        fake.set(item, reply);
        let fetching = Fetching::new(&fake.settings());
        let error = fetching.get(item).await.unwrap_err();
        let found = match &error {
            FetchError::Content(ContentError::Other { what, .. }) => what,
            FetchError::Content(ContentError::Syntax { .. }) => "syntax",
            FetchError::Content(ContentError::Validity { .. }) => "validity",
            _ => "",
        };
        assert_eq!(found, what, "{error}");
        assert_eq!(fetching.held(item), None);
    }
}

#[test]
fn collateral_from_files_needs_its_signing_certificates() {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(&Layout::new(directory.path())).unwrap();
    let info = ("info.json".to_owned(), tcb_info(|_| {}));
    let error = import::import(&cache, std::slice::from_ref(&info), pki::NOW).unwrap_err();
    assert!(matches!(&error, ImportError::Signer { item, .. } if **item == TCB_INFO), "{error}");
    assert_eq!(cache.all().unwrap(), []);
    let certificate = |subject: &str, key| {
        let certificate = Certificate {
            subject: subject.to_owned(),
            issuer: "Intel SGX Root CA".to_owned(),
            key,
            ..Certificate::ark()
        };
        (subject.to_owned(), certificate.to_der())
    };
    let files =
        [info, certificate("Intel SGX TCB Signing", Key::Ask), certificate("Intel SGX Root CA", Key::Ark)];
    let kept = import::import(&cache, &files, pki::NOW).unwrap();
    let chain = kept[0].head.chain.as_deref().unwrap();
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);
}

/// A service that has the test platform's collateral.
async fn genuine() -> Fake {
    let document: Value = serde_json::from_slice(&tdx::Collateral::valid().to_json()).unwrap();
    let text = |name: &str| document[name].as_str().unwrap();
    let body = |name: &str, value: &str| {
        let signature = text(&format!("{value}_signature"));
        format!("{{\"{name}\":{},\"signature\":\"{signature}\"}}", text(value)).into_bytes()
    };
    let escaped = |name: &str| text(name).bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let fake = Fake::empty().await;
    let info = Reply::ok(body("tcbInfo", "tcb_info"));
    fake.set(GENUINE, info.with("TCB-Info-Issuer-Chain", &escaped("tcb_info_issuer_chain")));
    let identity = Reply::ok(body("enclaveIdentity", "qe_identity"));
    let chain = escaped("qe_identity_issuer_chain");
    fake.set(Item::TdxQeIdentity, identity.with("SGX-Enclave-Identity-Issuer-Chain", &chain));
    let list = Reply::ok(hex::decode(text("pck_crl")).unwrap());
    let chain = escaped("pck_crl_issuer_chain");
    fake.set(Item::PckCrl(PckCa::Platform), list.with("SGX-PCK-CRL-Issuer-Chain", &chain));
    fake.set(Item::IntelRootCrl, Reply::ok(text("root_ca_crl")));
    fake
}

const GENUINE: Item = Item::TdxTcbInfo { fmspc: tdx::FMSPC };

/// A broker that trusts the test platform's root and lets TDs through that have no TPM.
async fn broker(endorsements: EndorsementSettings) -> (Fixture, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("tdx-root.der");
    std::fs::write(&root, tdx::IntelCertificate::root().to_der()).unwrap();
    let appraisal =
        AppraisalPolicy { minimum_binding_level: BindingLevel::GuestKernel, ..AppraisalPolicy::default() };
    let fixture = Fixture::with(Config {
        dangerous_trust_tdx_test_root: Some(root),
        appraisal,
        endorsements,
        ..Config::default()
    })
    .await;
    let reference = serde_json::to_vec(&TdxBundle::valid().reference()).unwrap();
    fixture.admin().add_reference(fixture.by(), &reference).unwrap();
    (fixture, directory)
}

async fn attest(fixture: &Fixture) -> Answer {
    let mut client = fixture.client().await;
    let mut bundle = TdxBundle::valid();
    let request = json!({"version": "0.4.0", "tee": "tdx", "extra-params": ""});
    bundle.pod.nonce =
        client.post("/kbs/v0/auth", &request).await.json()["nonce"].as_str().unwrap().to_owned();
    client.send_evidence(&bundle.seal().attestation()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_nobody_knows_attests_and_is_known_from_then_on() {
    let fake = genuine().await;
    let (mut fixture, _root) = broker(fake.settings()).await;
    for _ in 0..2 {
        let answer = attest(&fixture).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        assert_eq!(fake.asked().len(), 4);
    }
    fixture.restart().await;
    assert_eq!(attest(&fixture).await.status, 200);
    assert_eq!(fake.asked().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_collateral_the_refusal_says_how_to_go_on() {
    let (fixture, _root) = broker(EndorsementSettings::default()).await;
    let body = attest(&fixture).await.refused(401, "AttestationError");
    assert_eq!(body["sealpod"]["check"], "collateral", "{body}");
    assert!(body["detail"].as_str().unwrap().contains("intel_pcs"), "{body}");
    let fake = genuine().await;
    fake.remove(GENUINE);
    let (fixture, _root) = broker(fake.settings()).await;
    let body = attest(&fixture).await.refused(401, "AttestationError");
    let says = format!("not fetched: {GENUINE}: expected status 200, found 404");
    assert!(body["detail"].as_str().unwrap().contains(&says), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn collateral_that_was_imported_serves_a_broker_that_fetches_nothing() {
    let (fixture, _root) = broker(EndorsementSettings::default()).await;
    let files = [("collateral.json".to_owned(), tdx::Collateral::valid().to_json())];
    let kept = import::import(&Cache::open(&fixture.layout).unwrap(), &files, pki::NOW).unwrap();
    assert_eq!(kept.len(), 4);
    let answer = attest(&fixture).await;
    assert_eq!(answer.status, 200, "{}", answer.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_for_on_the_word_of_a_platform_that_no_root_certifies() {
    let fake = genuine().await;
    let appraisal = AppraisalPolicy::default();
    let fixture =
        Fixture::with(Config { endorsements: fake.settings(), appraisal, ..Config::default() }).await;
    attest(&fixture).await.refused(401, "AttestationError");
    assert_eq!(fake.asked(), []);
}

/// Real captures, where they are.
fn vectors() -> Option<PathBuf> {
    let root = std::env::var_os("SEALPOD_VECTORS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"), PathBuf::from);
    if root.is_dir() {
        return Some(root);
    }
    eprintln!("note: no vectors at {}; set SEALPOD_VECTORS", root.display());
    None
}

#[tokio::test]
async fn collateral_that_a_real_service_sent_is_imported_while_it_is_good() {
    let Some(vectors) = vectors() else { return };
    let name = "tdx/crates.io_dcap-qvl-0.7.1/tdx_quote_collateral.json";
    let files = [(name.to_owned(), std::fs::read(vectors.join(name)).unwrap())];
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(&Layout::new(directory.path())).unwrap();
    // 2025-07-01.
    let kept = import::import(&cache, &files, 1_751_328_000).unwrap();
    let items: Vec<_> = kept.iter().map(|record| record.item.to_string()).collect();
    assert_eq!(items.len(), 4, "{items:?}");
    assert!(items[0].starts_with("tdx-tcb-info-"), "{items:?}");
    let error = import::import(&cache, &files, pki::NOW).unwrap_err();
    assert!(matches!(error, ImportError::Content { source: ContentError::Validity { .. }, .. }), "{error}");
}

#[tokio::test]
async fn chips_that_exist_are_asked_for_as_they_are_and_known_again() {
    let Some(vectors) = vectors() else { return };
    let fake = Fake::empty().await;
    let mut products = Vec::new();
    for name in [
        "virtee__sev/vcek_milan.der",
        "virtee__sev/vcek_turin.der",
        "project-oak__oak/turin_oc_vcek.der",
        "google__go-sev-guest/vcek.testcer",
    ] {
        let der = std::fs::read(vectors.join("snp").join(name)).unwrap();
        let Some(AmdFile::Item(item, _)) = AmdFile::read(&der) else { panic!("{name}") };
        let Item::Vcek { product, .. } = item else { panic!("{item}") };
        fake.set(item, Reply::ok(der.clone()));
        let fetching = Fetching::new(&fake.settings());
        assert_eq!(fetching.get(item).await.unwrap().body, der, "{name}");
        products.push(product);
    }
    assert_eq!(products, [Product::Milan, Product::Turin, Product::Turin, Product::Milan]);
    for (name, product) in [("milan", Product::Milan), ("turin", Product::Turin)] {
        let chain = std::fs::read(vectors.join(format!("certs/virtee__sev/cert_chain_{name}"))).unwrap();
        Content::read(&Item::VcekChain(product), &chain, None).unwrap();
    }
}
