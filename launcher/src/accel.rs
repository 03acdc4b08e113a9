//! Whether KVM works here is proved by booting something: the device file alone says nothing in nested machines.

use crate::child;
use crate::cli::AccelArg;
use crate::host::Accel;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A kernel without an initrd panics after about a second under KVM; a KVM that does not work hangs for ever.
const PATIENCE: Duration = Duration::from_secs(8);

/// What was found, kept until the host boots again.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    boot_id: String,
    qemu: PathBuf,
    kernel: PathBuf,
    problem: Option<String>,
}

/// Choose, and say why in one line.
pub async fn choose(arg: AccelArg, qemu: &Path, kernel: &Path, state: &Path) -> Result<(Accel, String)> {
    Ok(match arg {
        AccelArg::Kvm => (Accel::Kvm, "accelerator: kvm, as asked".to_owned()),
        AccelArg::Tcg => (Accel::Tcg, "accelerator: tcg, as asked".to_owned()),
        AccelArg::Auto => match problem(qemu, kernel, state).await? {
            None => (Accel::Kvm, "accelerator: kvm, which booted the guest's kernel".to_owned()),
            Some(problem) => (Accel::Tcg, format!("accelerator: tcg (slow), because {problem}")),
        },
    })
}

/// What is wrong with KVM, if anything; probes once per boot of the host, QEMU and kernel.
async fn problem(qemu: &Path, kernel: &Path, state: &Path) -> Result<Option<String>> {
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let cache = state.join("kvm-probe.json");
    let known = std::fs::read(&cache).ok().and_then(|text| serde_json::from_slice::<Found>(&text).ok());
    if let Some(found) = known
        && found.boot_id == boot_id
        && found.qemu == qemu
        && found.kernel == kernel
    {
        return Ok(found.problem);
    }
    let problem = probe(qemu, kernel).await?;
    let found = Found { boot_id, qemu: qemu.to_owned(), kernel: kernel.to_owned(), problem };
    std::fs::write(&cache, serde_json::to_vec(&found)?)?;
    Ok(found.problem)
}

/// Boot `kernel` under KVM without anything to run: it must panic and thereby end QEMU.
pub async fn probe(qemu: &Path, kernel: &Path) -> Result<Option<String>> {
    if let Err(error) = File::options().read(true).write(true).open("/dev/kvm") {
        return Ok(Some(format!("/dev/kvm cannot be opened ({error})")));
    }
    let log = File::options().write(true).open("/dev/null")?;
    let kernel = kernel.display().to_string();
    let args = [
        "-accel",
        "kvm",
        "-machine",
        "q35",
        "-cpu",
        "host",
        "-m",
        "256",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-kernel",
        &kernel,
        "-append",
        "panic=-1",
    ];
    let mut child = child::spawn(qemu, args, &log)?;
    Ok(match tokio::time::timeout(PATIENCE, child.wait()).await {
        Ok(status) => {
            let status = status?;
            (!status.success()).then(|| format!("QEMU failed with KVM ({status})"))
        }
        Err(_) => {
            child.kill().await?;
            Some(format!("KVM did not boot the guest's kernel within {} s", PATIENCE.as_secs()))
        }
    })
}
