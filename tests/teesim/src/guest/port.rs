//! The guest's end of the signer port.

use crate::wire::{self, Answer, PORT, Request};
use anyhow::{Context as _, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const CLASS: &str = "/sys/class/virtio-ports";
/// How long the signer may take to appear or to answer: a signature takes milliseconds, a busy host seconds.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// The open port. It never blocks for longer than [`PATIENCE`].
pub struct Port(File);

impl Port {
    /// Wait for the port and open it.
    pub fn open() -> Result<Self> {
        let start = Instant::now();
        loop {
            if let Some(path) = find(Path::new(CLASS)) {
                match File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path) {
                    Ok(file) => return Ok(Self(file)),
                    // devtmpfs makes the node a moment after sysfs shows the port.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        return Err(error).with_context(|| format!("cannot open {}", path.display()));
                    }
                }
            }
            if start.elapsed() > PATIENCE {
                bail!("no virtio-serial port {PORT}: start this machine with `teesim qemu`");
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Ask and wait for the answer.
    pub fn ask(&mut self, request: &Request) -> Result<Answer> {
        wire::send(self, request)?;
        Ok(wire::receive(self)?)
    }

    fn wait(&self, flags: PollFlags) -> io::Result<()> {
        let mut polled = [PollFd::new(self.0.as_fd(), flags)];
        let timeout = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
        match poll(&mut polled, timeout)? {
            0 => Err(io::Error::new(io::ErrorKind::TimedOut, "the signer does not answer")),
            _ => Ok(()),
        }
    }

    /// Repeat `operation` while the port is not ready for it.
    fn patiently(
        &mut self,
        flags: PollFlags,
        mut operation: impl FnMut(&mut File) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let start = Instant::now();
        loop {
            match operation(&mut self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(flags)?,
                // No host at the other end (yet): the device answers 0 at once.
                Ok(0) => std::thread::sleep(PAUSE),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
            if start.elapsed() > PATIENCE {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the signer is not there"));
            }
        }
    }
}

impl Read for Port {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        self.patiently(PollFlags::POLLIN, |file| file.read(into))
    }
}

impl Write for Port {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.patiently(PollFlags::POLLOUT, |file| file.write(from))
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn find(class: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(class).ok()?;
    entries.flatten().find_map(|entry| {
        let name = fs::read_to_string(entry.path().join("name")).ok()?;
        (name.trim_end() == PORT).then(|| Path::new("/dev").join(entry.file_name()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_found_by_its_name() {
        let class = tempfile::tempdir().unwrap();
        for (port, name) in [("vport1p1", "org.sealpod.channel\n"), ("vport2p1", "org.sealpod.teesim\n")] {
            fs::create_dir(class.path().join(port)).unwrap();
            fs::write(class.path().join(port).join("name"), name).unwrap();
        }
        assert_eq!(find(class.path()), Some(PathBuf::from("/dev/vport2p1")));
        assert_eq!(find(&class.path().join("none")), None);
    }
}
