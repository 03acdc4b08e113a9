//! Steps of a bundle that need the owner's word.

use super::sha256_pcr;
use crate::inspect::given::Given;
use crate::inspect::machine::Read;
use crate::inspect::outcome::Appraisal;
use crate::inspect::piece::Piece;
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::ima::HashAlgorithm;
use sealpod_evidence::initdata::Initdata;
use sealpod_evidence::rcar::PCR_IMA;
use sealpod_evidence::tcg2::BootLog;
use sealpod_verifier::ima::{self, ImaEvidence, Measured};
use sealpod_verifier::{Check, VerifyError, tpm};

/// Steps 8, 12 and 14 by Reference Values.
pub(super) fn appraise(
    inner: &Piece,
    given: &Given,
    read: &Read,
    initdata: Option<&Initdata>,
    out: &mut Appraisal,
) {
    let (boot, files) =
        ("a boot that is a Reference Value", "files that are Reference Values, by digest and path");
    let needs = "--policy with the owner's Reference Values";
    let Some(reference) = &given.reference else {
        out.not_run(Check::InitdataReference, "initdata that is a Reference Value", needs);
        out.not_run(Check::BootReference, boot, needs);
        return out.not_run(Check::ForeignFile, files, needs);
    };
    if let Some(initdata) = initdata {
        let known = reference.is_initdata(&initdata.digest().0).map(|known| format!("{known:?}"));
        let expected = "an initdata digest among the Reference Values";
        let known =
            known.ok_or_else(|| VerifyError::new(Check::InitdataReference, expected, initdata.digest()));
        out.ran(Check::InitdataReference, expected, known);
    }
    if let Some(Ok(log)) = inner.boot_log.as_deref().map(BootLog::parse) {
        let known = tpm::boot::reference(&log, reference);
        out.ran(Check::BootReference, boot, known.map(|known| format!("{:?}", known.description)));
    }
    let Some((log, _)) = &inner.ima_log else { return };
    let Some(initdata) = initdata else {
        return out.not_run(Check::ForeignFile, files, "initdata that parses");
    };
    let bank = sealpod_evidence::ima::detect(log).map_or(HashAlgorithm::Sha256, |(bank, _)| bank);
    let policy = initdata.policy();
    let measured = match (sha256_pcr(&read.quoted, PCR_IMA), &read.booted) {
        (Some(HexArray(pcr)), Some(booted)) => {
            let boot_pcrs: [[u8; 32]; 10] = std::array::from_fn(|index| {
                u8::try_from(index)
                    .ok()
                    .and_then(|index| sha256_pcr(&booted.pcrs, index))
                    .map_or([0; 32], |value| value.0)
            });
            ima::appraise(&ImaEvidence { log, bank, pcr, boot_pcrs: &boot_pcrs, policy, reference })
        }
        _ if inner.hcl.is_none() && inner.tpm_quotes.is_empty() => {
            ima::appraise_unanchored(log, bank, policy, reference)
        }
        _ => return out.not_run(Check::ForeignFile, files, "a quote and a boot log that hold"),
    };
    let found = |measured: &Measured| {
        format!("{} entries, {} not covered", measured.covered.index, measured.uncovered)
    };
    out.ran(Check::ForeignFile, files, measured.as_ref().map(found).map_err(Clone::clone));
}
