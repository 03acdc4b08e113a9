//! What the guest half and the host half say to each other over the virtio-serial port.
//!
//! One request, one answer, each a frame: u32 little-endian length, then JSON. The host half is the
//! simulated processor and its SVSM, so it treats the guest's bytes as untrusted; the guest half has
//! no choice but to believe its processor.

use sealpod_evidence::bytes::{Base64, HexArray};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

/// Name of the virtio-serial port.
pub const PORT: &str = "org.sealpod.teesim";

/// Longest frame. The longest message is a service report: 1,184 bytes, a certificate table of five
/// certificates below 2 KiB each and a manifest below 1 KiB, in base64.
pub const MAX_FRAME: usize = 32 * 1024;

/// What the guest half asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Sent once, before anything else: the vTPM that the SVSM will vouch for.
    Boot {
        /// `TPMT_PUBLIC` of the endorsement key; absent where the machine has no TPM, hence no SVSM.
        ek_public: Option<Base64>,
    },
    /// `SNP_GUEST_REQUEST` with `MSG_REPORT_REQ`.
    Report {
        /// The level asked for.
        vmpl: u32,
        /// What the report shall carry.
        report_data: HexArray<64>,
    },
    /// `SVSM_ATTEST_SINGLE_SERVICE` (SVSM specification 1.01, section 7).
    Service {
        /// Which service, as text.
        guid: String,
        /// Which form of its manifest.
        manifest_version: u32,
        /// The nonce block.
        nonce: HexArray<64>,
    },
    /// Not a platform's business, but what measurements of the agent rest on: sent before each report.
    Memory {
        /// Peak resident memory of PID 1 so far, in KiB.
        peak_kib: u64,
    },
}

/// What the host half answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// To [`Request::Boot`].
    Booted {
        /// The level that the guest's kernel runs at: the least it may ask a report for.
        vmpl: u32,
        /// Whether there is an SVSM.
        svsm: bool,
    },
    /// A report and, from an SVSM, its service's manifest.
    Report {
        /// 1,184 bytes.
        report: Base64,
        /// The GHCB certificate table.
        certificates: Base64,
        /// The service manifest; empty for an ordinary report.
        manifest: Base64,
    },
    /// To [`Request::Memory`].
    Noted,
    /// The request makes no sense to this platform.
    Refused {
        /// For people.
        reason: String,
    },
}

/// Why no message could be exchanged.
#[derive(Debug)]
pub enum WireError {
    /// The other side is gone, or never came.
    Io(io::Error),
    /// A frame that is longer than [`MAX_FRAME`].
    TooLong(usize),
    /// Not a message of this protocol.
    Syntax(String),
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(f, "signer port: {error}"),
            Self::TooLong(found) => {
                write!(f, "signer port: a frame of {found} bytes, at most {MAX_FRAME} are taken")
            }
            Self::Syntax(error) => write!(f, "signer port: {error}"),
        }
    }
}

impl std::error::Error for WireError {}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Write one message.
pub fn send<T: Serialize>(to: &mut impl Write, message: &T) -> Result<(), WireError> {
    let body = serde_json::to_vec(message).map_err(|e| WireError::Syntax(e.to_string()))?;
    if body.len() > MAX_FRAME {
        return Err(WireError::TooLong(body.len()));
    }
    let mut frame = (body.len() as u32).to_le_bytes().to_vec();
    frame.extend(body);
    to.write_all(&frame)?;
    to.flush()?;
    Ok(())
}

/// Read one message. Nothing is allocated before the length was found to be allowed.
pub fn receive<T: DeserializeOwned>(from: &mut impl Read) -> Result<T, WireError> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(WireError::TooLong(length));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    serde_json::from_slice(&body).map_err(|e| WireError::Syntax(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(body: &[u8]) -> Vec<u8> {
        let mut out = (body.len() as u32).to_le_bytes().to_vec();
        out.extend(body);
        out
    }

    #[test]
    fn messages_survive_the_wire() {
        let messages = [
            Request::Boot { ek_public: Some(Base64(vec![1, 2, 3])) },
            Request::Report { vmpl: 2, report_data: HexArray([7; 64]) },
            Request::Service { guid: "x".into(), manifest_version: 0, nonce: HexArray([9; 64]) },
        ];
        let mut bytes = Vec::new();
        for message in &messages {
            send(&mut bytes, message).unwrap();
        }
        let mut reader = bytes.as_slice();
        for message in &messages {
            assert_eq!(&receive::<Request>(&mut reader).unwrap(), message);
        }
        assert!(reader.is_empty());
    }

    #[test]
    fn an_oversized_length_is_refused_before_anything_is_read() {
        let mut bytes: &[u8] = &[0xff, 0xff, 0xff, 0xff, 1, 2, 3];
        assert!(matches!(receive::<Request>(&mut bytes), Err(WireError::TooLong(0xffff_ffff))));
        assert_eq!(bytes, [1, 2, 3]);
    }

    #[test]
    fn cut_frames_and_foreign_texts_are_errors() {
        let good = frame(br#"{"type":"boot","ek_public":null}"#);
        for cut in 0..good.len() {
            assert!(matches!(receive::<Request>(&mut &good[..cut]), Err(WireError::Io(_))), "{cut}");
        }
        let hostile: [&[u8]; 6] = [
            b"",
            b"\xff\xfe",
            b"[[[[[[[[[[",
            br#"{"type":"reboot"}"#,
            br#"{"type":"boot","ek_public":null,"more":1}"#,
            br#"{"type":"report","vmpl":-1,"report_data":"00"}"#,
        ];
        for body in hostile {
            let bytes = frame(body);
            assert!(
                matches!(receive::<Request>(&mut bytes.as_slice()), Err(WireError::Syntax(_))),
                "{body:?}"
            );
        }
    }
}
