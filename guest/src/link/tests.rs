//! The channel over a pipe in memory, with a host that misbehaves.

use super::*;
use futures::AsyncWriteExt as _;
use std::future::poll_fn;
use tokio::io::DuplexStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};
use yamux::{Config, Connection, Mode};

type Host = Connection<Compat<DuplexStream>>;

fn host(pipe: DuplexStream) -> Host {
    Connection::new(pipe.compat(), Config::default(), Mode::Server)
}

/// Serve the host's side: give each stream that the guest opens to `on_stream`.
async fn serve(mut host: Host, mut on_stream: impl FnMut(yamux::Stream)) {
    while let Some(Ok(stream)) = poll_fn(|context| host.poll_next_inbound(context)).await {
        on_stream(stream);
    }
}

async fn local<T>(future: impl Future<Output = T>) -> T {
    tokio::task::LocalSet::new().run_until(future).await
}

/// A link whose host sends `bytes` on the control stream and then closes it.
async fn link_with_control(bytes: Vec<u8>) -> (Link, Commands) {
    let (guest, other) = tokio::io::duplex(64 * 1024);
    tokio::task::spawn_local(serve(host(other), move |mut stream| {
        let bytes = bytes.clone();
        tokio::task::spawn_local(async move {
            let mut name = vec![0; 1];
            futures::AsyncReadExt::read_exact(&mut stream, &mut name).await.unwrap();
            name.resize(usize::from(name[0]), 0);
            futures::AsyncReadExt::read_exact(&mut stream, &mut name).await.unwrap();
            if name == b"control" {
                stream.write_all(&bytes).await.unwrap();
                stream.close().await.unwrap();
            }
            std::future::pending::<()>().await;
        });
    }));
    Link::over(guest).await.unwrap()
}

#[tokio::test]
async fn commands_arrive_and_the_end_is_seen() {
    local(async {
        let mut bytes = Vec::new();
        sealpod_channel::write_frame(&mut bytes, &Command::Signal { signo: 15 }).await.unwrap();
        let (_link, mut commands) = link_with_control(bytes).await;
        assert!(matches!(commands.next().await, Ok(Some(Command::Signal { signo: 15 }))));
        assert!(matches!(commands.next().await, Ok(None)));
    })
    .await;
}

#[tokio::test]
async fn hostile_frames_are_errors() {
    local(async {
        let frame = |body: &[u8]| [&(body.len() as u32).to_le_bytes()[..], body].concat();
        let hostile = [
            u32::MAX.to_le_bytes().to_vec(),
            frame(b"{}"),
            frame(b"{\"type\":\"nothing\"}"),
            frame(&[0xff; 100]),
            frame(&b"[".repeat(100_000)),
        ];
        for bytes in hostile {
            let (_link, mut commands) = link_with_control(bytes.clone()).await;
            let answer = commands.next().await;
            assert!(matches!(answer, Err(LinkError::Frame(_))), "{:?}", &bytes[..4]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_opened_by_the_host_ends_the_channel() {
    local(async {
        let (guest, other) = tokio::io::duplex(64 * 1024);
        let mut host = host(other);
        tokio::task::spawn_local(async move {
            let mut stream = poll_fn(|context| host.poll_new_outbound(context)).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            serve(host, drop).await;
        });
        // The stream may come before or after the guest has opened its own.
        match Link::over(guest).await {
            Err(error) => assert!(matches!(error, LinkError::Closed), "{error}"),
            Ok((link, mut commands)) => {
                assert!(matches!(commands.next().await, Ok(None)));
                assert!(link.stream(StreamName::Kbs).await.is_err());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn noise_on_the_port_ends_the_channel() {
    local(async {
        let (guest, mut other) = tokio::io::duplex(64 * 1024);
        tokio::io::AsyncWriteExt::write_all(&mut other, &[0xa5; 4096]).await.unwrap();
        let opened = Link::over(guest).await;
        if let Ok((_link, mut commands)) = opened {
            assert!(matches!(commands.next().await, Ok(None)));
        }
    })
    .await;
}
