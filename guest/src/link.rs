//! The channel to the host: one virtio-serial port, many streams, all of them opened from here.
//!
//! The host is a wire and a wisher: it may carry bytes, ask for a container and ask for an end. A stream that it
//! opens is an attack and ends the channel.

use crate::rcar::http::{Connector, Stream};
use mux::Mux;
use port::Port;
use sealpod_channel::{Command, Event, FrameError, StreamName};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};

pub mod mux;
pub mod port;

/// Commands that may wait: the host sends few, and a flood only slows its own stream.
const PENDING_COMMANDS: usize = 4;

/// How long the host's side may take to read the end of it all.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why the channel does not work.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No port of that name appeared.
    #[error("no virtio-serial port is named {name:?}")]
    NoPort {
        /// The name looked for.
        name: String,
    },
    /// The port cannot be used.
    #[error("port {path}: {source}")]
    Port {
        /// Its device node.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The host never opened its end.
    #[error("nobody is at the other end of port {path}")]
    NoHost {
        /// Its device node.
        path: PathBuf,
    },
    /// The stream multiplexer failed.
    #[error("channel: {0}")]
    Mux(#[from] yamux::ConnectionError),
    /// The host opened a stream.
    #[error("the host opened a stream of its own, which it may not")]
    Inbound,
    /// The channel has ended.
    #[error("the host closed the channel")]
    Closed,
    /// A message that is not one.
    #[error("channel: {0}")]
    Frame(#[from] FrameError),
}

/// The open channel.
pub struct Link {
    mux: Mux,
    events: Mutex<mux::MuxStream>,
    port: Option<File>,
}

/// What the host wishes, in order.
pub struct Commands(mpsc::Receiver<Result<Command, FrameError>>);

impl Commands {
    /// The next wish; `None` once the host has closed its end. Giving up the wait loses nothing.
    pub async fn next(&mut self) -> Result<Option<Command>, LinkError> {
        Ok(self.0.recv().await.transpose()?)
    }
}

impl Link {
    /// Open the port and the two streams that are always there.
    pub async fn open() -> Result<(Self, Commands), LinkError> {
        let (port, watch) = Port::open(sealpod_channel::PORT_NAME).await?;
        let (mut link, commands) = Self::over(port).await?;
        link.port = Some(watch);
        Ok((link, commands))
    }

    async fn over(port: impl Stream) -> Result<(Self, Commands), LinkError> {
        let mux = Mux::start(port);
        let events = Mutex::new(open(&mux, StreamName::Events).await?);
        let mut control = open(&mux, StreamName::Control).await?;
        let (sender, commands) = mpsc::channel(PENDING_COMMANDS);
        // A task of its own, so that waiting for a command can be given up without losing half of one.
        tokio::task::spawn_local(async move {
            loop {
                let command = match sealpod_channel::read_frame::<_, Command>(&mut control).await {
                    Ok(Some(command)) => Ok(command),
                    Ok(None) => return,
                    Err(error) => Err(error),
                };
                let last = command.is_err();
                if sender.send(command).await.is_err() || last {
                    return;
                }
            }
        });
        Ok((Self { mux, events, port: None }, Commands(commands)))
    }

    /// Tell the host.
    pub async fn send(&self, event: &Event) -> Result<(), LinkError> {
        Ok(sealpod_channel::write_frame(&mut *self.events.lock().await, event).await?)
    }

    /// Open another stream.
    pub async fn stream(&self, name: StreamName) -> Result<mux::MuxStream, LinkError> {
        open(&self.mux, name).await
    }

    /// Opens `kbs` streams: one connection to the broker each.
    pub fn broker_connector(&self) -> Connector {
        let mux = self.mux.clone();
        Rc::new(move || {
            let mux = mux.clone();
            Box::pin(async move {
                let stream = open(&mux, StreamName::Kbs).await.map_err(io::Error::other)?;
                Ok(Box::new(stream) as Box<dyn Stream>)
            })
        })
    }

    /// Say goodbye and let everything that was written reach the host.
    pub async fn close(self) {
        let Self { mux, events, port } = self;
        let mut events = events.into_inner();
        // Errors mean that the host is gone, and then there is nobody to tell.
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut events).await;
        mux.close().await;
        if let Some(port) = port {
            port::wait_for_hang_up(&port, LAST_WORDS).await;
        }
    }
}

async fn open(mux: &Mux, name: StreamName) -> Result<mux::MuxStream, LinkError> {
    let mut stream = mux.open().await?;
    sealpod_channel::write_header(&mut stream, name).await?;
    Ok(stream)
}

#[cfg(test)]
mod tests;
