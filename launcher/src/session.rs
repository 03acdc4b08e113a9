//! One machine from power-on to power-off, and what is said on its channel meanwhile.

use crate::console;
use crate::spec::VmSpec;
use crate::state::{Pod, Status};
use crate::ui::Ui;
use anyhow::{Context as _, Result, anyhow, bail};
use machine::{Machine, ended};
use sealpod_channel::{Command, ContainerRun, Event, HostConnection, StreamName, read_frame, write_frame};
use sealpod_evidence::workload::ContainerSpec;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;
use streams::Incoming;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

mod machine;
mod streams;

/// From the container's end to power-off, and from a second Ctrl-C to nothing.
const POWER_OFF: Duration = Duration::from_secs(20);
/// Messages under way between a stream's task and the loop.
const QUEUE: usize = 32;
/// Most bytes of output kept for `sealpod logs`.
const MAX_OUTPUT_LOG: u64 = 64 * 1024 * 1024;

/// All that a machine is started with.
pub struct Plan {
    pub spec: VmSpec,
    pub qemu: PathBuf,
    pub swtpm: PathBuf,
    /// Where `kbs` streams go.
    pub broker: Option<(String, u16)>,
    /// The container; without one, the machine is stopped once it has said hello.
    pub container: Option<ContainerSpec>,
    pub boot_timeout: Duration,
    pub grace: u32,
}

/// How it ended.
#[derive(Debug)]
pub enum End {
    Exited(i32),
    /// Stopped before the container had ended; the signal's number.
    Stopped(i32),
    /// Said hello, as asked, with this boot log.
    Hello(Vec<u8>),
    /// [`Event::Refused`].
    Refused(Event),
}

/// Start the machine, serve it, and see it off. Nothing of it is left running when this returns.
pub async fn run(plan: &Plan, pod: &mut Pod, ui: &mut Ui) -> Result<End> {
    // Taken before anything is started: a Ctrl-C must never find the default handler.
    let mut stop = StopSignals::new()?;
    let mut machine = Machine::start(plan, pod, ui).await?;
    let (sender, mut incoming) = mpsc::channel(QUEUE);
    let mut session = Session::new(plan, pod, ui, sender.clone());
    let connecting = machine.connect();
    let stream = tokio::select! {
        stream = connecting => stream?,
        signo = stop.next() => return Ok(End::Stopped(signo)),
    };
    let driver = tokio::spawn(streams::drive(HostConnection::new(stream), sender));
    session.serve(&mut machine, &mut incoming, &mut stop).await?;
    session.sender = None;
    // What the guest wrote before its end may still be on its way.
    while let Ok(Some(message)) = tokio::time::timeout(Duration::from_secs(3), incoming.recv()).await {
        session.take(message).await?;
    }
    driver.abort();
    let status = machine.power_off().await;
    session.end(plan, status)
}

struct StopSignals([(Signal, i32); 3]);

impl StopSignals {
    fn new() -> Result<Self> {
        let of = |kind: SignalKind| Ok::<_, std::io::Error>((signal(kind)?, kind.as_raw_value()));
        Ok(Self([of(SignalKind::interrupt())?, of(SignalKind::terminate())?, of(SignalKind::hangup())?]))
    }

    async fn next(&mut self) -> i32 {
        let [(interrupt, a), (terminate, b), (hangup, c)] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => *a,
            _ = terminate.recv() => *b,
            _ = hangup.recv() => *c,
        }
    }
}

struct Session<'a> {
    plan: &'a Plan,
    pod: &'a mut Pod,
    ui: &'a mut Ui,
    sender: Option<mpsc::Sender<Incoming>>,
    control: Option<sealpod_channel::ChannelStream>,
    boot_log: Option<Vec<u8>>,
    asked: bool,
    stopped: Option<i32>,
    end: Option<End>,
    channel_error: Option<String>,
    closed: bool,
    output_log: u64,
}

impl<'a> Session<'a> {
    fn new(plan: &'a Plan, pod: &'a mut Pod, ui: &'a mut Ui, sender: mpsc::Sender<Incoming>) -> Self {
        Self {
            plan,
            pod,
            ui,
            sender: Some(sender),
            control: None,
            boot_log: None,
            asked: false,
            stopped: None,
            end: None,
            channel_error: None,
            closed: false,
            output_log: 0,
        }
    }

    /// Until the guest has closed the channel, the machine is off, or time is up.
    async fn serve(
        &mut self,
        machine: &mut Machine,
        incoming: &mut mpsc::Receiver<Incoming>,
        stop: &mut StopSignals,
    ) -> Result<()> {
        self.ui.phase("booting the guest");
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        let mut deadline = Some(Instant::now() + self.plan.boot_timeout);
        while !self.closed {
            let time_up = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = incoming.recv() => {
                    let Some(message) = message else { return Ok(()) };
                    self.take(message).await?;
                    if self.end.is_some() {
                        deadline.get_or_insert(Instant::now() + POWER_OFF);
                    } else if self.boot_log.is_some() && self.stopped.is_none() {
                        deadline = None;
                    }
                }
                status = machine.qemu.wait() => {
                    status?;
                    return Ok(());
                }
                status = ended(&mut machine.swtpm) => {
                    let status = status?;
                    return machine.after_vtpm(status).await;
                }
                signo = stop.next() => {
                    if self.stopped.replace(signo).is_some() || !self.stop().await {
                        machine.qemu.kill().await?;
                    }
                    deadline = Some(Instant::now() + Duration::from_secs(self.plan.grace.into()) + POWER_OFF);
                }
                () = time_up => return self.time_is_up(machine).await,
                _ = tick.tick() => self.ui.tick(),
            }
        }
        Ok(())
    }

    async fn time_is_up(&mut self, machine: &mut Machine) -> Result<()> {
        machine.qemu.kill().await?;
        if self.end.is_some() || self.stopped.is_some() {
            return Ok(());
        }
        self.ui.abandon();
        bail!(
            "the guest did not say hello within {} s; the last line of its console: {}\nIts console ended with:\n{}\nThe whole console is in {}. On a slow machine give more --boot-timeout",
            self.plan.boot_timeout.as_secs(),
            console::last_line(&self.plan.spec.console),
            console::tail(&self.plan.spec.console),
            self.plan.spec.console.display()
        )
    }

    /// Ask the guest to stop; whether it could be asked.
    async fn stop(&mut self) -> bool {
        let command = Command::Stop { grace_seconds: self.plan.grace };
        self.ui.line("stopping; once more to kill the machine");
        match &mut self.control {
            Some(control) if self.boot_log.is_some() => write_frame(control, &command).await.is_ok(),
            _ => false,
        }
    }

    async fn take(&mut self, message: Incoming) -> Result<()> {
        match message {
            Incoming::Stream(name, stream) => self.stream(name, stream),
            Incoming::Event(event) => self.event(event)?,
            Incoming::Output(name, bytes) => self.output(name, &bytes)?,
            Incoming::Remark(line) => self.ui.line(&console::printable(&line)),
            Incoming::Closed(error) => {
                self.closed = true;
                self.channel_error = error;
            }
        }
        self.ask().await
    }

    fn stream(&mut self, name: StreamName, stream: sealpod_channel::ChannelStream) {
        let Some(sender) = self.sender.clone() else {
            return;
        };
        match name {
            StreamName::Control => self.control = Some(stream),
            StreamName::Events => drop(tokio::spawn(streams::events(stream, sender))),
            StreamName::Stdin => drop(tokio::spawn(streams::input(stream))),
            StreamName::Stdout | StreamName::Stderr => {
                drop(tokio::spawn(streams::output(name, stream, sender)))
            }
            StreamName::Kbs => drop(tokio::spawn(streams::broker(stream, self.plan.broker.clone(), sender))),
        }
    }

    /// Once the guest listens, say what it shall do.
    async fn ask(&mut self) -> Result<()> {
        let (Some(control), Some(boot_log), false) = (&mut self.control, &self.boot_log, self.asked) else {
            return Ok(());
        };
        self.asked = true;
        let command = match &self.plan.container {
            Some(spec) => Command::Run { containers: vec![ContainerRun { spec: spec.clone() }] },
            None => {
                self.end = Some(End::Hello(boot_log.clone()));
                Command::Stop { grace_seconds: 0 }
            }
        };
        // A guest that is gone says why in its last event, or its console does.
        let _ = write_frame(control, &command).await;
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<()> {
        match &event {
            Event::Hello { version, boot_log } => {
                self.ui.event(&serde_json::json!({"type": "hello", "version": version, "boot_log_bytes": boot_log.0.len()}));
                self.boot_log.get_or_insert(boot_log.0.clone());
                return Ok(());
            }
            Event::Phase { name } => {
                self.ui.phase(&phase(&console::printable(name)));
                return Ok(());
            }
            Event::Log { line } => {
                self.ui.line(&format!("guest: {}", console::printable(line)));
                return Ok(());
            }
            Event::Started { .. } => {
                self.ui.settle();
                self.pod.state.status = Status::Running;
                self.pod.save()?;
            }
            Event::Exited { code } => self.end = Some(End::Exited(*code)),
            Event::Refused { .. } => {
                self.ui.abandon();
                self.end = Some(End::Refused(event.clone()));
            }
        }
        self.ui.event(&serde_json::to_value(&event)?);
        Ok(())
    }

    fn output(&mut self, name: StreamName, bytes: &[u8]) -> Result<()> {
        if self.output_log + bytes.len() as u64 <= MAX_OUTPUT_LOG {
            let path = self.pod.dir.join("output.log");
            File::options().create(true).append(true).open(path)?.write_all(bytes)?;
            self.output_log += bytes.len() as u64;
        }
        if self.ui.is_json() {
            let text = String::from_utf8_lossy(bytes);
            self.ui.event(&serde_json::json!({"type": "output", "stream": name.as_str(), "text": text}));
            return Ok(());
        }
        // A reader that is gone is no reason to stop the pod.
        let _ = match name {
            StreamName::Stderr => std::io::stderr().write_all(bytes),
            _ => std::io::stdout().write_all(bytes).and_then(|()| std::io::stdout().flush()),
        };
        Ok(())
    }

    fn end(&mut self, plan: &Plan, qemu: Option<ExitStatus>) -> Result<End> {
        self.ui.abandon();
        if let Some(end) = self.end.take() {
            return Ok(end);
        }
        if let Some(signo) = self.stopped {
            return Ok(End::Stopped(signo));
        }
        let log = self.pod.dir.join("vm.log");
        if let Some(status) = qemu.filter(|status| !status.success()) {
            return Err(anyhow!(
                "QEMU ended in the middle ({status}): {}\nIts last words:\n{}\nThe guest's console is in {}",
                console::last_line(&log),
                console::tail(&log),
                plan.spec.console.display()
            ));
        }
        let why = self.channel_error.take().unwrap_or_else(|| "it closed the channel".to_owned());
        Err(anyhow!(
            "the guest ended without saying why ({why}); the last line of its console: {}\nIts console ended with:\n{}\nThe whole console is in {}, QEMU's words in {}",
            console::last_line(&plan.spec.console),
            console::tail(&plan.spec.console),
            plan.spec.console.display(),
            log.display()
        ))
    }
}

/// The guest's phases in words; one that is new is shown as it is.
fn phase(name: &str) -> String {
    match name {
        "image" => "verifying and unpacking the image".to_owned(),
        "measure" => "measuring the container".to_owned(),
        "attest" => "attesting and fetching secrets".to_owned(),
        "start" => "starting the container".to_owned(),
        other => other.to_owned(),
    }
}
