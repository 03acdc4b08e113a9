//! TEE reports through configfs-tsm (kernel documentation, ABI/testing/configfs-tsm-report).
//!
//! The kernel is inside the TEE, so a report read here is this guest's own; its signature is for the broker
//! to check.

use crate::files::{self, FileError};
use std::fs;
use std::path::{Path, PathBuf};

/// The directory in which a report is asked for.
pub const REPORTS: &str = "/sys/kernel/config/tsm/report";

/// Service GUID of the SVSM's vTPM (SVSM specification 1.01, section 8.2).
pub const VTPM_SERVICE_GUID: &str = "c476f1eb-0123-45a5-9641-b4e7dde5bfe3";

/// Longest report, certificate table or manifest: the kernel's own limit is 32 KiB (`TSM_REPORT_OUTBLOB_MAX`,
/// include/linux/tsm.h); newer kernels allow 16 MiB, which no SNP answer comes near.
const MAX_BLOB: usize = 64 * 1024;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum TsmError {
    /// A file operation on the entry failed.
    #[error("TEE report: {0}")]
    File(#[from] FileError),
    /// Somebody else wrote to the entry meanwhile.
    #[error("TEE report: generation {found}, expected {expected}: another writer used the entry")]
    Generation {
        /// What our own writes lead to.
        expected: u64,
        /// What the kernel counted.
        found: u64,
    },
    /// An attribute that should be a number is not.
    #[error("TEE report: {attribute} is {found:?}, not a number")]
    Number {
        /// Which attribute.
        attribute: &'static str,
        /// Its text.
        found: String,
    },
    /// A confidential machine that cannot get its own report.
    #[error(
        "TEE report: this is a confidential machine ({sign}), but its kernel offers no reports in {REPORTS}; the image lacks the driver, or the host keeps it from the firmware"
    )]
    NoReports {
        /// By what the machine is known as one.
        sign: &'static str,
    },
    /// A TEE that this build has no evidence format for.
    #[error("TEE report: provider {found:?} is not supported (expected \"sev_guest\")")]
    Provider {
        /// The kernel's name for it.
        found: String,
    },
}

/// The directory of reports, where the kernel has one.
#[derive(Debug, Clone)]
pub struct Tsm {
    base: PathBuf,
}

/// A report and what came with it.
pub struct TsmReport {
    /// The report, as the firmware gave it.
    pub report: Vec<u8>,
    /// Certificates the host gave along; may be empty.
    pub auxiliary: Vec<u8>,
}

/// An SVSM's answer for one of its services.
pub struct ServiceReport {
    /// The VMPL 0 report.
    pub report: Vec<u8>,
    /// The service manifest.
    pub manifest: Vec<u8>,
}

impl Tsm {
    /// The kernel's directory; `None` where it is missing or no TEE driver is behind it (`ENXIO`).
    ///
    /// A machine without it can run containers, but never get a secret.
    pub fn find() -> Result<Option<Self>, TsmError> {
        Self::at(Path::new(REPORTS))
    }

    fn at(base: &Path) -> Result<Option<Self>, TsmError> {
        if !base.is_dir() {
            return Ok(None);
        }
        match Entry::make(base, "sealpod-probe") {
            Ok(_) => Ok(Some(Self { base: base.to_owned() })),
            Err(error) if error.errno() == Some(libc::ENXIO) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Ask for a report over `data` at the lowest VMPL the kernel may ask for.
    ///
    /// A kernel under an SVSM runs at a VMPL above 0 and gets reports for that; a fixed 0 would be refused.
    pub fn report(&self, data: &[u8; 64]) -> Result<TsmReport, TsmError> {
        let entry = Entry::make(&self.base, "sealpod")?;
        let provider = files::read_text(&entry.path.join("provider"))?;
        if provider != "sev_guest" {
            return Err(TsmError::Provider { found: provider });
        }
        let mut writes = Writes::start(&entry)?;
        if let Some(floor) = entry.optional_text("privlevel_floor")? {
            writes.write("privlevel", floor.as_bytes())?;
        }
        writes.write("inblob", data)?;
        let report = entry.read("outblob")?;
        let auxiliary = entry.optional("auxblob")?.unwrap_or_default();
        writes.finish()?;
        Ok(TsmReport { report, auxiliary })
    }

    /// Ask the SVSM to vouch for its vTPM; `None` where there is no SVSM.
    pub fn vtpm_service(&self, data: &[u8; 64]) -> Result<Option<ServiceReport>, TsmError> {
        let entry = Entry::make(&self.base, "sealpod-vtpm")?;
        let mut writes = Writes::start(&entry)?;
        for (attribute, value) in [("service_provider", "svsm"), ("service_guid", VTPM_SERVICE_GUID)] {
            match writes.write(attribute, value.as_bytes()) {
                Ok(()) => {}
                Err(error) if means_no_service(&error) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        writes.write("inblob", data)?;
        let report = match entry.read("outblob") {
            Ok(report) => report,
            Err(error) if means_no_service(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let manifest = entry.read("manifestblob")?;
        writes.finish()?;
        Ok(Some(ServiceReport { report, manifest }))
    }
}

/// The attribute is not there (`ENOENT`; `EACCES`/`EPERM` where a directory cannot grow files), is not taken
/// (`EINVAL`) or no SVSM answers (`ENXIO`, `EOPNOTSUPP`). Without a service report the binding level is weaker, which the
/// broker sees; nothing is gained by causing this error.
fn means_no_service(error: &FileError) -> bool {
    const NONE: [i32; 6] =
        [libc::ENOENT, libc::EACCES, libc::EPERM, libc::EINVAL, libc::ENXIO, libc::EOPNOTSUPP];
    error.errno().is_some_and(|errno| NONE.contains(&errno))
}

/// A report entry that is removed again when dropped.
struct Entry {
    path: PathBuf,
}

impl Entry {
    fn make(base: &Path, name: &str) -> Result<Self, FileError> {
        let path = base.join(name);
        fs::create_dir(&path).map_err(|e| FileError::io("make the report entry", &path, e))?;
        Ok(Self { path })
    }

    fn read(&self, attribute: &str) -> Result<Vec<u8>, FileError> {
        files::read(&self.path.join(attribute), MAX_BLOB)
    }

    fn optional(&self, attribute: &str) -> Result<Option<Vec<u8>>, FileError> {
        match self.read(attribute) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.errno() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn optional_text(&self, attribute: &str) -> Result<Option<String>, FileError> {
        match files::read_text(&self.path.join(attribute)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.errno() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn generation(&self) -> Result<u64, TsmError> {
        let text = files::read_text(&self.path.join("generation"))?;
        text.parse().map_err(|_| TsmError::Number { attribute: "generation", found: text })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // An entry left over makes the next `mkdir` fail, which is reported there.
        let _ = fs::remove_dir(&self.path);
    }
}

/// Counts our writes, to notice anybody else's.
struct Writes<'a> {
    entry: &'a Entry,
    expected: u64,
}

impl<'a> Writes<'a> {
    fn start(entry: &'a Entry) -> Result<Self, TsmError> {
        Ok(Self { entry, expected: entry.generation()? })
    }

    fn write(&mut self, attribute: &str, value: &[u8]) -> Result<(), FileError> {
        files::write(&self.entry.path.join(attribute), value)?;
        self.expected += 1;
        Ok(())
    }

    fn finish(self) -> Result<(), TsmError> {
        let found = self.entry.generation()?;
        if found != self.expected {
            return Err(TsmError::Generation { expected: self.expected, found });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_the_directory_has_no_tsm() {
        assert!(Tsm::at(Path::new("/nonexistent/tsm")).unwrap().is_none());
    }

    #[test]
    fn an_entry_is_removed_when_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let entry = Entry::make(dir.path(), "e").unwrap();
        let path = entry.path.clone();
        assert!(path.is_dir());
        drop(entry);
        assert!(!path.exists());
    }

    #[test]
    fn a_write_that_is_not_ours_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let entry = Entry::make(dir.path(), "e").unwrap();
        for (name, text) in [("generation", "7\n"), ("inblob", "")] {
            fs::write(entry.path.join(name), text).unwrap();
        }
        let mut writes = Writes::start(&entry).unwrap();
        writes.write("inblob", &[1; 64]).unwrap();
        fs::write(entry.path.join("generation"), "9\n").unwrap();
        assert!(matches!(writes.finish(), Err(TsmError::Generation { expected: 8, found: 9 })));
        fs::remove_dir_all(&entry.path).unwrap();
    }

    #[test]
    fn a_report_of_an_unknown_provider_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        // Plain files cannot appear in a directory made by `mkdir` alone, so the entry's `provider` is missing.
        let tsm = Tsm::at(dir.path()).unwrap().unwrap();
        assert!(matches!(tsm.report(&[0; 64]), Err(TsmError::File(_))));
    }

    #[test]
    fn a_kernel_without_service_attributes_has_no_svsm() {
        let dir = tempfile::tempdir().unwrap();
        let entry = Entry::make(dir.path(), "e").unwrap();
        let error = files::write(&entry.path.join("service_provider"), b"svsm").unwrap_err();
        assert!(means_no_service(&error));
    }
}
