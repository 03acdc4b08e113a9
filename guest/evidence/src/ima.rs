//! The binary measurement log of Linux IMA (`/sys/kernel/security/integrity/ima/binary_runtime_measurements*`).
//!
//! Format: Linux `Documentation/security/IMA-templates.rst` and `security/integrity/ima/ima_fs.c`. Each entry is
//! u32 PCR, digest of the bank's size, u32 length and template name, u32 length and template data; the length of
//! the data is missing for template `ima`. Integers are in the byte order of the machine that wrote the log, or
//! little-endian with `ima_canonical_fmt`.
//!
//! An entry that parses is well formed and no more: it counts once its template digest is recomputed with
//! [`Entry::hash_parts`] *and* the digests replay to a quoted PCR. Nothing here allocates per entry.

mod detect;
mod fields;
mod template;
#[cfg(test)]
mod tests;
mod text;

pub use detect::detect;
pub use fields::{DigestKind, FieldError, Fields, FileDigest};
pub use text::{LineError, TextError, TextLog, is_text};

use crate::reader::{ReadError, Reader};
use template::Template;
use thiserror::Error;

/// Longest template name, in bytes: a custom format is at most 15 fields of up to 15 characters and their bars
/// (ima.h, `IMA_TEMPLATE_NUM_FIELDS_MAX`, `IMA_TEMPLATE_FIELD_ID_MAX_LEN`).
pub const MAX_TEMPLATE_NAME: usize = 255;
/// Longest template data, in bytes: a path of 4 KiB and extended attributes of up to 64 KiB (`XATTR_SIZE_MAX`), doubled.
pub const MAX_DATA: usize = 128 * 1024;
/// Longest file name of template `ima` without its terminator (ima.h, `IMA_EVENT_NAME_LEN_MAX`).
pub const MAX_IMA_NAME: usize = 255;
/// Length of the file digest of template `ima`.
const IMA_DIGEST: usize = 20;
/// What the kernel hashes for the file name of template `ima`: the name padded with zeros.
const IMA_NAME_BUFFER: [u8; MAX_IMA_NAME + 1] = [0; MAX_IMA_NAME + 1];
/// What a PCR is extended with for a violation.
const VIOLATION: [u8; 64] = [0xff; 64];
/// Highest PCR of a PC Client TPM.
const MAX_PCR: u32 = 23;

/// A hash algorithm: of a PCR bank, which fixes the size of template digests, or of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// `sha1`
    Sha1,
    /// `sha256`
    Sha256,
    /// `sha384`
    Sha384,
    /// `sha512`
    Sha512,
}

/// The bank whose log is read.
pub type Bank = HashAlgorithm;

/// Byte order of the integers in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ByteOrder {
    /// x86, and every machine with `ima_canonical_fmt`.
    #[default]
    Little,
    /// Big-endian machines.
    Big,
}

/// Why a log does not parse. Indices count entries as [`Entry::index`] does.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImaError {
    /// More entries than the caller allows.
    #[error("IMA log has more than {expected} entries")]
    TooManyEntries {
        /// The limit.
        expected: u64,
    },
    /// The entry reaches past the end of the log.
    #[error("IMA entry {index} is cut: {read}")]
    Cut {
        /// Which entry.
        index: u64,
        /// Offset from the start of the bytes given.
        read: ReadError,
    },
    /// A PCR that no TPM has.
    #[error("IMA entry {index}: PCR {found} is more than {expected}")]
    Pcr {
        /// Which entry.
        index: u64,
        /// The highest PCR.
        expected: u32,
        /// The PCR found.
        found: u32,
    },
    /// A length above its budget: [`MAX_TEMPLATE_NAME`], [`MAX_DATA`] or [`MAX_IMA_NAME`].
    #[error("IMA entry {index}: {what} is {found} bytes, more than the {expected} allowed")]
    TooLong {
        /// Which entry.
        index: u64,
        /// Of what.
        what: &'static str,
        /// The limit.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// The name is neither a template of the kernel nor a format of distinct known fields.
    #[error("IMA entry {index}: template {name:?} is not known")]
    UnknownTemplate {
        /// Which entry.
        index: u64,
        /// The template name.
        name: String,
    },
    /// A field of the template data is malformed.
    #[error("IMA entry {index}, field {field}: {what}")]
    Field {
        /// Which entry.
        index: u64,
        /// The field, as the kernel names it; empty for the data as a whole.
        field: &'static str,
        /// What is wrong with it.
        what: FieldError,
    },
}

/// Bytes of a log and how to read them.
#[derive(Debug, Clone, Copy)]
pub struct Log<'a> {
    bytes: &'a [u8],
    bank: Bank,
    order: ByteOrder,
    first_index: u64,
    max_entries: u64,
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Position in the machine's whole log, from 0.
    pub index: u64,
    /// The PCR extended; 10 unless the IMA policy says otherwise.
    pub pcr: u32,
    /// Digest of the template data, or zeros for a violation.
    pub template_digest: &'a [u8],
    /// `ima-sig`, ..., or the format string of a custom template.
    pub template_name: &'a str,
    /// The template's fields, as the log has them.
    pub template_data: &'a [u8],
    template: Template,
    order: ByteOrder,
}

/// Iterates over entries; after an error it ends.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    reader: Reader<'a>,
    offset: usize,
    log: Log<'a>,
    index: u64,
    left: u64,
    // Neighbouring entries mostly share the template; comparing names is cheaper than looking them up.
    last: Option<(&'a str, Template)>,
}

impl HashAlgorithm {
    /// All, with those first that logs hold most.
    pub const ALL: [Self; 4] = [Self::Sha256, Self::Sha1, Self::Sha384, Self::Sha512];

    /// The kernel's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Digest length in bytes.
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The algorithm of a kernel name; `None` for one that is not supported.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

impl<'a> Log<'a> {
    /// A whole log of one bank, little-endian. Iteration stops with an error after `max_entries`.
    pub fn new(bytes: &'a [u8], bank: Bank, max_entries: u64) -> Self {
        Self { bytes, bank, order: ByteOrder::Little, first_index: 0, max_entries }
    }

    /// The same in another byte order.
    pub fn with_byte_order(self, order: ByteOrder) -> Self {
        Self { order, ..self }
    }

    /// The same as a part of a log: its first entry is number `first_index` of the whole.
    pub fn starting_at(self, first_index: u64) -> Self {
        Self { first_index, ..self }
    }

    /// The bank whose digests it has.
    pub fn bank(&self) -> Bank {
        self.bank
    }

    /// The entries in order. Each byte belongs to one of them, or the last item is an error.
    pub fn entries(&self) -> Entries<'a> {
        Entries {
            reader: Reader::new(self.bytes),
            offset: 0,
            log: *self,
            index: self.first_index,
            left: self.max_entries,
            last: None,
        }
    }
}

impl Entries<'_> {
    /// Bytes of the log that the entries so far take up.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, ImaError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let entry = self.read();
        match &entry {
            Ok(_) => self.offset = self.reader.offset(),
            Err(_) => self.reader = Reader::new(&[]),
        }
        Some(entry)
    }
}

impl<'a> Entries<'a> {
    fn read(&mut self) -> Result<Entry<'a>, ImaError> {
        let (index, order) = (self.index, self.log.order);
        let cut = |read| ImaError::Cut { index, read };
        self.left =
            self.left.checked_sub(1).ok_or(ImaError::TooManyEntries { expected: self.log.max_entries })?;
        let pcr = word(&mut self.reader, order).map_err(cut)?;
        if pcr > MAX_PCR {
            return Err(ImaError::Pcr { index, expected: MAX_PCR, found: pcr });
        }
        let template_digest = self.reader.take(self.log.bank.digest_len()).map_err(cut)?;
        let name = self.text(MAX_TEMPLATE_NAME, "the template name")?;
        let (template_name, template) = self.template(name)?;
        let template_data =
            if template.is_ima() { self.ima_data()? } else { self.text(MAX_DATA, "the template data")? };
        self.index = index.saturating_add(1);
        Ok(Entry { index, pcr, template_digest, template_name, template_data, template, order })
    }

    /// A length within budget and that many bytes.
    fn text(&mut self, expected: usize, what: &'static str) -> Result<&'a [u8], ImaError> {
        let index = self.index;
        let cut = |read| ImaError::Cut { index, read };
        let found = word(&mut self.reader, self.log.order).map_err(cut)? as usize;
        if found > expected {
            return Err(ImaError::TooLong { index, what, expected, found });
        }
        self.reader.take(found).map_err(cut)
    }

    fn template(&mut self, name: &'a [u8]) -> Result<(&'a str, Template), ImaError> {
        if let Some(last) = self.last
            && last.0.as_bytes() == name
        {
            return Ok(last);
        }
        let known = std::str::from_utf8(name).ok().and_then(|name| Some((name, Template::find(name)?)));
        self.last = known;
        known.ok_or_else(|| {
            let name = String::from_utf8_lossy(name).into_owned();
            ImaError::UnknownTemplate { index: self.index, name }
        })
    }

    /// Template `ima` has no length for its data: a digest of 20 bytes, then length and name.
    fn ima_data(&mut self) -> Result<&'a [u8], ImaError> {
        let index = self.index;
        let start = self.reader.rest();
        self.reader.take(IMA_DIGEST).map_err(|read| ImaError::Cut { index, read })?;
        self.text(MAX_IMA_NAME, "the file name")?;
        let len = start.len().saturating_sub(self.reader.rest().len());
        Ok(start.get(..len).unwrap_or_default())
    }
}

impl<'a> Entry<'a> {
    /// Whether the kernel could not vouch for the file (open for writing while measured, or the reverse): the
    /// template digest is all zeros. Nothing about the file is established then.
    pub fn is_violation(&self) -> bool {
        self.template_digest.iter().all(|byte| *byte == 0)
    }

    /// What the PCR was extended with: the template digest, or 0xFF bytes for a violation.
    pub fn extended(&self) -> &'a [u8] {
        if self.is_violation() {
            VIOLATION.get(..self.template_digest.len()).unwrap_or(&VIOLATION)
        } else {
            self.template_digest
        }
    }

    /// Calls `hash` with exactly the bytes, in order, that the kernel hashes for the template digest. Whoever
    /// verifies must compare the result with [`Self::template_digest`], unless the entry is a violation.
    pub fn hash_parts(&self, mut hash: impl FnMut(&[u8])) {
        if !self.template.is_ima() {
            return hash(self.template_data);
        }
        // The iterator made the data long enough for all of these.
        let (digest, rest) = self.template_data.split_at_checked(IMA_DIGEST).unwrap_or_default();
        let name = rest.get(4..).unwrap_or_default();
        hash(digest);
        hash(name);
        hash(IMA_NAME_BUFFER.get(name.len()..).unwrap_or_default());
    }

    /// The template data, typed. Costs no allocation.
    ///
    /// # Errors
    ///
    /// [`ImaError::Field`] for the first field that is malformed, or for bytes that no field uses.
    pub fn fields(&self) -> Result<Fields<'a>, ImaError> {
        Fields::read(self.template_data, &self.template, self.order)
            .map_err(|(field, what)| ImaError::Field { index: self.index, field, what })
    }

    /// Whether this is the entry that binds the log to the boot: number 0 of the whole log, named `boot_aggregate`.
    /// A later entry of that name is a file or an earlier kernel's (kexec) and is not the one.
    pub fn is_boot_aggregate(&self) -> bool {
        self.index == 0 && self.fields().is_ok_and(|fields| fields.name == Some(b"boot_aggregate"))
    }
}

fn word(reader: &mut Reader<'_>, order: ByteOrder) -> Result<u32, ReadError> {
    match order {
        ByteOrder::Little => reader.le_u32(),
        ByteOrder::Big => reader.be_u32(),
    }
}
