//! The entry that binds a log to the boot.

use super::algorithm;
use crate::error::{Check, VerifyError};
use aws_lc_rs::digest::Context;
use sealpod_evidence::ima::{DigestKind, Entry, HashAlgorithm};

/// What a boot aggregate was computed over (`ima_calc_boot_aggregate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateForm {
    /// PCR 0 to 7: the SHA-1 bank with any kernel, other banks with kernels before 5.8.
    Pcr0To7(HashAlgorithm),
    /// PCR 0 to 9: banks other than SHA-1, since Linux 5.8.
    Pcr0To9(HashAlgorithm),
}

/// The first entry is the kernel's hash over the boot PCRs of its bank as it found them, before any user space ran.
///
/// `pcrs` gives the values of a bank's PCR 0 to 9 where they are known, each as long as the bank's digest. They have to be those
/// of a quote, or replayed to one, and *before* anything in user space extended one. A bank for which it gives none is refused.
/// Proves that the log is of a boot with these PCRs, once it replays to PCR 10 of the same quote.
///
/// # Errors
///
/// [`Check::BootAggregate`] for an entry that is not the first or not a boot aggregate, for zeros (the kernel had no TPM when
/// IMA started), for the form of TPM 1.2 (template `ima`, whose digest names no bank) and for a digest of other PCRs.
pub fn boot_aggregate<'p>(
    entry: &Entry<'_>,
    pcrs: impl Fn(HashAlgorithm) -> Option<[&'p [u8]; 10]>,
) -> Result<AggregateForm, VerifyError> {
    let refused = |expected: &str, found: String| {
        VerifyError::new(Check::BootAggregate, format!("boot_aggregate {expected} first"), found)
    };
    let known = pcrs(HashAlgorithm::Sha256).map(|pcrs| hash_of(HashAlgorithm::Sha256, &pcrs));
    let sha256 = known
        .map_or_else(|| "of the quoted PCRs".to_owned(), |known| format!("sha256:{}", hex::encode(known)));
    let fields = entry.fields().map_err(|error| refused(&sha256, error.to_string()))?;
    let name = String::from_utf8_lossy(fields.name.unwrap_or_default());
    let Some(digest) = fields.digest.filter(|_| entry.is_boot_aggregate() && !entry.is_violation()) else {
        return Err(refused(&sha256, name.into_owned()));
    };
    if digest.value.iter().all(|byte| *byte == 0) {
        return Err(refused(&sha256, "zeros: the kernel had no TPM when IMA started".to_owned()));
    }
    if entry.template_name == "ima" {
        return Err(refused(&sha256, "template ima: a digest without a bank, as with a TPM 1.2".to_owned()));
    }
    let bank = digest.algorithm;
    let found = || format!("{name} {}:{}", bank.name(), hex::encode(digest.value));
    if digest.kind != DigestKind::Content {
        return Err(refused(&sha256, found()));
    }
    let Some(pcrs) = pcrs(bank) else { return Err(refused(&sha256, found())) };
    let forms: &[(usize, AggregateForm)] = match bank {
        HashAlgorithm::Sha1 => &[(8, AggregateForm::Pcr0To7(bank))],
        _ => &[(10, AggregateForm::Pcr0To9(bank)), (8, AggregateForm::Pcr0To7(bank))],
    };
    let form = forms
        .iter()
        .find(|(count, _)| hash_of(bank, pcrs.get(..*count).unwrap_or_default()).as_ref() == digest.value);
    form.map(|(_, form)| *form).ok_or_else(|| refused(&sha256, found()))
}

fn hash_of(bank: HashAlgorithm, pcrs: &[&[u8]]) -> aws_lc_rs::digest::Digest {
    let mut context = Context::new(algorithm(bank));
    pcrs.iter().for_each(|pcr| context.update(pcr));
    context.finish()
}
