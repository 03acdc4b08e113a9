//! Stream headers and framed JSON.

use serde::{Serialize, de::DeserializeOwned};
use std::fmt;
use std::io;
use std::str::FromStr;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Most bytes of JSON in one frame. The largest message is `Hello` with a boot log, 30 to 60 KiB in practice; a
/// receiver spends at most this on the text, and about sixteen times this while serde_json holds a hostile document.
pub const MAX_FRAME: usize = 256 * 1024;
/// Length of the longest stream name.
const MAX_NAME: usize = 7;

/// What a stream is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamName {
    /// Guest to host: [`Event`](crate::Event) frames.
    Events,
    /// Host to guest: [`Command`](crate::Command) frames.
    Control,
    /// Host to guest: the container's standard input.
    Stdin,
    /// Guest to host: its standard output.
    Stdout,
    /// Guest to host: its standard error.
    Stderr,
    /// Both ways: one connection to the broker, carried by the host without looking.
    Kbs,
}

impl StreamName {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Events, Self::Control, Self::Stdin, Self::Stdout, Self::Stderr, Self::Kbs];

    /// As the header spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Control => "control",
            Self::Stdin => "stdin",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Kbs => "kbs",
        }
    }

    /// Whether there may be more than one of it at a time.
    pub fn is_many(self) -> bool {
        self == Self::Kbs
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StreamName {
    type Err = FrameError;
    fn from_str(text: &str) -> Result<Self, FrameError> {
        let known = Self::ALL.into_iter().find(|name| name.as_str() == text);
        known.ok_or_else(|| FrameError::Name { found: text.chars().take(64).collect() })
    }
}

/// Why a stream does not say anything that is understood.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream broke.
    #[error("stream broke: {0}")]
    Io(#[from] io::Error),
    /// A frame longer than the budget, announced or to be sent.
    #[error("a frame of {found} bytes, at most {expected} are allowed")]
    TooLong {
        /// [`MAX_FRAME`].
        expected: usize,
        /// Its length.
        found: usize,
    },
    /// The stream ended inside a frame or header.
    #[error("the stream ended after {found} of {expected} bytes")]
    Truncated {
        /// How many were announced.
        expected: usize,
        /// How many came.
        found: usize,
    },
    /// Not the message expected.
    #[error("not a message of this version: {0}")]
    Json(#[from] serde_json::Error),
    /// A header that names no stream.
    #[error("no stream is called {found:?}")]
    Name {
        /// The name found, cut to 64 characters.
        found: String,
    },
}

/// Read a stream's header.
pub async fn read_header<R: AsyncRead + Unpin>(reader: &mut R) -> Result<StreamName, FrameError> {
    let mut length = [0];
    if !fill(reader, &mut length).await? {
        return Err(FrameError::Truncated { expected: 1, found: 0 });
    }
    let length = usize::from(length[0]);
    if length > MAX_NAME {
        return Err(FrameError::Name { found: format!("({length} bytes)") });
    }
    let mut name = [0; MAX_NAME];
    let name = &mut name[..length];
    if !fill(reader, name).await? {
        return Err(FrameError::Truncated { expected: length, found: 0 });
    }
    String::from_utf8_lossy(name).parse()
}

/// Write a stream's header.
pub async fn write_header<W: AsyncWrite + Unpin>(writer: &mut W, name: StreamName) -> Result<(), FrameError> {
    let name = name.as_str().as_bytes();
    let mut header = Vec::with_capacity(1 + name.len());
    // Every name is at most MAX_NAME bytes long; a test checks it.
    header.push(name.len() as u8);
    header.extend(name);
    writer.write_all(&header).await?;
    Ok(writer.flush().await?)
}

/// Read one message; `None` when the stream ended before it. Not cancel-safe: a wait given up may lose half a frame.
pub async fn read_frame<R: AsyncRead + Unpin, T: DeserializeOwned>(
    reader: &mut R,
) -> Result<Option<T>, FrameError> {
    let mut length = [0; 4];
    if !fill(reader, &mut length).await? {
        return Ok(None);
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(FrameError::TooLong { expected: MAX_FRAME, found: length });
    }
    let mut body = vec![0; length];
    if length > 0 && !fill(reader, &mut body).await? {
        return Err(FrameError::Truncated { expected: length, found: 0 });
    }
    Ok(Some(serde_json::from_slice(&body)?))
}

/// Write one message.
pub async fn write_frame<W: AsyncWrite + Unpin, T: Serialize>(
    writer: &mut W,
    message: &T,
) -> Result<(), FrameError> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= MAX_FRAME);
    let Some(length) = length else {
        return Err(FrameError::TooLong { expected: MAX_FRAME, found: body.len() });
    };
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend(body);
    writer.write_all(&frame).await?;
    Ok(writer.flush().await?)
}

/// Fill `buffer`; `false` if the stream had ended before its first byte.
async fn fill<R: AsyncRead + Unpin>(reader: &mut R, buffer: &mut [u8]) -> Result<bool, FrameError> {
    let mut found = 0;
    while found < buffer.len() {
        match reader.read(&mut buffer[found..]).await? {
            0 if found == 0 => return Ok(false),
            0 => {
                return Err(FrameError::Truncated { expected: buffer.len(), found });
            }
            count => found += count,
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Command, Event};

    async fn read(bytes: &[u8]) -> Result<Option<Command>, FrameError> {
        read_frame(&mut &bytes[..]).await
    }

    #[tokio::test]
    async fn frames_and_headers_round_trip() {
        let mut bytes = Vec::new();
        for name in StreamName::ALL {
            assert!(name.as_str().len() <= MAX_NAME);
            write_header(&mut bytes, name).await.unwrap();
        }
        write_frame(&mut bytes, &Command::Signal { signo: 2 }).await.unwrap();
        let mut reader = &bytes[..];
        for name in StreamName::ALL {
            assert_eq!(read_header(&mut reader).await.unwrap(), name);
        }
        let read = read_frame::<_, Command>(&mut reader).await.unwrap();
        assert_eq!(read, Some(Command::Signal { signo: 2 }));
        assert!(read_frame::<_, Command>(&mut reader).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_length_beyond_the_budget_is_refused_before_any_byte_is_read() {
        let found = MAX_FRAME + 1;
        let error = read(&(found as u32).to_le_bytes()).await.unwrap_err();
        assert!(matches!(error, FrameError::TooLong { expected: MAX_FRAME, found: f } if f == found));
    }

    #[tokio::test]
    async fn a_length_that_lies_is_an_error() {
        let mut bytes = 100_u32.to_le_bytes().to_vec();
        assert!(matches!(read(&bytes).await, Err(FrameError::Truncated { expected: 100, found: 0 })));
        bytes.extend(b"{\"ty");
        assert!(matches!(read(&bytes).await, Err(FrameError::Truncated { expected: 100, found: 4 })));
        assert!(matches!(read(&bytes[..2]).await, Err(FrameError::Truncated { expected: 4, found: 2 })));
        let text = br#"{"type":"signal","signo":1}"#;
        let short = [&(text.len() as u32 - 1).to_le_bytes()[..], text].concat();
        assert!(matches!(read(&short).await, Err(FrameError::Json(_))));
        assert!(matches!(read(&[0; 4]).await, Err(FrameError::Json(_))));
    }

    #[tokio::test]
    async fn a_message_beyond_the_budget_is_not_sent() {
        let mut out = Vec::new();
        let message = Event::Log { line: "x".repeat(MAX_FRAME) };
        assert!(matches!(write_frame(&mut out, &message).await, Err(FrameError::TooLong { .. })));
        assert!(out.is_empty());
    }

    #[tokio::test]
    async fn unknown_and_cut_headers_are_refused() {
        for bad in [&b"\x05event"[..], b"\x00", b"\xffx", b"\x03\xff\xfe\xfd", b"\x06Events"] {
            assert!(matches!(read_header(&mut &bad[..]).await, Err(FrameError::Name { .. })), "{bad:?}");
        }
        for cut in [&b""[..], b"\x06", b"\x06even"] {
            assert!(matches!(read_header(&mut &cut[..]).await, Err(FrameError::Truncated { .. })), "{cut:?}");
        }
    }
}
