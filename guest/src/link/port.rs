//! The virtio-serial port that carries the channel, as an asynchronous byte stream.
#![allow(unsafe_code)]

use super::LinkError;
use crate::files;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long the host may take to name the port and connect to it; both happen while the kernel boots.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(20);
/// The same for the host's hang-up, which takes it milliseconds.
const LAST_POLL: Duration = Duration::from_millis(5);
const CLASS: &str = "/sys/class/virtio-ports";

/// An open port.
pub struct Port(AsyncFd<File>);

impl Port {
    /// Wait for the port with this name and for the host's end of it.
    ///
    /// The file is a second handle, for [`wait_for_hang_up`].
    pub async fn open(name: &str) -> Result<(Self, File), LinkError> {
        let start = Instant::now();
        let path = loop {
            match find(Path::new(CLASS), name) {
                Some(port) => break Path::new("/dev").join(port),
                None if start.elapsed() > PATIENCE => {
                    return Err(LinkError::NoPort { name: name.to_owned() });
                }
                None => tokio::time::sleep(POLL).await,
            }
        };
        let open = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path);
        let file = open.map_err(|source| LinkError::Port { path: path.clone(), source })?;
        while hung_up(&file).map_err(|source| LinkError::Port { path: path.clone(), source })? {
            if start.elapsed() > PATIENCE {
                return Err(LinkError::NoHost { path });
            }
            tokio::time::sleep(POLL).await;
        }
        let watch = file.try_clone().map_err(|source| LinkError::Port { path: path.clone(), source })?;
        // SAFETY: the file is moved in, owns its descriptor, and is never taken out or exchanged again, so the
        // descriptor stays open and the same for as long as it is registered.
        let registered = unsafe { AsyncFd::register(file) };
        let port = registered.map(Self).map_err(|error| LinkError::Port { path, source: error.into() })?;
        Ok((port, watch))
    }
}

/// Wait until the host has closed its end, as it does once it has read the goodbye, but not longer than `patience`:
/// what lies in the port's queue is lost when the power goes.
pub async fn wait_for_hang_up(file: &File, patience: Duration) {
    let start = Instant::now();
    while matches!(hung_up(file), Ok(false)) && start.elapsed() < patience {
        tokio::time::sleep(LAST_POLL).await;
    }
}

fn find(class: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(class).ok()?;
    entries.filter_map(Result::ok).find_map(|entry| {
        let text = files::read_text(&entry.path().join("name"));
        text.is_ok_and(|text| text == name).then(|| PathBuf::from(entry.file_name()))
    })
}

/// A port whose other end nobody has opened reports a hang-up, and reads as its end.
fn hung_up(file: &File) -> io::Result<bool> {
    let mut fds = [PollFd::new(file.as_fd(), PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO)?;
    Ok(fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP)))
}

impl AsyncRead for Port {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(context))?;
            let result = guard.try_io(|fd| fd.get_ref().read(buffer.initialize_unfilled()));
            if let Ok(result) = result {
                return Poll::Ready(result.map(|count| buffer.advance(count)));
            }
        }
    }
}

impl AsyncWrite for Port {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(context))?;
            if let Ok(result) = guard.try_io(|fd| fd.get_ref().write(bytes)) {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The driver has no buffer of its own to flush.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_found_by_its_whole_name() {
        let dir = tempfile::tempdir().unwrap();
        for (port, name) in [
            ("vport1p1", "org.other\n"),
            ("vport1p2", "org.sealpod.channel\n"),
            ("vport1p3", "org.sealpod.channel2\n"),
        ] {
            std::fs::create_dir(dir.path().join(port)).unwrap();
            std::fs::write(dir.path().join(port).join("name"), name).unwrap();
        }
        assert_eq!(find(dir.path(), "org.sealpod.channel"), Some(PathBuf::from("vport1p2")));
        assert_eq!(find(dir.path(), "org.sealpod"), None);
    }
}
