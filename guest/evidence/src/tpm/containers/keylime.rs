//! Keylime's agent: `r` and three parts in base64 with colons between them, quote, signature and PCR values.

use super::tools::parse_pcr_file;
use super::{Contained, ContainedQuote, ContainerError, form, within};
use crate::tpm::{Attest, Signature};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Takes one line, with white space around it.
///
/// # Errors
///
/// See [`ContainerError`].
pub fn keylime(text: &str) -> Result<Contained, ContainerError> {
    within(text.as_bytes())?;
    let parts = text.trim().strip_prefix('r').map(|rest| rest.split(':').collect::<Vec<_>>());
    let Some([message, signature, pcrs]) = parts.as_deref() else {
        return Err(form("a Keylime quote", "r<quote>:<signature>:<PCR values>", "another number of parts"));
    };
    let decode = |part: &str| STANDARD.decode(part).map_err(|error| form("a Keylime quote", "base64", error));
    let quote = ContainedQuote {
        attest: Attest::parse(&decode(message)?)?,
        signature: Signature::parse(&decode(signature)?)?,
        pcrs: parse_pcr_file(&decode(pcrs)?)?,
    };
    Ok(Contained { quotes: vec![quote], ..Contained::default() })
}
