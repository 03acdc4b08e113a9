//! Commands on pods that exist: `ps`, `logs`, `stop`, `rm`, `inspect`.

use crate::cli::{LogsArgs, NameArgs, PsArgs, RmArgs, StopArgs};
use crate::state::Store;
use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::io;
use std::time::Duration;
use tokio::time::Instant;

const POLL: Duration = Duration::from_millis(100);

pub fn ps(args: &PsArgs, store: &Store) -> Result<u8> {
    let mut pods = store.list()?;
    pods.retain(|pod| args.all || pod.status.is_live());
    if args.json {
        println!("{}", serde_json::to_string_pretty(&pods)?);
        return Ok(0);
    }
    println!("{:<20} {:<9} {:<9} {:<5} {:<5} IMAGE", "NAME", "STATUS", "PLATFORM", "ACCEL", "EXIT");
    for pod in pods {
        let status = serde_json::to_value(pod.status)?;
        let exit = pod.exit_code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        println!(
            "{:<20} {:<9} {:<9} {:<5} {exit:<5} {}",
            pod.name,
            status.as_str().unwrap_or_default(),
            pod.platform,
            pod.accel,
            pod.image
        );
    }
    Ok(0)
}

pub async fn logs(args: &LogsArgs, store: &Store) -> Result<u8> {
    let (dir, _) = store.get(&args.name)?;
    let path = dir.join(if args.console { "console.log" } else { "output.log" });
    let mut file = None;
    loop {
        // Asked before copying, so that nothing written until then is missed.
        let live = store.is_held(&args.name)?;
        if file.is_none() {
            match File::open(&path) {
                Ok(opened) => file = Some(opened),
                // Nothing was written yet, or the policy keeps output from the host.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| path.display().to_string()),
            }
        }
        if let Some(file) = &mut file {
            io::copy(file, &mut io::stdout().lock())?;
        }
        if !args.follow || !live {
            return Ok(0);
        }
        tokio::time::sleep(POLL).await;
    }
}

pub async fn stop(args: &StopArgs, store: &Store) -> Result<u8> {
    let (_, state) = store.get(&args.name)?;
    if !store.is_held(&args.name)? {
        eprintln!("sealpod: {} has ended already", args.name);
        return Ok(0);
    }
    let supervisor = Pid::from_raw(state.supervisor_pid);
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    kill(supervisor, Signal::SIGTERM)?;
    while store.is_held(&args.name)? {
        if Instant::now() > deadline {
            // The machine dies with its supervisor; the next command writes down what happened.
            kill(supervisor, Signal::SIGKILL)?;
            eprintln!("sealpod: {} did not stop within {} s and was killed", args.name, args.timeout);
            return Ok(0);
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(0)
}

pub fn rm(args: &RmArgs, store: &Store) -> Result<u8> {
    args.names.iter().try_for_each(|name| store.remove(name))?;
    Ok(0)
}

pub fn inspect(args: &NameArgs, store: &Store) -> Result<u8> {
    let (dir, state) = store.get(&args.name)?;
    let mut value = serde_json::to_value(&state)?;
    value["directory"] = serde_json::json!(dir);
    println!("{}", serde_json::to_string_pretty(&value)?);
    Ok(0)
}
