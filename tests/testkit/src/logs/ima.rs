//! An IMA log in the kernel's binary form (Linux, security/integrity/ima/ima_fs.c and ima_template_lib.c).

use crate::hash::{sha256, sha384, sha512};
use crate::tpm::{Digests, Pcrs};
use sealpod_evidence::bytes::Base64;
use sealpod_evidence::rcar;

/// Which bank's template digests the binary log carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bank {
    /// Kernels before 6.12.
    Sha1,
    /// `binary_runtime_measurements_sha256`.
    Sha256,
    /// `binary_runtime_measurements_sha384`.
    Sha384,
    /// `binary_runtime_measurements_sha512`.
    Sha512,
}

impl Bank {
    /// As evidence names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

/// What an entry says of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// Digest and path.
    ImaNg,
    /// Digest, path and signature.
    ImaSig,
    /// Digest, path, EVM signature, protected extended attributes, owner, group and mode.
    EvmSig,
}

impl Template {
    /// As the log names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ImaNg => "ima-ng",
            Self::ImaSig => "ima-sig",
            Self::EvmSig => "evm-sig",
        }
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImaEntry {
    /// The PCR that it extends.
    pub pcr: u32,
    /// What it holds.
    pub template: Template,
    /// SHA-256 of the file.
    pub digest: [u8; 32],
    /// Path, as the kernel saw it.
    pub path: String,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// `st_mode`.
    pub mode: u16,
    /// Whether it is a violation: zero digests in the log, ones extended.
    pub violation: bool,
    /// Template digests to write and extend in the place of the true ones.
    pub digests: Option<Digests>,
}

impl ImaEntry {
    /// An executable of root's, as the guest's IMA policy has it measured.
    pub fn file(path: &str, digest: [u8; 32]) -> Self {
        Self {
            pcr: u32::from(rcar::PCR_IMA),
            template: Template::EvmSig,
            digest,
            path: path.to_owned(),
            uid: 0,
            gid: 0,
            mode: 0o100_755,
            violation: false,
            digests: None,
        }
    }

    /// The kernel's first entry: SHA-256 over PCRs 0-9 as they are when IMA starts (ima_crypto.c, `ima_calc_boot_aggregate_tfm`).
    ///
    /// At that time nothing has extended PCR 8.
    pub fn boot_aggregate(pcrs: &Pcrs) -> Self {
        Self {
            template: Template::ImaNg,
            ..Self::file("boot_aggregate", sha256(pcrs.sha256[..10].as_flattened()))
        }
    }

    /// A file that was open for writing when it was measured. Violations are in the default template.
    pub fn violation(path: &str) -> Self {
        Self { template: Template::ImaNg, violation: true, ..Self::file(path, [0; 32]) }
    }

    /// The bytes whose digest is extended.
    pub fn template_data(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        let digest = if self.violation { [0; 32] } else { self.digest };
        field(&mut out, &[b"sha256:\0", &digest]);
        field(&mut out, &[self.path.as_bytes(), b"\0"]);
        match self.template {
            Template::ImaNg => {}
            Template::ImaSig => field(&mut out, &[]),
            Template::EvmSig => {
                // No EVM signature; no names, lengths and values of extended attributes.
                (0..4).for_each(|_| field(&mut out, &[]));
                field(&mut out, &[&self.uid.to_le_bytes()]);
                field(&mut out, &[&self.gid.to_le_bytes()]);
                field(&mut out, &[&self.mode.to_le_bytes()]);
            }
        }
        out
    }

    /// What the log says the template digests are.
    pub fn logged(&self) -> Digests {
        match (self.violation, self.digests) {
            (true, _) => Digests::filled(0),
            (false, Some(digests)) => digests,
            (false, None) => Digests::of(&self.template_data()),
        }
    }

    /// What the PCR is extended with.
    pub fn extended(&self) -> Digests {
        if self.violation { Digests::filled(0xff) } else { self.logged() }
    }

    /// The digest in a bank that no PCR here is of: a lie is told in the others.
    fn true_digest<const N: usize>(&self, of_data: [u8; N]) -> [u8; N] {
        if self.violation { [0; N] } else { of_data }
    }

    /// The entry as the log has it.
    pub fn to_bytes(&self, bank: Bank) -> Vec<u8> {
        let (name, data, digests) = (self.template.name(), self.template_data(), self.logged());
        let mut out = Vec::with_capacity(data.len() + 64);
        out.extend(self.pcr.to_le_bytes());
        match bank {
            Bank::Sha1 => out.extend(digests.sha1),
            Bank::Sha256 => out.extend(digests.sha256),
            Bank::Sha384 => out.extend(self.true_digest(sha384(&data))),
            Bank::Sha512 => out.extend(self.true_digest(sha512(&data))),
        }
        field(&mut out, &[name.as_bytes()]);
        field(&mut out, &[&data]);
        out
    }
}

/// A little-endian length, then the parts.
fn field(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.extend((length as u32).to_le_bytes());
    parts.iter().for_each(|part| out.extend(*part));
}

/// A log before it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImaLog {
    /// Whose digests are written.
    pub bank: Bank,
    /// Index of the first entry that is sent.
    pub first_index: u64,
    /// Entries in order. The first is the boot aggregate, which [`crate::Bundle::seal`] puts there.
    pub entries: Vec<ImaEntry>,
    /// How many of the last entries came after the quote.
    pub after_quote: usize,
}

impl Default for ImaLog {
    /// Empty, of the SHA-256 bank.
    fn default() -> Self {
        Self { bank: Bank::Sha256, first_index: 0, entries: Vec::new(), after_quote: 0 }
    }
}

impl ImaLog {
    /// Extend what the log says, without the entries after the quote.
    pub fn replay(&self, pcrs: &mut Pcrs) {
        let covered = self.entries.len() - self.after_quote;
        for entry in &self.entries[..covered] {
            pcrs.extend(entry.pcr as usize, &entry.extended());
        }
    }

    /// The entries from [`ImaLog::first_index`] on, as evidence carries them.
    pub fn to_evidence(&self) -> rcar::ImaLog {
        let sent = self.entries.iter().skip(self.first_index as usize);
        rcar::ImaLog {
            bank: self.bank.name().to_owned(),
            first_index: self.first_index,
            data: Base64(sent.flat_map(|entry| entry.to_bytes(self.bank)).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernels_entry_is_made_again() {
        // Linux 7.2, template evm-sig: /mnt/config.yaml of root's with mode 0600.
        let mut digest = [0; 32];
        hex::decode_to_slice("06f961b802bc46ee168555f066d28f4f0e9afdf3f88174c1ee6f9de004fc30a0", &mut digest)
            .unwrap();
        let entry = ImaEntry { mode: 0o100_600, ..ImaEntry::file("/mnt/config.yaml", digest) };
        let digests = entry.logged();
        assert_eq!(hex::encode(digests.sha1), "0113692b575658f946f17771389e74250cf3ac39");
        assert_eq!(
            hex::encode(digests.sha256),
            "2b17b10e39a080d7f0c4ccefe31dc351e3358eb4f7cf896cdf1ca10830912a67"
        );
    }

    #[test]
    fn a_lie_is_logged_and_extended() {
        let lie = Digests::filled(5);
        let entry = ImaEntry { digests: Some(lie), ..ImaEntry::file("/bin/app", [1; 32]) };
        assert_eq!((entry.logged(), entry.extended()), (lie, lie));
    }
}
