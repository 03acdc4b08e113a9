//! From the first instruction of PID 1 to the last: every way ends in power off.

use crate::error::GuestError;
use crate::link::{Commands, Link};
use crate::machine::{self, Machine};
use crate::reaper::Reaper;
use crate::{pod, power};
use std::process::ExitCode;
use tokio::runtime;
use tokio::task::LocalSet;

/// Be PID 1. Anywhere else this only says so: it would mount over what is there and power off.
pub fn boot() -> ExitCode {
    if std::process::id() != 1 {
        eprintln!(
            "sealpod-guest is the first process of a sealed pod's virtual machine and does nothing else.\n\
             Start a pod with `sealpod run`."
        );
        return ExitCode::FAILURE;
    }
    let _off = power::PowerOff;
    // A panic is printed by the default hook, unwinds to here, and the guard cuts the power.
    let _ = std::panic::catch_unwind(|| {
        // Before there are threads: mounts, chroot and the IMA policy are for the whole process.
        let prepared = machine::prepare();
        match runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                // Dropped before the runtime is, whose end waits for tasks that block: one that hangs, or takes long over
                // an image, must not keep the power on.
                let _off = power::PowerOff;
                LocalSet::new().block_on(&runtime, live(prepared));
            }
            Err(error) => eprintln!("sealpod-guest: no runtime: {error}"),
        }
    });
    ExitCode::FAILURE
}

/// Open the channel whatever happened so far, so that the host learns why nothing runs.
async fn live(prepared: Result<Machine, GuestError>) {
    let (link, commands) = match Link::open().await {
        Ok(opened) => opened,
        Err(error) => {
            eprintln!("sealpod-guest: {error}");
            if let Err(error) = prepared {
                eprintln!("sealpod-guest: refused at {}: {error}", error.stage());
            }
            return;
        }
    };
    let result = match prepared {
        Ok(machine) => run_pod(machine, &link, commands).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &result {
        eprintln!("sealpod-guest: refused at {}: {error}", error.stage());
    }
    if let Err(error) = result
        && let Err(unsent) = link.send(&error.to_event()).await
    {
        eprintln!("sealpod-guest: the host was not told: {unsent}");
    }
    link.close().await;
}

/// Run the pod so that a panic in it is one more refusal.
async fn run_pod(machine: Machine, link: &Link, commands: Commands) -> Result<(), GuestError> {
    use futures::FutureExt as _;
    let reaper = Reaper::start().map_err(|source| GuestError::Prepare { what: "the reaper", source })?;
    let result =
        std::panic::AssertUnwindSafe(pod::run(machine, link, commands, &reaper)).catch_unwind().await;
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(GuestError::Panic(text.unwrap_or_else(|| "panic".to_owned())))
    })
}
