//! `sealpod run`.

use super::machine::{self, Prepared, Purpose};
use crate::cli::RunArgs;
use crate::image::{Image, registry};
use crate::session::{self, End, Plan};
use crate::state::{self, Pod, Status, Store};
use crate::ui::Ui;
use crate::{child, console, workload};
use anyhow::{Context as _, Result, bail};
use sealpod_channel::Event;
use sealpod_evidence::initdata::{Initdata, MAX_LEN};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

/// Exit code of a shell for a process ended by signal n is this plus n.
const SIGNALLED: i32 = 128;

/// Run to the end of the container.
pub async fn run(args: &RunArgs, store: &Store) -> Result<u8> {
    let mut ui = Ui::new(args.json, args.quiet);
    let insecure = args.workload.dangerous_insecure_registry;
    let image = registry::locate(&args.workload.image, insecure, &mut ui).await?;
    ui.phase("reading the image");
    let mut image = Image::open(&image)?;
    let asked = workload::container_spec(&args.workload, &image)?;
    let (initdata, container) = match &args.policy {
        Some(path) => {
            let initdata = read_policy(path)?;
            let container = workload::from_policy(&args.workload, initdata.policy(), asked)?;
            (initdata, container)
        }
        None => (workload::compose(&args.workload, &asked)?, asked),
    };
    let allows_output = workload::rule(initdata.policy(), &container)?.allow_output;
    let name = args.name.clone().map_or_else(state::random_name, Ok)?;
    let purpose = Purpose {
        name: &name,
        image: args.workload.image.display().to_string(),
        container: Some(&container),
        initdata: &initdata,
    };
    let prepared = machine::prepare(&args.machine, &purpose, store, &mut ui).await?;
    let disk = prepared.pod.dir.join("image0.tar");
    // Reading and checking a large image takes seconds, of another processor.
    let writing = tokio::task::spawn_blocking(move || image.write_disk(&disk));
    let (written, manufactured) = tokio::join!(writing, prepared.manufacture());
    let Prepared { mut pod, spec, qemu, swtpm, broker } = prepared;
    ui.event(&serde_json::json!({"type": "pod", "state": pod.state}));
    let plan = Plan {
        spec,
        qemu,
        swtpm,
        broker,
        container: Some(container),
        boot_timeout: Duration::from_secs(args.machine.boot_timeout),
        grace: args.grace,
    };
    let result = match written?.map_err(anyhow::Error::from).and(manufactured) {
        Ok(()) => session::run(&plan, &mut pod, &mut ui).await,
        Err(error) => Err(error),
    };
    ui.abandon();
    if !allows_output && matches!(result, Ok(End::Exited(_))) {
        ui.line("the policy keeps the container's output from the host; --allow-output shows it");
    }
    finish(pod, result, args.rm, &ui)
}

/// Write down the end and turn it into an exit code.
fn finish(mut pod: Pod, result: Result<End>, forget: bool, ui: &Ui) -> Result<u8> {
    pod.sweep();
    pod.state.machine_pids.clear();
    let (code, reason) = match &result {
        Ok(End::Exited(code)) => (Some(*code), None),
        Ok(End::Stopped(signo)) => {
            (Some(SIGNALLED + signo), Some("stopped before the container had ended".to_owned()))
        }
        Ok(End::Hello(_)) => (None, Some("the guest got no container".to_owned())),
        Ok(End::Refused(event)) => (None, Some(refusal(event))),
        Err(error) => (None, Some(crate::in_one_line(error))),
    };
    pod.state.status = if code.is_some() { Status::Exited } else { Status::Failed };
    pod.state.exit_code = code;
    pod.state.reason.clone_from(&reason);
    pod.save()?;
    if let Some(code) = code {
        if forget {
            pod.remove()?;
        }
        return Ok((code & 0xff) as u8);
    }
    let reason = reason.unwrap_or_default();
    ui.event(&serde_json::json!({"type": "failed", "reason": reason}));
    bail!("{reason}")
}

/// What the guest refused and why, in a first line that can stand alone; then both values, and what to do about it.
fn refusal(event: &Event) -> String {
    let Event::Refused { stage, reason, step, check, expected, found } = event else {
        return String::new();
    };
    let failed = match (step, check) {
        (Some(step), Some(check)) => format!(", verification step {step} ({check})"),
        (Some(step), None) => format!(", verification step {step}"),
        (None, Some(check)) => format!(", check {check}"),
        (None, None) => String::new(),
    };
    let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut text = format!("the guest refused at stage {stage}{failed}: {reason}");
    for (name, value) in [("expected:", expected), ("found:   ", found)] {
        if let Some(value) = value {
            text.push_str(&format!("\n  {name} {value}"));
        }
    }
    text.push_str(&format!("\n  next: {}", next_step(stage, *step)));
    console::printable(&text)
}

fn next_step(stage: &str, step: Option<u8>) -> &'static str {
    match (stage, step) {
        ("broker", Some(_)) => {
            "`sealpod-kbs audit show` has the broker's full verdict; if this machine is meant to be trusted, add its Reference Values with `sealpod-kbs reference add`"
        }
        ("broker", None) => {
            "check that the broker is up, that --kbs-ca is its certificate authority, and that the secret exists (`sealpod-kbs secret list`)"
        }
        ("workload", _) => {
            "write a policy for this very command with `sealpod policy generate`; a plain machine gets no secrets at all (--platform)"
        }
        ("initdata", _) => "the machine was started with another policy than it was given; start it again",
        ("image", _) => "the image was damaged on its way; run again, and if it stays, make the image anew",
        ("evidence" | "tee" | "tpm", _) => "`sealpod doctor` says what this machine can prove",
        _ => "`sealpod logs --console NAME` shows the guest's console",
    }
}

fn read_policy(path: &Path) -> Result<Initdata> {
    let mut text = String::new();
    let file = File::open(path).with_context(|| format!("--policy {}", path.display()))?;
    file.take(MAX_LEN as u64 + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("--policy {}", path.display()))?;
    Initdata::parse(&text).with_context(|| format!("--policy {}", path.display()))
}

/// Start a supervisor of its own and wait until its container runs, or does not.
pub async fn detach(args: &RunArgs, store: &Store) -> Result<u8> {
    let name = args.name.clone().map_or_else(state::random_name, Ok)?;
    let mut rest: Vec<_> = std::env::args_os().skip(1).collect();
    let Some(at) = rest.iter().position(|arg| arg == "--detach" || arg == "-d") else {
        bail!("write --detach (or -d) as an argument of its own");
    };
    rest[at] = "--detached-child".into();
    if args.name.is_none() {
        rest.splice(at..at, ["--name".into(), name.clone().into()]);
    }
    let log = tempfile::tempfile()?;
    let mut supervisor = child::spawn_detached(&std::env::current_exe()?, rest, &log)?;
    loop {
        if let Some(status) = supervisor.try_wait()? {
            let mut text = String::new();
            use std::io::Seek as _;
            (&log).seek(std::io::SeekFrom::Start(0))?;
            (&log).take(64 * 1024).read_to_string(&mut text)?;
            eprint!("{text}");
            if status.success() {
                println!("{name}");
            }
            return Ok(status.code().map_or(crate::FAILED, |code| (code & 0xff) as u8));
        }
        if store.get(&name).is_ok_and(|(_, state)| state.status == Status::Running) {
            println!("{name}");
            return Ok(0);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_stage_step_both_values_and_the_next_step() {
        let event = Event::Refused {
            stage: "broker".into(),
            reason: "broker refused POST /kbs/v0/attest (401):\nunknown launch digest".into(),
            step: Some(8),
            check: Some("launch-digest".into()),
            expected: Some("aa".into()),
            found: Some("b\x1b[2Jb".into()),
        };
        insta::assert_snapshot!(refusal(&event));
    }
}
