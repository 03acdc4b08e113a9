//! The certificate table that a host hands to an SNP guest beside a report (AMD 56421, GHCB
//! specification, section 4.1.8.1, `struct cert_table`).
//!
//! Nothing signs the table: it is a hint by an untrusted host about which certificates to try.

use crate::reader::{ReadError, Reader};
use std::fmt;
use thiserror::Error;

/// Most bytes in a table. Four certificates of under 2 KiB and a revocation list of under 1 KiB are
/// usual; Linux takes at most 16 KiB (`SEV_FW_BLOB_MAX_SIZE`).
pub const MAX_LEN: usize = 64 * 1024;
/// Most entries in a table: the known ones, and as many again that are not.
pub const MAX_ENTRIES: usize = 16;

/// GUID, u32 offset, u32 length.
const ENTRY_LEN: usize = 16 + 4 + 4;

/// A GUID in the order of its text form, which is also how tables hold it (RFC 4122 section 4.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// The chip's own signing key.
    pub const VCEK: Self = Self(0x63da758d_e664_4564_adc5_f4b93be8accd_u128.to_be_bytes());
    /// The cloud provider's signing key.
    pub const VLEK: Self = Self(0xa8074bc2_a25a_483e_aae6_39c045a0b8a1_u128.to_be_bytes());
    /// What signed the VCEK, or the VLEK: the document has no GUID of its own for the ASVK.
    pub const ASK: Self = Self(0x4ab7b379_bbac_4fe4_a02f_05aef327c782_u128.to_be_bytes());
    /// AMD's root.
    pub const ARK: Self = Self(0xc0b406a4_a803_4952_9743_3fb6014cd0ae_u128.to_be_bytes());
    /// Certificate revocation list.
    pub const CRL: Self = Self(0x92f81bc3_5811_4d3d_97ff_d19f88dc67ea_u128.to_be_bytes());
    /// Marks the end of a table.
    const END: Self = Self([0; 16]);

    /// Reads the other order that GUIDs are held in: the first three fields little-endian (UEFI, appendix A).
    pub const fn from_le_bytes(bytes: [u8; 16]) -> Self {
        let [a0, a1, a2, a3, b0, b1, c0, c1, d0, d1, d2, d3, d4, d5, d6, d7] = bytes;
        Self([a3, a2, a1, a0, b1, b0, c1, c0, d0, d1, d2, d3, d4, d5, d6, d7])
    }

    /// Writes that order.
    pub const fn to_le_bytes(self) -> [u8; 16] {
        // The same fields are turned around either way.
        Self::from_le_bytes(self.0).0
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = hex::encode(self.0);
        let mut rest = hex.as_str();
        for (index, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
            let (part, tail) = rest.split_at_checked(length).unwrap_or((rest, ""));
            rest = tail;
            if index > 0 {
                f.write_str("-")?;
            }
            f.write_str(part)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why bytes are not a certificate table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CertTableError {
    /// More bytes than the budget.
    #[error("a certificate table has at most {expected} bytes, found {found}")]
    TooLong {
        /// [`MAX_LEN`].
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// More entries than the budget.
    #[error("a certificate table has at most {expected} entries, found more")]
    TooManyEntries {
        /// [`MAX_ENTRIES`].
        expected: usize,
    },
    /// The bytes end before the entry that ends the table.
    #[error("the certificate table has no end: {0}")]
    NoEnd(#[from] ReadError),
    /// The GUID of the last entry is zero, but not the rest of it.
    #[error("the certificate table's last entry has offset {offset} and length {length}, expected zeros")]
    DirtyEnd {
        /// Its offset field.
        offset: u32,
        /// Its length field.
        length: u32,
    },
    /// The same GUID twice.
    #[error("{guid} is twice in the certificate table")]
    Duplicate {
        /// The GUID.
        guid: Guid,
    },
    /// An entry of no bytes.
    #[error("{guid} is empty in the certificate table")]
    Empty {
        /// The GUID.
        guid: Guid,
    },
    /// An entry outside the bytes that follow the entries.
    #[error("{guid} is at {offset} for {length} bytes; the certificate table has {start} to {end} for it")]
    OutOfRange {
        /// The GUID.
        guid: Guid,
        /// Its offset field.
        offset: u32,
        /// Its length field.
        length: u32,
        /// First byte after the entries.
        start: usize,
        /// Length of the table.
        end: usize,
    },
    /// Two entries share bytes.
    #[error("{first} and {second} overlap in the certificate table")]
    Overlap {
        /// The one that starts first.
        first: Guid,
        /// The other.
        second: Guid,
    },
    /// A byte that is neither zero nor in an entry.
    #[error("byte {offset} of the certificate table is in no entry and not zero")]
    Stray {
        /// Its offset.
        offset: usize,
    },
}

/// A well-formed table; the certificates in it are just bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertTable<'a> {
    entries: Vec<(Guid, &'a [u8])>,
}

impl<'a> CertTable<'a> {
    /// Takes a whole table. No bytes at all are a table without entries. Zeros between and after the
    /// certificates are padding, since hosts fill whole pages; every other byte must be in an entry.
    ///
    /// # Errors
    ///
    /// See [`CertTableError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, CertTableError> {
        if bytes.is_empty() {
            return Ok(Self { entries: Vec::new() });
        }
        if bytes.len() > MAX_LEN {
            return Err(CertTableError::TooLong { expected: MAX_LEN, found: bytes.len() });
        }
        let mut reader = Reader::new(bytes);
        let headers = headers(&mut reader)?;
        let start = reader.offset();
        let mut placed = Vec::with_capacity(headers.len());
        for Header { guid, offset, length } in headers {
            if length == 0 {
                return Err(CertTableError::Empty { guid });
            }
            let (from, size) = (offset as usize, length as usize);
            let data = from.checked_add(size).and_then(|end| bytes.get(from..end));
            let data = data.filter(|_| from >= start).ok_or(CertTableError::OutOfRange {
                guid,
                offset,
                length,
                start,
                end: bytes.len(),
            })?;
            placed.push((from, guid, data));
        }
        check_layout(&placed, bytes, start)?;
        Ok(Self { entries: placed.into_iter().map(|(_, guid, data)| (guid, data)).collect() })
    }

    /// The bytes of one entry.
    pub fn get(&self, guid: Guid) -> Option<&'a [u8]> {
        self.entries().find(|entry| entry.0 == guid).map(|entry| entry.1)
    }

    /// All entries, in the order of the table.
    pub fn entries(&self) -> impl Iterator<Item = (Guid, &'a [u8])> + '_ {
        self.entries.iter().copied()
    }
}

/// Writes a table. What [`CertTable::parse`] would refuse (duplicates, empty entries, too much) is the
/// caller's to avoid.
pub fn encode(entries: &[(Guid, &[u8])]) -> Vec<u8> {
    let mut offset = (entries.len() + 1) * ENTRY_LEN;
    let mut out = Vec::with_capacity(offset + entries.iter().map(|entry| entry.1.len()).sum::<usize>());
    // A length past u32 makes a table that is far over the budget, and is refused by every parser.
    let le = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    for (guid, data) in entries {
        out.extend(guid.0);
        out.extend(le(offset));
        out.extend(le(data.len()));
        offset += data.len();
    }
    out.extend([0; ENTRY_LEN]);
    entries.iter().for_each(|(_, data)| out.extend_from_slice(data));
    out
}

struct Header {
    guid: Guid,
    offset: u32,
    length: u32,
}

/// The entries up to the one that ends the table.
fn headers(reader: &mut Reader<'_>) -> Result<Vec<Header>, CertTableError> {
    let mut headers: Vec<Header> = Vec::new();
    loop {
        let guid = Guid(reader.array()?);
        let (offset, length) = (reader.le_u32()?, reader.le_u32()?);
        if guid == Guid::END {
            return match (offset, length) {
                (0, 0) => Ok(headers),
                _ => Err(CertTableError::DirtyEnd { offset, length }),
            };
        }
        if headers.len() == MAX_ENTRIES {
            return Err(CertTableError::TooManyEntries { expected: MAX_ENTRIES });
        }
        if headers.iter().any(|header| header.guid == guid) {
            return Err(CertTableError::Duplicate { guid });
        }
        headers.push(Header { guid, offset, length });
    }
}

/// No two entries share a byte, and what is in none is zero.
fn check_layout(placed: &[(usize, Guid, &[u8])], bytes: &[u8], start: usize) -> Result<(), CertTableError> {
    let mut sorted = placed.to_vec();
    sorted.sort_by_key(|entry| entry.0);
    for pair in sorted.windows(2) {
        if let [(from, first, data), (next, second, _)] = *pair
            && from + data.len() > next
        {
            return Err(CertTableError::Overlap { first, second });
        }
    }
    let mut covered = start;
    let ends = sorted.iter().map(|(from, _, data)| (*from, from + data.len()));
    for (from, end) in ends.chain([(bytes.len(), bytes.len())]) {
        let gap = bytes.iter().enumerate().take(from).skip(covered);
        if let Some((offset, _)) = gap.into_iter().find(|(_, byte)| **byte != 0) {
            return Err(CertTableError::Stray { offset });
        }
        covered = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Vec<u8> {
        encode(&[(Guid::VCEK, b"vcek"), (Guid::ASK, b"as"), (Guid::ARK, b"ark")])
    }

    /// The same entries with one field of one entry set.
    fn with(entry: usize, field: usize, value: u32) -> Vec<u8> {
        let mut bytes = table();
        let at = entry * ENTRY_LEN + 16 + field * 4;
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = table();
        let parsed = CertTable::parse(&bytes).unwrap();
        assert_eq!(parsed.get(Guid::VCEK), Some(&b"vcek"[..]));
        assert_eq!(parsed.get(Guid::ASK), Some(&b"as"[..]));
        assert_eq!(parsed.get(Guid::ARK), Some(&b"ark"[..]));
        assert_eq!(parsed.get(Guid::VLEK), None);
        assert_eq!(parsed.entries().count(), 3);
    }

    #[test]
    fn guids_stand_in_the_order_of_their_text() {
        assert_eq!(Guid::VCEK.to_string(), "63da758d-e664-4564-adc5-f4b93be8accd");
        assert_eq!(table()[..4], [0x63, 0xda, 0x75, 0x8d]);
    }

    #[test]
    fn nothing_and_an_end_alone_are_empty_tables() {
        assert_eq!(CertTable::parse(&[]).unwrap().entries().count(), 0);
        assert_eq!(CertTable::parse(&[0; ENTRY_LEN]).unwrap().entries().count(), 0);
        assert_eq!(encode(&[]), [0; ENTRY_LEN]);
    }

    #[test]
    fn a_table_cut_anywhere_is_refused() {
        let bytes = table();
        for length in 1..bytes.len() {
            assert!(CertTable::parse(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn zeros_are_padding_and_other_bytes_are_not() {
        let mut bytes = table();
        let length = bytes.len();
        bytes.resize(4096, 0);
        assert_eq!(CertTable::parse(&bytes).unwrap(), CertTable::parse(&table()).unwrap());
        bytes[length] = 1;
        assert_eq!(CertTable::parse(&bytes), Err(CertTableError::Stray { offset: length }));
        // The first certificate starts one byte late, so its first byte is in no entry.
        let mut gap = with(0, 0, 97);
        gap[20..24].copy_from_slice(&3u32.to_le_bytes());
        assert_eq!(CertTable::parse(&gap), Err(CertTableError::Stray { offset: 96 }));
    }

    #[test]
    fn entries_must_lie_behind_the_header_and_inside_the_table() {
        for bytes in [with(0, 0, 95), with(0, 0, 0), with(2, 0, 103), with(2, 1, 4), with(2, 1, u32::MAX)] {
            assert!(matches!(CertTable::parse(&bytes), Err(CertTableError::OutOfRange { .. })));
        }
        assert_eq!(CertTable::parse(&with(1, 1, 0)), Err(CertTableError::Empty { guid: Guid::ASK }));
    }

    #[test]
    fn entries_may_not_overlap() {
        let expected = CertTableError::Overlap { first: Guid::VCEK, second: Guid::ASK };
        assert_eq!(CertTable::parse(&with(0, 1, 5)), Err(expected));
        let same = CertTable::parse(&with(1, 0, 96)).unwrap_err();
        assert!(matches!(same, CertTableError::Overlap { .. }));
    }

    #[test]
    fn duplicates_and_a_dirty_end_are_refused() {
        let twice = encode(&[(Guid::VCEK, b"a"), (Guid::VCEK, b"b")]);
        assert_eq!(CertTable::parse(&twice), Err(CertTableError::Duplicate { guid: Guid::VCEK }));
        let expected = CertTableError::DirtyEnd { offset: 0, length: 1 };
        assert_eq!(CertTable::parse(&with(3, 1, 1)), Err(expected));
    }

    #[test]
    fn the_budgets_hold() {
        let guids: Vec<Guid> = (1..=17).map(|n| Guid([n; 16])).collect();
        let entries: Vec<(Guid, &[u8])> = guids.iter().map(|guid| (*guid, &b"x"[..])).collect();
        assert!(CertTable::parse(&encode(&entries[..16])).is_ok());
        let expected = CertTableError::TooManyEntries { expected: 16 };
        assert_eq!(CertTable::parse(&encode(&entries)), Err(expected));
        let long = encode(&[(Guid::CRL, &[0x30; MAX_LEN])]);
        assert!(matches!(CertTable::parse(&long), Err(CertTableError::TooLong { .. })));
    }
}
