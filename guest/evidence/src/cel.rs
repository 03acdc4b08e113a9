//! The workload log: TCG Canonical Event Log, TLV encoding (TCG CEL version 1.0, revision 0.41, section 5).
//!
//! A log is records one after the other, a record is four TLVs: record number, PCR, digests, content. A TLV
//! is a type byte, a big-endian u32 length and the value. sealpod writes one digest per record, SHA-256,
//! and its own content type; that narrow form is all that is read.

use crate::initdata;
use crate::reader::{ReadError, Reader};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Content type of a sealpod record: the JSON of one [`crate::workload::WorkloadEvent`]. The TCG has given
/// out 4 to 8 for contents; this one is from the far end of the byte, and private to sealpod.
pub const CONTENT_TYPE: u8 = 0xD3;
/// Most records in a log: one per container of a pod, restarts included.
pub const MAX_RECORDS: usize = 4096;
/// Most bytes of content: a container is started only where initdata has the like of it, and its JSON is at
/// most twice as long as its TOML but for control characters, which no workload has reason to use.
pub const MAX_CONTENT: usize = 2 * initdata::MAX_LEN;
/// PCRs of a PC client TPM are 0 to 23.
pub const MAX_PCR: u8 = 23;

/// TLV types of the fields (section 5.1).
const RECNUM: u8 = 0;
const PCR: u8 = 1;
const DIGESTS: u8 = 3;
/// TPM_ALG_SHA256, which is the TLV type of a digest.
const SHA256: u8 = 0x0B;
/// A type and a length.
const HEADER_LEN: usize = 5;

/// One record. That the digest is of this content, and that it was extended, is for a replay to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Counts from zero.
    pub recnum: u64,
    /// The PCR that was extended.
    pub pcr: u8,
    /// What the SHA-256 bank was extended with.
    pub sha256: [u8; 32],
    /// The JSON of the event.
    pub content: Vec<u8>,
}

impl Record {
    /// SHA-256 of the content: what [`Record::sha256`] must be.
    pub fn content_digest(&self) -> [u8; 32] {
        Sha256::digest(&self.content).into()
    }
}

/// Why bytes are not a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CelError {
    /// The bytes end inside a field, or a field is longer than its value.
    #[error("workload log: {0}")]
    Read(#[from] ReadError),
    /// Another field than the one that comes next.
    #[error("workload log: record {record} has a field of type {found}, expected {expected}")]
    Type {
        /// Which record, from zero.
        record: u64,
        /// The type expected.
        expected: u8,
        /// The type found.
        found: u8,
    },
    /// A field of another length than it has.
    #[error("workload log: field {field} of record {record} has {found} bytes, expected {expected}")]
    Length {
        /// Which record, from zero.
        record: u64,
        /// The field's type.
        field: u8,
        /// The length expected.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// Record numbers do not count from zero: a record was left out, repeated or moved.
    #[error("workload log: record {expected} has number {found}")]
    RecordNumber {
        /// The number expected.
        expected: u64,
        /// The number found.
        found: u64,
    },
    /// A PCR that no TPM has.
    #[error("workload log: record {record} names PCR {found}, the last is {MAX_PCR}")]
    Pcr {
        /// Which record, from zero.
        record: u64,
        /// The PCR found.
        found: u8,
    },
    /// More content than the budget.
    #[error("workload log: record {record} has {found} bytes of content, at most {expected} are read")]
    ContentTooLong {
        /// Which record, from zero.
        record: u64,
        /// [`MAX_CONTENT`].
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// More records than the budget.
    #[error("workload log: more than {expected} records")]
    TooManyRecords {
        /// [`MAX_RECORDS`].
        expected: usize,
    },
}

/// Writes a log. What [`parse`] would refuse is the caller's to avoid.
pub fn encode(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::new();
    for record in records {
        tlv(&mut out, RECNUM, &record.recnum.to_be_bytes());
        tlv(&mut out, PCR, &[record.pcr]);
        let mut digest = Vec::with_capacity(HEADER_LEN + record.sha256.len());
        tlv(&mut digest, SHA256, &record.sha256);
        tlv(&mut out, DIGESTS, &digest);
        tlv(&mut out, CONTENT_TYPE, &record.content);
    }
    out
}

/// Reads a whole log; no bytes at all are a log without records.
///
/// # Errors
///
/// See [`CelError`].
pub fn parse(bytes: &[u8]) -> Result<Vec<Record>, CelError> {
    let mut reader = Reader::new(bytes);
    let mut records = Vec::new();
    while !reader.is_empty() {
        if records.len() == MAX_RECORDS {
            return Err(CelError::TooManyRecords { expected: MAX_RECORDS });
        }
        records.push(record(&mut reader, records.len() as u64)?);
    }
    Ok(records)
}

fn record(reader: &mut Reader<'_>, index: u64) -> Result<Record, CelError> {
    let recnum = u64::from_be_bytes(fixed(reader, index, RECNUM)?);
    if recnum != index {
        return Err(CelError::RecordNumber { expected: index, found: recnum });
    }
    let [pcr] = fixed(reader, index, PCR)?;
    if pcr > MAX_PCR {
        return Err(CelError::Pcr { record: index, found: pcr });
    }
    // The digests field holds TLVs of its own; with one digest in it, its length is known.
    let digests: [u8; HEADER_LEN + 32] = fixed(reader, index, DIGESTS)?;
    let mut inner = Reader::new(&digests);
    let sha256 = fixed(&mut inner, index, SHA256)?;
    inner.finish()?;
    let found = header(reader, index, CONTENT_TYPE)?;
    if found > MAX_CONTENT {
        return Err(CelError::ContentTooLong { record: index, expected: MAX_CONTENT, found });
    }
    let content = reader.take(found)?.to_vec();
    Ok(Record { recnum, pcr, sha256, content })
}

/// A field of exactly `N` bytes.
fn fixed<const N: usize>(reader: &mut Reader<'_>, record: u64, field: u8) -> Result<[u8; N], CelError> {
    let found = header(reader, record, field)?;
    if found != N {
        return Err(CelError::Length { record, field, expected: N, found });
    }
    Ok(reader.array()?)
}

/// The length of the next field, which must be of this type.
fn header(reader: &mut Reader<'_>, record: u64, expected: u8) -> Result<usize, CelError> {
    let found = reader.u8()?;
    if found != expected {
        return Err(CelError::Type { record, expected, found });
    }
    Ok(reader.be_u32()? as usize)
}

fn tlv(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    out.push(kind);
    // A value past u32 is far over the budget, and what is written for it is refused by every parser.
    out.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(recnum: u64, content: &[u8]) -> Record {
        Record { recnum, pcr: 13, sha256: Sha256::digest(content).into(), content: content.to_vec() }
    }

    fn log() -> Vec<Record> {
        vec![record(0, b"{\"a\":1}"), record(1, b""), record(2, b"{}")]
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(parse(&encode(&log())).unwrap(), log());
        assert_eq!(parse(&[]).unwrap(), []);
        assert!(log().iter().all(|record| record.content_digest() == record.sha256));
    }

    #[test]
    fn the_bytes_are_those_of_the_document() {
        let bytes = encode(&[Record { recnum: 0, pcr: 13, sha256: [0xaa; 32], content: b"{}".to_vec() }]);
        let expected = format!(
            "00 00000008 0000000000000000 01 00000001 0d 03 00000025 0b 00000020 {} d3 00000002 7b7d",
            "aa".repeat(32)
        );
        assert_eq!(hex::encode(bytes), expected.replace(' ', ""));
    }

    #[test]
    fn a_log_cut_inside_a_record_is_refused() {
        let bytes = encode(&log());
        let ends: Vec<usize> = (0..=3).map(|n| encode(&log()[..n]).len()).collect();
        for length in 0..bytes.len() {
            assert_eq!(parse(&bytes[..length]).is_ok(), ends.contains(&length), "{length} bytes");
        }
    }

    #[test]
    fn a_trailing_byte_is_refused() {
        for byte in 0..=255 {
            assert!(parse(&[encode(&log()), vec![byte]].concat()).is_err());
        }
    }

    #[test]
    fn records_left_out_moved_or_repeated_are_refused() {
        let [a, b, c] = [0, 1, 2].map(|n| log()[n].clone());
        for (records, expected, found) in [
            (vec![b.clone()], 0, 1),
            (vec![a.clone(), c.clone()], 1, 2),
            (vec![a.clone(), a.clone()], 1, 0),
            (vec![b, a, c], 0, 1),
        ] {
            assert_eq!(parse(&encode(&records)), Err(CelError::RecordNumber { expected, found }));
        }
    }

    #[test]
    fn each_spoiled_field_has_its_own_error() {
        let spoil = |at: usize, byte: u8| {
            let mut bytes = encode(&log()[..1]);
            bytes[at] = byte;
            parse(&bytes).unwrap_err()
        };
        assert_eq!(spoil(0, 1), CelError::Type { record: 0, expected: RECNUM, found: 1 });
        assert_eq!(spoil(4, 4), CelError::Length { record: 0, field: RECNUM, expected: 8, found: 4 });
        assert_eq!(spoil(18, 24), CelError::Pcr { record: 0, found: 24 });
        assert_eq!(spoil(23, 42), CelError::Length { record: 0, field: DIGESTS, expected: 37, found: 42 });
        assert_eq!(spoil(24, 4), CelError::Type { record: 0, expected: SHA256, found: 4 });
        assert_eq!(spoil(28, 31), CelError::Length { record: 0, field: SHA256, expected: 32, found: 31 });
        assert_eq!(spoil(61, 5), CelError::Type { record: 0, expected: CONTENT_TYPE, found: 5 });
        let found = 0xff00_0007;
        assert_eq!(spoil(62, 0xff), CelError::ContentTooLong { record: 0, expected: MAX_CONTENT, found });
    }

    #[test]
    fn the_number_of_records_is_bounded() {
        let records: Vec<Record> = (0..=MAX_RECORDS as u64).map(|n| record(n, b"")).collect();
        assert_eq!(parse(&encode(&records[..MAX_RECORDS])).unwrap().len(), MAX_RECORDS);
        let expected = CelError::TooManyRecords { expected: MAX_RECORDS };
        assert_eq!(parse(&encode(&records)), Err(expected));
    }
}
