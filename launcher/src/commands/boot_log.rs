//! `sealpod boot-log`: what the firmware measured, recorded once so that Reference Values can be made from it.

use super::machine::{self, Prepared, Purpose};
use crate::cli::BootLogArgs;
use crate::session::{self, End, Plan};
use crate::state::{self, Store};
use crate::ui::Ui;
use anyhow::{Context as _, Result, bail};
use sealpod_evidence::initdata::{Initdata, PodPolicy};
use std::time::Duration;

/// Start the guest, save its log, stop it.
pub async fn boot_log(args: &BootLogArgs, store: &Store) -> Result<u8> {
    let mut ui = Ui::new(false, false);
    let initdata = Initdata::compose(&PodPolicy { kbs: None, containers: vec![] })?;
    let name = state::random_name()?;
    let purpose =
        Purpose { name: &name, image: "none (boot-log)".to_owned(), container: None, initdata: &initdata };
    let prepared = machine::prepare(&args.machine, &purpose, store, &mut ui).await?;
    prepared.manufacture().await?;
    let Prepared { mut pod, spec, qemu, swtpm, broker } = prepared;
    let plan = Plan {
        spec,
        qemu,
        swtpm,
        broker,
        container: None,
        boot_timeout: Duration::from_secs(args.machine.boot_timeout),
        grace: 0,
    };
    let result = session::run(&plan, &mut pod, &mut ui).await;
    ui.abandon();
    if result.is_ok() {
        pod.remove()?;
    }
    match result? {
        End::Hello(log) if log.is_empty() => {
            bail!("the guest has no boot log: its firmware measured nothing, or it has no vTPM")
        }
        End::Hello(log) => {
            std::fs::write(&args.output, &log).with_context(|| args.output.display().to_string())?;
            eprintln!("sealpod: {} bytes in {}", log.len(), args.output.display());
            Ok(0)
        }
        other => bail!("the guest did not say hello: {other:?}"),
    }
}
