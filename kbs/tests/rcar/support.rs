//! A broker, a client, and a pod whose evidence it accepts.

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, COOKIE, HOST, SET_COOKIE};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use sealpod_evidence::rcar::CredentialChallenge;
use sealpod_evidence::rcar::protocol::Attestation;
use sealpod_kbs::admin::{Admin, By};
use sealpod_kbs::broker::Broker;
use sealpod_kbs::clock::{Clock, SystemClock};
use sealpod_kbs::config::Config;
use sealpod_kbs::layout::Layout;
use sealpod_kbs::{audit, init, server};
use sealpod_testkit::{Bundle, pki};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub const RESOURCE: &str = "/kbs/v0/resource/default/key/test";
pub const SECRET: &[u8] = b"correct horse battery staple";

/// A clock that tests set.
pub struct TestClock(Arc<AtomicU64>);

impl Clock for TestClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A broker that trusts the test root, expects the testkit's pod and has one secret; and its running server.
pub struct Fixture {
    pub layout: Layout,
    pub address: SocketAddr,
    time: Arc<AtomicU64>,
    config: Config,
    end: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
    _directory: tempfile::TempDir,
}

impl Fixture {
    pub async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub async fn with(config: Config) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path().join("kbs"));
        // TLS is judged by the client's own clock.
        init::init(&layout, &["localhost".to_owned()], SystemClock.now()).unwrap();
        std::fs::write(layout.resolve("root.der".as_ref()), pki::ark_der()).unwrap();
        std::fs::write(layout.resolve("ask.der".as_ref()), pki::ask_der()).unwrap();
        let config = Config { dangerous_trust_test_root: Some("root.der".into()), ..config };
        let mut fixture = Self {
            layout,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            time: Arc::new(AtomicU64::new(pki::NOW)),
            config,
            end: None,
            server: None,
            _directory: directory,
        };
        let reference = serde_json::to_vec(&Bundle::valid().reference()).unwrap();
        fixture.admin().add_reference(fixture.by(), &reference).unwrap();
        let path = sealpod_testkit::bundle::RESOURCE.parse().unwrap();
        let secret = sealpod_kbs::secret::SecretBytes::new(SECRET.to_vec());
        fixture.admin().set_secret(fixture.by(), &path, &secret).unwrap();
        fixture.serve().await;
        fixture
    }

    /// Start the server, after [`Self::stop`].
    pub async fn serve(&mut self) {
        let broker = self.open().unwrap_or_else(|e| panic!("{e}"));
        self.serve_with(broker).await;
    }

    /// Start the server of this broker.
    pub async fn serve_with(&mut self, broker: Broker) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel::<()>();
        self.end = Some(end);
        self.server = Some(tokio::spawn(async move {
            server::run(listener, Arc::new(broker), async { drop(ended.await) }).await.unwrap();
        }));
    }

    /// Another broker object on the same directory.
    pub fn open(&self) -> Result<Broker, sealpod_kbs::broker::StartError> {
        Broker::open(self.layout.clone(), self.config.clone(), Box::new(TestClock(self.time.clone())))
    }

    pub async fn stop(&mut self) {
        drop(self.end.take());
        self.server.take().unwrap().await.unwrap();
    }

    pub async fn restart(&mut self) {
        self.stop().await;
        self.serve().await;
    }

    /// The owner, in a process of their own.
    pub fn admin(&self) -> Admin {
        Admin::open(&self.layout).unwrap_or_else(|e| panic!("{e}"))
    }

    pub fn by(&self) -> By<'static> {
        By { peer: None, now: self.time.load(Ordering::SeqCst) }
    }

    pub fn wait(&self, seconds: u64) {
        self.time.fetch_add(seconds, Ordering::SeqCst);
    }

    pub fn audit(&self) -> Vec<Value> {
        let mut lines = Vec::new();
        let chain = audit::read(&self.layout.audit(), |line| lines.push(serde_json::from_str(line).unwrap()));
        let chain = chain.unwrap();
        assert_eq!((chain.broken, chain.torn), (None, Vec::new()));
        lines
    }

    pub async fn client(&self) -> Client {
        Client::connect(self).await
    }

    pub async fn tls(&self) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(self.layout.ca()).unwrap() {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }
}

/// A guest's connection, with the cookie and token that it was given.
pub struct Client {
    sender: http1::SendRequest<Full<Bytes>>,
    pub cookie: Option<String>,
    pub token: Option<String>,
}

/// Status and body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
    pub cookie: Option<String>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Assert a refusal of this type, and give its body. Every refusal says what to do next.
    #[track_caller]
    pub fn refused(&self, status: u16, kind: &str) -> Value {
        let body = self.json();
        assert_eq!(self.status, status, "{body}");
        assert_eq!(
            body["type"],
            format!("https://github.com/confidential-containers/kbs/errors/{kind}"),
            "{body}"
        );
        assert!(body["detail"].as_str().unwrap().contains("next: "), "{body}");
        body
    }
}

impl Client {
    async fn connect(fixture: &Fixture) -> Self {
        let stream = TokioIo::new(fixture.tls().await);
        let (sender, connection) = http1::handshake(stream).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        Self { sender, cookie: None, token: None }
    }

    pub async fn send(&mut self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(HOST, "localhost");
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, format!("other=1; kbs-session-id={cookie}"));
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        self.sender.ready().await.unwrap();
        let answer = self.sender.send_request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let cookie = answer.headers().get(SET_COOKIE).map(|value| {
            let value = value.to_str().unwrap();
            for attribute in ["Path=/", "HttpOnly", "Secure"] {
                assert!(value.split("; ").any(|part| part == attribute), "{value}");
            }
            let pair = value.split(';').next().unwrap();
            pair.strip_prefix("kbs-session-id=").unwrap().to_owned()
        });
        if cookie.is_some() {
            self.cookie.clone_from(&cookie);
        }
        Answer { status, body: answer.into_body().collect().await.unwrap().to_bytes(), cookie }
    }

    pub async fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, body.to_string()).await
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, "").await
    }

    /// Ask for a challenge with the vTPM's keys; nonce and credential.
    pub async fn challenge(&mut self, pod: &Bundle) -> (String, CredentialChallenge) {
        let extra = json!({"sealpod": pod.tpm.auth_request(), "supported-hash-algorithms": ["sha384"]});
        let answer = self
            .post("/kbs/v0/auth", &json!({"version": "0.4.0", "tee": "snp", "extra-params": extra}))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        let body = answer.json();
        let credential = body["extra-params"]["sealpod"].clone();
        (body["nonce"].as_str().unwrap().to_owned(), serde_json::from_value(credential).unwrap())
    }

    /// The pod with the answer to a new challenge.
    pub async fn challenged(&mut self, mut pod: Bundle) -> Bundle {
        let (nonce, credential) = self.challenge(&pod).await;
        let activated =
            pod.tpm.activate_credential(&credential.credential_blob.0, &credential.encrypted_secret.0);
        pod.activated_credential = activated.unwrap();
        pod.nonce = nonce;
        pod
    }

    pub async fn send_evidence(&mut self, attestation: &Attestation) -> Answer {
        self.post("/kbs/v0/attest", &serde_json::to_value(attestation).unwrap()).await
    }

    /// Attest with the valid pod, and keep the token.
    pub async fn attest(&mut self) {
        let pod = self.challenged(Bundle::valid()).await;
        let answer = self.send_evidence(&pod.seal().attestation()).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        self.token = Some(answer.json()["token"].as_str().unwrap().to_owned());
    }
}
