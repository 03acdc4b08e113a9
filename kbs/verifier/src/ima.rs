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

mod files;

use crate::error::{Check, VerifyError};
use crate::hash::{extend, sha256_of};
use crate::reference::ReferenceValues;
use aws_lc_rs::digest::{Algorithm, Context, Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use files::{BATCH, File, PodFiles};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::ima::{Bank, DigestKind, Entry, HashAlgorithm, ImaError, Log};
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
    /// The bank whose digests the log carries: SHA-256 or SHA-1.
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

/// A place in a machine's IMA log: how many entries came before, and PCR 10 after them.
///
/// Whoever keeps one for an attested guest can go on from it with only the new entries of the same boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImaReplay {
    /// Index of the next entry.
    pub index: u64,
    /// The SHA-256 bank's PCR 10.
    pub pcr: [u8; 32],
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
pub fn appraise(evidence: &ImaEvidence<'_>) -> Result<Measured, VerifyError> {
    let &ImaEvidence { log, bank, pcr: quoted, boot_pcrs, policy, reference } = evidence;
    if quoted == [0; 32] {
        let expected = format!("PCR {PCR_IMA} extended by IMA");
        return Err(VerifyError::new(
            Check::BootAggregate,
            expected,
            "zeros: the kernel had no TPM when IMA started",
        ));
    }
    let files = PodFiles::of(policy, reference);
    let mut pass = Pass::new(files.as_ref().ok(), reference);
    let mut entries = Log::new(log, bank, MAX_ENTRIES).entries();
    while pass.replay.pcr != quoted {
        match &entries.next() {
            Some(Ok(entry)) => pass.entry(entry, bank, boot_pcrs)?,
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

/// Templates of the kernel's with digest and name first, which an entry of the default template can be in.
const DEFAULT_TEMPLATES: [&str; 4] = ["ima-ng", "ima-sig", "ima-ngv2", "ima-sigv2"];
/// The template that the guest's IMA policy asks for (`guest/src/ima_policy.rs`).
const POLICY_TEMPLATE: &str = "evm-sig";
/// Set-user-id and set-group-id (`S_ISUID`, `S_ISGID`).
const SET_ID: u16 = 0o6000;

/// The state of one pass over a log with lifetime `'l`.
struct Pass<'r, 'l> {
    files: Option<&'r PodFiles<'r>>,
    violations_accepted: u64,
    replay: ImaReplay,
    /// Files that are still to be looked up.
    batch: Vec<File<'l>>,
    /// The first finding about a file. Holds once the replay has passed its entry and met the quote.
    refused: Option<VerifyError>,
    violations: u64,
}

impl<'r, 'l> Pass<'r, 'l> {
    fn new(files: Option<&'r PodFiles<'r>>, reference: &'r ReferenceValues) -> Self {
        let (replay, batch) = (ImaReplay::default(), Vec::with_capacity(BATCH));
        let violations_accepted = reference.violations();
        Self { files, violations_accepted, replay, batch, refused: None, violations: 0 }
    }

    fn entry(
        &mut self,
        entry: &Entry<'l>,
        bank: Bank,
        boot_pcrs: &[[u8; 32]; 10],
    ) -> Result<(), VerifyError> {
        self.replay.advance(entry, bank)?;
        if entry.index == 0 {
            boot_aggregate(entry, boot_pcrs)?;
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
        let at = |text: &str| format!("IMA entry {}: {text}", entry.index);
        let unexpected = |found: String| {
            VerifyError::new(Check::UnexpectedMeasurement, at("a file's SHA-256 digest and path"), found)
        };
        // The kernel logs violations in the default template, whatever its policy says.
        if entry.is_violation() || entry.template_name != POLICY_TEMPLATE {
            in_template(entry, &DEFAULT_TEMPLATES)?;
        }
        let fields = entry.fields().map_err(|error| unexpected(error.to_string()))?;
        let name = fields.name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| unexpected("no name".to_owned()))?;
        let text = || String::from_utf8_lossy(name).into_owned();
        if entry.is_violation() {
            // Its data is not hashed, so the name is for people: only that there was one is known.
            self.violations += 1;
            if self.violations > self.violations_accepted {
                let expected = at(&format!("at most {} violation(s)", self.violations_accepted));
                let found = format!("one more, said to be of {}", text());
                return Err(VerifyError::new(Check::ImaViolation, expected, found));
            }
            return Ok(());
        }
        let digest = match fields.digest {
            Some(digest) if digest.kind == DigestKind::Verity => {
                return Err(unexpected(format!("an fs-verity digest, of {}", text())));
            }
            Some(digest) if digest.algorithm == HashAlgorithm::Sha256 => digest.value.try_into().ok(),
            _ => None,
        };
        let Some(digest) = digest.map(HexArray) else {
            return Err(unexpected(format!("another digest, of {}", text())));
        };
        let set_id = fields.mode.is_some_and(|mode| mode & SET_ID != 0);
        self.batch.push(File { name, digest, set_id });
        if self.batch.len() == BATCH {
            self.look_up();
        }
        Ok(())
    }
}

/// Templates by name: the kernel's own, never a format that the log spells out.
fn in_template(entry: &Entry<'_>, expected: &[&str]) -> Result<(), VerifyError> {
    if expected.contains(&entry.template_name) {
        return Ok(());
    }
    let expected = format!("IMA entry {}: template {}", entry.index, expected.join(", "));
    Err(VerifyError::new(Check::UnexpectedMeasurement, expected, format!("{:?}", entry.template_name)))
}

impl ImaReplay {
    /// One entry further, with the digest recomputed from its data.
    ///
    /// The quoted bank is SHA-256, whatever the bank of the log: the kernel extends each bank with its own hash of the same
    /// data. A violation extends all ones.
    fn advance(&mut self, entry: &Entry<'_>, bank: Bank) -> Result<(), VerifyError> {
        if entry.pcr != u32::from(PCR_IMA) {
            let expected = format!("IMA entry {} in PCR {PCR_IMA}", entry.index);
            return Err(VerifyError::new(Check::ImaReplay, expected, format!("PCR {}", entry.pcr)));
        }
        let digest = if entry.is_violation() { [0xff; 32] } else { template_digest(entry, bank)? };
        extend(&mut self.pcr, &digest);
        self.index = self.index.saturating_add(1);
        Ok(())
    }
}

/// SHA-256 of the template data, after checking the log's own digest of it.
fn template_digest(entry: &Entry<'_>, bank: Bank) -> Result<[u8; 32], VerifyError> {
    let sha256 = hashed(entry, &SHA256);
    let mut digest = [0; 32];
    digest.copy_from_slice(sha256.as_ref());
    let computed = match bank {
        HashAlgorithm::Sha256 => sha256,
        HashAlgorithm::Sha1 => hashed(entry, &SHA1_FOR_LEGACY_USE_ONLY),
        other => {
            let found = other.name();
            return Err(VerifyError::new(Check::ImaLogSyntax, "an IMA log of bank sha1 or sha256", found));
        }
    };
    if computed.as_ref() != entry.template_digest {
        let expected =
            format!("IMA entry {} with the digest of its data, {}", entry.index, hex::encode(computed));
        return Err(VerifyError::new(Check::ImaTemplateDigest, expected, hex::encode(entry.template_digest)));
    }
    Ok(digest)
}

/// The kernel's hash of the template data: of all of it at once, which is the quickest, but for template `ima`.
fn hashed(entry: &Entry<'_>, algorithm: &'static Algorithm) -> Digest {
    if entry.template_name != "ima" {
        return digest(algorithm, entry.template_data);
    }
    let mut context = Context::new(algorithm);
    entry.hash_parts(|part| context.update(part));
    context.finish()
}

/// Entry 0 is the kernel's hash over PCR 0 to 9 as it found them. In banks other than SHA-1, Linux has included PCR 8 and
/// 9 since 5.8 (`ima_calc_boot_aggregate`), and it reads them before any user space runs.
fn boot_aggregate(entry: &Entry<'_>, boot_pcrs: &[[u8; 32]; 10]) -> Result<(), VerifyError> {
    let computed = HexArray(sha256_of(boot_pcrs.iter().map(<[u8; 32]>::as_slice)));
    let refused = |found: String| {
        VerifyError::new(Check::BootAggregate, format!("boot_aggregate sha256:{computed} first"), found)
    };
    let fields = entry.fields().map_err(|error| refused(error.to_string()))?;
    let name = String::from_utf8_lossy(fields.name.unwrap_or_default());
    let Some(digest) = fields.digest.filter(|_| entry.is_boot_aggregate() && !entry.is_violation()) else {
        return Err(refused(name.into_owned()));
    };
    if digest.value.iter().all(|byte| *byte == 0) {
        return Err(refused("zeros: the kernel had no TPM when IMA started".to_owned()));
    }
    let plain = digest.kind == DigestKind::Content && digest.algorithm == HashAlgorithm::Sha256;
    if !plain || digest.value != computed.0 {
        return Err(refused(format!("{name} {}:{}", digest.algorithm.name(), hex::encode(digest.value))));
    }
    Ok(())
}

fn not_replayed(replay: ImaReplay, quoted: [u8; 32]) -> VerifyError {
    let expected = format!("a prefix that replays to PCR {PCR_IMA} = {}", HexArray(quoted));
    let found = format!("{} entries, the last of them reaching {}", replay.index, HexArray(replay.pcr));
    VerifyError::new(Check::ImaReplay, expected, found)
}

fn syntax(error: &ImaError) -> VerifyError {
    match error {
        ImaError::UnknownTemplate { .. } => {
            VerifyError::new(Check::UnexpectedMeasurement, "a template whose fields are known", error)
        }
        _ => VerifyError::new(Check::ImaLogSyntax, "an IMA log", error),
    }
}

#[cfg(test)]
mod tests;
