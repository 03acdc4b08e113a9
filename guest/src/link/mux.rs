//! The yamux connection, driven by one task; this side opens every stream.

use super::LinkError;
use crate::rcar::http::Stream;
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _, TokioAsyncReadCompatExt as _};
use yamux::{Config, Connection, Mode};

/// Most streams at once: five of the pod's own and connections to the broker.
const MAX_STREAMS: usize = 16;
/// Most bytes that the host may send ahead on all streams: yamux's least for [`MAX_STREAMS`].
const MAX_WINDOW: usize = MAX_STREAMS * 256 * 1024;
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// One stream.
pub type MuxStream = Compat<yamux::Stream>;

type Request = oneshot::Sender<Result<MuxStream, LinkError>>;

/// A handle to the driving task.
#[derive(Clone)]
pub struct Mux {
    requests: Rc<RefCell<Option<mpsc::Sender<Request>>>>,
    task: Rc<RefCell<Option<JoinHandle<()>>>>,
}

impl Mux {
    /// Start driving a connection over `transport`. Needs a `LocalSet`.
    pub fn start(transport: impl Stream) -> Self {
        let mut config = Config::default();
        config.set_max_num_streams(MAX_STREAMS).set_max_connection_receive_window(Some(MAX_WINDOW));
        let connection = Connection::new(transport.compat(), config, Mode::Client);
        let (requests, receiver) = mpsc::channel(MAX_STREAMS);
        let task = tokio::task::spawn_local(async move {
            if let Err(error) = (Driver { connection, receiver, waiting: None }).run().await {
                eprintln!("sealpod-guest: {error}");
            }
        });
        Self { requests: Rc::new(RefCell::new(Some(requests))), task: Rc::new(RefCell::new(Some(task))) }
    }

    /// Open a stream.
    pub async fn open(&self) -> Result<MuxStream, LinkError> {
        let requests = self.requests.borrow().clone().ok_or(LinkError::Closed)?;
        let (sender, receiver) = oneshot::channel();
        requests.send(sender).await.map_err(|_| LinkError::Closed)?;
        receiver.await.map_err(|_| LinkError::Closed)?
    }

    /// Close the connection once everything written is out.
    pub async fn close(&self) {
        self.requests.borrow_mut().take();
        let task = self.task.borrow_mut().take();
        if let Some(task) = task {
            // A host that does not read must not keep the machine running.
            let _ = tokio::time::timeout(GOODBYE, task).await;
        }
    }
}

struct Driver<T> {
    connection: Connection<T>,
    receiver: mpsc::Receiver<Request>,
    waiting: Option<Request>,
}

impl<T: futures::AsyncRead + futures::AsyncWrite + Unpin> Driver<T> {
    async fn run(&mut self) -> Result<(), LinkError> {
        poll_fn(|context| self.poll(context)).await?;
        Ok(poll_fn(|context| self.connection.poll_close(context)).await?)
    }

    /// Ready once no more streams are asked for, or when the connection ended.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        loop {
            // Polling for inbound streams is what moves all bytes of all streams.
            match self.connection.poll_next_inbound(context) {
                Poll::Ready(Some(Ok(_))) => return Poll::Ready(Err(LinkError::Inbound)),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error.into())),
                Poll::Ready(None) => return Poll::Ready(Err(LinkError::Closed)),
                Poll::Pending => {}
            }
            if self.waiting.is_none() {
                match self.receiver.poll_recv(context) {
                    Poll::Ready(Some(request)) => self.waiting = Some(request),
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Pending => return Poll::Pending,
                }
            }
            match self.connection.poll_new_outbound(context) {
                Poll::Ready(opened) => {
                    let opened = opened.map(|stream| stream.compat()).map_err(LinkError::from);
                    if let Some(request) = self.waiting.take() {
                        // Whoever asked may have given up.
                        let _ = request.send(opened);
                    }
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
