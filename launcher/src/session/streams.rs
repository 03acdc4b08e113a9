//! One task per stream; all of them report to the session's loop.

use super::*;
use sealpod_channel::ChannelStream;
use tokio::io::AsyncReadExt as _;

/// What the loop is told.
pub enum Incoming {
    Stream(StreamName, ChannelStream),
    Event(Event),
    Output(StreamName, Vec<u8>),
    Remark(String),
    /// The channel is gone, properly or with an error.
    Closed(Option<String>),
}

/// Accept streams, and thereby move the bytes of all of them.
pub async fn drive(mut host: HostConnection<UnixStream>, sender: mpsc::Sender<Incoming>) {
    let error = loop {
        match host.accept().await {
            Ok(Some((name, stream))) => {
                if sender.send(Incoming::Stream(name, stream)).await.is_err() {
                    return;
                }
            }
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    // Streams see the end once the connection is dropped.
    drop(host);
    let _ = sender.send(Incoming::Closed(error)).await;
}

/// Read events until the stream ends.
pub async fn events(mut stream: ChannelStream, sender: mpsc::Sender<Incoming>) {
    loop {
        let message = match read_frame::<_, Event>(&mut stream).await {
            Ok(Some(event)) => Incoming::Event(event),
            Ok(None) => return,
            Err(error) => {
                let _ = sender.send(Incoming::Closed(Some(format!("events: {error}")))).await;
                return;
            }
        };
        if sender.send(message).await.is_err() {
            return;
        }
    }
}

/// Carry our standard input to the container.
pub async fn input(mut stream: ChannelStream) {
    // Either end may go first; the container's exit code says all that matters.
    let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut stream).await;
    let _ = stream.shutdown().await;
}

/// Carry the container's output to the loop. A slow reader slows the container: the queue is short.
pub async fn output(name: StreamName, mut stream: ChannelStream, sender: mpsc::Sender<Incoming>) {
    let mut buffer = vec![0; 32 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if sender.send(Incoming::Output(name, buffer[..count].to_vec())).await.is_err() {
            return;
        }
    }
}

/// Carry one connection to the broker. This host is only the wire: TLS ends in the guest.
pub async fn broker(
    mut stream: ChannelStream,
    address: Option<(String, u16)>,
    sender: mpsc::Sender<Incoming>,
) {
    let Some(address) = address else {
        let line = "the guest wants a broker, but its policy names none".to_owned();
        let _ = sender.send(Incoming::Remark(line)).await;
        return;
    };
    match tokio::net::TcpStream::connect(&address).await {
        // How it ends is the guest's to notice.
        Ok(mut tcp) => drop(tokio::io::copy_bidirectional(&mut stream, &mut tcp).await),
        Err(error) => {
            let line = format!(
                "cannot reach the broker at {}:{}: {error}; is it up? --kbs-connect names another address",
                address.0, address.1
            );
            let _ = sender.send(Incoming::Remark(line)).await;
        }
    }
}
