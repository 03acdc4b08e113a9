//! Steps 13 and 14 where there is no TPM.

use super::{ImaEvidence, ImaReplay, MAX_ENTRIES, Measured, Saved, resume, syntax};
use crate::error::{Check, VerifyError};
use crate::reference::ReferenceValues;
use sealpod_evidence::ima::{Bank, Entry, Log};
use sealpod_evidence::initdata::PodPolicy;

/// As [`super::appraise`], for the log of a kernel that found no TPM: it begins with a boot aggregate of zeros, and every entry is
/// covered, because nothing says how far it would be.
///
/// No register holds the log. It is what the measured kernel and agent said, and they alone vouch for it: the caller must know that
/// the report covers its text, and that the kernel is the owner's. A kernel *with* a TPM is refused, or its log could be shown
/// without the TPM that would contradict it.
///
/// # Errors
///
/// Checks of steps 13 and 14.
pub fn appraise_unanchored(
    log: &[u8],
    bank: Bank,
    policy: &PodPolicy,
    reference: &ReferenceValues,
) -> Result<Measured, VerifyError> {
    let whole = Log::new(log, bank, MAX_ENTRIES);
    let mut entries = whole.entries();
    let mut replay = ImaReplay::default();
    match &entries.next() {
        Some(Ok(first)) => {
            zero_aggregate(first)?;
            replay.advance(first, bank)?;
        }
        Some(Err(error)) => return Err(syntax(error)),
        None => return Err(refuse("no entry")),
    }
    let rest = log.get(entries.offset()..).unwrap_or_default();
    let saved = Saved { covered: replay, violations: 0 };
    for entry in entries {
        replay.advance(&entry.map_err(|error| syntax(&error))?, bank)?;
    }
    // What the log itself replays to: so the pass that looks at files covers all of it.
    let pcr = replay.pcr;
    resume(&ImaEvidence { log: rest, bank, pcr, boot_pcrs: &[[0; 32]; 10], policy, reference }, &saved)
}

/// `ima_add_boot_aggregate` leaves the digest zero where there is no TPM.
fn zero_aggregate(entry: &Entry<'_>) -> Result<(), VerifyError> {
    let fields = entry.fields().map_err(|error| refuse(&error.to_string()))?;
    let digest = fields.digest.filter(|_| entry.is_boot_aggregate() && !entry.is_violation());
    let Some(digest) = digest else {
        return Err(refuse(&String::from_utf8_lossy(fields.name.unwrap_or_default())));
    };
    if digest.value.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    Err(refuse(&format!("{}:{}, of a kernel with a TPM", digest.algorithm.name(), hex::encode(digest.value))))
}

fn refuse(found: &str) -> VerifyError {
    VerifyError::new(Check::BootAggregate, "boot_aggregate of zeros first, because there is no TPM", found)
}
