//! Reference Values of a guest image, computed from its files.

use crate::boot::{BootError, BootInputs, boot_reference};
use crate::cpio::{CpioError, Object, unpack};
use crate::launch::{Launch, LaunchError, launch_digest};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::initdata::{Initdata, InitdataError};
use sealpod_evidence::reference_values::{
    FileSet, InitdataReference, ReferenceDocument, SnpMeasurement, VERSION,
};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// Why there are no Reference Values.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// An input cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// See [`CpioError`].
    #[error(transparent)]
    Cpio(#[from] CpioError),
    /// See [`LaunchError`].
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// See [`BootError`].
    #[error(transparent)]
    Boot(#[from] BootError),
    /// An initdata document is not one.
    #[error("{path}: {source}")]
    Initdata {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: InitdataError,
    },
}

/// A recorded boot that the owner trusts.
#[derive(Debug, Clone, Copy)]
pub struct ReferenceBoot<'a> {
    /// Its TCG2 log.
    pub log: &'a Path,
    /// Whether OVMF booted it, or else the kernel was started directly.
    pub ovmf: bool,
    /// Memory of the machine; `None` tries the usual sizes.
    pub memory_mib: Option<u64>,
    /// See [`sealpod_evidence::reference_values::BootReference::dangerous_unmeasured_acpi`].
    pub dangerous_unmeasured_acpi: bool,
}

/// Everything about one guest image: launch digest, files, and the boot if a log of a reference boot is given.
pub fn guest(
    launch: &Launch<'_>,
    boot: Option<ReferenceBoot<'_>>,
) -> Result<ReferenceDocument, ReferenceError> {
    let (kernel, initrd) = (read(launch.kernel)?, read(launch.initrd)?);
    let measurement = SnpMeasurement {
        measurement: launch_digest(launch)?,
        guest_vmpl: launch.guest_vmpl,
        description: format!(
            "{} vCPU(s) of type {}, kernel SHA-256 {}, initrd SHA-256 {}, command line {:?}",
            launch.vcpus,
            launch.vcpu_type,
            hex::encode(Sha256::digest(&kernel)),
            hex::encode(Sha256::digest(&initrd)),
            launch.command_line
        ),
    };
    let mut document = ReferenceDocument {
        version: VERSION,
        description: "sealpod guest image".to_owned(),
        snp_measurements: vec![measurement],
        files: vec![guest_files(&initrd)?],
        ..ReferenceDocument::default()
    };
    if let Some(ReferenceBoot { log, ovmf, memory_mib, dangerous_unmeasured_acpi }) = boot {
        let log = read(log)?;
        let inputs =
            BootInputs { kernel: &kernel, initrd: &initrd, command_line: launch.command_line, memory_mib };
        document.boot.push(boot_reference(&log, ovmf.then_some(&inputs), dangerous_unmeasured_acpi)?);
    }
    Ok(document)
}

/// Add the digests of initdata documents, each parsed and checked first.
pub fn add_initdata(document: &mut ReferenceDocument, paths: &[PathBuf]) -> Result<(), ReferenceError> {
    for path in paths {
        let text = String::from_utf8_lossy(&read(path)?).into_owned();
        let initdata = Initdata::parse(&text)
            .map_err(|source| ReferenceError::Initdata { path: path.clone(), source })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        document.initdata.push(InitdataReference { sha256: initdata.digest(), description: name });
    }
    Ok(())
}

/// Regular files of an initrd, by the path at which the kernel's IMA will name them.
///
/// crun executes a sealed copy of itself that lives in memory; IMA has no path for that, only the name of the memory file. The
/// verifier knows that one name, and takes for it what is at `/usr/bin/crun` here.
pub fn guest_files(initrd: &[u8]) -> Result<FileSet, CpioError> {
    let tree = unpack(initrd)?;
    let files = tree.iter().filter_map(|(path, object)| match object {
        Object::File(_, content) => {
            Some((format!("/{path}"), vec![HexArray(Sha256::digest(content).into())]))
        }
        _ => None,
    });
    Ok(FileSet {
        image: None,
        description: "files of the guest image's initrd".to_owned(),
        files: files.collect(),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, ReferenceError> {
    fs::read(path).map_err(|source| ReferenceError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpio::write;

    #[test]
    fn files_are_named_as_the_kernel_names_them() {
        let file = |text: &str| Object::File(0o755, text.into());
        let tree = [
            ("init", Object::Symlink("usr/bin/sealpod-guest".into())),
            ("usr", Object::Directory(0o755)),
            ("usr/bin", Object::Directory(0o755)),
            ("usr/bin/crun", file("crun")),
            ("usr/bin/sealpod-guest", file("agent")),
        ];
        let tree = tree.into_iter().map(|(path, object)| (path.to_owned(), object)).collect();
        let files = guest_files(&write(&tree).unwrap()).unwrap().files;
        let names: Vec<_> = files.keys().map(String::as_str).collect();
        assert_eq!(names, ["/usr/bin/crun", "/usr/bin/sealpod-guest"]);
        assert_eq!(files["/usr/bin/crun"][0].0[..], Sha256::digest("crun")[..]);
    }
}
