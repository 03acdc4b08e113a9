//! The manifest that an SVSM answers an attestation request with (AMD 58019, "Secure VM Service Module for SEV-SNP Guests", revision
//! 1.01, section 7).
//!
//! Asked for one service, an SVSM gives that service's data and nothing around it. Asked for all, it gives a table: a header of GUID,
//! length and count, one entry of GUID, offset and length for each service, and then the services' data. The vTPM's data is its
//! endorsement key, a `TPMT_PUBLIC` (section 8.3.1).

use super::cert_table::Guid;
use crate::reader::{ReadError, Reader};
use thiserror::Error;

/// Marks a table of all services (section 7.1).
pub const SERVICES: Guid = Guid(0x63849ebb_3d92_4670_a1ff_58f9c94b87bb_u128.to_be_bytes());
/// The vTPM's service (section 8.3.1).
pub const VTPM: Guid = Guid(0xc476f1eb_0123_45a5_9641_b4e7dde5bfe3_u128.to_be_bytes());

/// Most bytes of a manifest: a key of 4 KiB, and as much again for other services.
pub const MAX_LEN: usize = 8 * 1024;
/// Most services of one SVSM; the specification names five protocols.
pub const MAX_SERVICES: usize = 16;
/// Header and entry alike: a GUID and two numbers of four bytes.
const ENTRY_LEN: usize = 16 + 4 + 4;

/// Why bytes are not a manifest that names one vTPM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// More bytes than the budget.
    #[error("a services manifest has at most {expected} bytes, found {found}")]
    TooLong {
        /// [`MAX_LEN`].
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// The bytes end inside the header or the entries.
    #[error("the services manifest ends too early: {0}")]
    Short(#[from] ReadError),
    /// The header says another length than there is.
    #[error("the services manifest says that it has {said} bytes, found {found}")]
    Length {
        /// What the header says.
        said: u32,
        /// The length found.
        found: usize,
    },
    /// More services than the budget.
    #[error("a services manifest has at most {expected} services, found {found}")]
    TooManyServices {
        /// [`MAX_SERVICES`].
        expected: usize,
        /// What the header says.
        found: u32,
    },
    /// The same service twice: which of them would count?
    #[error("service {guid} is twice in the services manifest")]
    Duplicate {
        /// The service.
        guid: Guid,
    },
    /// Data that does not begin where the data before it ended. Services share no bytes, and no byte is in none.
    #[error("service {guid} is at {offset} in the services manifest, expected {expected}")]
    Offset {
        /// The service.
        guid: Guid,
        /// Where the next data has to begin.
        expected: usize,
        /// Its offset field.
        offset: u32,
    },
    /// Data that reaches past the end.
    #[error("service {guid} has {length} bytes in the services manifest, where {rest} are left")]
    OutOfRange {
        /// The service.
        guid: Guid,
        /// Its length field.
        length: u32,
        /// The bytes left.
        rest: usize,
    },
    /// Bytes behind the last service's data.
    #[error("{found} bytes of the services manifest are in no service")]
    Trailing {
        /// How many.
        found: usize,
    },
    /// A table without a vTPM.
    #[error("the services manifest names no vTPM service, {VTPM}")]
    NoVtpm,
}

/// One service's data, by its GUID.
pub type Service<'a> = (Guid, &'a [u8]);

/// The vTPM's data in a manifest of either form.
///
/// What begins with the GUID of a table is a table; nothing else is, since a `TPMT_PUBLIC` begins with an algorithm of two bytes. In a
/// manifest of one service nothing says which service that is, so whoever takes its data for a vTPM's must know the SVSM that wrote
/// it, by the launch digest.
///
/// # Errors
///
/// See [`ManifestError`]. A manifest of one service is taken as it is.
pub fn vtpm(manifest: &[u8]) -> Result<&[u8], ManifestError> {
    if manifest.len() > MAX_LEN {
        return Err(ManifestError::TooLong { expected: MAX_LEN, found: manifest.len() });
    }
    if !manifest.starts_with(&SERVICES.to_le_bytes()) {
        return Ok(manifest);
    }
    let services = services(manifest)?;
    services
        .into_iter()
        .find(|service| service.0 == VTPM)
        .map(|service| service.1)
        .ok_or(ManifestError::NoVtpm)
}

/// The services of a table, header included. The data of all of them fills the rest of it, in any order and without gaps.
fn services(manifest: &[u8]) -> Result<Vec<Service<'_>>, ManifestError> {
    let mut reader = Reader::new(manifest);
    reader.take(SERVICES.0.len())?;
    let (said, count) = (reader.le_u32()?, reader.le_u32()?);
    if usize::try_from(said) != Ok(manifest.len()) {
        return Err(ManifestError::Length { said, found: manifest.len() });
    }
    let too_many = ManifestError::TooManyServices { expected: MAX_SERVICES, found: count };
    let count = usize::try_from(count).ok().filter(|count| *count <= MAX_SERVICES).ok_or(too_many)?;
    let mut entries: Vec<(u32, u32, Guid)> = Vec::with_capacity(count);
    for _ in 0..count {
        let guid = Guid::from_le_bytes(reader.array()?);
        if entries.iter().any(|entry| entry.2 == guid) {
            return Err(ManifestError::Duplicate { guid });
        }
        entries.push((reader.le_u32()?, reader.le_u32()?, guid));
    }
    entries.sort_unstable();
    let mut services = Vec::with_capacity(count);
    for (offset, length, guid) in entries {
        let expected = reader.offset();
        if usize::try_from(offset) != Ok(expected) {
            return Err(ManifestError::Offset { guid, expected, offset });
        }
        let rest = reader.rest().len();
        let data = usize::try_from(length).ok().and_then(|length| reader.take(length).ok());
        services.push((guid, data.ok_or(ManifestError::OutOfRange { guid, length, rest })?));
    }
    match reader.rest().len() {
        0 => Ok(services),
        found => Err(ManifestError::Trailing { found }),
    }
}

/// Writes a table of all services. What [`vtpm`] would refuse is the caller's to avoid.
pub fn encode(services: &[Service<'_>]) -> Vec<u8> {
    // A length past u32 makes a table that is far over the budget, and is refused by every parser.
    let le = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    let mut offset = (services.len() + 1) * ENTRY_LEN;
    let length = offset + services.iter().map(|service| service.1.len()).sum::<usize>();
    let mut out = Vec::with_capacity(length);
    out.extend(SERVICES.to_le_bytes());
    out.extend(le(length));
    out.extend(le(services.len()));
    for (guid, data) in services {
        out.extend(guid.to_le_bytes());
        out.extend(le(offset));
        out.extend(le(data.len()));
        offset += data.len();
    }
    services.iter().for_each(|service| out.extend_from_slice(service.1));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: Guid = Guid([0x11; 16]);

    fn table() -> Vec<u8> {
        encode(&[(OTHER, b"other"), (VTPM, b"key")])
    }

    /// The same table with one number set: field 0 or 1 of the header (entry 0) or of a service.
    fn with(entry: usize, field: usize, value: u32) -> Vec<u8> {
        let mut bytes = table();
        let at = entry * ENTRY_LEN + 16 + field * 4;
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        bytes
    }

    #[test]
    fn guids_have_their_first_fields_turned_around() {
        assert_eq!(SERVICES.to_string(), "63849ebb-3d92-4670-a1ff-58f9c94b87bb");
        assert_eq!(hex::encode(&table()[..16]), "bb9e8463923d7046a1ff58f9c94b87bb");
        assert_eq!(Guid::from_le_bytes(VTPM.to_le_bytes()), VTPM);
    }

    #[test]
    fn both_forms_give_the_vtpms_data() {
        assert_eq!(vtpm(b"\0\x23key"), Ok(&b"\0\x23key"[..]));
        assert_eq!(vtpm(&table()), Ok(&b"key"[..]));
        assert_eq!(vtpm(&encode(&[(VTPM, b"key"), (OTHER, b"")])), Ok(&b"key"[..]));
        assert_eq!(vtpm(&encode(&[(OTHER, b""), (VTPM, b"")])), Ok(&b""[..]));
        // Data in another order than the entries.
        let mut turned = encode(&[(VTPM, b"abc"), (OTHER, b"def")]);
        turned[40..44].copy_from_slice(&75_u32.to_le_bytes());
        turned[64..68].copy_from_slice(&72_u32.to_le_bytes());
        assert_eq!(vtpm(&turned), Ok(&b"def"[..]));
    }

    #[test]
    fn lengths_and_counts_are_held_against_the_bytes() {
        let length = table().len();
        for said in [0, length as u32 - 1, length as u32 + 1, u32::MAX] {
            assert_eq!(vtpm(&with(0, 0, said)), Err(ManifestError::Length { said, found: length }));
        }
        let found = 17;
        let too_many = ManifestError::TooManyServices { expected: MAX_SERVICES, found };
        assert_eq!(vtpm(&with(0, 1, found)), Err(too_many));
        assert!(matches!(vtpm(&with(0, 1, 16)), Err(ManifestError::Short(_))));
        // One service less: its entry is then taken for data, which begins elsewhere.
        assert!(matches!(vtpm(&with(0, 1, 1)), Err(ManifestError::Offset { expected: 48, offset: 72, .. })));
        assert_eq!(vtpm(&with(2, 1, 4)), Err(ManifestError::OutOfRange { guid: VTPM, length: 4, rest: 3 }));
        assert_eq!(vtpm(&with(2, 1, 2)), Err(ManifestError::Trailing { found: 1 }));
        let long = encode(&[(VTPM, &[0; MAX_LEN])]);
        assert!(matches!(vtpm(&long), Err(ManifestError::TooLong { .. })));
    }

    #[test]
    fn services_share_no_bytes_and_leave_none_out() {
        // The vTPM's data over the other's, over the entries, in the header, and beyond the end.
        for offset in [74, 60, 0, 4096, u32::MAX] {
            assert!(matches!(vtpm(&with(2, 0, offset)), Err(ManifestError::Offset { .. })), "{offset}");
        }
        assert_eq!(
            vtpm(&with(1, 1, 6)),
            Err(ManifestError::Offset { guid: VTPM, expected: 78, offset: 77 }),
            "an overlap"
        );
        assert!(matches!(vtpm(&with(1, 1, 4)), Err(ManifestError::Offset { expected: 76, offset: 77, .. })));
        assert!(matches!(vtpm(&[&table()[..], &[0]].concat()), Err(ManifestError::Length { .. })));
    }

    #[test]
    fn there_is_one_vtpm() {
        let twice = encode(&[(VTPM, b"a"), (VTPM, b"b")]);
        assert_eq!(vtpm(&twice), Err(ManifestError::Duplicate { guid: VTPM }));
        assert_eq!(vtpm(&encode(&[(OTHER, b"a")])), Err(ManifestError::NoVtpm));
        assert_eq!(vtpm(&encode(&[])), Err(ManifestError::NoVtpm));
    }

    #[test]
    fn a_table_cut_anywhere_is_none() {
        let bytes = table();
        for length in 16..bytes.len() {
            assert!(vtpm(&bytes[..length]).is_err(), "{length} bytes");
        }
    }
}
