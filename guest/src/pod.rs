//! One pod from the first command to the exit code.

use crate::attester::{self, Attester};
use crate::bundle::{self, SecretMountPoint};
use crate::crun::{self, Running, Streams};
use crate::error::GuestError;
use crate::link::{Commands, Link, LinkError};
use crate::machine::Machine;
use crate::pod_api::{self, PodApi};
use crate::rcar::Client;
use crate::reaper::Reaper;
use crate::secret::SecretFiles;
use crate::workload::{self, WorkloadError, WorkloadLog};
use crate::{block, image, init, memory};
use sealpod_channel::{Command, Event, StreamName};
use sealpod_evidence::workload::{ContainerRule, ContainerSpec};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Longest grace between SIGTERM and SIGKILL.
const MAX_GRACE: u32 = 3600;
/// How long the last output may take to reach the host once the container has ended.
const DRAIN: Duration = Duration::from_secs(10);

/// Announce the guest, wait for a command, and do it. Ends when the container has ended, or the host says stop.
pub async fn run(
    machine: Machine,
    link: &Link,
    mut commands: Commands,
    reaper: &Reaper,
) -> Result<(), GuestError> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let boot_log = sealpod_evidence::bytes::Base64(machine.boot_log.clone());
    link.send(&Event::Hello { version, boot_log }).await?;
    let Some(spec) = asked_for(link, &mut commands).await? else {
        return Ok(());
    };
    let rule = workload::check(machine.initdata.as_ref(), &spec)?.clone();
    let prepared = tokio::select! {
        prepared = prepare(machine, link, &spec) => prepared?,
        stopped = stopped(link, &mut commands) => return stopped,
    };
    let code = run_container(prepared, link, &mut commands, reaper, &rule).await?;
    Ok(link.send(&Event::Exited { code }).await?)
}

/// The one container of the first `Run`; `None` if the host stops the pod before there is one.
async fn asked_for(link: &Link, commands: &mut Commands) -> Result<Option<ContainerSpec>, GuestError> {
    loop {
        match commands.next().await? {
            Some(Command::Run { containers }) => {
                let found = containers.len();
                return match <[_; 1]>::try_from(containers) {
                    Ok([container]) => Ok(Some(container.spec)),
                    Err(_) => Err(WorkloadError::Count { expected: 1, found }.into()),
                };
            }
            Some(Command::Stop { .. }) | None => return Ok(None),
            Some(Command::Signal { signo }) => {
                log(link, format!("signal {signo} ignored: nothing runs yet")).await?;
            }
        }
    }
}

/// Wait for the host to stop a pod that is still being prepared.
async fn stopped(link: &Link, commands: &mut Commands) -> Result<(), GuestError> {
    loop {
        match commands.next().await? {
            Some(Command::Stop { .. }) => return Ok(()),
            None => return Err(LinkError::Closed.into()),
            Some(_) => log(link, "ignored: the container is not running yet".to_owned()).await?,
        }
    }
}

/// A container that can be started: its image is verified and measured, its secrets are there.
struct Prepared {
    bundle: PathBuf,
    spec: ContainerSpec,
    secrets: Secrets,
    client: Option<Client>,
}

/// In this order: image, PCR 13, attestation. The evidence thus names the container before it gets a secret.
async fn prepare(machine: Machine, link: &Link, spec: &ContainerSpec) -> Result<Prepared, GuestError> {
    check_can_attest(&machine, spec)?;
    if machine.tsm.is_none() {
        let line = "no TEE here: initdata is only the host's word, and no secret can be fetched";
        log(link, line.to_owned()).await?;
    }
    phase(link, "image").await?;
    let bundle = unpack(spec).await?;
    phase(link, "measure").await?;
    let client = measure(machine, link, spec)?;
    let mut secrets = Secrets::none();
    if let Some(client) = client.as_ref().filter(|_| !spec.secrets.is_empty()) {
        phase(link, "attest").await?;
        secrets = fetch(client, spec).await?;
    }
    Ok(Prepared { bundle, spec: spec.clone(), secrets, client })
}

/// Secrets need a TEE and a vTPM; better said before the image is unpacked than after.
fn check_can_attest(machine: &Machine, spec: &ContainerSpec) -> Result<(), WorkloadError> {
    let missing = match (&machine.tsm, &machine.tpm) {
        _ if spec.secrets.is_empty() => return Ok(()),
        (None, _) => "TEE report interface (configfs-tsm)",
        (_, None) => "vTPM",
        (Some(_), Some(_)) => return Ok(()),
    };
    Err(WorkloadError::NoAttestation { missing })
}

/// The API and the secrets end with the container, not with the machine.
async fn run_container(
    prepared: Prepared,
    link: &Link,
    commands: &mut Commands,
    reaper: &Reaper,
    rule: &ContainerRule,
) -> Result<i32, GuestError> {
    let Prepared { bundle, spec, secrets, client } = prepared;
    let _api = match client {
        Some(client) => Some(serve_api(client, &spec).await?),
        None => None,
    };
    phase(link, "start").await?;
    bundle::write(&bundle, &spec, &secrets.mounts, memory::container_limit()?)?;
    let streams = Streams { input: rule.allow_input, output: rule.allow_output };
    let mut running = crun::start(reaper, &bundle, streams).await?;
    supervise(link, commands, &mut running, rule).await
}

/// Put the container into PCR 13 and the log; gives the broker's client where there is all that it needs.
fn measure(machine: Machine, link: &Link, spec: &ContainerSpec) -> Result<Option<Client>, GuestError> {
    let mut log = WorkloadLog::default();
    let Some(mut tpm) = machine.tpm else {
        return Ok(None);
    };
    attester::record(&mut tpm, &mut log, spec)?;
    let (Some(tsm), Some(initdata)) = (machine.tsm, machine.initdata) else {
        return Ok(None);
    };
    let Some(broker) = initdata.policy().kbs.clone() else {
        return Ok(None);
    };
    let attester = Attester::new(tpm, tsm, initdata, log);
    Ok(Some(Client::new(&broker, link.broker_connector(), Arc::new(Mutex::new(attester)))?))
}

async fn unpack(spec: &ContainerSpec) -> Result<PathBuf, GuestError> {
    let disk = block::find(block::IMAGE).ok_or(image::ImageError::NoDisk)?;
    let (digest, bundle) = (spec.image, Path::new(init::CONTAINERS).join("0"));
    let (work, budget) = (bundle.clone(), memory::image_budget()?);
    // Digesting and decompressing take seconds, and events must flow meanwhile.
    let unpacking = tokio::task::spawn_blocking(move || {
        let root = work.join("rootfs");
        std::fs::create_dir_all(&root)
            .map_err(|source| GuestError::Prepare { what: "the container's directory", source })?;
        image::unpack(&disk, digest, &work, &root, budget).map_err(GuestError::from)
    });
    unpacking.await.map_err(|error| GuestError::Panic(error.to_string()))??;
    Ok(bundle)
}

/// The container's secrets on disk; wiped when dropped.
struct Secrets {
    mounts: Vec<SecretMountPoint>,
    _files: Option<SecretFiles>,
}

impl Secrets {
    fn none() -> Self {
        Self { mounts: Vec::new(), _files: None }
    }
}

async fn fetch(client: &Client, spec: &ContainerSpec) -> Result<Secrets, GuestError> {
    let prepare = |source| GuestError::Prepare { what: "its secrets", source };
    let resources: Vec<_> = spec.secrets.iter().map(|s| s.resource.clone()).collect();
    let fetched = client.fetch(&resources).await?;
    let mut files = SecretFiles::create(&Path::new(init::SECRETS).join("0")).map_err(prepare)?;
    let mut mounts = Vec::new();
    for (secret, bytes) in spec.secrets.iter().zip(&fetched) {
        let source = files.add(bytes, spec.uid, spec.gid).map_err(prepare)?;
        mounts.push(SecretMountPoint { source, destination: secret.path.clone() });
    }
    Ok(Secrets { mounts, _files: Some(files) })
}

/// A task that ends with its guard.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn serve_api(client: Client, spec: &ContainerSpec) -> Result<Task<()>, GuestError> {
    let listener = TcpListener::bind(pod_api::ADDRESS).await.map_err(GuestError::PodApi)?;
    let api = PodApi::new(client, spec.secrets.iter().map(|s| s.resource.clone()));
    Ok(Task(tokio::task::spawn_local(async move {
        let Err(error) = api.run(listener).await;
        eprintln!("sealpod-guest: pod-local API ended: {error}");
    })))
}

/// Carry standard streams and commands until the container has ended.
async fn supervise(
    link: &Link,
    commands: &mut Commands,
    running: &mut Running,
    rule: &ContainerRule,
) -> Result<i32, GuestError> {
    link.send(&Event::Started { pid: running.pid() }).await?;
    let outputs = open_streams(link, running).await?;
    let mut kill_at = None;
    let code = loop {
        let deadline = async {
            match kill_at {
                Some(instant) => tokio::time::sleep_until(instant).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            code = running.wait() => break code,
            () = deadline => {
                running.signal(libc::SIGKILL)?;
                kill_at = None;
            }
            command = commands.next() => match command? {
                Some(Command::Stop { grace_seconds }) => {
                    running.signal(libc::SIGTERM)?;
                    let grace = Duration::from_secs(u64::from(grace_seconds.min(MAX_GRACE)));
                    kill_at = Some(tokio::time::Instant::now() + grace);
                }
                Some(Command::Signal { signo }) if rule.allow_signals => {
                    // A wrong number is the host's mistake, not the container's.
                    if let Err(error) = running.signal(signo) {
                        log(link, error.to_string()).await?;
                    }
                }
                Some(Command::Signal { signo }) => log(link, format!("signal {signo} ignored: initdata does not allow signals")).await?,
                Some(Command::Run { .. }) => log(link, "a second container was not started".to_owned()).await?,
                // The host is gone: nobody is left to stop the container.
                None => return Err(LinkError::Closed.into()),
            },
        }
    };
    let log_text = running.log();
    if !log_text.is_empty() {
        log(link, log_text).await?;
    }
    for mut output in outputs {
        // A host that does not read its output must not keep the machine running.
        let _ = tokio::time::timeout(DRAIN, &mut output.0).await;
    }
    Ok(code)
}

async fn open_streams(link: &Link, running: &mut Running) -> Result<Vec<Task<()>>, GuestError> {
    let mut outputs = Vec::new();
    if let Some(from) = running.stdout.take() {
        outputs.push(carry(from, link.stream(StreamName::Stdout).await?));
    }
    if let Some(from) = running.stderr.take() {
        outputs.push(carry(from, link.stream(StreamName::Stderr).await?));
    }
    if let Some(to) = running.stdin.take() {
        let from = link.stream(StreamName::Stdin).await?;
        // Not waited for: it ends with the host's end of file or with the machine.
        tokio::task::spawn_local(copy(from, to));
    }
    Ok(outputs)
}

fn carry(
    from: impl tokio::io::AsyncRead + Unpin + 'static,
    to: impl tokio::io::AsyncWrite + Unpin + 'static,
) -> Task<()> {
    Task(tokio::task::spawn_local(copy(from, to)))
}

async fn copy(mut from: impl tokio::io::AsyncRead + Unpin, mut to: impl tokio::io::AsyncWrite + Unpin) {
    let copied: io::Result<()> = async {
        tokio::io::copy(&mut from, &mut to).await?;
        tokio::io::AsyncWriteExt::shutdown(&mut to).await
    }
    .await;
    if let Err(error) = copied {
        eprintln!("sealpod-guest: a standard stream broke: {error}");
    }
}

async fn phase(link: &Link, name: &str) -> Result<(), LinkError> {
    link.send(&Event::Phase { name: name.to_owned() }).await
}

async fn log(link: &Link, line: String) -> Result<(), LinkError> {
    eprintln!("sealpod-guest: {line}");
    link.send(&Event::Log { line }).await
}
