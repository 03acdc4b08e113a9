//! What one machine sent, each part by the module for it, and what ties the parts together.

use super::boot_log::{self, Replayed};
use super::given::Given;
use super::outcome::Appraisal;
use super::piece::{Pcrs, Piece};
use super::quote::Quoted;
use super::{azure, ima, quote, snp, tdx};
use sealpod_evidence::snp::report::Report;

/// What the parts have to answer, where the evidence itself says it.
#[derive(Debug, Default)]
pub(super) struct Challenges {
    /// Report data of the TEE's report.
    pub report: Option<Vec<u8>>,
    /// Extra data of the TPM's quote.
    pub quote: Option<Vec<u8>>,
}

/// What later steps go on with.
#[derive(Default)]
pub(super) struct Read {
    /// The SNP report, where there is one by itself.
    pub snp: Option<Report>,
    /// What the boot log replays to.
    pub booted: Option<Replayed>,
    /// Values that a quote covers.
    pub quoted: Pcrs,
}

/// Appraise all parts of a piece.
pub(super) fn appraise(piece: &Piece, given: &Given, challenges: &Challenges, out: &mut Appraisal) -> Read {
    let mut read = Read::default();
    let with = |nonce: &Option<Vec<u8>>| Given {
        nonce: nonce.clone().or_else(|| given.nonce.clone()),
        ..given.clone()
    };
    let of_quote = with(&challenges.quote);
    let mut quoted = Quoted::default();
    if piece.hcl.is_some() {
        quoted = azure::appraise(piece, &of_quote, out);
    } else {
        let of_report = with(&challenges.report);
        if piece.snp_report.is_some() {
            read.snp = snp::appraise(piece, &of_report, out);
        }
        if piece.intel_quote.is_some() {
            tdx::appraise(piece, &of_report, out);
        } else if let Some(log) = &piece.ccel {
            boot_log::ccel(log, out);
            out.not_run(
                sealpod_verifier::Check::BootLogReplay,
                "RTMRs that the log replays to",
                "the TDX quote, as a further FILE",
            );
        }
        if !piece.tpm_quotes.is_empty() {
            quoted = quote::appraise(piece, &of_quote, None, out);
        }
    }
    let booted = logs(piece, given, &quoted, out);
    let values = values(piece, given, &quoted);
    ima::appraise(piece, given, &values, booted.as_ref(), out);
    Read { booted, quoted: quoted.pcrs, ..read }
}

/// Values that logs are held against: those that a quote covers, or else those given.
fn values(piece: &Piece, given: &Given, quoted: &Quoted) -> Pcrs {
    if !quoted.pcrs.is_empty() {
        return quoted.pcrs.clone();
    }
    let mut values = piece.all_pcrs();
    for (bank, of) in &given.pcrs {
        values.entry(*bank).or_default().extend(of.iter().map(|(index, value)| (*index, value.clone())));
    }
    values
}

fn logs(piece: &Piece, given: &Given, quoted: &Quoted, out: &mut Appraisal) -> Option<Replayed> {
    let log = piece.boot_log.as_deref()?;
    let replayed = boot_log::tpm_log(log, out)?;
    let values = values(piece, given, quoted);
    if !boot_log::compare(&replayed, &values, !quoted.pcrs.is_empty(), out) {
        boot_log::missing(out);
    }
    Some(replayed)
}
