//! The guest image as `sealpod-images` writes it.

use serde::Deserialize;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The only manifest version.
const VERSION: u64 = 1;
/// A manifest is some hundred bytes.
const MAX_MANIFEST: u64 = 1024 * 1024;

/// A directory with kernel, initrd and manifest.
#[derive(Debug, Clone)]
pub struct GuestImage {
    pub kernel: PathBuf,
    pub initrd: PathBuf,
    pub cmdline: String,
    /// Firmware for SNP machines, where the image comes with it.
    pub ovmf_amdsev: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum GuestImageError {
    #[error("guest image: {path:?}: {source}; make one with `sealpod-images build`")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("guest image: {path:?} does not parse: {message}")]
    Syntax { path: PathBuf, message: String },
    #[error(
        "guest image: manifest version is {found}, expected {VERSION}; use the sealpod-images of this release"
    )]
    Version { found: u64 },
}

#[derive(Deserialize)]
struct Manifest {
    version: u64,
    cmdline: String,
}

impl GuestImage {
    /// Read the manifest and find the files. Says nothing about what they contain: the launch measurement does.
    pub fn load(dir: &Path) -> Result<Self, GuestImageError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| GuestImageError::Io { path, source }
        };
        let dir = dir.canonicalize().map_err(io(dir))?;
        let path = dir.join("manifest.json");
        let mut text = Vec::new();
        let file = std::fs::File::open(&path).map_err(io(&path))?;
        file.take(MAX_MANIFEST).read_to_end(&mut text).map_err(io(&path))?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| GuestImageError::Syntax { path, message: error.to_string() })?;
        if manifest.version != VERSION {
            return Err(GuestImageError::Version { found: manifest.version });
        }
        let file = |name: &str| {
            let path = dir.join(name);
            std::fs::File::open(&path).map_err(io(&path))?;
            Ok(path)
        };
        Ok(Self {
            kernel: file("vmlinuz")?,
            initrd: file("initrd")?,
            cmdline: manifest.cmdline,
            ovmf_amdsev: file("OVMF.amdsev.fd").ok(),
        })
    }
}
