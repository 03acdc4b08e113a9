//! Packed sets of files, which Reference Value documents list by their SHA-256.
//!
//! Each is a file of its own under `packed/`, not a record of the store: one may have hundreds of megabytes. A document says
//! which bytes a set has, so whoever can change a file here can make it useless and no more.

use crate::layout::Layout;
use sealpod_verifier::ReferenceValues;
use sealpod_verifier::reference::{PackedError, PackedSet};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a packed set begins with, and no JSON document does.
pub const MAGIC: &[u8] = b"SPFILES\0";
/// What its file's name ends in.
pub const SUFFIX: &str = "spfiles";

/// Why a packed set was not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// It is none.
    #[error(transparent)]
    Set(#[from] PackedError),
    /// The operating system refused.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

/// Keep a set in the broker's directory. Gives its SHA-256 in hex. When this returns it is on disk.
///
/// # Errors
///
/// [`KeepError`]. A set that is there already is written again.
pub fn keep(layout: &Layout, bytes: Vec<u8>) -> Result<String, KeepError> {
    let bytes: Arc<[u8]> = bytes.into();
    let name = PackedSet::parse(bytes.clone())?.sha256().to_string();
    let path = file(layout, &name);
    let write = || {
        std::fs::create_dir_all(layout.packed())?;
        let temporary = path.with_extension("new");
        let mut out = File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        out.write_all(&bytes)?;
        out.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        File::open(layout.packed())?.sync_all()
    };
    write().map_err(|source| KeepError::Io { path: path.clone(), source })?;
    Ok(name)
}

/// Give Reference Values the sets that their documents list. One that is not there, or not sound, is left out, and its files
/// are foreign; what is wrong comes back, a line each.
pub fn give(layout: &Layout, values: &mut ReferenceValues) -> Vec<String> {
    let mut wrong = Vec::new();
    for sha256 in values.missing_packed() {
        let path = file(layout, &sha256.to_string());
        if let Err(why) = add(&path, values) {
            wrong.push(format!("none of the files of packed set {sha256} are known: {why}"));
        }
    }
    wrong
}

fn add(path: &Path, values: &mut ReferenceValues) -> Result<(), String> {
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    values.add_packed(bytes.into()).map_err(|error| error.to_string())
}

fn file(layout: &Layout, sha256: &str) -> PathBuf {
    layout.packed().join(format!("{sha256}.{SUFFIX}"))
}
