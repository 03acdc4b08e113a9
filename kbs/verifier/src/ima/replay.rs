//! From entries to PCR 10, in every bank.

use super::{algorithm, syntax};
use crate::error::{Check, VerifyError};
use crate::hash::extend;
use aws_lc_rs::digest::{Algorithm, Context, Digest, SHA256, digest};
use sealpod_evidence::ima::{Bank, Entry, HashAlgorithm, Log};
use sealpod_evidence::rcar::PCR_IMA;

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

/// The same for one bank of any kind, which need not be the log's: each bank is extended with its own hash of the same data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BankReplay {
    /// Which bank.
    pub bank: Bank,
    /// Index of the next entry.
    pub index: u64,
    /// Violations among the entries.
    pub violations: u64,
    pcr: [u8; 64],
    padded: [u8; 64],
}

impl ImaReplay {
    /// One entry further, with the digest recomputed from its data.
    ///
    /// The quoted bank is SHA-256, whatever the bank of the log: the kernel extends each bank with its own hash of the same
    /// data. A violation extends all ones.
    pub(crate) fn advance(&mut self, entry: &Entry<'_>, bank: Bank) -> Result<(), VerifyError> {
        in_pcr_10(entry)?;
        let digest = if entry.is_violation() { [0xff; 32] } else { template_digest(entry, bank)? };
        extend(&mut self.pcr, &digest);
        self.index = self.index.saturating_add(1);
        Ok(())
    }
}

impl BankReplay {
    /// Before the first entry.
    pub fn new(bank: Bank) -> Self {
        Self { bank, index: 0, violations: 0, pcr: [0; 64], padded: [0; 64] }
    }

    /// PCR 10 of the bank.
    pub fn pcr(&self) -> &[u8] {
        self.pcr.get(..self.bank.digest_len()).unwrap_or(&self.pcr)
    }

    /// PCR 10 of the bank if the kernel extended it with SHA-1 digests and zeros after them: kernels before 5.8 do that in all
    /// banks, later ones in banks whose hash they lack.
    ///
    /// Then entries are bound by SHA-1 only, and an appraisal never takes that. For reading old logs.
    pub fn padded_pcr(&self) -> &[u8] {
        self.padded.get(..self.bank.digest_len()).unwrap_or(&self.padded)
    }

    /// All entries of a log further. Each has to be in PCR 10 and have the digest of its data.
    ///
    /// What comes out proves nothing until it is compared with a quoted value.
    ///
    /// # Errors
    ///
    /// [`Check::ImaLogSyntax`] or [`Check::UnexpectedMeasurement`] where the log does not parse, [`Check::ImaReplay`] for another
    /// PCR, [`Check::ImaTemplateDigest`] for a digest that is not of the data.
    pub fn run(&mut self, log: &Log<'_>) -> Result<(), VerifyError> {
        let bank = log.bank();
        for entry in log.entries() {
            self.advance(&entry.map_err(|error| syntax(&error))?, bank)?;
        }
        Ok(())
    }

    /// One entry further. `log` is the bank of the log that it is from.
    ///
    /// # Errors
    ///
    /// As [`Self::run`].
    pub fn advance(&mut self, entry: &Entry<'_>, log: Bank) -> Result<(), VerifyError> {
        in_pcr_10(entry)?;
        let size = self.bank.digest_len();
        if entry.is_violation() {
            self.violations = self.violations.saturating_add(1);
            for pcr in [&mut self.pcr, &mut self.padded] {
                extend_in(self.bank, pcr, &VIOLATION, size);
            }
        } else {
            checked(entry, log)?;
            let own = hashed(entry, algorithm(self.bank));
            let sha1 = hashed(entry, algorithm(HashAlgorithm::Sha1));
            extend_in(self.bank, &mut self.pcr, own.as_ref(), size);
            extend_in(self.bank, &mut self.padded, sha1.as_ref(), size);
        }
        self.index = self.index.saturating_add(1);
        Ok(())
    }
}

/// What a violation extends.
const VIOLATION: [u8; 64] = [0xff; 64];

/// `pcr = H(pcr || digest)`, with the digest cut or padded with zeros to the bank's size.
fn extend_in(bank: Bank, pcr: &mut [u8; 64], digest: &[u8], size: usize) {
    let mut padded = [0; 64];
    padded.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
    let mut context = Context::new(algorithm(bank));
    context.update(pcr.get(..size).unwrap_or_default());
    context.update(padded.get(..size).unwrap_or_default());
    pcr.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
}

fn in_pcr_10(entry: &Entry<'_>) -> Result<(), VerifyError> {
    if entry.pcr == u32::from(PCR_IMA) {
        return Ok(());
    }
    let expected = format!("IMA entry {} in PCR {PCR_IMA}", entry.index);
    Err(VerifyError::new(Check::ImaReplay, expected, format!("PCR {}", entry.pcr)))
}

/// SHA-256 of the template data, after checking the log's own digest of it.
fn template_digest(entry: &Entry<'_>, bank: Bank) -> Result<[u8; 32], VerifyError> {
    let checked = checked(entry, bank)?;
    let sha256 = if bank == HashAlgorithm::Sha256 { checked } else { hashed(entry, &SHA256) };
    let mut digest = [0; 32];
    digest.copy_from_slice(sha256.as_ref());
    Ok(digest)
}

/// The digest of the template data in the log's own bank, which is the one that the log has.
fn checked(entry: &Entry<'_>, bank: Bank) -> Result<Digest, VerifyError> {
    let computed = hashed(entry, algorithm(bank));
    if computed.as_ref() == entry.template_digest {
        return Ok(computed);
    }
    let expected =
        format!("IMA entry {} with the digest of its data, {}", entry.index, hex::encode(computed));
    Err(VerifyError::new(Check::ImaTemplateDigest, expected, hex::encode(entry.template_digest)))
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
