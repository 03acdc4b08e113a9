//! Binary evidence, by what its format puts at known places.

use super::containers;
use super::x509;
use crate::inspect::piece::{ImaForm, Kind, Piece, TpmQuote};
use sealpod_evidence::ima::{Bank, ByteOrder, HashAlgorithm, Log};
use sealpod_evidence::snp::cert_table::{CertTable, Guid};
use sealpod_evidence::snp::report::REPORT_LEN;
use sealpod_evidence::tpm::{Public, TPM_GENERATED};

/// QE vendor id of every Intel quote (Intel SGX DCAP Quote format, header; Intel TDX DCAP Quote format, header).
const INTEL_QE: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
/// Offsets in a quote's header.
const QE_VENDOR: usize = 12;
const TEE_TYPE: usize = 4;
const TEE_TDX: [u8; 4] = [0x81, 0, 0, 0];
/// Length of the header in front of the report in an answer of `SNP_GET_REPORT` (AMD 56860, MSG_REPORT_RSP).
const REPORT_RSP_HEADER: usize = 32;
/// Most entries looked at to tell what bank and byte order an IMA log has.
const IMA_PROBE: u64 = 64;

/// Recognise bytes as they are.
pub(super) fn recognise(bytes: &[u8]) -> Option<Piece> {
    intel_quote(bytes)
        .or_else(|| hcl(bytes))
        .or_else(|| tpm(bytes))
        .or_else(|| snp(bytes))
        .or_else(|| boot_log(bytes))
        .or_else(|| ccel_table(bytes))
        .or_else(|| x509::der(bytes))
        .or_else(|| certificate_table(bytes))
        .or_else(|| containers::recognise(bytes))
        .or_else(|| ima(bytes))
}

fn intel_quote(bytes: &[u8]) -> Option<Piece> {
    if bytes.get(QE_VENDOR..QE_VENDOR + INTEL_QE.len())? != INTEL_QE || !matches!(bytes.first()?, 2..=9) {
        return None;
    }
    let version = bytes.first()?;
    let is_tdx = *version > 3 && bytes.get(TEE_TYPE..TEE_TYPE + 4)? == TEE_TDX;
    let mut piece = Piece::new(if is_tdx { Kind::TdxQuote } else { Kind::SgxQuote });
    piece.intel_quote = Some(bytes.to_vec());
    Some(piece)
}

fn hcl(bytes: &[u8]) -> Option<Piece> {
    if !bytes.starts_with(b"HCLA") {
        return None;
    }
    let mut piece = Piece::new(Kind::HclReport);
    piece.hcl = Some(bytes.to_vec());
    Some(piece)
}

/// `TPMS_ATTEST`, `TPMT_SIGNATURE`, `TPMT_PUBLIC`, each with or without the length of its `TPM2B`.
fn tpm(bytes: &[u8]) -> Option<Piece> {
    let body = unsized_2b(bytes).unwrap_or(bytes);
    for body in [bytes, body] {
        if body.starts_with(&TPM_GENERATED.to_be_bytes()) {
            let mut piece = Piece::new(Kind::TpmQuote);
            piece.tpm_quotes.push(TpmQuote { message: body.to_vec(), ..TpmQuote::default() });
            return Some(piece);
        }
        if Public::parse(body).is_ok() {
            let mut piece = Piece::new(Kind::AttestationKey);
            piece.ak = Some(body.to_vec());
            return Some(piece);
        }
        if is_signature(body) {
            let mut piece = Piece::new(Kind::TpmSignature);
            piece.other = body.to_vec();
            return Some(piece);
        }
    }
    None
}

/// The content of a `TPM2B` that all bytes are.
fn unsized_2b(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    (usize::from(u16::from_be_bytes(*length)) == rest.len() && !rest.is_empty()).then_some(rest)
}

/// The frame of a `TPMT_SIGNATURE`: scheme, hash, then the lengths add up.
fn is_signature(bytes: &[u8]) -> bool {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return false };
    let known_hash = matches!(head, [0, _, 0, 0x04 | 0x0b | 0x0c | 0x0d | 0x12 | 0x27..=0x29]);
    let field = |rest: &'_ [u8]| -> Option<usize> {
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        (length > 0 && length <= rest.len()).then_some(2 + length)
    };
    let all = match head {
        [0, 0x14 | 0x16, ..] => field(rest),
        [0, 0x18, ..] => field(rest).and_then(|first| Some(first + field(rest.get(first..)?)?)),
        _ => None,
    };
    known_hash && all == Some(rest.len())
}

/// A TCG2 log or CCEL by its Spec ID event, a log of the older form by its first event.
fn boot_log(bytes: &[u8]) -> Option<Piece> {
    let first_size = bytes.get(28..32).and_then(|b| b.first_chunk::<4>()).map(|b| u32::from_le_bytes(*b))?;
    let register = bytes.first_chunk::<4>().map(|b| u32::from_le_bytes(*b))?;
    let crypto_agile = bytes.get(32..48).is_some_and(|text| text.starts_with(b"Spec ID Event"));
    if crypto_agile && register <= 1 {
        let of_td = register == 1 || is_td_log(bytes);
        let mut piece = Piece::new(if of_td { Kind::Ccel } else { Kind::Tcg2Log });
        match of_td {
            true => piece.ccel = Some(bytes.to_vec()),
            false => piece.boot_log = Some(bytes.to_vec()),
        }
        return Some(piece);
    }
    is_sha1_log(bytes, register, first_size).then(|| {
        let mut piece = Piece::new(Kind::Tcg2Log);
        piece.boot_log = Some(bytes.to_vec());
        piece
    })
}

/// A log whose header is for register 0 is a TD's where SHA-384 is its only bank and no event is for a register that a TD has
/// not: td-shim writes so.
fn is_td_log(bytes: &[u8]) -> bool {
    use sealpod_evidence::tcg2::{ALG_SHA384, BootLog};
    let only_sha384 = |log: &BootLog<'_>| log.spec().algorithms.iter().eq([(ALG_SHA384, 48)]);
    BootLog::parse_ccel(bytes).is_ok_and(|log| only_sha384(&log))
}

/// A log in the form of TPM 1.2: the first two events are ones that firmware writes.
fn is_sha1_log(bytes: &[u8], register: u32, size: u32) -> bool {
    let event_type = bytes.get(4..8).and_then(|b| b.first_chunk::<4>()).map(|b| u32::from_le_bytes(*b));
    let plausible = |register: u32, event_type: Option<u32>| {
        register <= 23 && event_type.is_some_and(|t| t <= 0x13 || (0x8000_0001..=0x8000_00e4).contains(&t))
    };
    let Some(rest) = bytes.get(32usize.saturating_add(size as usize)..) else { return false };
    let second = rest.first_chunk::<8>().map(|[a, b, c, d, e, f, g, h]| {
        (u32::from_le_bytes([*a, *b, *c, *d]), Some(u32::from_le_bytes([*e, *f, *g, *h])))
    });
    let text = bytes.get(32..48).unwrap_or_default();
    let announced = text.starts_with(b"StartupLocality") || text.starts_with(b"Spec ID Event");
    let measured = bytes.get(8..28).is_some_and(|digest| digest.iter().any(|b| *b != 0));
    plausible(register, event_type)
        && (announced || measured)
        && second.map_or(rest.is_empty(), |(register, event_type)| plausible(register, event_type))
}

/// A report by itself, with the certificate table after it, or in the answer of the guest device.
fn snp(bytes: &[u8]) -> Option<Piece> {
    let mut piece = Piece::new(Kind::SnpReport);
    let inside = bytes.get(REPORT_RSP_HEADER..REPORT_RSP_HEADER + REPORT_LEN);
    if bytes.starts_with(&[0, 0, 0, 0, 0xa0, 0x04, 0, 0])
        && let Some(report) = inside.filter(|report| is_report(report))
    {
        piece.form.push("answer of SNP_GET_REPORT".to_owned());
        piece.snp_report = Some(report.to_vec());
        return Some(piece);
    }
    let (report, rest) = bytes.split_at_checked(REPORT_LEN)?;
    // Nothing else has exactly this length; a longer file must show that it starts with a report.
    if rest.is_empty() {
        let version = report.first_chunk::<4>().map(|b| u32::from_le_bytes(*b))?;
        let blank = report.iter().all(|b| *b == 0);
        if version > 0xff || blank || (!is_report(report) && version > 9) {
            return None;
        }
    } else {
        if !is_report(report) {
            return None;
        }
        if rest.iter().any(|b| *b != 0) {
            piece.form.push("extended report".to_owned());
            piece.certificate_table = Some(rest.to_vec());
            piece.certificates = table_certificates(rest);
        } else {
            piece.form.push("zero-padded".to_owned());
        }
    }
    piece.snp_report = Some(report.to_vec());
    Some(piece)
}

/// Version, signature algorithm and policy are what a report has.
fn is_report(report: &[u8]) -> bool {
    let word =
        |at: usize| report.get(at..at + 4).and_then(|b| b.first_chunk::<4>()).map(|b| u32::from_le_bytes(*b));
    word(0).is_some_and(|version| (1..=9).contains(&version))
        && word(0x34) == Some(1)
        && word(8).is_some_and(|policy| policy >> 17 & 1 == 1)
}

fn certificate_table(bytes: &[u8]) -> Option<Piece> {
    let guid = Guid(*bytes.first_chunk::<16>()?);
    if ![Guid::VCEK, Guid::VLEK, Guid::ASK, Guid::ARK, Guid::CRL].contains(&guid) {
        return None;
    }
    let mut piece = Piece::new(Kind::Certificate);
    piece.form.push("certificate table".to_owned());
    piece.certificates = table_certificates(bytes);
    piece.certificate_table = Some(bytes.to_vec());
    Some(piece).filter(|piece| !piece.certificates.is_empty())
}

/// The certificates in a table that parses.
pub(super) fn table_certificates(bytes: &[u8]) -> Vec<Vec<u8>> {
    let table = CertTable::parse(bytes);
    let entries =
        table.iter().flat_map(|table| table.entries().map(|(_, der)| der.to_vec()).collect::<Vec<_>>());
    entries.filter(|der| x509::is_certificate(der)).collect()
}

fn ccel_table(bytes: &[u8]) -> Option<Piece> {
    let length = bytes.get(4..8)?.first_chunk::<4>().map(|b| u32::from_le_bytes(*b))?;
    if !bytes.starts_with(b"CCEL") || length as usize != bytes.len() {
        return None;
    }
    let mut piece = Piece::new(Kind::CcelTable);
    piece.other = bytes.to_vec();
    Some(piece)
}

fn ima(bytes: &[u8]) -> Option<Piece> {
    ima_layout(bytes)?;
    let mut piece = Piece::new(Kind::ImaLog);
    piece.form.push("binary".to_owned());
    piece.ima_log = Some((bytes.to_vec(), ImaForm::Binary));
    Some(piece)
}

/// The bank and byte order in which the most of the log's first entries parse; `None` where not one does.
///
/// A template's name has to be at the right place, so only one reading of a real log gets far.
pub fn ima_layout(bytes: &[u8]) -> Option<(Bank, ByteOrder)> {
    let mut best: Option<(u64, Bank, ByteOrder)> = None;
    for bank in HashAlgorithm::ALL {
        for order in [ByteOrder::Little, ByteOrder::Big] {
            let entries = Log::new(bytes, bank, IMA_PROBE).with_byte_order(order).entries();
            let good = entries.take_while(Result::is_ok).count() as u64;
            if good > best.map_or(0, |(most, ..)| most) {
                best = Some((good, bank, order));
            }
        }
    }
    best.map(|(_, bank, order)| (bank, order))
}

/// Whether a text's first line is one of `ascii_runtime_measurements`.
pub(super) fn is_ima_ascii(text: &str) -> bool {
    let Some(line) = text.lines().map(str::trim).find(|line| !line.is_empty()) else { return false };
    let mut words = line.split_ascii_whitespace();
    let (pcr, digest, template) = (words.next(), words.next(), words.next());
    let is_digest = |text: &str| {
        matches!(text.len(), 32 | 40 | 64 | 96 | 128) && text.bytes().all(|b| b.is_ascii_hexdigit())
    };
    pcr.is_some_and(|pcr| pcr.parse::<u8>().is_ok_and(|pcr| pcr < 32))
        && digest.is_some_and(is_digest)
        && template.is_some_and(|name| !name.starts_with("0x") && !is_digest(name))
        && words.next().is_some()
}
