//! The behaviour of `/sys/kernel/config/tsm/report` (kernel documentation, ABI/testing/configfs-tsm), without
//! the file system around it.
//!
//! Kept from the kernel: `mkdir` makes an entry; every write of an attribute moves the generation on; the
//! report is made when `outblob` (or what comes with it) is first read after a write; reading without `inblob`
//! is `EINVAL`; a level below the floor or above 3 is `EINVAL`; the attributes of services are
//! only there under an SVSM.

use nix::errno::Errno;
use std::collections::BTreeMap;

/// Longest `inblob` (`TSM_REPORT_INBLOB_MAX`, include/linux/tsm.h).
pub const INBLOB_MAX: usize = 64;
/// Highest privilege level (`TSM_REPORT_PRIVLEVEL_MAX`).
const PRIVLEVEL_MAX: u32 = 3;
/// Longest text that an attribute takes: configfs gives it one page.
pub const TEXT_MAX: usize = 4096;
/// Most entries at once. The kernel has no limit; a simulator should not be what runs a guest out of memory.
const ENTRIES_MAX: usize = 256;
/// What the kernel's SNP driver calls itself.
const PROVIDER: &str = "sev_guest";

/// The files of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attribute {
    /// What the report shall carry.
    Inblob,
    /// The report.
    Outblob,
    /// The certificate table.
    Auxblob,
    /// The SVSM's manifest.
    Manifestblob,
    /// Level asked for.
    Privlevel,
    /// Least level that may be asked for.
    PrivlevelFloor,
    /// Who else than the processor shall answer: `svsm`.
    ServiceProvider,
    /// Which of its services.
    ServiceGuid,
    /// Which form of the manifest.
    ServiceManifestVersion,
    /// Number of writes.
    Generation,
    /// Name of the TEE's driver.
    Provider,
}

/// All attributes, with their names and permission bits.
pub const ATTRIBUTES: [(Attribute, &str, u16); 11] = [
    (Attribute::Inblob, "inblob", 0o200),
    (Attribute::Outblob, "outblob", 0o444),
    (Attribute::Auxblob, "auxblob", 0o444),
    (Attribute::Manifestblob, "manifestblob", 0o444),
    (Attribute::Privlevel, "privlevel", 0o200),
    (Attribute::PrivlevelFloor, "privlevel_floor", 0o444),
    (Attribute::ServiceProvider, "service_provider", 0o200),
    (Attribute::ServiceGuid, "service_guid", 0o200),
    (Attribute::ServiceManifestVersion, "service_manifest_version", 0o200),
    (Attribute::Generation, "generation", 0o444),
    (Attribute::Provider, "provider", 0o444),
];

impl Attribute {
    /// Whether the kernel shows it on this machine.
    pub fn visible(self, svsm: bool) -> bool {
        svsm || !matches!(
            self,
            Self::Manifestblob | Self::ServiceProvider | Self::ServiceGuid | Self::ServiceManifestVersion
        )
    }

    /// Its permission bits.
    pub fn mode(self) -> u16 {
        ATTRIBUTES.iter().find(|(a, ..)| *a == self).map_or(0, |(_, _, mode)| *mode)
    }
}

/// What a report entry asks the platform for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// `inblob`; at most [`INBLOB_MAX`] bytes.
    pub inblob: Vec<u8>,
    /// `privlevel`.
    pub privlevel: u32,
    /// `service_provider`.
    pub service_provider: Option<String>,
    /// `service_guid`.
    pub service_guid: String,
    /// `service_manifest_version`.
    pub service_manifest_version: u32,
}

/// What the platform answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Blobs {
    /// `outblob`.
    pub report: Vec<u8>,
    /// `auxblob`.
    pub certificates: Vec<u8>,
    /// `manifestblob`.
    pub manifest: Vec<u8>,
}

/// Who makes reports.
pub trait Platform: Send {
    /// The level that this guest's kernel runs at.
    fn vmpl(&self) -> u32;
    /// Whether there is an SVSM.
    fn svsm(&self) -> bool;
    /// Make a report.
    fn answer(&mut self, question: &Question) -> Result<Blobs, Errno>;
}

#[derive(Debug)]
struct Entry {
    name: String,
    question: Question,
    generation: u64,
    /// The answer, and the generation it was made at.
    answer: Option<(u64, Blobs)>,
}

/// The directory of report entries. An entry's number is never used twice.
pub struct Reports<P> {
    platform: P,
    entries: BTreeMap<u64, Entry>,
    next: u64,
}

impl<P: Platform> Reports<P> {
    /// An empty directory.
    pub fn new(platform: P) -> Self {
        Self { platform, entries: BTreeMap::new(), next: 0 }
    }

    /// Whether there is an SVSM.
    pub fn svsm(&self) -> bool {
        self.platform.svsm()
    }

    /// `mkdir`.
    pub fn make(&mut self, name: &str) -> Result<u64, Errno> {
        if self.find(name).is_some() {
            return Err(Errno::EEXIST);
        }
        if self.entries.len() >= ENTRIES_MAX {
            return Err(Errno::ENOSPC);
        }
        let number = self.next;
        self.next += 1;
        // Privilege level 0 until one is written, as the kernel's zeroed entry has it.
        let entry =
            Entry { name: name.to_owned(), question: Question::default(), generation: 0, answer: None };
        self.entries.insert(number, entry);
        Ok(number)
    }

    /// `rmdir`.
    pub fn remove(&mut self, name: &str) -> Result<(), Errno> {
        let number = self.find(name).ok_or(Errno::ENOENT)?;
        self.entries.remove(&number);
        Ok(())
    }

    /// The entry of this name.
    pub fn find(&self, name: &str) -> Option<u64> {
        self.entries.iter().find(|(_, e)| e.name == name).map(|(number, _)| *number)
    }

    /// Whether there is such an entry.
    pub fn contains(&self, number: u64) -> bool {
        self.entries.contains_key(&number)
    }

    /// All entries.
    pub fn names(&self) -> impl Iterator<Item = (u64, &str)> {
        self.entries.iter().map(|(number, e)| (*number, e.name.as_str()))
    }

    /// The number of writes to an entry so far.
    pub fn generation(&self, number: u64) -> Result<u64, Errno> {
        self.entries.get(&number).map(|e| e.generation).ok_or(Errno::ENOENT)
    }

    /// One whole write to an attribute.
    pub fn write(&mut self, number: u64, attribute: Attribute, bytes: &[u8]) -> Result<(), Errno> {
        let floor = self.platform.vmpl();
        let question = &mut self.entries.get_mut(&number).ok_or(Errno::ENOENT)?.question;
        match attribute {
            Attribute::Inblob if bytes.len() <= INBLOB_MAX => question.inblob = bytes.to_vec(),
            Attribute::Inblob => return Err(Errno::EFBIG),
            Attribute::Privlevel => match text(bytes)?.parse() {
                Ok(level) if (floor..=PRIVLEVEL_MAX).contains(&level) => question.privlevel = level,
                _ => return Err(Errno::EINVAL),
            },
            Attribute::ServiceProvider => question.service_provider = Some(text(bytes)?.to_owned()),
            Attribute::ServiceGuid => question.service_guid = guid(text(bytes)?)?,
            Attribute::ServiceManifestVersion => {
                question.service_manifest_version = text(bytes)?.parse().map_err(|_| Errno::EINVAL)?;
            }
            _ => return Err(Errno::EACCES),
        }
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.generation += 1;
        }
        Ok(())
    }

    /// The content of an attribute; makes the report if it is not made yet.
    pub fn read(&mut self, number: u64, attribute: Attribute) -> Result<Vec<u8>, Errno> {
        let entry = self.entries.get_mut(&number).ok_or(Errno::ENOENT)?;
        let line = |text: &dyn std::fmt::Display| format!("{text}\n").into_bytes();
        match attribute {
            Attribute::Generation => return Ok(line(&entry.generation)),
            Attribute::Provider => return Ok(line(&PROVIDER)),
            Attribute::PrivlevelFloor => return Ok(line(&self.platform.vmpl())),
            Attribute::Outblob | Attribute::Auxblob | Attribute::Manifestblob => {}
            _ => return Err(Errno::EACCES),
        }
        if entry.question.inblob.is_empty() {
            return Err(Errno::EINVAL);
        }
        let blobs = match &entry.answer {
            Some((generation, blobs)) if *generation == entry.generation => blobs,
            _ => {
                let made = self.platform.answer(&entry.question)?;
                &entry.answer.insert((entry.generation, made)).1
            }
        };
        Ok(match attribute {
            Attribute::Auxblob => blobs.certificates.clone(),
            Attribute::Manifestblob => blobs.manifest.clone(),
            _ => blobs.report.clone(),
        })
    }
}

/// What was written to a text attribute, without the newline that `echo` adds.
fn text(bytes: &[u8]) -> Result<&str, Errno> {
    let text = std::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    if text.is_empty() || text.len() > TEXT_MAX { Err(Errno::EINVAL) } else { Ok(text) }
}

fn guid(text: &str) -> Result<String, Errno> {
    let lengths = text.split('-').map(str::len);
    let digits = text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    if digits && lengths.eq([8, 4, 4, 4, 12]) { Ok(text.to_ascii_lowercase()) } else { Err(Errno::EINVAL) }
}

#[cfg(test)]
mod tests;
