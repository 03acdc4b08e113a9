//! The two ends of the multiplexed connection: the guest opens streams, the host accepts them.

use crate::frame::{self, FrameError, StreamName};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _, TokioAsyncReadCompatExt as _};
use yamux::{Config, Connection, Mode};

/// Most streams at once: five of the pod's own, the rest connections to the broker.
pub const MAX_STREAMS: usize = 64;
/// Most bytes that the peer may send ahead, all streams together: yamux wants 256 KiB for each.
const MAX_WINDOW: usize = MAX_STREAMS * 256 * 1024;

/// One stream.
pub type ChannelStream = Compat<yamux::Stream>;

/// Why the channel ended.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// yamux was broken, or the transport.
    #[error("channel: {0}")]
    Mux(#[from] yamux::ConnectionError),
    /// A header that is none.
    #[error("channel: {0}")]
    Header(#[from] FrameError),
    /// A second stream of a kind of which there is one.
    #[error("channel: the guest opened a second {found:?} stream")]
    Twice {
        /// Which.
        found: StreamName,
    },
    /// The host opened a stream.
    #[error("channel: the host opened a stream of its own, which it may not")]
    Inbound,
    /// The other end is gone.
    #[error("channel: closed")]
    Closed,
}

/// The host's end. All bytes of all streams move only while [`HostConnection::accept`] is waited for.
pub struct HostConnection<T> {
    connection: Connection<Compat<T>>,
    headers: FuturesUnordered<Header>,
    seen: BTreeSet<StreamName>,
    closed: bool,
}

type Header = Pin<Box<dyn Future<Output = Result<(StreamName, ChannelStream), FrameError>> + Send>>;

impl<T: AsyncRead + AsyncWrite + Unpin> HostConnection<T> {
    /// Talk over `transport`.
    pub fn new(transport: T) -> Self {
        Self {
            connection: Connection::new(transport.compat(), config(), Mode::Server),
            headers: FuturesUnordered::new(),
            seen: BTreeSet::new(),
            closed: false,
        }
    }

    /// The next stream that the guest opened, with its name; `None` once the guest has closed the connection. Any
    /// error is final. Giving up the wait loses nothing.
    pub async fn accept(&mut self) -> Result<Option<(StreamName, ChannelStream)>, ChannelError> {
        poll_fn(|context| self.poll_accept(context)).await
    }

    fn poll_accept(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<(StreamName, ChannelStream)>, ChannelError>> {
        // yamux limits the streams, and with them the headers that are waited for.
        while !self.closed
            && let Poll::Ready(inbound) = self.connection.poll_next_inbound(context)
        {
            let Some(stream) = inbound.transpose()? else {
                // What came before the goodbye is still in the streams.
                self.closed = true;
                break;
            };
            let mut stream = stream.compat();
            self.headers.push(Box::pin(async move {
                let name = frame::read_header(&mut stream).await?;
                Ok((name, stream))
            }));
        }
        match self.headers.poll_next_unpin(context) {
            Poll::Ready(Some(header)) => {
                let (name, stream) = header?;
                if !self.seen.insert(name) && !name.is_many() {
                    return Poll::Ready(Err(ChannelError::Twice { found: name }));
                }
                Poll::Ready(Ok(Some((name, stream))))
            }
            Poll::Ready(None) if self.closed => Poll::Ready(Ok(None)),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

/// The guest's end: a handle that opens streams, while a future made with it moves the bytes.
#[derive(Clone)]
pub struct GuestConnection(mpsc::Sender<Request>);

type Request = oneshot::Sender<Result<ChannelStream, ChannelError>>;

impl GuestConnection {
    /// Talk over `transport`. The future must be polled for anything to happen; it ends when every handle is dropped
    /// and all that was written is out, or with an error as soon as the host breaks a rule.
    pub fn new<T: AsyncRead + AsyncWrite + Unpin>(
        transport: T,
    ) -> (Self, impl Future<Output = Result<(), ChannelError>>) {
        let connection = Connection::new(transport.compat(), config(), Mode::Client);
        let (sender, requests) = mpsc::channel(1);
        let mut driver = Driver { connection, requests, waiting: None };
        let run = async move {
            poll_fn(|context| driver.poll(context)).await?;
            Ok(poll_fn(|context| driver.connection.poll_close(context)).await?)
        };
        (Self(sender), run)
    }

    /// Open a stream and name it.
    pub async fn open(&self, name: StreamName) -> Result<ChannelStream, ChannelError> {
        let (sender, receiver) = oneshot::channel();
        self.0.send(sender).await.map_err(|_| ChannelError::Closed)?;
        let mut stream = receiver.await.map_err(|_| ChannelError::Closed)??;
        frame::write_header(&mut stream, name).await?;
        Ok(stream)
    }
}

struct Driver<T> {
    connection: Connection<Compat<T>>,
    requests: mpsc::Receiver<Request>,
    waiting: Option<Request>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Driver<T> {
    /// Ready once nobody can ask for a stream any more, or when the connection ended.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ChannelError>> {
        loop {
            match self.connection.poll_next_inbound(context) {
                Poll::Ready(Some(Ok(_))) => return Poll::Ready(Err(ChannelError::Inbound)),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error.into())),
                Poll::Ready(None) => return Poll::Ready(Err(ChannelError::Closed)),
                Poll::Pending => {}
            }
            if self.waiting.is_none() {
                match self.requests.poll_recv(context) {
                    Poll::Ready(Some(request)) => self.waiting = Some(request),
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Pending => return Poll::Pending,
                }
            }
            let opened = std::task::ready!(self.connection.poll_new_outbound(context));
            if let Some(request) = self.waiting.take() {
                // Whoever asked may have given up.
                let _ = request.send(opened.map(|stream| stream.compat()).map_err(ChannelError::from));
            }
        }
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.set_max_num_streams(MAX_STREAMS).set_max_connection_receive_window(Some(MAX_WINDOW));
    config
}

#[cfg(test)]
mod tests;
