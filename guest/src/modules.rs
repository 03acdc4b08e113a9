//! Kernel modules of the guest image, loaded in the order of their names.

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Where the image keeps them: `NNN-name.ko`.
pub const DIRECTORY: &str = "/usr/lib/sealpod/modules";

/// Drivers of TEE hardware: not finding the hardware (`ENODEV`) is an answer, not a failure. What is missing
/// without them is noticed when a report is asked for.
const OPTIONAL_HARDWARE: &[&str] = &["sev-guest", "sev_guest", "tdx-guest", "tdx_guest"];

/// What only a confidential machine needs. Each module's signature is checked and its content measured, so what is not
/// needed is not loaded.
const CONFIDENTIAL: &[&str] = &["configfs", "tsm", "sev-guest", "sev_guest", "tdx-guest", "tdx_guest"];

/// Why the modules are not all in.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// The directory cannot be read.
    #[error("cannot list {DIRECTORY}: {0}")]
    List(io::Error),
    /// A module's file cannot be opened.
    #[error("cannot open module {path}: {source}")]
    Open {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The kernel refused a module.
    #[error("the kernel refused module {path}: {source}")]
    Load {
        /// Which.
        path: PathBuf,
        /// The kernel's answer.
        source: Errno,
    },
}

/// Load all of [`DIRECTORY`] that this machine needs; an image without modules has no such directory.
pub fn load_all(confidential: bool) -> Result<(), ModuleError> {
    let paths = list(Path::new(DIRECTORY))?;
    paths.iter().filter(|path| is_needed(path, confidential)).try_for_each(|path| load(path))
}

fn list(directory: &Path) -> Result<Vec<PathBuf>, ModuleError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ModuleError::List(error)),
    };
    let mut paths =
        entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(ModuleError::List)?;
    paths.retain(|p| p.extension().is_some_and(|e| e == "ko"));
    paths.sort();
    Ok(paths)
}

fn load(path: &Path) -> Result<(), ModuleError> {
    let file = File::open(path).map_err(|source| ModuleError::Open { path: path.to_owned(), source })?;
    match finit_module(&file, c"", ModuleInitFlags::empty()) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(Errno::ENODEV) if is_optional(path) => Ok(()),
        Err(source) => Err(ModuleError::Load { path: path.to_owned(), source }),
    }
}

fn is_needed(path: &Path, confidential: bool) -> bool {
    confidential || !CONFIDENTIAL.contains(&name(path))
}

fn is_optional(path: &Path) -> bool {
    OPTIONAL_HARDWARE.contains(&name(path))
}

/// `name` of `NNN-name.ko`.
fn name(path: &Path) -> &str {
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    stem.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_listed_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["020-b.ko", "010-c.ko", "README", "030-a.ko"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let names: Vec<_> =
            list(dir.path()).unwrap().iter().map(|p| p.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["010-c.ko", "020-b.ko", "030-a.ko"]);
        assert!(list(&dir.path().join("none")).unwrap().is_empty());
    }

    #[test]
    fn only_tee_drivers_may_find_no_device() {
        assert!(is_optional(Path::new("/x/040-sev-guest.ko")));
        assert!(is_optional(Path::new("/x/sev_guest.ko")));
        assert!(!is_optional(Path::new("/x/010-virtio_blk.ko")));
        assert!(!is_optional(Path::new("/x/010-not-sev-guest.ko")));
    }

    #[test]
    fn an_ordinary_machine_loads_no_tee_drivers() {
        for (file, tee) in [
            ("000-configfs.ko", true),
            ("001-tsm.ko", true),
            ("002-sev-guest.ko", true),
            ("003-virtio_blk.ko", false),
        ] {
            assert!(is_needed(Path::new(file), true), "{file}");
            assert_eq!(is_needed(Path::new(file), false), !tee, "{file}");
        }
    }

    #[test]
    fn a_file_that_is_no_module_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("001-sev-guest.ko");
        fs::write(&path, "not a module").unwrap();
        assert!(matches!(load(&path), Err(ModuleError::Load { .. })));
    }
}
