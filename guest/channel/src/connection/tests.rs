//! Both ends over a pipe in memory, with peers that misbehave.

use super::*;
use crate::{Command, read_frame, write_frame};
use futures::AsyncWriteExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

fn pipe() -> (DuplexStream, DuplexStream) {
    tokio::io::duplex(64 * 1024)
}

/// A guest whose bytes move in the background.
fn guest(pipe: DuplexStream) -> GuestConnection {
    let (guest, run) = GuestConnection::new(pipe);
    tokio::spawn(run);
    guest
}

/// Keep the host's bytes moving; what it accepts goes to the channel.
fn drive(
    mut host: HostConnection<DuplexStream>,
) -> mpsc::Receiver<Result<(StreamName, ChannelStream), ChannelError>> {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Some(accepted) = host.accept().await.transpose() {
            let last = accepted.is_err();
            if sender.send(accepted).await.is_err() || last {
                return;
            }
        }
    });
    receiver
}

/// What the host makes of a guest that opens one stream and writes these bytes.
async fn host_against(bytes: &'static [u8]) -> Result<(), ChannelError> {
    let (ours, theirs) = pipe();
    let mut accepted = drive(HostConnection::new(ours));
    tokio::spawn(async move {
        let mut raw = Connection::new(theirs.compat(), Config::default(), Mode::Client);
        let mut stream = poll_fn(|context| raw.poll_new_outbound(context)).await.unwrap();
        tokio::spawn(async move {
            stream.write_all(bytes).await.unwrap();
            stream.close().await.unwrap();
        });
        let _ = poll_fn(|context| raw.poll_next_inbound(context)).await;
    });
    accepted.recv().await.unwrap().map(drop)
}

#[tokio::test]
async fn streams_are_named_and_carry_bytes_both_ways() {
    let (ours, theirs) = pipe();
    let mut accepted = drive(HostConnection::new(ours));
    let guest = guest(theirs);
    let mut control = guest.open(StreamName::Control).await.unwrap();
    let (name, mut host_control) = accepted.recv().await.unwrap().unwrap();
    assert_eq!(name, StreamName::Control);
    write_frame(&mut host_control, &Command::Stop { grace_seconds: 1 }).await.unwrap();
    let got = read_frame::<_, Command>(&mut control).await.unwrap();
    assert_eq!(got, Some(Command::Stop { grace_seconds: 1 }));

    for _ in 0..3 {
        let mut kbs = guest.open(StreamName::Kbs).await.unwrap();
        let (name, mut host_kbs) = accepted.recv().await.unwrap().unwrap();
        assert_eq!(name, StreamName::Kbs);
        kbs.write_all(&[7; 200_000]).await.unwrap();
        kbs.shutdown().await.unwrap();
        let mut received = Vec::new();
        host_kbs.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, [7; 200_000]);
    }
}

#[tokio::test]
async fn what_was_written_before_the_guest_closed_arrives() {
    let (ours, theirs) = pipe();
    let mut accepted = drive(HostConnection::new(ours));
    let guest = guest(theirs);
    let mut stdout = guest.open(StreamName::Stdout).await.unwrap();
    stdout.write_all(b"last words").await.unwrap();
    stdout.shutdown().await.unwrap();
    drop((stdout, guest));
    let (_, mut stream) = accepted.recv().await.unwrap().unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "last words");
    assert!(accepted.recv().await.is_none(), "a goodbye is no error");
}

#[tokio::test]
async fn unknown_stream_names_end_the_connection() {
    for bytes in [&b"\x05shell"[..], b"\xff", b"\x00"] {
        let answer = host_against(bytes).await;
        assert!(matches!(answer, Err(ChannelError::Header(FrameError::Name { .. }))), "{answer:?}");
    }
}

#[tokio::test]
async fn a_header_shorter_than_its_length_ends_the_connection() {
    let answer = host_against(b"\x06even").await;
    assert!(matches!(answer, Err(ChannelError::Header(FrameError::Truncated { .. }))), "{answer:?}");
}

#[tokio::test]
async fn a_second_control_stream_ends_the_connection() {
    let (ours, theirs) = pipe();
    let mut accepted = drive(HostConnection::new(ours));
    let guest = guest(theirs);
    let _first = guest.open(StreamName::Control).await.unwrap();
    let _held = accepted.recv().await.unwrap().unwrap();
    let _second = guest.open(StreamName::Control).await.unwrap();
    let answer = accepted.recv().await.unwrap();
    assert!(matches!(answer, Err(ChannelError::Twice { found: StreamName::Control })));
}

#[tokio::test]
async fn noise_instead_of_yamux_ends_the_connection() {
    let (ours, mut theirs) = pipe();
    theirs.write_all(&[0xa5; 4096]).await.unwrap();
    let answer = drive(HostConnection::new(ours)).recv().await.unwrap();
    assert!(matches!(answer, Err(ChannelError::Mux(_))));
}

#[tokio::test]
async fn more_streams_than_the_budget_end_the_connection() {
    let (ours, theirs) = pipe();
    let mut accepted = drive(HostConnection::new(ours));
    let mut config = Config::default();
    config.set_max_num_streams(1000).set_max_connection_receive_window(None);
    let mut raw = Connection::new(theirs.compat(), config, Mode::Client);
    tokio::spawn(async move {
        let mut streams = Vec::new();
        for _ in 0..=MAX_STREAMS {
            let mut stream = poll_fn(|context| raw.poll_new_outbound(context)).await.unwrap();
            // One byte of header each: all of them wait.
            let _ = futures::future::poll_immediate(stream.write_all(b"\x03")).await;
            streams.push(stream);
        }
        let _ = poll_fn(|context| raw.poll_next_inbound(context)).await;
        std::future::pending::<()>().await;
    });
    // The host says goodbye and closes, or fails: either way nothing was accepted.
    assert!(!matches!(accepted.recv().await, Some(Ok(_))));
}

#[tokio::test]
async fn a_stream_opened_by_the_host_ends_the_guests_connection() {
    let (ours, theirs) = pipe();
    let (_guest, run) = GuestConnection::new(theirs);
    let mut raw = Connection::new(ours.compat(), Config::default(), Mode::Server);
    tokio::spawn(async move {
        let mut stream = poll_fn(|context| raw.poll_new_outbound(context)).await.unwrap();
        let _ = futures::future::poll_immediate(stream.write_all(b"\x07control")).await;
        let _ = poll_fn(|context| raw.poll_next_inbound(context)).await;
    });
    assert!(matches!(run.await, Err(ChannelError::Inbound)));
}
