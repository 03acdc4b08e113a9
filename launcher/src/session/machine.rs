//! The processes of one machine.

use super::*;
use crate::{child, qemu, swtpm};
use tokio::net::UnixListener;
use tokio::process::Child;

/// QEMU connects while it reads its options.
const CONNECT: Duration = Duration::from_secs(20);
/// How much later than its swtpm a machine that was switched off may end.
const AFTER_VTPM: Duration = Duration::from_secs(3);

/// QEMU and, where the platform brings no vTPM, swtpm. Both are killed when this is dropped.
pub struct Machine {
    pub qemu: Child,
    pub swtpm: Option<Child>,
    listener: UnixListener,
    log: PathBuf,
}

impl Machine {
    /// Start both; the vTPM with the state that [`swtpm::manufacture`] made.
    pub async fn start(plan: &Plan, pod: &mut Pod, ui: &mut Ui) -> Result<Self> {
        let log = swtpm::log(&pod.dir)?;
        let listener = UnixListener::bind(&plan.spec.channel)
            .with_context(|| plan.spec.channel.display().to_string())?;
        ui.phase("starting the machine");
        let swtpm = match &plan.spec.swtpm {
            Some(socket) => Some(swtpm::start(&plan.swtpm, &pod.dir, socket, &log).await?),
            None => None,
        };
        let qemu = child::spawn(&plan.qemu, qemu::qemu_args(&plan.spec), &log).with_context(|| {
            format!("cannot start {}; apt-get install qemu-system-x86", plan.qemu.display())
        })?;
        let pids = [Some(&qemu), swtpm.as_ref()].into_iter().flatten();
        pod.state.machine_pids = pids.filter_map(|child| child.id()?.try_into().ok()).collect();
        pod.save()?;
        Ok(Self { qemu, swtpm, listener, log: swtpm::log_path(&pod.dir) })
    }

    /// Wait for QEMU to open its end of the channel.
    pub async fn connect(&mut self) -> Result<UnixStream> {
        tokio::select! {
            accepted = self.listener.accept() => Ok(accepted?.0),
            status = self.qemu.wait() => bail!(
                "QEMU ended at once ({}): {}\nIts last words:\n{}\n`sealpod doctor` says what this machine can start",
                status?,
                console::last_line(&self.log),
                console::tail(&self.log)
            ),
            () = tokio::time::sleep(CONNECT) => {
                bail!("QEMU did not connect within {} s:\n{}", CONNECT.as_secs(), console::tail(&self.log))
            }
        }
    }

    /// Wait for the end; the status, where QEMU ended by itself.
    pub async fn power_off(&mut self) -> Option<ExitStatus> {
        match tokio::time::timeout(POWER_OFF, self.qemu.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => {
                // Already gone is what is wanted.
                let _ = self.qemu.kill().await;
                None
            }
        }
    }

    /// swtpm ends with its machine, and may be heard of first; a machine that goes on has lost its vTPM.
    pub async fn after_vtpm(&mut self, status: ExitStatus) -> Result<()> {
        if tokio::time::timeout(AFTER_VTPM, self.qemu.wait()).await.is_ok() {
            return Ok(());
        }
        self.qemu.kill().await?;
        bail!(
            "swtpm, which plays the vTPM, ended ({status}), so the machine was stopped; its words are in {}",
            self.log.display()
        )
    }
}

/// The end of a child that may not be there; then never.
pub async fn ended(child: &mut Option<Child>) -> std::io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}
