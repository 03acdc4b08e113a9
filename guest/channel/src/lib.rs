//! What launcher and guest say to each other: stream names, messages, and the budget of each.
//!
//! The channel is one virtio-serial port that carries yamux streams. The guest opens every stream and names it in a
//! header; the host opens none. Neither side is believed: a frame is at most [`MAX_FRAME`] bytes, and a stream that
//! breaks a rule ends its connection. Nothing here proves who is at the other end, nor keeps anything secret: what must
//! be secret or authentic travels inside TLS on a [`StreamName::Kbs`] stream.
#![forbid(unsafe_code)]

pub use connection::{ChannelError, ChannelStream, GuestConnection, HostConnection};
pub use frame::{FrameError, MAX_FRAME, StreamName, read_frame, read_header, write_frame, write_header};
pub use message::{Command, ContainerRun, Event};

pub mod connection;
pub mod frame;
pub mod message;

/// Name of the virtio-serial port in the guest.
pub const PORT_NAME: &str = "org.sealpod.channel";
