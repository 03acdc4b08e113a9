//! Quotes in the containers of other projects: bincode, protobuf, Keylime's text.

use crate::inspect::pcrs;
use crate::inspect::piece::{Kind, Pcrs, Piece, TpmQuote};
use crate::inspect::text;
use sealpod_evidence::tpm::{HashAlg, Public, TPM_GENERATED};

/// Recognise a binary container.
pub(super) fn recognise(bytes: &[u8]) -> Option<Piece> {
    bincode(bytes).or_else(|| protobuf(bytes)).or_else(|| pcr_file(bytes))
}

/// PCR values as `tpm2_quote --pcr` and `tpm2_pcrread --output` with serialized values write them.
fn pcr_file(bytes: &[u8]) -> Option<Piece> {
    let mut piece = Piece::new(Kind::PcrValues);
    piece.form.push("tpm2-tools' serialized values".to_owned());
    piece.pcrs = pcr_blob(bytes).filter(|pcrs| !pcrs.is_empty())?;
    Some(piece)
}

/// bincode 1 of `{signature: Vec<u8>, message: Vec<u8>, pcrs: Vec<[u8; 32]>}`, as the Azure vTPM crates store a quote.
fn bincode(bytes: &[u8]) -> Option<Piece> {
    let (signature, rest) = counted(bytes)?;
    let (message, rest) = counted(rest)?;
    if !message.starts_with(&TPM_GENERATED.to_be_bytes()) {
        return None;
    }
    let (count, rest) = rest.split_first_chunk::<8>()?;
    let (values, rest) = rest.as_chunks::<32>();
    if !rest.is_empty() || u64::from_le_bytes(*count) != values.len() as u64 {
        return None;
    }
    let mut quote =
        TpmQuote { message: message.to_vec(), signature: Some(signature.to_vec()), ..TpmQuote::default() };
    for (index, value) in (0..).zip(values) {
        pcrs::insert(&mut quote.pcrs, Some(HashAlg::Sha256), index, value.to_vec())?;
    }
    let mut piece = Piece::new(Kind::TpmQuote);
    piece.form.push("bincode".to_owned());
    piece.tpm_quotes.push(quote);
    Some(piece)
}

/// A little-endian u64 and as many bytes.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)
}

/// Field numbers of go-tpm-tools' `attest.Attestation`, of `tpm.Quote` and of `tpm.PCRs` in it.
const ATTESTATION_AK: u64 = 1;
const ATTESTATION_QUOTES: u64 = 2;
const ATTESTATION_EVENT_LOG: u64 = 3;
const ATTESTATION_AK_CERTIFICATE: u64 = 6;
const QUOTE_MESSAGE: u64 = 1;
const QUOTE_SIGNATURE: u64 = 2;
const QUOTE_PCRS: u64 = 3;
const PCRS_HASH: u64 = 1;
const PCRS_VALUES: u64 = 2;

fn protobuf(bytes: &[u8]) -> Option<Piece> {
    let all = fields(bytes)?;
    let mut piece = Piece::new(Kind::TpmQuote);
    piece.form.push("go-tpm-tools protobuf".to_owned());
    for (number, value) in all {
        match (number, value) {
            (ATTESTATION_AK, Value::Bytes(key)) => piece.ak = Some(key.to_vec()),
            (ATTESTATION_QUOTES, Value::Bytes(quote)) => piece.tpm_quotes.push(quote_message(quote)?),
            (ATTESTATION_EVENT_LOG, Value::Bytes(log)) => piece.boot_log = Some(log.to_vec()),
            (ATTESTATION_AK_CERTIFICATE, Value::Bytes(der)) if super::is_certificate(der) => {
                piece.certificates.push(der.to_vec());
            }
            _ => {}
        }
    }
    // A message of two fields can be read into many bytes; these are not likely to be any other's.
    let is_quote = |quote: &TpmQuote| quote.message.starts_with(&TPM_GENERATED.to_be_bytes());
    let is_key = piece.ak.as_deref().is_none_or(|key| Public::parse(key).is_ok());
    (is_key && !piece.tpm_quotes.is_empty() && piece.tpm_quotes.iter().all(is_quote)).then_some(piece)
}

fn quote_message(bytes: &[u8]) -> Option<TpmQuote> {
    let mut quote = TpmQuote::default();
    for (number, value) in fields(bytes)? {
        match (number, value) {
            (QUOTE_MESSAGE, Value::Bytes(message)) => quote.message = message.to_vec(),
            (QUOTE_SIGNATURE, Value::Bytes(signature)) => quote.signature = Some(signature.to_vec()),
            (QUOTE_PCRS, Value::Bytes(values)) => pcrs_message(values, &mut quote.pcrs)?,
            _ => {}
        }
    }
    Some(quote)
}

fn pcrs_message(bytes: &[u8], pcrs: &mut Pcrs) -> Option<()> {
    let all = fields(bytes)?;
    let hash = all.iter().find_map(|(number, value)| match value {
        Value::Number(id) if *number == PCRS_HASH => HashAlg::from_id(u16::try_from(*id).ok()?),
        _ => None,
    })?;
    for (number, value) in &all {
        let Value::Bytes(entry) = value else { continue };
        if *number != PCRS_VALUES {
            continue;
        }
        let (mut index, mut digest) = (0, None);
        for (number, value) in fields(entry)? {
            match (number, value) {
                (1, Value::Number(key)) => index = key,
                (2, Value::Bytes(value)) => digest = Some(value),
                _ => {}
            }
        }
        pcrs::insert(pcrs, Some(hash), index, digest?.to_vec())?;
    }
    Some(())
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Most fields of one message; an attestation has some ten, its list of PCRs 24.
const MAX_FIELDS: usize = 1024;

/// All fields of a message; `None` where the bytes are none or have too many.
fn fields(bytes: &[u8]) -> Option<Vec<(u64, Value<'_>)>> {
    let fields = Fields(bytes).take(MAX_FIELDS + 1).collect::<Option<Vec<_>>>()?;
    (fields.len() <= MAX_FIELDS).then_some(fields)
}

/// Fields of a protobuf message; yields `None` once where the bytes are none.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.varint()?;
        let number = key >> 3;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Bytes(self.take(4)?),
            _ => return None,
        };
        (number > 0).then_some((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Keylime's `r<attest>:<signature>:<PCR values>`, each in base64 (Keylime, `TPM.tpm2_quote`).
pub(super) fn keylime(text: &str) -> Option<TpmQuote> {
    let mut parts = text.trim().strip_prefix('r')?.split(':');
    let (message, signature) = (text::base64_bytes(parts.next()?)?, text::base64_bytes(parts.next()?)?);
    let values = parts.next().and_then(text::base64_bytes);
    if parts.next().is_some() || !message.starts_with(&TPM_GENERATED.to_be_bytes()) {
        return None;
    }
    let pcrs = values.as_deref().and_then(pcr_blob).unwrap_or_default();
    Some(TpmQuote { message, signature: Some(signature), pcrs, nonce: None })
}

/// Banks in a `TPML_PCR_SELECTION` as tpm2-tools writes it to a file, and digests in a `TPML_DIGEST`.
const SELECTIONS: usize = 16;
const DIGESTS: usize = 8;

/// The file that `tpm2_quote --pcr` writes: a little-endian selection, a number of lists, and lists of up to eight digests.
pub(super) fn pcr_blob(bytes: &[u8]) -> Option<Pcrs> {
    let mut rest = bytes;
    let mut take = |length: usize| -> Option<&[u8]> {
        let (head, tail) = rest.split_at_checked(length)?;
        rest = tail;
        Some(head)
    };
    let word = |bytes: &[u8]| bytes.first_chunk::<4>().map(|b| u32::from_le_bytes(*b) as usize);
    let half = |bytes: &[u8]| bytes.first_chunk::<2>().map(|b| u16::from_le_bytes(*b));
    let banks = word(take(4)?)?;
    let mut selected = Vec::new();
    for position in 0..SELECTIONS {
        let entry = take(8)?;
        if position < banks {
            let hash = HashAlg::from_id(half(entry)?)?;
            let [_, _, size, map @ ..] = entry else { return None };
            for (byte, bits) in (0_u64..).zip(map.iter().take(usize::from(*size).min(4))) {
                selected.extend((0..8).filter(|bit| bits >> bit & 1 == 1).map(|bit| (hash, byte * 8 + bit)));
            }
        }
    }
    let lists = word(take(4)?)?;
    let mut selected = selected.into_iter();
    let mut pcrs = Pcrs::new();
    for _ in 0..lists {
        let count = word(take(4)?)?;
        for position in 0..DIGESTS {
            let entry = take(2 + 64)?;
            if position < count {
                let (hash, index) = selected.next()?;
                let (size, digest) = entry.split_first_chunk::<2>()?;
                let digest = digest.get(..usize::from(u16::from_le_bytes(*size)))?;
                pcrs::insert(&mut pcrs, Some(hash), index, digest.to_vec())?;
            }
        }
    }
    (selected.next().is_none() && rest.is_empty()).then_some(pcrs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of tpm2-tools with SHA-256 PCRs 0 and 2.
    fn file() -> Vec<u8> {
        let mut out = 1_u32.to_le_bytes().to_vec();
        out.extend([0x0b, 0, 3, 0b101, 0, 0, 0, 0]);
        out.extend(vec![0; 15 * 8]);
        out.extend(1_u32.to_le_bytes());
        out.extend(2_u32.to_le_bytes());
        for byte in [1_u8, 2] {
            out.extend(32_u16.to_le_bytes());
            out.extend([byte; 32]);
            out.extend([0; 32]);
        }
        out.extend(vec![0; 6 * 66]);
        out
    }

    #[test]
    fn serialized_values_are_those_of_the_selection() {
        let piece = recognise(&file()).unwrap();
        assert_eq!(piece.kind, Kind::PcrValues);
        let bank = &piece.pcrs[&HashAlg::Sha256];
        assert_eq!(
            bank.iter().map(|(index, value)| (*index, value[0])).collect::<Vec<_>>(),
            [(0, 1), (2, 2)]
        );
    }

    #[test]
    fn what_is_cut_or_goes_on_is_no_file_of_values() {
        let whole = file();
        for length in 0..whole.len() {
            assert!(pcr_blob(&whole[..length]).is_none(), "{length}");
        }
        assert!(pcr_blob(&[whole.as_slice(), &[0]].concat()).is_none());
        let mut more = whole;
        more[7] = 0b111;
        assert!(pcr_blob(&more).is_none(), "three are selected and two are there");
    }

    #[test]
    fn a_message_with_endless_fields_is_none() {
        assert!(fields(&[0x08, 0x01].repeat(MAX_FIELDS)).is_some());
        assert!(fields(&[0x08, 0x01].repeat(MAX_FIELDS + 1)).is_none());
        assert!(fields(&[0x00, 0x01]).is_none());
    }
}
