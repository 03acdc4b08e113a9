//! PEM (RFC 7468), read from text that others wrote.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

/// Why a text is not PEM of the kind expected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PemError {
    /// No such block.
    #[error("no PEM block {expected:?}")]
    Missing {
        /// The label.
        expected: String,
    },
    /// More than one block where one is expected.
    #[error("more than one PEM block, expected one {expected:?}")]
    More {
        /// The label.
        expected: String,
    },
    /// A block that does not end, or ends as another one.
    #[error("PEM block {expected:?} without its end")]
    End {
        /// The label.
        expected: String,
    },
    /// Something besides white space around the blocks.
    #[error("text outside of a PEM block: {found:?}")]
    Outside {
        /// The text, cut.
        found: String,
    },
    /// A block that is not base64.
    #[error("PEM block: {found}")]
    Base64 {
        /// What the decoder says.
        found: String,
    },
}

/// The content of a text that is exactly one block with this label.
///
/// # Errors
///
/// See [`PemError`].
pub fn decode(text: &str, label: &str) -> Result<Vec<u8>, PemError> {
    let mut blocks = decode_all(text, label)?;
    match (blocks.pop(), blocks.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(PemError::Missing { expected: label.to_owned() }),
        _ => Err(PemError::More { expected: label.to_owned() }),
    }
}

/// The contents of a text that is blocks with this label, any number of them, and white space.
///
/// # Errors
///
/// See [`PemError`].
pub fn decode_all(text: &str, label: &str) -> Result<Vec<Vec<u8>>, PemError> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let mut rest = text.trim();
    let mut out = Vec::new();
    while !rest.is_empty() {
        let body = rest
            .strip_prefix(&begin)
            .ok_or_else(|| PemError::Outside { found: rest.chars().take(64).collect() })?;
        let (body, after) =
            body.split_once(&end).ok_or_else(|| PemError::End { expected: label.to_owned() })?;
        let body: String = body.split_ascii_whitespace().collect();
        let bytes = STANDARD.decode(body).map_err(|error| PemError::Base64 { found: error.to_string() })?;
        out.push(bytes);
        rest = after.trim_start();
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "-----BEGIN X-----\nAP8=\n-----END X-----\n";

    #[test]
    fn blocks_of_one_label_are_read() {
        assert_eq!(decode(BLOCK, "X").unwrap(), [0, 255]);
        assert_eq!(decode(&BLOCK.replace('\n', "\r\n"), "X").unwrap(), [0, 255]);
        assert_eq!(decode_all(&format!(" {BLOCK}\n{BLOCK}"), "X").unwrap(), [[0, 255], [0, 255]]);
        assert_eq!(decode_all("", "X").unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn everything_else_is_refused() {
        let x = || "X".to_owned();
        assert_eq!(decode("", "X"), Err(PemError::Missing { expected: x() }));
        assert_eq!(decode(&BLOCK.repeat(2), "X"), Err(PemError::More { expected: x() }));
        assert_eq!(decode("-----BEGIN X-----\nAP8=\n", "X"), Err(PemError::End { expected: x() }));
        assert!(matches!(decode(BLOCK, "Y"), Err(PemError::Outside { .. })));
        assert!(matches!(decode(&format!("{BLOCK}more"), "X"), Err(PemError::Outside { .. })));
        assert!(matches!(decode(&BLOCK.replace('=', ""), "X"), Err(PemError::Base64 { .. })));
    }
}
