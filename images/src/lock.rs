//! The lock file: exactly which packages, by digest.

use sealpod_evidence::bytes::Sha256Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The only version of the file.
pub const VERSION: u32 = 1;
/// Largest lock file that is read: some twenty packages of 300 bytes each, with room for a hundred times as many.
const MAX_LEN: u64 = 1 << 20;

/// The packages of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// [`VERSION`].
    pub version: u32,
    /// The packages, in the recipe's order.
    #[serde(rename = "package")]
    pub packages: Vec<Package>,
}

/// One package, fixed by the digest of its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Name that the recipe asks for; differs from `name` for a metapackage.
    pub wanted: String,
    /// Package name.
    pub name: String,
    /// Debian version.
    pub version: String,
    /// Suite in which it was found.
    pub suite: String,
    /// Size of the file.
    pub size: u64,
    /// Digest of the file: what is trusted.
    pub sha256: Sha256Digest,
    /// Path below the mirror's base address.
    pub path: String,
}

/// Why a lock file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It cannot be read.
    #[error(
        "cannot read lock file {path}: {source}; name another with --lock, or make one with `sealpod-images update`"
    )]
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// It is too long to be one.
    #[error("lock file {path} has {found} bytes, more than the {expected} allowed")]
    TooLong {
        /// Which file.
        path: PathBuf,
        /// The limit.
        expected: u64,
        /// Its length.
        found: u64,
    },
    /// It is not the TOML expected.
    #[error("lock file does not parse: {0}")]
    Syntax(String),
    /// Another version.
    #[error("lock file has version {found}, expected {VERSION}; make a new one with `sealpod-images update`")]
    Version {
        /// The version found.
        found: u32,
    },
    /// A package that the recipe needs is not in it.
    #[error("lock file has no package for {wanted:?}; make a new one with `sealpod-images update`")]
    Missing {
        /// What the recipe asks for.
        wanted: String,
    },
    /// A package is in it twice.
    #[error("lock file names {wanted:?} twice; remove one, or make a new file with `sealpod-images update`")]
    Duplicate {
        /// What is there twice.
        wanted: String,
    },
    /// A path that would leave the mirror or the cache.
    #[error(
        "lock file: package {name:?} has path {found:?}; expected a relative path of plain segments ending in .deb"
    )]
    Path {
        /// Which package.
        name: String,
        /// Its path.
        found: String,
    },
}

impl Lock {
    /// Read and check a lock file.
    pub fn read(path: &Path) -> Result<Self, LockError> {
        let read = |source| LockError::Read { path: path.to_owned(), source };
        let found = std::fs::metadata(path).map_err(read)?.len();
        if found > MAX_LEN {
            return Err(LockError::TooLong { path: path.to_owned(), expected: MAX_LEN, found });
        }
        Self::parse(&std::fs::read_to_string(path).map_err(read)?)
    }

    /// Check a lock file's text.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let lock: Self = toml::from_str(text).map_err(|e| LockError::Syntax(e.message().to_owned()))?;
        if lock.version != VERSION {
            return Err(LockError::Version { found: lock.version });
        }
        let mut seen = BTreeSet::new();
        for package in &lock.packages {
            if !seen.insert(package.wanted.as_str()) {
                return Err(LockError::Duplicate { wanted: package.wanted.clone() });
            }
            if !is_plain_path(&package.path) {
                return Err(LockError::Path { name: package.name.clone(), found: package.path.clone() });
            }
        }
        Ok(lock)
    }

    /// The file's text. The same packages always give the same text.
    pub fn to_text(&self) -> Result<String, LockError> {
        let body = toml::to_string(self).map_err(|e| LockError::Syntax(e.to_string()))?;
        Ok(format!("# Packages of the guest image. Written by `sealpod-images update`.\n{body}"))
    }

    /// The package for a name in the recipe.
    pub fn package(&self, wanted: &str) -> Result<&Package, LockError> {
        let found = self.packages.iter().find(|p| p.wanted == wanted);
        found.ok_or_else(|| LockError::Missing { wanted: wanted.to_owned() })
    }
}

fn is_plain_path(path: &str) -> bool {
    // What Debian allows in package file names (policy 5.6.1 and 5.6.12), which needs no quoting in a URL.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+-._~%:".contains(&b);
    path.ends_with(".deb")
        && path.split('/').all(|s| !s.is_empty() && !s.starts_with('.') && s.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> Lock {
        let package = |name: &str| Package {
            wanted: name.into(),
            name: name.into(),
            version: "1:2.75-10+b3".into(),
            suite: "trixie".into(),
            size: 12,
            sha256: "ab".repeat(32).parse().unwrap(),
            path: format!("pool/main/c/{name}_2.75-10+b3_amd64.deb"),
        };
        Lock { version: VERSION, packages: vec![package("libcap2"), package("crun")] }
    }

    #[test]
    fn writing_and_reading_agree() {
        let text = lock().to_text().unwrap();
        assert_eq!(Lock::parse(&text).unwrap(), lock());
    }

    #[test]
    fn each_defect_has_its_own_error_and_names_the_way_out() {
        let text = lock().to_text().unwrap();
        let spoil = |from: &str, to: &str| Lock::parse(&text.replacen(from, to, 1)).unwrap_err();
        assert!(matches!(spoil("version = 1", "version = 2"), LockError::Version { found: 2 }));
        assert!(matches!(spoil("wanted = \"crun\"", "wanted = \"libcap2\""), LockError::Duplicate { .. }));
        assert!(matches!(spoil("size = 12", "size = 12\nextra = 1"), LockError::Syntax(_)));
        assert!(matches!(spoil("abab", "zzzz"), LockError::Syntax(_)));
        let missing = lock().package("libc6").unwrap_err();
        assert!(missing.to_string().contains("sealpod-images update"), "{missing}");
    }

    #[test]
    fn paths_stay_below_the_mirror() {
        for bad in
            ["/etc/x.deb", "../x.deb", "a/../x.deb", "a//x.deb", "a/x.deb?y", "a/x", "http://x/y z.deb", ""]
        {
            assert!(!is_plain_path(bad), "{bad}");
        }
        assert!(is_plain_path("pool/main/libc/libcap2/libcap2_2.75-10+deb13u1+b3_amd64.deb"));
    }

    #[test]
    fn the_committed_lock_file_serves_the_recipe() {
        let lock = Lock::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("packages.lock")).unwrap();
        for wanted in crate::recipe::PACKAGES {
            assert_eq!(lock.package(wanted.name).unwrap().suite, wanted.suite);
        }
    }
}
