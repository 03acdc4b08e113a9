//! A vendor's service that answers what it is told to, faults included, and remembers what it was asked.

use sealpod_evidence::snp::report::Product;
use sealpod_kbs::clock::Clock;
use sealpod_kbs::endorsements::{EndorsementSettings, Fetcher, Item, Record};
use sealpod_kbs::layout::Layout;
use sealpod_testkit::pki::{self, Crl};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// The testkit's chip.
pub const CHIP: Item =
    Item::Vcek { product: Product::Genoa, chip_id: pki::CHIP_ID, tcb: [3, 0, 0, 0, 0, 0, 10, 20] };
pub const CHAIN: Item = Item::VcekChain(Product::Genoa);
pub const CRL: Item = Item::VcekCrl(Product::Genoa);

/// One answer.
#[derive(Clone)]
pub enum Reply {
    /// Status, headers, body, and the length that is declared.
    Whole { status: u16, headers: Vec<(String, String)>, body: Vec<u8>, length: usize },
    /// A body that never ends.
    Endless,
    /// A head, one byte of a body, and nothing more.
    Stuck,
    /// Bytes that are not HTTP.
    Junk,
}

impl Reply {
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::status(200, body)
    }

    pub fn status(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self::Whole { status, headers: Vec::new(), length: body.len(), body }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Whole { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Declare another length than the body has.
    pub fn declaring(mut self, declared: usize) -> Self {
        if let Self::Whole { length, .. } = &mut self {
            *length = declared;
        }
        self
    }
}

/// A request: path with query, and the ETag that it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub target: String,
    pub etag: Option<String>,
}

struct State {
    replies: Mutex<HashMap<String, Reply>>,
    asked: Mutex<Vec<Asked>>,
    open: watch::Sender<bool>,
}

/// The service.
pub struct Fake {
    pub address: SocketAddr,
    state: Arc<State>,
}

impl Fake {
    /// One that has nothing yet.
    pub async fn empty() -> Self {
        Self::listen(None).await
    }

    /// One that has what the testkit's chip needs.
    pub async fn start() -> Self {
        let fake = Self::empty().await;
        fake.set_all();
        fake
    }

    pub fn set_all(&self) {
        self.set(CHIP, Reply::ok(pki::vcek_der()).with("cache-control", "max-age=86400"));
        self.set(CHAIN, Reply::ok(chain_pem()));
        self.set(CRL, Reply::ok(Crl::default().to_der()).with("etag", "\"crl-1\""));
    }

    pub async fn listen(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            replies: Mutex::default(),
            asked: Mutex::default(),
            open: watch::Sender::new(true),
        });
        let serving = state.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (state, tls) = (serving.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => drop(serve(stream, &state).await),
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                drop(serve(stream, &state).await);
                            }
                        }
                    }
                });
            }
        });
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Settings that fetch from here.
    pub fn settings(&self) -> EndorsementSettings {
        EndorsementSettings {
            amd_kds: Some(self.url().parse().unwrap()),
            intel_pcs: Some(self.url().parse().unwrap()),
            ..EndorsementSettings::default()
        }
    }

    pub fn set(&self, item: Item, reply: Reply) {
        self.state.replies.lock().unwrap().insert(item.path_and_query(), reply);
    }

    pub fn remove(&self, item: Item) {
        self.state.replies.lock().unwrap().remove(&item.path_and_query());
    }

    /// Whether answers go out, or wait.
    pub fn open(&self, open: bool) {
        self.state.open.send_replace(open);
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    /// How often an item was asked for.
    pub fn count(&self, item: Item) -> usize {
        self.asked().iter().filter(|asked| asked.target == item.path_and_query()).count()
    }
}

pub fn chain_pem() -> Vec<u8> {
    let pem = |der: &[u8]| {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        let lines: Vec<_> =
            text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    };
    [pem(pki::ask_der()), pem(pki::ark_der())].concat().into_bytes()
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, state: &State) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    let header = |name: &str| {
        let found =
            head.lines().find_map(|line| line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)));
        found.map(|(_, value)| value.to_owned())
    };
    assert!(head.starts_with("GET ") && header("host").is_some() && header("user-agent").is_some());
    let asked = Asked { target: target.clone(), etag: header("if-none-match") };
    state.asked.lock().unwrap().push(asked.clone());
    state.open.subscribe().wait_for(|open| *open).await.unwrap();
    let reply = state.replies.lock().unwrap().get(&target).cloned();
    match reply.unwrap_or(Reply::status(404, "no such thing")) {
        Reply::Whole { status, headers, body, length } => {
            let known = |name: &String, value: &String| name == "etag" && Some(value) == asked.etag.as_ref();
            let unchanged = status == 200 && headers.iter().any(|(name, value)| known(name, value));
            let (status, body, length) =
                if unchanged { (304, Vec::new(), 0) } else { (status, body, length) };
            let mut out = format!("HTTP/1.1 {status} x\r\n");
            headers.iter().for_each(|(name, value)| out += &format!("{name}: {value}\r\n"));
            if !unchanged {
                out += &format!("content-length: {length}\r\n");
            }
            stream.write_all(format!("{out}\r\n").as_bytes()).await?;
            stream.write_all(&body).await?;
            stream.shutdown().await
        }
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            loop {
                stream.write_all(b"400\r\n").await?;
                stream.write_all(&[b'x'; 0x400]).await?;
                stream.write_all(b"\r\n").await?;
            }
        }
        Reply::Stuck => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n0").await?;
            // Until the other side has had enough.
            drop(stream.read_u8().await);
            Ok(())
        }
        Reply::Junk => stream.write_all(b"220 mail.example.org ESMTP\r\n\r\n").await,
    }
}

/// A clock that tests set.
#[derive(Clone)]
pub struct FakeClock(Arc<AtomicU64>);

impl FakeClock {
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(pki::NOW)))
    }

    pub fn wait(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A fetcher with a directory of its own.
pub struct Fetching {
    pub fetcher: Arc<Fetcher>,
    pub layout: Layout,
    pub clock: FakeClock,
    _directory: tempfile::TempDir,
}

impl Fetching {
    pub fn new(settings: &EndorsementSettings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        let clock = FakeClock::new();
        let fetcher =
            Fetcher::open(settings, &layout, Arc::new(clock.clone())).unwrap_or_else(|e| panic!("{e}"));
        Self { fetcher: Arc::new(fetcher), layout, clock, _directory: directory }
    }

    pub async fn get(&self, item: Item) -> Result<Arc<Record>, sealpod_kbs::endorsements::FetchError> {
        self.fetcher.obtain(item, None).await
    }

    /// What the cache holds.
    pub fn held(&self, item: Item) -> Option<Vec<u8>> {
        self.fetcher.cache().get(&item).map(|record| record.body)
    }

    /// Verdict and found side of each audit line.
    pub fn audit(&self) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        sealpod_kbs::audit::read(&self.layout.audit(), |line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            lines.push((text("verdict"), format!("{} {}", text("subject"), text("found"))));
        })
        .unwrap();
        lines
    }
}
