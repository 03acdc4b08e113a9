//! swtpm, which plays the vTPM where the platform brings none.

use crate::child;
use anyhow::{Context as _, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::Child;

/// Pause between two looks for its socket.
const POLL: Duration = Duration::from_millis(2);
/// It makes its socket within milliseconds, and answers within a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// `TPM2_PCR_Allocate` (TPM 2.0 Part 3, section 22.5) under the platform's empty password: all 24 PCRs of the SHA-256 bank, none of
/// SHA-1, SHA-384 and SHA-512.
const ALLOCATE_SHA256: [u8; 55] = [
    0x80, 0x02, 0, 0, 0, 55, 0, 0, 0x01, 0x2B, // TPM_ST_SESSIONS, size, command
    0x40, 0, 0, 0x0C, 0, 0, 0, 9, 0x40, 0, 0, 0x09, 0, 0, 0, 0, 0, // TPM_RH_PLATFORM, TPM_RS_PW
    0, 0, 0, 4, // four selections
    0, 0x0B, 3, 0xFF, 0xFF, 0xFF, 0, 0x04, 3, 0, 0, 0, 0, 0x0C, 3, 0, 0, 0, 0, 0x0D, 3, 0, 0, 0,
];
/// `TPM2_Shutdown(CLEAR)` (section 9.4), so that the next start is no restart after a failure.
const SHUTDOWN: [u8; 12] = [0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x45, 0, 0];
/// Longest answer to one of these two.
const MAX_ANSWER: usize = 4096;

/// Make a new TPM's state in `dir`/tpm, with only the SHA-256 bank active.
///
/// Evidence quotes that bank alone, and firmware and kernel extend every bank that is active. Where a TPM refuses the allocation
/// all its banks stay, which is slower and as good. Done while the machine's disks are written, for making keys takes as long.
pub async fn manufacture(program: &Path, dir: &Path) -> Result<()> {
    let log = log(dir)?;
    let socket = dir.join("new-tpm.sock");
    let mut child =
        spawn(program, dir, &log, "--server", &socket, &["--flags", "not-need-init,startup-clear"])?;
    let work = async {
        appear(&mut child, &socket, dir).await?;
        let mut stream = UnixStream::connect(&socket).await?;
        for command in [&ALLOCATE_SHA256[..], &SHUTDOWN] {
            answer(&mut stream, command).await?;
        }
        drop(stream);
        // With --terminate it ends once its client has gone.
        let status = child.wait().await?;
        if status.success() { Ok(()) } else { bail!("it ended with {status}") }
    };
    let done = tokio::time::timeout(PATIENCE, work).await;
    let why = || format!("swtpm could not make a new TPM; its words are in {}", log_path(dir).display());
    let result =
        done.map_err(|_| anyhow::anyhow!("it took more than {} s", PATIENCE.as_secs())).and_then(|r| r);
    // Gone already where swtpm removed it.
    let _ = std::fs::remove_file(&socket);
    result.with_context(why)
}

/// Start it with the state in `dir`/tpm and wait for its control socket.
pub async fn start(program: &Path, dir: &Path, socket: &Path, log: &File) -> Result<Child> {
    // QEMU initialises it, so --flags not-need-init must not be there.
    let mut child = spawn(program, dir, log, "--ctrl", socket, &[])?;
    match tokio::time::timeout(PATIENCE, appear(&mut child, socket, dir)).await {
        Ok(appeared) => appeared.map(|()| child),
        Err(_) => {
            bail!("swtpm made no socket within {} s; see {}", PATIENCE.as_secs(), log_path(dir).display())
        }
    }
}

/// Where swtpm and QEMU write to, and whoever looks for their words reads.
pub fn log(dir: &Path) -> Result<File> {
    let path = log_path(dir);
    File::options().create(true).append(true).open(&path).with_context(|| path.display().to_string())
}

/// See [`log`].
pub fn log_path(dir: &Path) -> PathBuf {
    dir.join("vm.log")
}

fn spawn(program: &Path, dir: &Path, log: &File, kind: &str, socket: &Path, more: &[&str]) -> Result<Child> {
    let state = dir.join("tpm");
    std::fs::create_dir_all(&state)?;
    // Relative paths break once it changes directory.
    let mut args = ["socket", "--tpm2", "--tpmstate"].map(str::to_owned).to_vec();
    args.push(format!("dir={}", state.display()));
    args.push(kind.to_owned());
    args.push(format!("type=unixio,path={}", socket.display()));
    args.push("--terminate".to_owned());
    args.extend(more.iter().map(|&arg| arg.to_owned()));
    child::spawn(program, args, log)
        .with_context(|| format!("cannot start {}; apt-get install swtpm", program.display()))
}

async fn appear(child: &mut Child, socket: &Path, dir: &Path) -> Result<()> {
    while !socket.exists() {
        if let Some(status) = child.try_wait()? {
            bail!("swtpm ended at once ({status}); its words are in {}", log_path(dir).display());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Send one command and take its whole answer (header: tag, size, response code).
async fn answer(stream: &mut UnixStream, command: &[u8]) -> Result<Vec<u8>> {
    stream.write_all(command).await?;
    let mut header = [0; 10];
    stream.read_exact(&mut header).await?;
    let size = u32::from_be_bytes([header[2], header[3], header[4], header[5]]) as usize;
    if !(header.len()..=MAX_ANSWER).contains(&size) {
        bail!("an answer of {size} bytes");
    }
    let mut out = header.to_vec();
    out.resize(size, 0);
    stream.read_exact(&mut out[header.len()..]).await?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `TPM2_GetCapability` of the PCR banks (Part 3, section 30.2): TPM_CAP_PCRS, property 0, one structure.
    const BANKS: [u8; 22] = [0x80, 0x01, 0, 0, 0, 22, 0, 0, 0x01, 0x7A, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1];

    #[tokio::test]
    async fn a_new_tpm_has_the_one_bank_that_is_quoted() {
        let program = Path::new("/usr/bin/swtpm");
        if !program.exists() {
            eprintln!("skipped: no swtpm");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        manufacture(program, dir.path()).await.unwrap();
        let (log, socket) = (log(dir.path()).unwrap(), dir.path().join("s"));
        let flags = ["--flags", "not-need-init,startup-clear"];
        let mut child = spawn(program, dir.path(), &log, "--server", &socket, &flags).unwrap();
        appear(&mut child, &socket, dir.path()).await.unwrap();
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        let banks = answer(&mut stream, &BANKS).await.unwrap();
        // After header, more-data and capability: the count of banks, then each with its PCRs.
        let mut active: Vec<&[u8]> = banks[19..].chunks(6).filter(|bank| bank[3..] != [0; 3]).collect();
        active.sort_unstable();
        assert_eq!(active, [[0, 0x0B, 3, 0xFF, 0xFF, 0xFF]], "{banks:02x?}");
    }

    #[tokio::test]
    async fn a_program_that_is_no_tpm_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = manufacture(Path::new("/bin/false"), dir.path()).await.unwrap_err();
        assert!(format!("{error:#}").contains("ended at once"), "{error:#}");
    }
}
