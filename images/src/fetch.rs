//! Packages from the mirror or Debian's snapshot archive into the cache, each checked against the lock file's digest.

use crate::apt::{Apt, AptError};
use crate::lock::Package;
use sealpod_evidence::bytes::{HexArray, Sha256Digest};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

/// Largest answer that is read from the snapshot archive's index of one package.
const MAX_ANSWER: u64 = 1 << 20;

/// Why a package could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The cache cannot be used.
    #[error("cannot use cache file {path}: {source}; choose another cache with --cache")]
    Cache {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The package is neither in the pool nor in the snapshot archive.
    #[error(
        "locked package {name} {version} is not to be had. Mirror: {mirror}. Snapshot archive: {snapshot}. \
         Debian removes packages from the pool when a newer version arrives: run `sealpod-images update` to lock the newest, \
         or build once with --accept-newest"
    )]
    Gone {
        /// Which package.
        name: String,
        /// Its version.
        version: String,
        /// What the mirror said.
        mirror: Box<AptError>,
        /// What the snapshot archive said.
        snapshot: String,
    },
    /// The bytes are not those that were locked.
    #[error(
        "{url}: expected SHA-256 {expected}, found {found}; the mirror serves other bytes than were locked"
    )]
    Digest {
        /// From where.
        url: String,
        /// The lock file's digest.
        expected: Sha256Digest,
        /// The digest found.
        found: Sha256Digest,
    },
    /// Debian's tools failed.
    #[error(transparent)]
    Apt(#[from] AptError),
}

/// Gets packages.
#[derive(Debug)]
pub struct Fetcher {
    apt: Apt,
    snapshot: String,
    directory: PathBuf,
    quiet: bool,
}

impl Fetcher {
    /// Keep files in `cache`.
    pub fn new(apt: Apt, cache: &Path, snapshot: &str, quiet: bool) -> Self {
        Self {
            apt,
            snapshot: snapshot.trim_end_matches('/').to_owned(),
            directory: cache.join("packages"),
            quiet,
        }
    }

    /// The package's file, with the locked digest. Taken from the cache when it is there.
    pub fn fetch(&self, package: &Package) -> Result<PathBuf, FetchError> {
        let cache = |path: &Path| {
            let path = path.to_owned();
            move |source| FetchError::Cache { path, source }
        };
        fs::create_dir_all(&self.directory).map_err(cache(&self.directory))?;
        let path = self.directory.join(format!("{}.deb", package.sha256));
        if path.exists() {
            if sha256_of(&path).map_err(cache(&path))? == package.sha256 {
                return Ok(path);
            }
            fs::remove_file(&path).map_err(cache(&path))?;
        }
        let partial = path.with_extension("part");
        let url = format!("{}/{}", self.apt.mirror(), package.path);
        match self.download(&url, package, &partial) {
            Ok(()) => {}
            Err(FetchError::Apt(mirror)) => self.try_snapshot(package, &partial, mirror)?,
            Err(other) => return Err(other),
        }
        fs::rename(&partial, &path).map_err(cache(&path))?;
        Ok(path)
    }

    fn download(&self, url: &str, package: &Package, partial: &Path) -> Result<(), FetchError> {
        if !self.quiet {
            eprintln!(
                "downloading {} {} ({} KiB)",
                package.name,
                package.version,
                package.size.div_ceil(1024)
            );
        }
        let resumed = partial.exists();
        let mut outcome = self.download_once(url, package, partial);
        if resumed && outcome.is_err() {
            // What an earlier run left may not have been a beginning of this file.
            let _ = fs::remove_file(partial);
            outcome = self.download_once(url, package, partial);
        }
        outcome
    }

    fn download_once(&self, url: &str, package: &Package, partial: &Path) -> Result<(), FetchError> {
        self.apt.download(url, partial, !self.quiet && io::stderr().is_terminal())?;
        let found =
            sha256_of(partial).map_err(|source| FetchError::Cache { path: partial.to_owned(), source })?;
        if found == package.sha256 {
            return Ok(());
        }
        let _ = fs::remove_file(partial);
        Err(FetchError::Digest { url: url.to_owned(), expected: package.sha256, found })
    }

    fn try_snapshot(&self, package: &Package, partial: &Path, mirror: AptError) -> Result<(), FetchError> {
        let gone = |snapshot: String| FetchError::Gone {
            name: package.name.clone(),
            version: package.version.clone(),
            mirror: Box::new(mirror),
            snapshot,
        };
        let answer = self.directory.join(format!("{}.json", package.sha256));
        let hash = match self.snapshot_hash(package, &answer) {
            Ok(hash) => hash,
            Err(reason) => return Err(gone(reason)),
        };
        match self.download(&format!("{}/file/{hash}", self.snapshot), package, partial) {
            Err(FetchError::Apt(error)) => Err(gone(error.to_string())),
            other => other,
        }
    }

    /// The SHA-1 under which the snapshot archive keeps the file; only an address, the bytes are checked by SHA-256.
    fn snapshot_hash(&self, package: &Package, answer: &Path) -> Result<String, String> {
        let url = format!("{}/mr/binary/{}/{}/binfiles", self.snapshot, package.name, package.version);
        // Never resume an answer that is made anew each time.
        let _ = fs::remove_file(answer);
        self.apt.download(&url, answer, false).map_err(|e| e.to_string())?;
        let mut text = String::new();
        let file = File::open(answer).map_err(|e| e.to_string())?;
        file.take(MAX_ANSWER).read_to_string(&mut text).map_err(|e| e.to_string())?;
        parse_binfiles(&text).ok_or_else(|| format!("{url} names no amd64 file"))
    }
}

/// The answer of `/mr/binary/<package>/<version>/binfiles` (snapshot.debian.org, machine-readable interface).
#[derive(Deserialize)]
struct BinFiles {
    result: Vec<BinFile>,
}

#[derive(Deserialize)]
struct BinFile {
    architecture: String,
    hash: String,
}

fn parse_binfiles(text: &str) -> Option<String> {
    let files: BinFiles = serde_json::from_str(text).ok()?;
    let wanted = |f: &&BinFile| f.architecture == "amd64" || f.architecture == "all";
    let hash = files.result.iter().find(wanted)?.hash.clone();
    (hash.len() == 40 && hash.bytes().all(|b| b.is_ascii_hexdigit())).then_some(hash)
}

/// SHA-256 of a file.
pub fn sha256_of(path: &Path) -> io::Result<Sha256Digest> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(HexArray(hash.finalize().into()))
}

#[cfg(test)]
mod tests;
