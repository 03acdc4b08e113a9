//! Sockets: TLS, budgets of time and connections, an orderly end.

use crate::audit::SYNC_SECONDS;
use crate::broker::Broker;
use crate::http;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::NoServerSessionStorage;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;

mod stall;

/// Largest request head in bytes: a token of some tens of kilobytes and a cookie.
const MAX_HEAD: usize = 128 * 1024;
/// How long requests that are being answered may go on after the end was asked for, in seconds.
const GRACE: Duration = Duration::from_secs(10);
/// How often it is seen whether endorsements get old or were imported.
const REFRESH: Duration = Duration::from_secs(60);
/// Pause after a connection could not be taken, for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Certificate or key file.
    #[error("{}: {message}; correct tls_certificate and tls_key in config.toml", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// Certificate and key do not make a server.
    #[error("TLS: {0}; correct tls_certificate and tls_key in config.toml")]
    Tls(#[from] rustls::Error),
}

/// Files beside connections that a broker may have open at once: its log, its listener, a record for each thread.
const OWN_FILES: u64 = 100;

/// See that certificate and key make a server, before anybody is told that there is one.
pub fn check(broker: &Broker) -> Result<(), ServeError> {
    if broker.config.dangerous_plain_http { Ok(()) } else { tls_config(broker).map(|_| ()) }
}

/// A warning where so many connections are allowed that the broker could not open its own files beside them. Then it would refuse
/// everybody.
pub fn warning(broker: &Broker) -> Option<String> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let files: u64 = files.split_whitespace().next()?.parse().ok()?;
    let connections = broker.config.max_connections as u64;
    (connections + OWN_FILES > files).then(|| {
        format!("max_connections is {connections}, but only {files} files may be open; lower it, or raise LimitNOFILE")
    })
}

/// Serve until `shutdown` is ready; requests that are being answered then are answered still.
pub async fn run(
    listener: TcpListener,
    broker: Arc<Broker>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let tls = match broker.config.dangerous_plain_http {
        true => None,
        false => Some(TlsAcceptor::from(Arc::new(tls_config(&broker)?))),
    };
    let limit = broker.config.max_connections;
    let connections = Arc::new(Semaphore::new(limit));
    let (end, ended) = watch::channel(());
    let syncing = tokio::spawn(sync_audit(broker.clone(), ended.clone()));
    let refreshing = tokio::spawn(refresh_endorsements(broker.clone(), ended.clone()));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            // Taken before the connection: those above the limit wait in the kernel's queue.
            let permit = connections.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (Ok(permit), accepted) = (tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        }) else {
            break;
        };
        let Ok((stream, peer)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (broker, tls, ended) = (broker.clone(), tls.clone(), ended.clone());
        tokio::spawn(async move {
            connection(broker, tls, stream, peer, ended).await;
            drop(permit);
        });
    }
    drop(listener);
    drop(end);
    // All permits are free again when all connections have ended.
    let all = u32::try_from(limit).unwrap_or(u32::MAX);
    drop(timeout(GRACE, connections.acquire_many(all)).await);
    drop(syncing.await);
    drop(refreshing.await);
    Ok(())
}

async fn connection(
    broker: Arc<Broker>,
    tls: Option<TlsAcceptor>,
    stream: TcpStream,
    peer: SocketAddr,
    ended: watch::Receiver<()>,
) {
    // Small answers must not wait for one another; a socket that refuses is slow, not wrong.
    drop(stream.set_nodelay(true));
    let patience = Duration::from_secs(broker.config.request_seconds);
    let stream = stall::Stalling::new(stream, patience);
    let Some(tls) = tls else { return serve(broker, stream, peer, ended).await };
    // Whoever does not shake hands has nothing to be told.
    if let Ok(Ok(stream)) = timeout(patience, tls.accept(stream)).await {
        serve(broker, stream, peer, ended).await;
    }
}

async fn serve<S>(broker: Arc<Broker>, stream: S, peer: SocketAddr, mut ended: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let idle = Duration::from_secs(broker.config.idle_seconds);
    let peer: Arc<str> = peer.to_string().into();
    let service = service_fn(move |request| {
        let (broker, peer) = (broker.clone(), peer.clone());
        async move { Ok::<_, Infallible>(http::handle(broker, peer, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // Errors here are the peer's: it broke off, or was too slow.
    tokio::select! {
        result = connection.as_mut() => drop(result),
        _ = ended.changed() => {
            connection.as_mut().graceful_shutdown();
            drop(connection.await);
        }
    }
}

/// Put the audit log on disk every second, and once more at the end.
async fn sync_audit(broker: Arc<Broker>, mut ended: watch::Receiver<()>) {
    let mut ticks = interval(Duration::from_secs(SYNC_SECONDS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let last = tokio::select! {
            _ = ticks.tick() => false,
            _ = ended.changed() => true,
        };
        let broker = broker.clone();
        let synced = tokio::task::spawn_blocking(move || {
            let told = broker.audit_unlisted(broker.now()).map_err(|refusal| refusal.detail().to_owned());
            told.and(broker.admin.audit.sync().map_err(|error| error.to_string()))
        });
        if let Ok(Err(error)) = synced.await {
            eprintln!("sealpod-kbs: {error}");
        }
        if last {
            return;
        }
    }
}

/// See to endorsements that get old, from the start on. A fetch that is under way at the end is given up.
async fn refresh_endorsements(broker: Arc<Broker>, mut ended: watch::Receiver<()>) {
    let mut ticks = interval(REFRESH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let work = async {
            ticks.tick().await;
            broker.keep_endorsements_fresh().await;
        };
        tokio::select! {
            () = work => {}
            _ = ended.changed() => return,
        }
    }
}

/// TLS 1.2 and 1.3. Resumption is by ticket: nothing is kept for a client.
fn tls_config(broker: &Broker) -> Result<ServerConfig, ServeError> {
    let path = broker.layout.resolve(&broker.config.tls_certificate);
    let failed = |path: &PathBuf, message: String| ServeError::Pem { path: path.clone(), message };
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(&path).map_err(|e| failed(&path, e.to_string()))?.collect();
    let chain = chain.map_err(|e| failed(&path, e.to_string()))?;
    let path = broker.layout.resolve(&broker.config.tls_key);
    let key = PrivateKeyDer::from_pem_file(&path).map_err(|e| failed(&path, e.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
