//! Quotes: `TPMS_ATTEST` with `TPMS_QUOTE_INFO` in it (Part 2, section 10.12).

use super::{HashAlg, TpmError, reader, sized};
use crate::reader::Reader;

/// What a TPM puts in front of everything that it attests; a restricted key signs nothing from outside that
/// starts so (Part 2, section 6.2).
pub const TPM_GENERATED: u32 = 0xff54_4347;
/// The type of a quote (Part 2, section 6.9).
pub const TPM_ST_ATTEST_QUOTE: u16 = 0x8018;

/// Longest name and longest qualifying data: an algorithm and the longest digest.
const MAX_NAME: usize = 2 + 64;
/// Most selections: one for each of the banks that a TPM may have (`HASH_COUNT` of any TPM is less).
const MAX_SELECTIONS: u32 = 16;
/// Most bytes of a selection's bit map: PCRs 0 to 31; a PC client TPM has 24.
const MAX_SELECT: usize = 4;

/// A TPM's clock at the time of a quote (Part 2, section 10.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockInfo {
    /// Milliseconds that the TPM has been powered, over its whole life.
    pub clock: u64,
    /// Counts TPM resets: the machine was started anew.
    pub reset_count: u32,
    /// Counts restarts and resumes since the last reset.
    pub restart_count: u32,
    /// No greater `clock` was reported before. False after an unclean stop.
    pub safe: bool,
}

/// The PCRs of one bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PcrSelection {
    /// The bank.
    pub hash: HashAlg,
    /// Bit n is PCR n.
    pub bitmap: u32,
}

impl PcrSelection {
    /// The PCRs, in order.
    pub fn pcrs(self) -> impl Iterator<Item = u8> {
        (0..32).filter(move |pcr| self.bitmap >> pcr & 1 == 1)
    }
}

/// A quote, well formed. It says something about a TPM only once the signature over [`Attest::raw`] by a
/// restricted key of that TPM verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attest {
    /// Qualified name of the signing key: a hash over the names of all its parents and its own.
    pub qualified_signer: Vec<u8>,
    /// What the caller asked to have signed with it: the challenge.
    pub extra_data: Vec<u8>,
    /// Clock.
    pub clock_info: ClockInfo,
    /// Firmware version; its form is the vendor's.
    pub firmware_version: u64,
    /// Which PCRs are in the digest, in this order.
    pub selections: Vec<PcrSelection>,
    /// The digest of the selected PCRs' values, by the hash of the *signing scheme*, not of the bank.
    pub pcr_digest: Vec<u8>,
    raw: Vec<u8>,
}

impl Attest {
    /// Takes exactly one quote.
    ///
    /// # Errors
    ///
    /// [`TpmError::Magic`] and [`TpmError::AttestType`] where it is something else; see the others.
    pub fn parse(bytes: &[u8]) -> Result<Self, TpmError> {
        let mut reader = reader(bytes)?;
        let magic = reader.be_u32()?;
        if magic != TPM_GENERATED {
            return Err(TpmError::Magic { found: magic });
        }
        let kind = reader.be_u16()?;
        if kind != TPM_ST_ATTEST_QUOTE {
            return Err(TpmError::AttestType { found: kind });
        }
        let qualified_signer = sized(&mut reader, "qualified signer", MAX_NAME)?.to_vec();
        let extra_data = sized(&mut reader, "extra data", MAX_NAME)?.to_vec();
        let clock_info = clock_info(&mut reader)?;
        let firmware_version = reader.be_u64()?;
        let selections = selections(&mut reader)?;
        let pcr_digest = sized(&mut reader, "PCR digest", HashAlg::Sha512.size())?.to_vec();
        reader.finish()?;
        Ok(Self {
            qualified_signer,
            extra_data,
            clock_info,
            firmware_version,
            selections,
            pcr_digest,
            raw: bytes.to_vec(),
        })
    }

    /// The bytes as received: what the signature covers.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }
}

fn clock_info(reader: &mut Reader<'_>) -> Result<ClockInfo, TpmError> {
    let (clock, reset_count, restart_count) = (reader.be_u64()?, reader.be_u32()?, reader.be_u32()?);
    let safe = match reader.u8()? {
        0 => false,
        1 => true,
        found => return Err(TpmError::Value { what: "clock safe", found: found.into() }),
    };
    Ok(ClockInfo { clock, reset_count, restart_count, safe })
}

fn selections(reader: &mut Reader<'_>) -> Result<Vec<PcrSelection>, TpmError> {
    let count = reader.be_u32()?;
    if count > MAX_SELECTIONS {
        return Err(TpmError::Value { what: "number of PCR selections", found: count });
    }
    (0..count).map(|_| selection(reader)).collect()
}

fn selection(reader: &mut Reader<'_>) -> Result<PcrSelection, TpmError> {
    let hash = HashAlg::read(reader, "bank")?;
    let found = usize::from(reader.u8()?);
    if found > MAX_SELECT {
        return Err(TpmError::Size { what: "PCR selection", expected: MAX_SELECT, found });
    }
    let mut bytes = [0; MAX_SELECT];
    bytes.iter_mut().zip(reader.take(found)?).for_each(|(to, from)| *to = *from);
    Ok(PcrSelection { hash, bitmap: u32::from_le_bytes(bytes) })
}
