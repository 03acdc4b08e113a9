//! What a file is.
//!
//! Bytes are first taken as they are, then as what they may be written down as: hex, base64, a JSON string. Every form is
//! known by something that the format itself puts there (a magic, a vendor's id, a template's name), so that a file is not
//! guessed at. What is recognised need not be well formed: that is for the first step to say.

mod binary;
mod containers;
mod json;
mod x509;

use super::piece::{ImaForm, Kind, Piece, TpmQuote};
use super::{pcrs, text};

pub use binary::ima_layout;
pub use x509::is_certificate;

/// Most bytes of one file. The largest that occurs is an IMA log of a long-lived host or a bundle with one.
pub const MAX_FILE: usize = 16 << 20;
/// Most layers of base64, hex and JSON strings around evidence.
const MAX_LAYERS: usize = 4;

/// Why a file is nothing that is known: one line that says what was tried and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {found}; {advice}")]
pub struct NotRecognised {
    /// The file.
    pub name: String,
    /// What it looks like.
    pub found: String,
    /// What was tried and what to do.
    pub advice: String,
}

/// Recognise a file, or take it for what the user says it is.
///
/// # Errors
///
/// [`NotRecognised`] where it is nothing that is known, or not what the user says.
pub fn recognise(name: &str, bytes: &[u8], forced: Option<Kind>) -> Result<Piece, NotRecognised> {
    let error = |found: String, advice: String| NotRecognised { name: name.to_owned(), found, advice };
    if bytes.is_empty() {
        return Err(error("the file is empty".to_owned(), "nothing can be read from it".to_owned()));
    }
    let piece = match forced {
        None => layers(bytes, 0),
        // What is found and is of that kind knows more of itself than the bare bytes would.
        Some(kind) => layers(bytes, 0).filter(|piece| is_of(piece, kind)).or_else(|| force(bytes, kind)),
    };
    let mut piece = piece.ok_or_else(|| match forced {
        Some(kind) => error(
            format!("is no {}", kind.title()),
            format!("leave out --kind {} to have it recognised", kind.as_str()),
        ),
        None => error(looks_like(bytes), advice(bytes)),
    })?;
    piece.files = vec![name.to_owned()];
    Ok(piece)
}

fn is_of(piece: &Piece, kind: Kind) -> bool {
    piece.kind == kind
        || match kind {
            Kind::TdxQuote | Kind::SgxQuote => false,
            Kind::SnpReport => piece.snp_report.is_some() && piece.bundle.is_none(),
            Kind::TpmQuote => !piece.tpm_quotes.is_empty(),
            Kind::AttestationKey => piece.ak.is_some() && piece.tpm_quotes.is_empty(),
            _ => false,
        }
}

fn layers(bytes: &[u8], depth: usize) -> Option<Piece> {
    if let Some(piece) = binary::recognise(bytes) {
        return Some(piece);
    }
    let text = text::of(bytes)?;
    let trimmed = text.trim();
    if let Some(piece) = written(trimmed) {
        return Some(piece);
    }
    if depth == MAX_LAYERS {
        return None;
    }
    let inner = |form: &str, bytes: Vec<u8>| {
        let mut piece = layers(&bytes, depth + 1)?;
        piece.form.insert(0, form.to_owned());
        Some(piece)
    };
    if let Ok(string) = serde_json::from_str::<String>(trimmed)
        && string.len() < trimmed.len()
        && let Some(piece) = inner("JSON string", string.into_bytes())
    {
        return Some(piece);
    }
    text::hex_bytes(trimmed)
        .and_then(|bytes| inner("hex text", bytes))
        .or_else(|| text::base64_bytes(trimmed).and_then(|bytes| inner("base64 text", bytes)))
}

/// Evidence whose form is a text.
fn written(text: &str) -> Option<Piece> {
    if text.starts_with(['{', '[']) {
        return json::recognise(text);
    }
    if text.contains("-----BEGIN ") {
        return x509::pem(text);
    }
    if let Some(quote) = containers::keylime(text) {
        let mut piece = Piece::new(Kind::TpmQuote);
        piece.form.push("Keylime quote".to_owned());
        piece.tpm_quotes.push(quote);
        return Some(piece);
    }
    if binary::is_ima_ascii(text) {
        let mut piece = Piece::new(Kind::ImaLog);
        piece.form.push("ASCII".to_owned());
        piece.ima_log = Some((text.as_bytes().to_vec(), ImaForm::Ascii));
        return Some(piece);
    }
    let values = pcrs::parse(text.as_bytes())?;
    let mut piece = Piece::new(Kind::PcrValues);
    piece.pcrs = values;
    Some(piece)
}

/// Take bytes for what the user says they are: as text that decodes, else as they are.
fn force(bytes: &[u8], kind: Kind) -> Option<Piece> {
    let decoded = text::of(bytes).and_then(|text| {
        let text = text.trim();
        text::hex_bytes(text).or_else(|| text::base64_bytes(text))
    });
    let mut piece = Piece::new(kind);
    let binary = || decoded.clone().unwrap_or_else(|| bytes.to_vec());
    match kind {
        Kind::SnpReport => piece.snp_report = Some(binary()),
        Kind::TdxQuote | Kind::SgxQuote => piece.intel_quote = Some(binary()),
        Kind::HclReport => piece.hcl = Some(binary()),
        Kind::Tcg2Log => piece.boot_log = Some(binary()),
        Kind::Ccel => piece.ccel = Some(binary()),
        Kind::ImaLog => {
            piece.ima_log = match (text::of(bytes), decoded) {
                (Some(_), Some(decoded)) => Some((decoded, ImaForm::Binary)),
                (Some(text), None) => Some((text.into_bytes(), ImaForm::Ascii)),
                (None, _) => Some((bytes.to_vec(), ImaForm::Binary)),
            };
        }
        Kind::TpmQuote => piece.tpm_quotes.push(TpmQuote { message: binary(), ..TpmQuote::default() }),
        Kind::TpmSignature => piece.other = binary(),
        Kind::AttestationKey => piece.ak = Some(bytes.to_vec()),
        Kind::RuntimeData => piece.runtime_data = Some(bytes.to_vec()),
        Kind::Bundle => piece.bundle = Some((bytes.to_vec(), None)),
        Kind::Certificate => piece.certificates = vec![binary()],
        Kind::Crl => piece.crls = vec![binary()],
        Kind::Collateral => piece.collateral = vec![text::of(bytes)?],
        Kind::AzSnpVtpm | Kind::AzTdxVtpm | Kind::CcelTable | Kind::Tpm12 | Kind::PcrValues => return None,
    }
    Some(piece)
}

/// What unknown bytes look like.
fn looks_like(bytes: &[u8]) -> String {
    let known: [(&[u8], &str); 8] = [
        (&[0x1f, 0x8b], "gzip data; unpack it first"),
        (b"PK\x03\x04", "a ZIP archive; unpack it first"),
        (&[0x28, 0xb5, 0x2f, 0xfd], "Zstandard data; unpack it first"),
        (&[0xfd, b'7', b'z', b'X', b'Z'], "xz data; unpack it first"),
        (b"\x7fELF", "a program"),
        (b"%PDF", "a PDF"),
        (b"<!DOCTYPE", "a web page: the download was answered with an error page"),
        (b"<html", "a web page: the download was answered with an error page"),
    ];
    if let Some((_, what)) = known.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return format!("looks like {what}");
    }
    // The table of GUIDs that ends an OVMF image starts from here (OVMF ResetVector).
    const OVMF_FOOTER: [u8; 16] = 0xde82b596_b21f_f745_baea_a366c55a082d_u128.to_be_bytes();
    if bytes.len().checked_sub(0x30).and_then(|at| bytes.get(at..at + 16)) == Some(&OVMF_FOOTER) {
        return "is an OVMF firmware image; `sealpod-images` computes launch digests from such".to_owned();
    }
    if bytes.iter().all(|b| *b == 0) {
        return format!("{} bytes, all of them zero", bytes.len());
    }
    match text::of(bytes) {
        Some(text) if text.contains("version: ") && text.contains("EventType:") => {
            "is what tpm2_eventlog prints, not the log itself; give the binary log".to_owned()
        }
        Some(text) if text.contains("\"uefi_event_logs\"") => {
            "is a listing of a boot log, not the log itself; give the binary log".to_owned()
        }
        Some(text) if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() => {
            format!("JSON of {} bytes with no member that evidence has", bytes.len())
        }
        Some(text) if text.trim_start().starts_with(['{', '[']) => {
            "starts like JSON but does not parse as such".to_owned()
        }
        Some(_) => format!("text of {} bytes in no form that is known", bytes.len()),
        None => {
            let start: Vec<String> = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
            format!("{} bytes that start {} and are no evidence that is known", bytes.len(), start.join(" "))
        }
    }
}

fn advice(bytes: &[u8]) -> String {
    let tried = if text::of(bytes).is_some() {
        "tried PEM, JSON, hex, base64, IMA ASCII, Keylime quote and PCR lists"
    } else {
        "tried SNP report, TDX/SGX quote, HCL report, TCG2 log and CCEL, IMA log, TPM structures, DER"
    };
    format!("{tried}; if you know what it is, say --kind (see --help)")
}
