//! From files and options to appraisals.

use super::boot_log;
use super::given::Given;
use super::machine::{self, Challenges};
use super::outcome::{Appraisal, Status};
use super::piece::{Kind, Piece};
use super::{azure, bundle, chains, keys, quote, tdx};
use sealpod_verifier::{Check, VerifyError};

/// Appraise what belongs together.
pub fn appraise(piece: &Piece, given: &Given) -> Appraisal {
    let mut out = Appraisal::new(piece.kind.as_str(), piece.kind.title());
    out.files.clone_from(&piece.files);
    if !piece.form.is_empty() {
        out.tree.value = piece.form.join(", ");
    }
    match piece.kind {
        Kind::Bundle => bundle::appraise(piece, given, &mut out),
        Kind::Certificate | Kind::Crl => chains::appraise(piece, given, &mut out),
        Kind::Collateral => {
            tdx::appraise_collateral(piece, given, &mut out);
            if !piece.certificates.is_empty() || !piece.crls.is_empty() {
                chains::appraise(piece, given, &mut out);
            }
        }
        Kind::RuntimeData => azure::runtime(piece.runtime_data.as_deref().unwrap_or_default(), &mut out),
        Kind::AttestationKey => key(piece, &mut out),
        Kind::PcrValues => {
            out.tree.push(quote::pcr_node("PCR values", &piece.pcrs));
            let count: usize = piece.pcrs.values().map(|bank| bank.len()).sum();
            let values = piece.pcrs.iter().map(|(bank, values)| {
                let of = values.iter().map(|(index, value)| (index.to_string(), hex::encode(value).into()));
                (bank.name().to_owned(), serde_json::Value::Object(of.collect()))
            });
            out.fact("pcrs", serde_json::Value::Object(values.collect()));
            out.ran(Check::PcrValues, "PCR values of known banks", Ok(format!("{count} values")));
            out.not_run(Check::QuotePcrDigest, "a quote over these values", "the quote, as a further FILE");
        }
        Kind::TpmSignature => out.not_run(
            Check::QuoteSignature,
            "the message that it signs",
            "the quote's message, as a further FILE",
        ),
        Kind::Tpm12 => out.failed(VerifyError::new(
            Check::EvidenceVersion,
            "evidence of a TPM 2.0",
            "that of a TPM 1.2, which rests on SHA-1 alone and is not accepted",
        )),
        Kind::CcelTable => table(&piece.other, &mut out),
        _ => {
            machine::appraise(piece, given, &Challenges::default(), &mut out);
        }
    }
    reach(piece, &mut out);
    out.sort();
    out
}

/// Say what a verdict rests on, so that nobody reads more into it.
fn reach(piece: &Piece, out: &mut Appraisal) {
    let signed = out.has_signature();
    let log_only = matches!(piece.kind, Kind::Tcg2Log | Kind::Ccel | Kind::ImaLog);
    let replayed = out.has(Check::BootLogReplay, Status::Pass) || out.has(Check::ImaReplay, Status::Pass);
    match (signed, log_only, replayed) {
        (false, true, false) => {
            out.note("The log parses and replays; nothing here shows that a TPM or TD saw it. Give the quote, or --pcrs, too.");
        }
        (false, true, true) => {
            out.note("The log is held against values that no signature covers here: they are worth what their source is.");
        }
        (false, false, _) => {
            out.note("No signature was verified: what the evidence says is nobody's word yet.")
        }
        _ => {}
    }
}

fn key(piece: &Piece, out: &mut Appraisal) {
    let bytes = piece.ak.as_deref().unwrap_or_default();
    match keys::Key::read(bytes) {
        Ok(key) => {
            out.tree.field("Key", key.describe());
            out.fact("key", key.describe());
            out.ran(Check::TpmStructure, "a public key", Ok(key.describe()));
            quote::attributes(Some(&key), out);
        }
        Err(found) => out.failed(VerifyError::new(Check::TpmStructure, "a public key", found)),
    }
}

/// The CCEL ACPI table (UEFI 2.10 section 38.4.1): where the log is, in the guest's memory.
fn table(bytes: &[u8], out: &mut Appraisal) {
    let word =
        |at: usize| bytes.get(at..at + 8).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b));
    let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    out.tree.field("Log area", format!("{} bytes at {:#x}", word(40), word(48)));
    out.tree.field(
        "TEE",
        match bytes.get(36) {
            Some(1) => "AMD SEV",
            Some(2) => "Intel TDX",
            _ => "not known",
        },
    );
    let result = (sum == 0).then_some("its checksum holds").ok_or_else(|| {
        VerifyError::new(Check::BootLogSyntax, "an ACPI table whose bytes add up to zero", sum)
    });
    out.ran(Check::BootLogSyntax, "the CCEL ACPI table", result);
    out.note("This table only says where the log was in the guest's memory. Give /sys/firmware/acpi/tables/data/CCEL for the log itself.");
}

/// All events of the boot logs in a piece, for programs.
pub fn events(piece: &Piece) -> Option<serde_json::Value> {
    let events = match (&piece.boot_log, &piece.ccel) {
        (Some(log), _) => boot_log::event_facts(log, false),
        (None, Some(log)) => boot_log::event_facts(log, true),
        (None, None) => return None,
    };
    Some(events.into())
}
