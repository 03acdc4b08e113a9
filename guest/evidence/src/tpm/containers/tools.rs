//! Files of tpm2-tools: `tpm2_quote -m MESSAGE -s SIGNATURE -o PCRS`. The message is a bare `TPMS_ATTEST`, for
//! [`crate::tpm::Attest::parse`].

use super::ContainerError;
use crate::reader::Reader;
use crate::tpm::{HashAlg, PcrBanks, PcrSelection, Signature, TpmError};

/// Entries of the array in a `TPML_PCR_SELECTION` of the TPM2 Software Stack (`TPM2_NUM_PCR_BANKS`).
const SELECTIONS: u32 = 16;
/// Entries of the array in a `TPML_DIGEST`, and the bytes of each.
const DIGESTS: usize = 8;
const DIGEST_LEN: usize = 64;
/// Most such lists: 16 banks of 24 PCRs.
const MAX_LISTS: u32 = 48;

/// A signature with its scheme in front, as `TPMT_SIGNATURE` (`-f tss`, the default).
///
/// # Errors
///
/// See [`TpmError`]. A bare signature (`-f plain`) says nothing about its scheme and is not taken.
pub fn parse_signature_file(bytes: &[u8]) -> Result<Signature, TpmError> {
    Signature::parse(bytes)
}

/// PCR values as `tpm2_quote -o` (`-F serialized`) and Keylime write them: C structures as they lie in memory on a
/// little-endian machine. A `TPML_PCR_SELECTION`, a count, and that many `TPML_DIGEST`, with the values in the order of the
/// selection. Unused parts are zero.
///
/// # Errors
///
/// See [`ContainerError`].
pub fn parse_pcr_file(bytes: &[u8]) -> Result<PcrBanks, ContainerError> {
    let mut reader = Reader::new(bytes);
    let selections = selections(&mut reader)?;
    let lists = reader.le_u32()?;
    if lists > MAX_LISTS {
        return Err(TpmError::Value { what: "number of digest lists", found: lists }.into());
    }
    let mut values = Vec::new();
    for _ in 0..lists {
        digests(&mut reader, &mut values)?;
    }
    reader.finish()?;
    let pcrs: Vec<_> = selections.iter().flat_map(|bank| bank.pcrs().map(|pcr| (bank.hash, pcr))).collect();
    if pcrs.len() != values.len() {
        return Err(TpmError::Size { what: "PCR values", expected: pcrs.len(), found: values.len() }.into());
    }
    let mut banks = PcrBanks::default();
    for ((bank, pcr), value) in pcrs.into_iter().zip(values) {
        banks.insert(bank, pcr, value)?;
    }
    Ok(banks)
}

fn selections(reader: &mut Reader<'_>) -> Result<Vec<PcrSelection>, ContainerError> {
    let count = reader.le_u32()?;
    if count > SELECTIONS {
        return Err(TpmError::Value { what: "number of PCR selections", found: count }.into());
    }
    let mut out = Vec::new();
    for index in 0..SELECTIONS {
        // hash, size of the bit map, bit map, a byte so that the next one is aligned.
        let (id, size) = (reader.le_u16()?, reader.u8()?);
        let (bitmap, _) = (reader.le_u32()?, reader.u8()?);
        if index >= count {
            continue;
        }
        let hash = HashAlg::from_id(id).ok_or(TpmError::Algorithm { what: "bank", found: id })?;
        if size > 4 {
            return Err(TpmError::Size { what: "PCR selection", expected: 4, found: size.into() }.into());
        }
        // What lies behind the bit map's end was never written.
        let mask = u32::MAX.checked_shr(32_u32.saturating_sub(u32::from(size) * 8)).unwrap_or(0);
        out.push(PcrSelection { hash, bitmap: bitmap & mask });
    }
    Ok(out)
}

fn digests<'a>(reader: &mut Reader<'a>, out: &mut Vec<&'a [u8]>) -> Result<(), ContainerError> {
    let count = usize::try_from(reader.le_u32()?).unwrap_or(usize::MAX);
    if count > DIGESTS {
        return Err(TpmError::Size { what: "digest list", expected: DIGESTS, found: count }.into());
    }
    for index in 0..DIGESTS {
        let (size, buffer) = (usize::from(reader.le_u16()?), reader.take(DIGEST_LEN)?);
        if index < count {
            let value = buffer.get(..size);
            let too_long = TpmError::Size { what: "PCR value", expected: DIGEST_LEN, found: size };
            out.push(value.ok_or(too_long)?);
        }
    }
    Ok(())
}
