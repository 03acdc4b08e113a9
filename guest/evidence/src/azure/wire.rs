//! The JSON of `az-snp-vtpm` and `az-tdx-vtpm` primary evidence, versions 0 to 2.
//!
//! Version 0 has no version number and writes bytes as arrays of numbers; 1 and 2 write base64url and hex. Version 2 promises
//! that the user data of the runtime data repeats what the quote answers. The promise is the sender's, so the version decides
//! how the text is read and nothing about what is checked.

use super::hcl::{HclError, HclReport, MAX_HCL_LEN};
use super::quote::{PCR_COUNT, QuoteError, VtpmQuote};
use crate::pem;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Map, Value};
use thiserror::Error;

/// Most bytes of the text: version 0 of a TDX guest takes about 40 KiB.
pub const MAX_WIRE_LEN: usize = 128 << 10;
/// Most bytes of a TD quote; Azure's have some 5,000.
pub const MAX_TD_QUOTE_LEN: usize = 16 << 10;
/// Most bytes of a VCEK certificate; AMD's have 1,360.
const MAX_VCEK_LEN: usize = 8 << 10;
/// Most bytes of a message or a signature.
const MAX_PART: usize = crate::tpm::MAX_LEN;

/// Why a text is not evidence of one of these kinds.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// Longer than what is read.
    #[error("Azure evidence: {what} of {found} bytes, at most {expected} are read")]
    TooLong {
        /// The part.
        what: &'static str,
        /// The most.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// Not JSON.
    #[error("Azure evidence: {found}")]
    Json {
        /// What the reader says.
        found: String,
    },
    /// A version that is not known.
    #[error("Azure evidence of version {found}, expected none, 1 or 2")]
    Version {
        /// The value found.
        found: String,
    },
    /// Not an object with exactly these members.
    #[error("Azure evidence: {what} with members {found:?}, expected {expected:?}")]
    Members {
        /// The object.
        what: &'static str,
        /// Its members.
        expected: Vec<&'static str>,
        /// Those found.
        found: Vec<String>,
    },
    /// A member that is not of its form.
    #[error("Azure evidence: {what}: {found}, expected {expected}")]
    Form {
        /// The member.
        what: &'static str,
        /// The form.
        expected: &'static str,
        /// What is wrong.
        found: String,
    },
    /// The HCL report does not parse.
    #[error(transparent)]
    Hcl(#[from] HclError),
    /// The quote does not parse.
    #[error(transparent)]
    Quote(#[from] QuoteError),
}

/// Primary evidence of an SNP guest under the paravisor, well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzSnpEvidence {
    /// The wire's version: 0, 1 or 2.
    pub version: u8,
    /// The paravisor's report.
    pub hcl: HclReport,
    /// The vTPM's quote.
    pub quote: VtpmQuote,
    /// The chip's certificate, DER; not parsed.
    pub vcek: Vec<u8>,
}

/// Primary evidence of a TDX guest under the paravisor, well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzTdxEvidence {
    /// The wire's version: 0, 1 or 2.
    pub version: u8,
    /// The paravisor's report.
    pub hcl: HclReport,
    /// The vTPM's quote.
    pub quote: VtpmQuote,
    /// The TD quote; not parsed.
    pub td_quote: Vec<u8>,
}

impl AzSnpEvidence {
    /// Takes evidence out of parsed JSON, whose reader has seen to it that no member is there twice.
    ///
    /// # Errors
    ///
    /// See [`WireError`].
    pub fn from_value(value: &Value) -> Result<Self, WireError> {
        let version = version(value)?;
        let wire =
            Wire::open(value, version, ["quote", "report", "vcek"], ["tpm_quote", "hcl_report", "vcek"])?;
        let vcek = match version {
            0 => pem::decode(text("vcek", wire.third, MAX_VCEK_LEN)?, "CERTIFICATE").map_err(|error| {
                WireError::Form { what: "vcek", expected: "one certificate in PEM", found: error.to_string() }
            })?,
            _ => base64url("vcek", wire.third, MAX_VCEK_LEN)?,
        };
        Ok(Self { version, hcl: wire.hcl, quote: wire.quote, vcek })
    }

    /// Takes evidence from a text of at most [`MAX_WIRE_LEN`] bytes. Of a member that is there twice, the last one counts:
    /// a verifier reads its text itself and calls [`Self::from_value`].
    ///
    /// # Errors
    ///
    /// See [`WireError`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, WireError> {
        json(bytes).and_then(|value| Self::from_value(&value))
    }
}

impl AzTdxEvidence {
    /// Takes evidence out of parsed JSON, whose reader has seen to it that no member is there twice.
    ///
    /// # Errors
    ///
    /// See [`WireError`].
    pub fn from_value(value: &Value) -> Result<Self, WireError> {
        let version = version(value)?;
        let names = ["tpm_quote", "hcl_report", "td_quote"];
        let wire = Wire::open(value, version, names, names)?;
        let td_quote = match version {
            0 => numbers("td_quote", wire.third, MAX_TD_QUOTE_LEN)?,
            _ => base64url("td_quote", wire.third, MAX_TD_QUOTE_LEN)?,
        };
        Ok(Self { version, hcl: wire.hcl, quote: wire.quote, td_quote })
    }

    /// Takes evidence from a text, see [`AzSnpEvidence::from_json`].
    ///
    /// # Errors
    ///
    /// See [`WireError`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, WireError> {
        json(bytes).and_then(|value| Self::from_value(&value))
    }
}

/// What both kinds have in the same form, and the third member.
struct Wire<'a> {
    quote: VtpmQuote,
    hcl: HclReport,
    third: &'a Value,
}

impl<'a> Wire<'a> {
    /// Members are quote, report and the third, by their names in version 0 and later.
    fn open(
        value: &'a Value,
        version: u8,
        first_names: [&'static str; 3],
        later_names: [&'static str; 3],
    ) -> Result<Self, WireError> {
        let names = if version == 0 { first_names } else { later_names };
        let mut expected = names.to_vec();
        if version > 0 {
            expected.push("version");
        }
        let object = members("the evidence", value, &expected)?;
        let [quote_name, report_name, third_name] = names;
        let get = |name| object.get(name).unwrap_or(&Value::Null);
        let report = get(report_name);
        let report = match version {
            0 => numbers(report_name, report, MAX_HCL_LEN)?,
            _ => base64url(report_name, report, MAX_HCL_LEN)?,
        };
        let quote = quote(version, get(quote_name))?;
        Ok(Self { quote, hcl: HclReport::parse(&report)?, third: get(third_name) })
    }
}

fn json(bytes: &[u8]) -> Result<Value, WireError> {
    if bytes.len() > MAX_WIRE_LEN {
        return Err(WireError::TooLong { what: "a text", expected: MAX_WIRE_LEN, found: bytes.len() });
    }
    serde_json::from_slice(bytes).map_err(|error| WireError::Json { found: error.to_string() })
}

fn version(value: &Value) -> Result<u8, WireError> {
    match value.get("version") {
        None => Ok(0),
        Some(found) => match found.as_u64() {
            Some(1) => Ok(1),
            Some(2) => Ok(2),
            _ => Err(WireError::Version { found: found.to_string().chars().take(32).collect() }),
        },
    }
}

fn quote(version: u8, value: &Value) -> Result<VtpmQuote, WireError> {
    let object = members("the quote", value, &["signature", "message", "pcrs"])?;
    let get = |name| object.get(name).unwrap_or(&Value::Null);
    let bytes =
        |what, value, most| if version == 0 { numbers(what, value, most) } else { hex(what, value, most) };
    let (signature, message) =
        (bytes("signature", get("signature"), MAX_PART)?, bytes("message", get("message"), MAX_PART)?);
    let list = get("pcrs").as_array().ok_or_else(|| form("pcrs", "an array", "something else"))?;
    if list.len() > PCR_COUNT {
        return Err(WireError::TooLong { what: "a list of PCRs", expected: PCR_COUNT, found: list.len() });
    }
    let pcrs: Vec<_> = list.iter().map(|value| bytes("a PCR", value, 64)).collect::<Result<_, _>>()?;
    Ok(VtpmQuote::new(&signature, &message, &pcrs)?)
}

/// An object with exactly these members.
fn members<'a>(
    what: &'static str,
    value: &'a Value,
    expected: &[&'static str],
) -> Result<&'a Map<String, Value>, WireError> {
    let object = value.as_object().ok_or_else(|| form(what, "an object", "something else"))?;
    if object.len() == expected.len() && expected.iter().all(|name| object.contains_key(*name)) {
        return Ok(object);
    }
    let found = object.keys().take(16).map(|name| name.chars().take(32).collect()).collect();
    Err(WireError::Members { what, expected: expected.to_vec(), found })
}

fn numbers(what: &'static str, value: &Value, most: usize) -> Result<Vec<u8>, WireError> {
    let refused = || form(what, "an array of bytes", "something else");
    let list = value.as_array().ok_or_else(refused)?;
    if list.len() > most {
        return Err(WireError::TooLong { what, expected: most, found: list.len() });
    }
    list.iter()
        .map(|value| value.as_u64().and_then(|number| u8::try_from(number).ok()).ok_or_else(refused))
        .collect()
}

/// A string of which at most `most` bytes can come, in hex or base64.
fn text<'a>(what: &'static str, value: &'a Value, most: usize) -> Result<&'a str, WireError> {
    let text = value.as_str().ok_or_else(|| form(what, "a string", "something else"))?;
    match text.len() {
        found if found > most.saturating_mul(2) => {
            Err(WireError::TooLong { what, expected: most.saturating_mul(2), found })
        }
        _ => Ok(text),
    }
}

fn hex(what: &'static str, value: &Value, most: usize) -> Result<Vec<u8>, WireError> {
    hex::decode(text(what, value, most)?).map_err(|error| form(what, "hex", &error.to_string()))
}

fn base64url(what: &'static str, value: &Value, most: usize) -> Result<Vec<u8>, WireError> {
    URL_SAFE
        .decode(text(what, value, most)?)
        .map_err(|error| form(what, "base64url with padding", &error.to_string()))
}

fn form(what: &'static str, expected: &'static str, found: &str) -> WireError {
    WireError::Form { what, expected, found: found.to_owned() }
}
