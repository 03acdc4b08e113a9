//! Step 1: the evidence taken apart.
//!
//! What all evidence has is here; what a TPM adds is in [`tpm`], what one TEE adds in the module of its name. An arm of
//! [`crate::appraise`] puts together what its TEE has.

pub(crate) mod azure;
mod json;
pub(crate) mod snp;
pub(crate) mod tdx;
pub(crate) mod tpm;

use crate::error::{Check, VerifyError};
use json::JsonError;
use sealpod_evidence::initdata::{self, Initdata};
use sealpod_evidence::rcar::SEALPOD_VERSION;
use sealpod_evidence::rcar::protocol::{Attestation, InitData};
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Display;

/// Most bytes of the text of the additional evidence. The logs at their largest are 8.4 MiB, a third more in
/// base64, and the rest is small.
pub const MAX_ADDITIONAL_LEN: usize = 12 << 20;
/// Most bytes of a `/attest` body that are worth reading: the additional evidence with its quotes escaped,
/// initdata escaped to at most twice its length, certificates and report. The reader of the body has to keep
/// to it before [`parse_body`] can.
pub const MAX_BODY_LEN: usize = MAX_ADDITIONAL_LEN + (1 << 20);
/// Parse the body of `/attest`.
///
/// It is one JSON object within budget, without arrays but in the TEE's own evidence, and no object in it has a key twice: all that is found out while it is read,
/// once. So the cost is a small multiple of the body's length, and no other reader can see another body.
/// Nothing is believed of it; [`crate::verify`] takes it from here.
///
/// # Errors
///
/// [`Check::Budget`] for a body longer than [`MAX_BODY_LEN`] or with too many or too deeply nested values; [`Check::Body`] for one
/// that is not what KBS protocol 0.4.0 calls for.
pub fn parse_body(body: &[u8]) -> Result<Attestation, VerifyError> {
    let refused =
        |found: String| VerifyError::new(Check::Body, "the body of an /attest request, one object", found);
    require_within("an /attest body", body.len(), MAX_BODY_LEN)?;
    json::read_with_arrays(body, PRIMARY).map_err(|error| json_error(error, refused))
}

/// The TEE's own evidence, whose form its vendor decides: that of Azure has arrays.
const PRIMARY: &str = "primary_evidence";

/// The only format of initdata in KBS protocol 0.4.0.
const INITDATA_FORMAT: &str = "toml";

/// What all evidence has, parsed and within budget. Well formed, not yet believed.
pub(crate) struct Common<'a> {
    pub nonce: &'a str,
    pub tee_pubkey: Value,
    /// The additional evidence as the text that the report covers.
    pub additional_text: &'a str,
    pub initdata: Initdata,
}

/// Step 1 for what all evidence has.
pub(crate) fn common(attestation: &Attestation) -> Result<Common<'_>, VerifyError> {
    let tee_pubkey = serde_json::to_value(&attestation.runtime_data.tee_pubkey)
        .map_err(|error| VerifyError::new(Check::PrimaryEvidence, "a JWK", error))?;
    Ok(Common {
        nonce: &attestation.runtime_data.nonce,
        tee_pubkey,
        additional_text: &attestation.tee_evidence.additional_evidence,
        initdata: initdata(attestation.init_data.as_ref())?,
    })
}

/// The text of the additional evidence. No object in it may have a key twice, or two readers could see two
/// different things. Its version is for the caller to look at ([`require_version`]).
pub(crate) fn additional<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, VerifyError> {
    let refused = |found: String| {
        let expected = "JSON with one \"tpm\", as RCAR evidence of sealpod has it";
        VerifyError::new(Check::AdditionalEvidence, expected, found)
    };
    require_within("the additional evidence", text.len(), MAX_ADDITIONAL_LEN)?;
    if text.is_empty() {
        return Err(refused("none".to_owned()));
    }
    json::read_str(text).map_err(|error| json_error(error, refused))
}

/// The version that every object of sealpod's has.
pub(crate) fn require_version(found: u32) -> Result<(), VerifyError> {
    if found != SEALPOD_VERSION {
        return Err(VerifyError::new(Check::EvidenceVersion, SEALPOD_VERSION, found));
    }
    Ok(())
}

/// The TEE's own evidence; `expected` says what it has to be.
pub(crate) fn primary<'a, T: Deserialize<'a>>(value: &'a Value, expected: &str) -> Result<T, VerifyError> {
    if !value.is_object() {
        // An array would be taken for an object without names.
        return Err(VerifyError::new(Check::PrimaryEvidence, expected, "no object"));
    }
    T::deserialize(value).map_err(|error| VerifyError::new(Check::PrimaryEvidence, expected, error))
}

fn json_error(error: JsonError, syntax: impl FnOnce(String) -> VerifyError) -> VerifyError {
    match error {
        JsonError::Budget(found) => {
            let expected = format!(
                "JSON of at most {} keys and values and {} array elements, {} deep",
                json::MAX_NODES,
                json::MAX_ELEMENTS,
                json::MAX_DEPTH
            );
            VerifyError::new(Check::Budget, expected, found)
        }
        JsonError::Syntax(found) => syntax(found),
    }
}

fn initdata(sent: Option<&InitData>) -> Result<Initdata, VerifyError> {
    let refused = |expected: &str, found: String| VerifyError::new(Check::InitdataSyntax, expected, found);
    let sent = sent.ok_or_else(|| refused("initdata", "none".to_owned()))?;
    if sent.format != INITDATA_FORMAT {
        return Err(refused("initdata of format toml", format!("{:?}", sent.format)));
    }
    require_within("initdata", sent.body.len(), initdata::MAX_LEN)?;
    Initdata::parse(&sent.body)
        .map_err(|error| refused("initdata 0.1.0 with sealpod's policy", error.to_string()))
}

pub(crate) fn within(what: &str, bytes: Vec<u8>, most: usize) -> Result<Vec<u8>, VerifyError> {
    require_within(what, bytes.len(), most).map(|()| bytes)
}

pub(crate) fn require_within(what: impl Display, found: usize, most: usize) -> Result<(), VerifyError> {
    if found > most {
        return Err(VerifyError::new(Check::Budget, format!("{what} of at most {most} bytes"), found));
    }
    Ok(())
}
