//! From lock file and agent to a directory with kernel, initrd, SNP firmware and manifest.

use crate::apt::{Apt, AptError};
use crate::cpio::{self, writer::TooLarge};
use crate::deb::{self, DebError, Files, Node};
use crate::fetch::{FetchError, Fetcher};
use crate::lock::{Lock, LockError, Package};
use crate::recipe;
use crate::root::{self, RootError};
use sealpod_evidence::bytes::{HexArray, Sha256Digest};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The only version of the manifest.
pub const MANIFEST_VERSION: u32 = 1;
/// Name of the manifest in an image directory.
pub const MANIFEST: &str = "manifest.json";
/// Name of the kernel in an image directory.
pub const KERNEL: &str = "vmlinuz";
/// Name of the initrd in an image directory.
pub const INITRD: &str = "initrd";
/// Compression level of the initrd: the highest that needs no more memory to unpack than the kernel offers.
const LEVEL: i32 = 19;

/// What an image directory holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// Kernel command line to start the guest with.
    pub cmdline: String,
    /// Kernel release.
    pub kernel_version: String,
    /// The directory's other files as built, and their digests.
    pub files: BTreeMap<String, Sha256Digest>,
    /// What it was built from.
    pub packages: Vec<Package>,
}

/// What to build from and where to put it.
#[derive(Debug)]
pub struct Options<'a> {
    /// The lock file.
    pub lock: &'a Path,
    /// Where downloads are kept.
    pub cache: &'a Path,
    /// The image directory to write.
    pub out: &'a Path,
    /// The agent.
    pub guest_binary: &'a Path,
    /// Base address of the mirror.
    pub mirror: &'a str,
    /// Base address of the snapshot archive.
    pub snapshot: &'a str,
    /// Take the newest packages when a locked one is gone.
    pub accept_newest: bool,
    /// Say nothing but warnings.
    pub quiet: bool,
}

/// Why no image was built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// See [`LockError`].
    #[error(transparent)]
    Lock(#[from] LockError),
    /// See [`AptError`].
    #[error(transparent)]
    Apt(#[from] AptError),
    /// See [`FetchError`].
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// See [`DebError`].
    #[error(transparent)]
    Deb(#[from] DebError),
    /// See [`RootError`].
    #[error(transparent)]
    Root(#[from] RootError),
    /// See [`TooLarge`].
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The agent cannot be read.
    #[error(
        "cannot read the agent {path}: {source}; build it with `cargo build --release -p sealpod-guest`, or name it with --guest-binary"
    )]
    Agent {
        /// Where it was looked for.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Compression failed.
    #[error("cannot compress the initrd: {0}")]
    Compress(std::io::Error),
    /// The image directory cannot be written.
    #[error("cannot write {path}: {source}; choose another directory with --out")]
    Write {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// Build an image directory. The same lock file and agent give the same bytes.
pub fn build(options: &Options<'_>) -> Result<Manifest, BuildError> {
    let say = |text: &str| {
        if !options.quiet {
            eprintln!("{text}");
        }
    };
    let agent = fs::read(options.guest_binary)
        .map_err(|source| BuildError::Agent { path: options.guest_binary.to_owned(), source })?;
    let lock = Lock::read(options.lock)?;
    let (lock, paths) = packages(options, lock, &say)?;
    say("unpacking the packages");
    let mut files = Files::new();
    for path in &paths {
        files.extend(deb::read(path, &is_used)?);
    }
    let (kernel_version, kernel) = root::kernel(&files)?;
    let tree = root::assemble(&files, &agent, &kernel_version)?;
    let archive = cpio::write(&tree)?;
    say(&format!("compressing the initrd ({} KiB)", archive.len() / 1024));
    let initrd = zstd::bulk::compress(&archive, LEVEL).map_err(BuildError::Compress)?;
    let Some(Node::File(firmware)) = files.get(recipe::SNP_FIRMWARE_PATH) else {
        let (path, by) = (recipe::SNP_FIRMWARE_PATH.to_owned(), "the SNP launch digest".to_owned());
        return Err(RootError::Missing { path, by }.into());
    };
    let parts =
        [(KERNEL, kernel), (INITRD, initrd.as_slice()), (recipe::SNP_FIRMWARE_FILE, firmware.as_slice())];
    let digest = |content: &[u8]| HexArray(Sha256::digest(content).into());
    let manifest = Manifest {
        version: MANIFEST_VERSION,
        cmdline: recipe::COMMAND_LINE.to_owned(),
        kernel_version,
        files: parts.iter().map(|(name, content)| ((*name).to_owned(), digest(content))).collect(),
        packages: lock.packages,
    };
    write_all(options.out, &parts, &manifest)?;
    say(&format!(
        "{}: kernel {}, initrd {} KiB",
        options.out.display(),
        manifest.kernel_version,
        initrd.len() / 1024
    ));
    Ok(manifest)
}

/// The locked packages, or the newest where that was asked for and a locked one is gone.
fn packages(
    options: &Options<'_>,
    lock: Lock,
    say: &dyn Fn(&str),
) -> Result<(Lock, Vec<PathBuf>), BuildError> {
    let apt = Apt::new(options.cache, options.mirror);
    let fetcher = Fetcher::new(apt.clone(), options.cache, options.snapshot, options.quiet);
    let fetch = |lock: &Lock| -> Result<Vec<PathBuf>, BuildError> {
        let wanted = recipe::PACKAGES.iter().map(|w| lock.package(w.name));
        wanted.map(|package| Ok(fetcher.fetch(package?)?)).collect()
    };
    match fetch(&lock) {
        Ok(paths) => Ok((lock, paths)),
        Err(BuildError::Fetch(FetchError::Gone { name, version, .. })) if options.accept_newest => {
            eprintln!(
                "WARNING: {name} {version} is gone from Debian; building from the NEWEST packages instead of the locked ones \
                 (--accept-newest): the image and its Reference Values differ from the reviewed ones"
            );
            let newest = apt.newest(say)?;
            let paths = fetch(&newest)?;
            Ok((newest, paths))
        }
        Err(other) => Err(other),
    }
}

/// The files of packages that can get into an image; the rest is not even held in memory.
fn is_used(path: &str) -> bool {
    path.starts_with("boot/vmlinuz-")
        || path.starts_with("usr/lib/modules/")
        || path == recipe::CRUN
        || path == recipe::SNP_FIRMWARE_PATH
        || path.strip_prefix(recipe::LIBRARIES).is_some_and(|rest| rest.matches('/').count() == 1)
}

fn write_all(out: &Path, parts: &[(&str, &[u8])], manifest: &Manifest) -> Result<(), BuildError> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |source| BuildError::Write { path, source }
    };
    fs::create_dir_all(out).map_err(fail(out))?;
    // The manifest goes first and comes last: a directory with a manifest is whole.
    let manifest_path = out.join(MANIFEST);
    match fs::remove_file(&manifest_path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(fail(&manifest_path)(error));
        }
        _ => {}
    }
    let mut text = serde_json::to_vec_pretty(manifest).unwrap_or_default();
    text.push(b'\n');
    for (name, content) in parts.iter().copied().chain([(MANIFEST, text.as_slice())]) {
        let path = out.join(name);
        let partial = out.join(format!(".{name}.part"));
        fs::write(&partial, content).map_err(fail(&partial))?;
        fs::rename(&partial, &path).map_err(fail(&path))?;
    }
    Ok(())
}
