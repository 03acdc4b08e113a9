//! Steps 13 and 14: the IMA log is what the TPM saw, and every file in it is one that this pod may run.
//!
//! Only the template *data* is hashed; the template's name is the sender's word. So entries are read by position, in templates
//! that cannot be taken for each other: data is a sequence of fields with their lengths, and a template takes all of it. Two
//! fields are `ima-ng` or `ima-ngv2`, which differ in how their digests begin; three are `ima-sig` or `ima-sigv2`, likewise; nine
//! are `evm-sig`. Digest and name come first in each. Of the kernel's own templates `ima-buf` has three fields too: the digest and
//! name of a buffer, taken for a file's, still have to be those of a known file. A format that the sender spells out itself could
//! name any field digest and name, so none is taken.
//!
//! One pass over the log, because a log can have a hundred thousand entries: each is digested, extended, and looked up,
//! and nothing is allocated for it. A finding about a file counts only if the log then replays as far as that entry.

mod aggregate;
mod buffer;
mod evm;
mod files;
mod modsig;
mod replay;
mod signature;
mod unanchored;

pub use aggregate::{AggregateForm, boot_aggregate};
pub use modsig::AppendedSignature;
pub use replay::{BankReplay, ImaReplay};
pub use signature::{FileSignature, SignatureError, Signed};
pub use unanchored::appraise_unanchored;

use crate::error::{Check, VerifyError};
use crate::reference::ReferenceValues;
use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};
use files::{BATCH, File, PodFiles, is_signed};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::ima::{Bank, DigestKind, Entry, Fields, HashAlgorithm, ImaError, Log};
use sealpod_evidence::initdata::PodPolicy;
use sealpod_evidence::rcar::PCR_IMA;

/// Most entries of one log: at 300 ns each, a third of a second. Evidence is 2 MiB on the wire and an entry 100 bytes,
/// so only a caller that takes larger evidence comes near.
const MAX_ENTRIES: u64 = 1 << 20;

/// An IMA log and all that it is held against.
#[derive(Debug, Clone, Copy)]
pub struct ImaEvidence<'a> {
    /// The kernel's binary log, little-endian, from its first entry.
    pub log: &'a [u8],
    /// The bank whose digests the log carries.
    pub bank: Bank,
    /// PCR 10 of the SHA-256 bank, from a quote that was verified.
    pub pcr: [u8; 32],
    /// PCR 0 to 9 of the SHA-256 bank as firmware and kernel left them: before anything in user space extended one.
    pub boot_pcrs: &'a [[u8; 32]; 10],
    /// The owner's policy, whose container rules name the images that may run.
    pub policy: &'a PodPolicy,
    /// Files of the guest image and of container images.
    pub reference: &'a ReferenceValues,
}

/// What a log established.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// How far the quote reaches: number of entries, and PCR 10 after them.
    pub covered: ImaReplay,
    /// Entries behind that. They are not evidence, and nothing in them was appraised.
    pub uncovered: u64,
    /// Covered violations, no more than the owner accepts.
    pub violations: u64,
}

/// What is kept of an attested guest to go on from: see [`resume`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Saved {
    /// How far its log was appraised.
    pub covered: ImaReplay,
    /// Violations until there.
    pub violations: u64,
}

/// The log begins with this boot's aggregate, each entry's digest is that of its data, a prefix replays to PCR 10, there are
/// no more violations than are accepted, and every file in the prefix is, by digest and path, one of the guest image or of an
/// image that a rule of initdata names.
///
/// Proves what was executed, mapped or loaded *under the IMA policy in force*; that it is the shipped policy follows from the
/// launch digest. Does not prove what a script read or what was written, nor that the PCRs given are a TPM's: that is for the
/// caller, as [`crate::verify`] does in steps 9 to 12. Code that was never a file mapped for execution is not covered: anonymous
/// memory that a process fills and executes, and a file mapped readable and made executable afterwards (`mprotect`). Nor is
/// content that was changed behind the kernel's back after it was measured, through a shared mapping.
///
/// # Errors
///
/// Checks of steps 13 and 14.
pub fn appraise(evidence: &ImaEvidence<'_>) -> Result<Measured, VerifyError> {
    resume(evidence, &Saved::default())
}

/// [`appraise`] for a log that goes on from a saved place: its first entry is number `saved.covered.index` of the whole log. Gives
/// what an appraisal of the whole log would give, under the same Reference Values and policy.
///
/// Proves that only if the prefix was appraised *in this boot*: same TPM, same reset and restart count, same report id. That is
/// for the caller, and so is that the boot PCRs are still those that the prefix's boot aggregate was held against.
///
/// # Errors
///
/// As [`appraise`].
pub fn resume(evidence: &ImaEvidence<'_>, saved: &Saved) -> Result<Measured, VerifyError> {
    let &ImaEvidence { log, bank, pcr: quoted, policy, reference, .. } = evidence;
    if quoted == [0; 32] {
        let expected = format!("PCR {PCR_IMA} extended by IMA");
        return Err(VerifyError::new(
            Check::BootAggregate,
            expected,
            "zeros: the kernel had no TPM when IMA started",
        ));
    }
    let files = PodFiles::of(policy, reference);
    let mut pass = Pass::new(files.as_ref().ok(), evidence, saved);
    let left = MAX_ENTRIES.saturating_sub(saved.covered.index);
    let mut entries = Log::new(log, bank, left).starting_at(saved.covered.index).entries();
    while pass.replay.pcr != quoted {
        match &entries.next() {
            Some(Ok(entry)) => pass.entry(entry)?,
            Some(Err(error)) => return Err(syntax(error)),
            None => return Err(not_replayed(pass.replay, quoted)),
        }
    }
    let mut uncovered = 0;
    for entry in entries {
        entry.map_err(|error| syntax(&error))?;
        uncovered += 1;
    }
    pass.look_up();
    let Pass { replay: covered, refused, violations, .. } = pass;
    if let Some(error) = refused {
        return Err(error);
    }
    files?;
    Ok(Measured { covered, uncovered, violations })
}

impl Measured {
    /// What to keep for [`resume`].
    pub fn saved(&self) -> Saved {
        Saved { covered: self.covered, violations: self.violations }
    }
}

/// The algorithm by which a bank or a file is hashed.
pub(crate) fn algorithm(of: HashAlgorithm) -> &'static Algorithm {
    match of {
        HashAlgorithm::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
        HashAlgorithm::Sha256 => &SHA256,
        HashAlgorithm::Sha384 => &SHA384,
        HashAlgorithm::Sha512 => &SHA512,
    }
}

/// Templates of the kernel's with digest and name first, which an entry of the default template can be in.
const DEFAULT_TEMPLATES: [&str; 4] = ["ima-ng", "ima-sig", "ima-ngv2", "ima-sigv2"];
/// Those that an IMA policy can ask for besides: the guest's (`guest/src/ima_policy.rs`), and that of appended signatures.
const POLICY_TEMPLATES: [&str; 2] = ["evm-sig", "ima-modsig"];
/// Set-user-id and set-group-id (`S_ISUID`, `S_ISGID`).
const SET_ID: u16 = 0o6000;

/// The state of one pass over a log with lifetime `'l`.
struct Pass<'r, 'l> {
    files: Option<&'r PodFiles<'r>>,
    reference: &'r ReferenceValues,
    bank: Bank,
    boot_pcrs: &'r [[u8; 32]; 10],
    replay: ImaReplay,
    /// Files that are still to be looked up.
    batch: Vec<File<'l>>,
    /// The first finding about a file. Holds once the replay has passed its entry and met the quote.
    refused: Option<VerifyError>,
    violations: u64,
}

impl<'r, 'l> Pass<'r, 'l> {
    fn new(files: Option<&'r PodFiles<'r>>, evidence: &ImaEvidence<'r>, saved: &Saved) -> Self {
        let &ImaEvidence { bank, boot_pcrs, reference, .. } = evidence;
        let &Saved { covered: replay, violations } = saved;
        let batch = Vec::with_capacity(BATCH);
        Self { files, reference, bank, boot_pcrs, replay, batch, refused: None, violations }
    }

    fn entry(&mut self, entry: &Entry<'l>) -> Result<(), VerifyError> {
        self.replay.advance(entry, self.bank)?;
        if entry.index == 0 {
            // Only the SHA-256 bank is quoted.
            let pcrs = self.boot_pcrs.each_ref().map(<[u8; 32]>::as_slice);
            boot_aggregate(entry, |bank| (bank == HashAlgorithm::Sha256).then_some(pcrs))?;
            return in_template(entry, &DEFAULT_TEMPLATES);
        }
        if self.refused.is_none()
            && let Err(error) = self.judge(entry)
        {
            // A file of an earlier entry goes first.
            self.look_up();
            self.refused.get_or_insert(error);
        }
        Ok(())
    }

    fn look_up(&mut self) {
        let Some(files) = self.files else { return self.batch.clear() };
        if let Err(error) = files.check_all(&self.batch) {
            self.refused.get_or_insert(error);
        }
        self.batch.clear();
    }

    fn judge(&mut self, entry: &Entry<'l>) -> Result<(), VerifyError> {
        // The kernel logs violations in the default template, whatever its policy says.
        let buffer = entry.template_name == buffer::TEMPLATE;
        if entry.is_violation() || !(buffer || POLICY_TEMPLATES.contains(&entry.template_name)) {
            in_template(entry, &DEFAULT_TEMPLATES)?;
        }
        let fields = entry.fields().map_err(|error| unexpected(entry, error.to_string()))?;
        let name = fields.name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| unexpected(entry, "no name".to_owned()))?;
        if entry.is_violation() {
            return self.violation(entry, name);
        }
        buffer::no_kexec(entry, name)?;
        if buffer {
            buffer::judge(entry, &fields, name, self.reference)
        } else {
            self.file(entry, &fields, name)
        }
    }

    /// Its data is not hashed, so the name is for people: only that there was one is known.
    fn violation(&mut self, entry: &Entry<'_>, name: &[u8]) -> Result<(), VerifyError> {
        self.violations = self.violations.saturating_add(1);
        let accepted = self.reference.violations();
        if self.violations <= accepted {
            return Ok(());
        }
        let expected = format!("IMA entry {}: at most {accepted} violation(s)", entry.index);
        let found = format!("one more, said to be of {}", String::from_utf8_lossy(name));
        Err(VerifyError::new(Check::ImaViolation, expected, found))
    }

    fn file(&mut self, entry: &Entry<'l>, fields: &Fields<'l>, name: &'l [u8]) -> Result<(), VerifyError> {
        let set_id = fields.mode.is_some_and(|mode| mode & SET_ID != 0);
        let another = || unexpected(entry, format!("another digest, of {}", String::from_utf8_lossy(name)));
        let Some(digest) = fields.digest else { return Err(another()) };
        let sha256 = <[u8; 32]>::try_from(digest.value).ok().map(HexArray);
        match (digest.kind, digest.algorithm, sha256) {
            (DigestKind::Content, HashAlgorithm::Sha256, Some(digest)) => {
                let signed = is_signed(fields).then_some(*entry);
                self.batch.push(File { name, digest, set_id, signed });
                if self.batch.len() == BATCH {
                    self.look_up();
                }
                Ok(())
            }
            (_, HashAlgorithm::Sha1, _) => Err(another()),
            // No set: that is found at the end.
            _ => self.files.map_or(Ok(()), |files| match digest.kind {
                DigestKind::Verity => files.check_verity(entry, name, &digest, set_id),
                DigestKind::Content => files.check_signed(entry, name, &digest, set_id),
            }),
        }
    }
}

fn unexpected(entry: &Entry<'_>, found: String) -> VerifyError {
    let expected = format!("IMA entry {}: a file's digest and path", entry.index);
    VerifyError::new(Check::UnexpectedMeasurement, expected, found)
}

/// Templates by name: the kernel's own, never a format that the log spells out.
fn in_template(entry: &Entry<'_>, expected: &[&str]) -> Result<(), VerifyError> {
    if expected.contains(&entry.template_name) {
        return Ok(());
    }
    let expected = format!("IMA entry {}: template {}", entry.index, expected.join(", "));
    Err(VerifyError::new(Check::UnexpectedMeasurement, expected, format!("{:?}", entry.template_name)))
}

fn not_replayed(replay: ImaReplay, quoted: [u8; 32]) -> VerifyError {
    let expected = format!("a prefix that replays to PCR {PCR_IMA} = {}", HexArray(quoted));
    let found = format!("{} entries, the last of them reaching {}", replay.index, HexArray(replay.pcr));
    VerifyError::new(Check::ImaReplay, expected, found)
}

pub(crate) fn syntax(error: &ImaError) -> VerifyError {
    match error {
        ImaError::UnknownTemplate { .. } => {
            VerifyError::new(Check::UnexpectedMeasurement, "a template whose fields are known", error)
        }
        _ => VerifyError::new(Check::ImaLogSyntax, "an IMA log", error),
    }
}

#[cfg(test)]
mod tests;
