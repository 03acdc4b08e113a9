//! What every command that starts a machine does first.

use crate::cli::MachineArgs;
use crate::guest_image::GuestImage;
use crate::host::{self, Accel, Host};
use crate::spec::{Firmware, Machine, Request, VmSpec};
use crate::state::{Pod, State, Status, Store};
use crate::ui::Ui;
use crate::{accel, initdata_disk, input, swtpm};
use anyhow::{Context as _, Result, bail};
use sealpod_evidence::initdata::Initdata;
use sealpod_evidence::workload::ContainerSpec;
use std::path::PathBuf;

/// A pod with its disks, not started yet.
pub struct Prepared {
    pub pod: Pod,
    pub spec: VmSpec,
    pub qemu: PathBuf,
    pub swtpm: PathBuf,
    pub broker: Option<(String, u16)>,
}

impl Prepared {
    /// Make the machine's vTPM, where it has one from us.
    pub async fn manufacture(&self) -> Result<()> {
        match self.spec.swtpm {
            Some(_) => swtpm::manufacture(&self.swtpm, &self.pod.dir).await,
            None => Ok(()),
        }
    }
}

/// What the machine is for.
pub struct Purpose<'a> {
    pub name: &'a str,
    pub image: String,
    pub container: Option<&'a ContainerSpec>,
    pub initdata: &'a Initdata,
}

/// Check everything, take the name, write initdata's disk.
pub async fn prepare(
    args: &MachineArgs,
    purpose: &Purpose<'_>,
    store: &Store,
    ui: &mut Ui,
) -> Result<Prepared> {
    let image = GuestImage::load(&args.image_dir)?;
    let program = |path, package| {
        let found = host::find_program(path);
        found.with_context(|| format!("{} is not there; apt-get install {package}", path.display()))
    };
    if let Some(path) = args.ovmf.iter().chain(&args.svsm).find(|path| !path.is_file()) {
        bail!("firmware {} is not there; --ovmf and --svsm take the path of a file", path.display());
    }
    let qemu = program(&args.qemu, "qemu-system-x86")?;
    let url = purpose.initdata.policy().kbs.as_ref().map(|kbs| kbs.url.as_str());
    let broker = match (&args.kbs_connect, url) {
        (Some(address), _) => Some(input::address(address)?),
        (None, Some(url)) => Some(input::broker_address(url)?),
        (None, None) => None,
    };
    let request = |host: &Host| {
        VmSpec::try_from(Request {
            name: purpose.name,
            args,
            image: &image,
            host,
            dir: &store.dir().join(purpose.name),
            initdata: purpose.initdata.digest(),
            has_image: purpose.container.is_some(),
        })
    };
    let mut spec = request(&Host::detect(Accel::Tcg))?;
    if matches!(spec.machine, Machine::Plain { .. }) {
        // Only now: a probe takes seconds, and mistakes should be told at once.
        let (chosen, why) = accel::choose(args.accel, &qemu, &image.kernel, store.dir()).await?;
        ui.line(&why);
        spec = request(&Host::detect(chosen))?;
    }
    let swtpm = if spec.swtpm.is_some() { program(&args.swtpm, "swtpm")? } else { args.swtpm.clone() };
    let pod = store.create(purpose.name, state(purpose, &spec))?;
    initdata_disk::write(purpose.initdata, &pod.dir.join("initdata.disk"))?;
    if let Machine::Plain { firmware: Firmware::Ovmf { vars, .. } } = &spec.machine {
        std::fs::copy(host::OVMF_VARS, vars)
            .with_context(|| format!("{}; apt-get install ovmf", host::OVMF_VARS))?;
    }
    Ok(Prepared { pod, spec, qemu, swtpm, broker })
}

fn state(purpose: &Purpose<'_>, spec: &VmSpec) -> State {
    let platform = match spec.machine {
        Machine::Plain { .. } => "plain",
        Machine::Snp { .. } => "snp",
        Machine::SnpSvsm { .. } => "snp-svsm",
        Machine::Tdx { .. } => "tdx",
    };
    State {
        name: purpose.name.to_owned(),
        status: Status::Starting,
        image: purpose.image.clone(),
        args: purpose.container.map(|spec| spec.args.clone()).unwrap_or_default(),
        platform: platform.to_owned(),
        accel: if spec.accel == Accel::Kvm { "kvm" } else { "tcg" }.to_owned(),
        initdata_digest: purpose.initdata.digest().to_string(),
        supervisor_pid: std::process::id().cast_signed(),
        machine_pids: vec![],
        exit_code: None,
        reason: None,
    }
}
