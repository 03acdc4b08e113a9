//! swtpm, which plays the vTPM where the platform brings none.

use crate::child;
use anyhow::{Context as _, Result, bail};
use std::fs::File;
use std::path::Path;
use std::time::Duration;
use tokio::process::Child;

/// Pause between two looks for its socket.
const POLL: Duration = Duration::from_millis(2);
/// It makes its socket within milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Start it with fresh state in `dir`/tpm and wait for its control socket.
pub async fn start(program: &Path, dir: &Path, socket: &Path, log: &File) -> Result<Child> {
    let state = dir.join("tpm");
    std::fs::create_dir_all(&state)?;
    // QEMU initialises it, so --flags not-need-init must not be there; relative paths break once it changes directory.
    let args = [
        "socket".to_owned(),
        "--tpm2".to_owned(),
        "--tpmstate".to_owned(),
        format!("dir={}", state.display()),
        "--ctrl".to_owned(),
        format!("type=unixio,path={}", socket.display()),
        "--terminate".to_owned(),
    ];
    let mut child = child::spawn(program, args, log)
        .with_context(|| format!("cannot start {}; apt-get install swtpm", program.display()))?;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !socket.exists() {
        if let Some(status) = child.try_wait()? {
            bail!("swtpm ended at once ({status}); its words are in {}", dir.join("vm.log").display());
        }
        if tokio::time::Instant::now() > deadline {
            bail!(
                "swtpm made no socket within {} s; see {}",
                PATIENCE.as_secs(),
                dir.join("vm.log").display()
            );
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(child)
}
