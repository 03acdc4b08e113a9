//! Load on a broker over TLS on loopback: bounded in count, from threads of this process.

use crate::bench::ready_pod::ReadyPod;
use anyhow::{Context as _, Result, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One kept-alive HTTP/1.1 connection.
pub struct Connection {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
    cookie: Option<String>,
}

/// Trusts one certificate authority.
pub fn tls_config(ca: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).context("the broker's CA")?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl Connection {
    /// Connect to a broker on this machine.
    pub fn open(address: &str, tls: Arc<ClientConfig>) -> Result<Self> {
        let tcp = TcpStream::connect(address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(Duration::from_secs(30)))?;
        let client = ClientConnection::new(tls, ServerName::try_from("localhost")?)?;
        Ok(Self { stream: BufReader::new(StreamOwned::new(client, tcp)), cookie: None })
    }

    /// One request; any answer but 200 is an error.
    pub fn request(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>> {
        let cookie = self.cookie.as_ref().map_or_else(String::new, |c| format!("cookie: {c}\r\n"));
        let mut message = format!(
            "{method} /kbs/v0/{path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{cookie}content-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        message.extend(body);
        self.stream.get_mut().write_all(&message)?;
        self.stream.get_mut().flush()?;
        self.answer().with_context(|| format!("{method} {path}"))
    }

    fn answer(&mut self) -> Result<Vec<u8>> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let ok = line.starts_with("HTTP/1.1 200");
        let status = line.trim().to_owned();
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            } else if name.eq_ignore_ascii_case("set-cookie") {
                self.cookie = value.trim().split(';').next().map(str::to_owned);
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        if !ok {
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    /// Challenge, evidence, token: all that a guest does, with its signatures made afresh.
    pub fn handshake(&mut self, pod: &mut ReadyPod) -> Result<()> {
        self.cookie = None;
        let challenge = self.request("POST", "auth", pod.request())?;
        self.request("POST", "attest", &pod.attest(&challenge)?)?;
        Ok(())
    }
}

/// What a bounded load came to.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Requests, or handshakes.
    pub count: usize,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Processor seconds that the broker used, both cores together.
    pub broker_seconds: f64,
    /// Processor seconds that the load itself used.
    pub load_seconds: f64,
}

impl Load {
    /// As measured, with load and broker on the same two cores.
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.seconds
    }

    /// Processor time of one, in milliseconds: the broker's, and the load's.
    pub fn milliseconds_each(&self) -> (f64, f64) {
        let each = |seconds: f64| seconds * 1e3 / self.count as f64;
        (each(self.broker_seconds), each(self.load_seconds))
    }

    /// What two cores could do if the load came from elsewhere.
    pub fn broker_capacity(&self) -> f64 {
        2.0 * self.count as f64 / self.broker_seconds
    }
}

/// Run `work` `count` times on each of the connections, or what else one thread works with.
pub fn run<T: Send>(
    pid: u32,
    connections: Vec<T>,
    count: usize,
    work: impl Fn(&mut T) -> Result<()> + Sync,
) -> Result<Load> {
    let threads = connections.len();
    let own = std::process::id();
    let (before, own_before) = (processor_seconds(pid)?, processor_seconds(own)?);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let running: Vec<_> = connections
            .into_iter()
            .map(|mut connection| {
                let work = &work;
                scope.spawn(move || (0..count).try_for_each(|_| work(&mut connection)))
            })
            .collect();
        running.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => bail!("a load thread panicked"),
        })
    })?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Load {
        count: count * threads,
        seconds,
        broker_seconds: processor_seconds(pid)? - before,
        load_seconds: processor_seconds(own)? - own_before,
    })
}

/// User and system time of a process (proc(5), fields 14 and 15 of `stat`, in ticks of 10 ms).
fn processor_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').context("stat")?.1.split_whitespace().collect();
    let ticks = |index: usize| -> Result<f64> { Ok(fields.get(index).context("stat")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// Resident memory of a process in MiB (proc(5), `VmRSS`).
pub fn resident_mebibytes(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
