//! The text form of the log (`ascii_runtime_measurements`; `ima_ascii_measurements_show` in `ima_fs.c`).
//!
//! One line for each entry: PCR, template digest in hex, template name and the fields, each after one space. A field that is
//! empty leaves its space. The kernel writes names as they are, with `_` for a space; a name with a line break in it makes
//! a log that cannot be read. Numbers are decimal, all else is hex.
//!
//! A text is turned into the binary form, so that one parser decides what an entry means. Byte order is little-endian then.

use super::template::{Field, Template};
use super::{Bank, IMA_DIGEST, Log, MAX_DATA, MAX_IMA_NAME, MAX_PCR, MAX_TEMPLATE_NAME};
use thiserror::Error;

/// Why a text is not a log. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("IMA log, line {line}: {what}")]
pub struct TextError {
    /// Which line.
    pub line: usize,
    /// What is wrong with it.
    pub what: LineError,
}

/// What is wrong with one line. Texts of the log are cut to 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LineError {
    /// It has fewer than three words.
    #[error("expected PCR, template digest and template name")]
    Words,
    /// The first word is no PCR.
    #[error("PCR {found:?}, expected a number up to {expected}")]
    Pcr {
        /// The highest PCR.
        expected: u32,
        /// The word found.
        found: String,
    },
    /// The second word is not the hex of a digest of the log's bank, which the first line fixes.
    #[error("template digest {found:?}, expected {expected} hex digits")]
    Digest {
        /// How many hex digits: 40, 64, 96 or 128.
        expected: &'static str,
        /// The word found.
        found: String,
    },
    /// The template is not known.
    #[error("template {found:?} is not known")]
    Template {
        /// Its name.
        found: String,
    },
    /// More words than the template has fields.
    #[error("{found} fields, expected {expected}")]
    Fields {
        /// How many the template has.
        expected: usize,
        /// How many words there are.
        found: usize,
    },
    /// A field is not in its form.
    #[error("field {field}: {found:?} is not {expected}")]
    Field {
        /// The field, as the kernel names it.
        field: &'static str,
        /// The form that it has.
        expected: &'static str,
        /// The word found.
        found: String,
    },
}

/// A log that came as text, in the binary form.
#[derive(Debug, Clone)]
pub struct TextLog {
    bytes: Vec<u8>,
    bank: Bank,
}

/// Whether these bytes are a log in the text form rather than in the binary one: they start with the digits of a PCR.
pub fn is_text(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    let digits = start.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=2).contains(&digits) && start.get(digits) == Some(&b' ')
}

impl TextLog {
    /// Reads a text. Takes no more memory than four times its length: each field gains a length and loses a space.
    ///
    /// A log whose last lines lost the spaces of their empty fields is taken: what an entry is worth is decided by its
    /// digest. An empty text is a log of SHA-256 without entries.
    ///
    /// # Errors
    ///
    /// The first line that is none.
    pub fn parse(text: &[u8]) -> Result<Self, TextError> {
        let mut bytes = Vec::new();
        let mut bank = None;
        for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
            if !line.is_empty() {
                entry(&mut bytes, &mut bank, line).map_err(|what| TextError { line: number, what })?;
            }
        }
        Ok(Self { bytes, bank: bank.unwrap_or(Bank::Sha256) })
    }

    /// The bank of its template digests, by their length.
    pub fn bank(&self) -> Bank {
        self.bank
    }

    /// The log in the binary form, little-endian.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The entries; see [`Log::new`].
    pub fn log(&self, max_entries: u64) -> Log<'_> {
        Log::new(&self.bytes, self.bank, max_entries)
    }
}

fn entry(out: &mut Vec<u8>, bank: &mut Option<Bank>, line: &[u8]) -> Result<(), LineError> {
    let mut words = line.trim_ascii_start().splitn(4, |byte| *byte == b' ');
    let (Some(pcr), Some(digest), Some(name)) = (words.next(), words.next(), words.next()) else {
        return Err(LineError::Words);
    };
    let number = decimal(pcr).filter(|pcr| *pcr <= MAX_PCR);
    let number = number.ok_or_else(|| LineError::Pcr { expected: MAX_PCR, found: cut(pcr) })?;
    out.extend(number.to_le_bytes());
    let wrong = |expected| LineError::Digest { expected, found: cut(digest) };
    let of_length = Bank::ALL.into_iter().find(|bank| 2 * bank.digest_len() == digest.len());
    let of_length = of_length.ok_or_else(|| wrong("40, 64, 96 or 128"))?;
    if *bank.get_or_insert(of_length) != of_length {
        return Err(wrong("as many as before:"));
    }
    hex_into(out, digest).ok_or_else(|| wrong("all"))?;
    let known = std::str::from_utf8(name).ok().filter(|name| name.len() <= MAX_TEMPLATE_NAME);
    let template = known.and_then(Template::find).ok_or_else(|| LineError::Template { found: cut(name) })?;
    out.extend((name.len() as u32).to_le_bytes());
    out.extend(name);
    fields(out, &template, words.next())
}

fn fields(out: &mut Vec<u8>, template: &Template, rest: Option<&[u8]>) -> Result<(), LineError> {
    let expected = if template.is_ima() { 2 } else { template.fields().len() };
    let found = rest.map_or(0, |rest| rest.split(|byte| *byte == b' ').count());
    if found > expected {
        return Err(LineError::Fields { expected, found });
    }
    let words = rest.into_iter().flat_map(|rest| rest.split(|byte| *byte == b' '));
    let mut words = words.chain(std::iter::repeat(&b""[..]));
    let mut next = || words.next().unwrap_or_default();
    if template.is_ima() {
        return ima_fields(out, next(), next());
    }
    let start = out.len();
    out.extend([0; 4]);
    for field in template.fields() {
        let (word, at) = (next(), out.len());
        out.extend([0; 4]);
        value(out, *field, word).map_err(|expected| LineError::Field {
            field: field.name(),
            expected,
            found: cut(word),
        })?;
        sized(out, at, MAX_DATA, field.name())?;
    }
    sized(out, start, MAX_DATA, "")
}

/// Template `ima` has no length for its data, and its name no terminator.
fn ima_fields(out: &mut Vec<u8>, digest: &[u8], name: &[u8]) -> Result<(), LineError> {
    let wrong = |field, expected, word| LineError::Field { field, expected, found: cut(word) };
    if digest.len() != 2 * IMA_DIGEST || hex_into(out, digest).is_none() {
        return Err(wrong("d", "the hex of a SHA-1 digest", digest));
    }
    if name.len() > MAX_IMA_NAME {
        return Err(wrong("n", "a name of at most 255 bytes", name));
    }
    out.extend((name.len() as u32).to_le_bytes());
    out.extend(name);
    Ok(())
}

/// Writes the length of what was written since `at`, where room for it was left.
fn sized(out: &mut [u8], at: usize, max: usize, field: &'static str) -> Result<(), LineError> {
    let length = out.len().saturating_sub(at).saturating_sub(4);
    let room = out.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<4>());
    match (room, u32::try_from(length)) {
        (Some(room), Ok(short)) if length <= max => {
            *room = short.to_le_bytes();
            Ok(())
        }
        _ => Err(LineError::Field { field, expected: "within the budget of a field", found: String::new() }),
    }
}

/// One field's value; says in what form it should have been.
fn value(out: &mut Vec<u8>, field: Field, word: &[u8]) -> Result<(), &'static str> {
    if word.is_empty() {
        return Ok(());
    }
    match field {
        Field::Digest
        | Field::Signature
        | Field::Buffer
        | Field::Modsig
        | Field::EvmSignature
        | Field::XattrLengths
        | Field::XattrValues => hex_into(out, word).ok_or("hex"),
        Field::DigestNg | Field::DigestNgV2 | Field::ModsigDigest => {
            let form = "an algorithm, a colon and a digest in hex";
            let colon = word.iter().rposition(|byte| *byte == b':').ok_or(form)?;
            let (algorithm, digest) = word.split_at_checked(colon.saturating_add(1)).ok_or(form)?;
            out.extend(algorithm);
            out.push(0);
            hex_into(out, digest).ok_or(form)
        }
        Field::Name | Field::NameNg | Field::XattrNames => {
            out.extend(word);
            out.push(0);
            Ok(())
        }
        Field::Uid | Field::Gid => {
            out.extend(decimal(word).ok_or("a number of 32 bits")?.to_le_bytes());
            Ok(())
        }
        Field::Mode => {
            let mode = decimal(word).and_then(|mode| u16::try_from(mode).ok());
            out.extend(mode.ok_or("a number of 16 bits")?.to_le_bytes());
            Ok(())
        }
    }
}

fn decimal(word: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(word).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn hex_into(out: &mut Vec<u8>, digits: &[u8]) -> Option<()> {
    let nibble = |digit: &u8| char::from(*digit).to_digit(16);
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    for [high, low] in pairs {
        out.push((nibble(high)? << 4 | nibble(low)?) as u8);
    }
    Some(())
}

fn cut(word: &[u8]) -> String {
    String::from_utf8_lossy(word.get(..64).unwrap_or(word)).into_owned()
}

#[cfg(test)]
mod tests;
