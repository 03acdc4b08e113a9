//! Boot logs that travel as text.

use super::{BootLogError, MAX_LEN};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::borrow::Cow;

/// The fields by which a JSON attestation says what TPM made it (go-attestation's `Dump`).
#[derive(Deserialize)]
struct Attested {
    #[serde(rename = "Static")]
    fixed: Static,
}

#[derive(Deserialize)]
struct Static {
    #[serde(rename = "TPMVersion")]
    version: u64,
}

/// The bytes of a boot log that may have come as base64, in lines or not. Bytes that are no text are given back as they are.
///
/// # Errors
///
/// [`BootLogError::Tpm12`] for the JSON of an attestation by a TPM 1.2, which holds such a log and is refused as what it is;
/// [`BootLogError::Json`] for other JSON; [`BootLogError::Base64`] for a text of base64's characters that is none;
/// [`BootLogError::TooLong`] for a text that would decode to more than [`MAX_LEN`].
pub fn binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>, BootLogError> {
    // Neither is how a log starts: the first event is for register 0 or 1.
    let text = bytes.trim_ascii();
    if text.first() == Some(&b'{') {
        return Err(match serde_json::from_slice::<Attested>(text) {
            Ok(Attested { fixed: Static { version: 1 } }) => BootLogError::Tpm12 { found: 1 },
            _ => BootLogError::Json,
        });
    }
    let of_base64 =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte) || byte.is_ascii_whitespace();
    if text.is_empty() || !text.iter().all(of_base64) {
        return Ok(Cow::Borrowed(bytes));
    }
    if text.len() / 2 > MAX_LEN {
        return Err(BootLogError::TooLong { expected: MAX_LEN, found: text.len() / 4 * 3 });
    }
    let digits: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(digits).map(Cow::Owned).map_err(|_| BootLogError::Base64)
}
