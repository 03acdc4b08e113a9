//! `attest.Attestation` of go-tpm-tools (`proto/attest.proto`, `proto/tpm.proto`), a protocol buffer.
//!
//! Read by hand: five fields of three messages do not pay for a code generator. Fields that are not read are skipped, as the encoding
//! means them to be.

use super::{AkPublic, Contained, ContainedQuote, ContainerError, MAX_QUOTES, form, within};
use crate::reader::Reader;
use crate::tpm::{Attest, HashAlg, PcrBanks, Signature, TpmError};

/// Fields of `Attestation`.
const AK_PUB: u64 = 1;
const QUOTES: u64 = 2;
const EVENT_LOG: u64 = 3;
/// Fields of `Quote`.
const QUOTE: u64 = 1;
const RAW_SIG: u64 = 2;
const PCRS: u64 = 3;
/// Fields of `PCRs`, and of an entry of its map.
const HASH: u64 = 1;
const VALUES: u64 = 2;
const KEY: u64 = 1;
const VALUE: u64 = 2;

/// Takes one `Attestation`. Of a field that may be there once and is there twice, the last one counts, as the encoding has it.
///
/// # Errors
///
/// See [`ContainerError`].
pub fn go_tpm_tools(bytes: &[u8]) -> Result<Contained, ContainerError> {
    within(bytes)?;
    let mut out = Contained::default();
    for field in fields(bytes) {
        match field? {
            (AK_PUB, Value::Bytes(bytes)) => out.ak = Some(AkPublic::parse(bytes)?),
            (QUOTES, Value::Bytes(bytes)) if out.quotes.len() < MAX_QUOTES => out.quotes.push(quote(bytes)?),
            (QUOTES, Value::Bytes(_)) => return Err(form("an attestation", "at most 16 quotes", "more")),
            (EVENT_LOG, Value::Bytes(bytes)) => out.boot_log = bytes.to_vec(),
            _ => {}
        }
    }
    Ok(out)
}

fn quote(bytes: &[u8]) -> Result<ContainedQuote, ContainerError> {
    let (mut message, mut signature, mut pcrs) = (&[][..], &[][..], PcrBanks::default());
    for field in fields(bytes) {
        match field? {
            (QUOTE, Value::Bytes(bytes)) => message = bytes,
            (RAW_SIG, Value::Bytes(bytes)) => signature = bytes,
            (PCRS, Value::Bytes(bytes)) => pcrs = values(bytes)?,
            _ => {}
        }
    }
    Ok(ContainedQuote { attest: Attest::parse(message)?, signature: Signature::parse(signature)?, pcrs })
}

fn values(bytes: &[u8]) -> Result<PcrBanks, ContainerError> {
    let (mut bank, mut values) = (0, Vec::new());
    for field in fields(bytes) {
        match field? {
            (HASH, Value::Number(number)) => bank = number,
            (VALUES, Value::Bytes(bytes)) => values.push(entry(bytes)?),
            _ => {}
        }
    }
    let found = u16::try_from(bank).unwrap_or(u16::MAX);
    let bank = HashAlg::from_id(found).ok_or(TpmError::Algorithm { what: "bank", found })?;
    let mut out = PcrBanks::default();
    for (pcr, value) in values {
        out.insert(bank, pcr, value)?;
    }
    Ok(out)
}

fn entry(bytes: &[u8]) -> Result<(u8, &[u8]), ContainerError> {
    // A number of zero is not written.
    let (mut pcr, mut value) = (0, &[][..]);
    for field in fields(bytes) {
        match field? {
            (KEY, Value::Number(number)) => pcr = number,
            (VALUE, Value::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((u8::try_from(pcr).unwrap_or(u8::MAX), value))
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of eight or four bytes; none that is read.
    Fixed,
}

/// The fields of one message, in order; ends after the first error.
fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<(u64, Value<'_>), ContainerError>> {
    let mut reader = Some(Reader::new(bytes));
    std::iter::from_fn(move || {
        let current = reader.as_mut().filter(|reader| !reader.is_empty())?;
        let field = field(current);
        if field.is_err() {
            reader = None;
        }
        Some(field)
    })
}

fn field<'a>(reader: &mut Reader<'a>) -> Result<(u64, Value<'a>), ContainerError> {
    let key = varint(reader)?;
    let value = match key & 7 {
        0 => Value::Number(varint(reader)?),
        1 => reader.take(8).map(|_| Value::Fixed)?,
        2 => {
            let length = usize::try_from(varint(reader)?).unwrap_or(usize::MAX);
            Value::Bytes(reader.take(length)?)
        }
        5 => reader.take(4).map(|_| Value::Fixed)?,
        other => return Err(form("a protocol buffer", "a field of type 0, 1, 2 or 5", other)),
    };
    Ok((key >> 3, value))
}

/// Seven bits a byte, least significant first, at most ten bytes.
fn varint(reader: &mut Reader<'_>) -> Result<u64, ContainerError> {
    let mut out = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = reader.u8()?;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            break;
        }
        out |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(out);
        }
    }
    Err(form("a protocol buffer", "a number of 64 bits", "a longer one"))
}
