//! Fetching over TLS.

use crate::fake::{CHIP, Fake, Fetching, Reply};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sealpod_kbs::clock::{Clock as _, SystemClock};
use sealpod_kbs::endorsements::{EndorsementSettings, FetchError, Fetcher};
use sealpod_kbs::init;
use sealpod_kbs::layout::Layout;
use sealpod_testkit::pki;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// A service with a certificate of an authority of its own, as a PCCS often has.
async fn service(layout: &Layout) -> Fake {
    // TLS is judged by the client's own clock.
    init::init(layout, &["localhost".to_owned()], SystemClock.now()).unwrap();
    let chain =
        CertificateDer::pem_file_iter(layout.server_certificate()).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(layout.server_key()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let fake = Fake::listen(Some(TlsAcceptor::from(Arc::new(config)))).await;
    fake.set(CHIP, Reply::ok(pki::vcek_der()));
    fake
}

#[tokio::test]
async fn the_service_is_known_by_its_authority_and_name() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(directory.path().join("pccs"));
    let fake = service(&layout).await;
    let settings = |host: &str, ca: bool| EndorsementSettings {
        amd_kds: Some(format!("https://{host}:{}", fake.address.port()).parse().unwrap()),
        ca_certificates: ca.then(|| layout.ca()),
        ..EndorsementSettings::default()
    };
    let good = Fetching::new(&settings("localhost", true));
    assert_eq!(good.get(CHIP).await.unwrap().body, pki::vcek_der());

    let wrong_name = Fetching::new(&settings("127.0.0.1", true));
    let error = wrong_name.get(CHIP).await.unwrap_err();
    assert!(matches!(&error, FetchError::Connect { .. }), "{error}");
    assert_eq!(wrong_name.held(CHIP), None);
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn an_authority_that_the_system_does_not_know_is_not_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(directory.path().join("pccs"));
    let fake = service(&layout).await;
    // Another authority than the service's.
    let other = Layout::new(directory.path().join("other"));
    init::init(&other, &["localhost".to_owned()], SystemClock.now()).unwrap();
    let settings = EndorsementSettings {
        amd_kds: Some(format!("https://localhost:{}", fake.address.port()).parse().unwrap()),
        ca_certificates: Some(other.ca()),
        ..EndorsementSettings::default()
    };
    let fetching = Fetching::new(&settings);
    let error = fetching.get(CHIP).await.unwrap_err();
    assert!(matches!(&error, FetchError::Connect { found, .. } if found.contains("certificate")), "{error}");
    // Nor do the system's roots know it; a system without roots does not start.
    let settings = EndorsementSettings { ca_certificates: None, ..settings };
    match Fetcher::open(&settings, &other, Arc::new(SystemClock)) {
        Ok(fetcher) => {
            let error = Arc::new(fetcher).obtain(CHIP, None).await.unwrap_err();
            assert!(matches!(&error, FetchError::Connect { .. }), "{error}");
        }
        Err(error) => assert!(error.to_string().contains("install ca-certificates"), "{error}"),
    }
    assert_eq!(fake.asked(), []);
}
