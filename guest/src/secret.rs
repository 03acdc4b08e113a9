//! Secret bytes: wiped when dropped, never printed, on disk only as 0400 files of a tmpfs.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of a secret. There is no `Debug`, no `Display` and no `Clone`.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Take over bytes; the caller keeps no copy.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The bytes, for the one place that hands them on.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Files of one container's secrets, overwritten and removed when dropped.
pub struct SecretFiles {
    directory: PathBuf,
    paths: Vec<PathBuf>,
}

impl SecretFiles {
    /// Make a fresh directory that only root can enter.
    pub fn create(directory: &Path) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new().mode(0o700).create(directory)?;
        Ok(Self { directory: directory.to_owned(), paths: Vec::new() })
    }

    /// Write one secret, readable by its container's user only; gives the file's path.
    pub fn add(&mut self, secret: &SecretBytes, uid: u32, gid: u32) -> io::Result<PathBuf> {
        let path = self.directory.join(self.paths.len().to_string());
        let mut file = File::options().write(true).create_new(true).mode(0o400).open(&path)?;
        self.paths.push(path.clone());
        file.write_all(secret.expose())?;
        std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
        Ok(path)
    }
}

impl Drop for SecretFiles {
    fn drop(&mut self) {
        for path in &self.paths {
            // tmpfs pages are wiped by writing over them; unlinking alone only frees them.
            let wiped = File::options().write(true).open(path).and_then(|mut file| {
                let length = file.metadata()?.len();
                io::copy(&mut io::Read::take(io::repeat(0), length), &mut file)
            });
            if let Err(error) = wiped.and_then(|_| fs::remove_file(path)) {
                eprintln!("sealpod-guest: cannot wipe {}: {error}", path.display());
            }
        }
        let _ = fs::remove_dir(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn secret_files_are_private_and_gone_after_drop() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = SecretFiles::create(&dir.path().join("s")).unwrap();
        let secret = SecretBytes::new(Zeroizing::new(b"value".to_vec()));
        let (uid, gid) = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
        let path = files.add(&secret, uid, gid).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o400);
        assert_eq!(fs::read(&path).unwrap(), b"value");
        let mut kept = File::open(&path).unwrap();
        drop(files);
        assert!(!path.exists());
        let mut left = Vec::new();
        io::Read::read_to_end(&mut kept, &mut left).unwrap();
        assert_eq!(left, [0; 5]);
    }
}
