//! Files of a binary package, read through Debian's own `dpkg-deb`; nothing is unpacked to disk.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Most bytes of files that one package may hold: four times today's kernel package.
const MAX_CONTENT: u64 = 1 << 29;

/// One file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File(Vec<u8>),
    /// A symbolic link and its target.
    Symlink(String),
}

/// Files by path without leading `/`.
pub type Files = BTreeMap<String, Node>;

/// Why a package cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// `dpkg-deb` is missing.
    #[error("cannot run dpkg-deb: {0}; it is part of Debian's package `dpkg`")]
    Run(std::io::Error),
    /// The package does not unpack.
    #[error("cannot read package file {path}: {detail}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What went wrong.
        detail: String,
    },
    /// More files than any package has.
    #[error("package file {path} holds more than the {expected} bytes allowed")]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// The limit.
        expected: u64,
    },
}

/// Files of the package at `path` for which `wanted` says yes.
pub fn read(path: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<Files, DebError> {
    let fail = |detail: String| DebError::Read { path: path.to_owned(), detail };
    let mut child = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(DebError::Run)?;
    let stdout = child.stdout.take();
    let files = stdout.map(|stream| read_tar(stream, path, wanted));
    let output = child.wait_with_output().map_err(DebError::Run)?;
    let files = files.unwrap_or_else(|| Ok(Files::new()))?;
    if !output.status.success() {
        return Err(fail(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(files)
}

fn read_tar(
    stream: impl std::io::Read,
    path: &Path,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Files, DebError> {
    let fail = |error: std::io::Error| DebError::Read { path: path.to_owned(), detail: error.to_string() };
    let mut files = Files::new();
    let mut left = MAX_CONTENT;
    let mut archive = tar::Archive::new(stream);
    for entry in archive.entries().map_err(fail)? {
        let mut entry = entry.map_err(fail)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        if !wanted(&name) {
            continue;
        }
        let node = match entry.header().entry_type() {
            tar::EntryType::Regular => {
                left = left
                    .checked_sub(entry.size())
                    .ok_or_else(|| DebError::TooLarge { path: path.to_owned(), expected: MAX_CONTENT })?;
                let mut content = Vec::new();
                entry.read_to_end(&mut content).map_err(fail)?;
                Node::File(content)
            }
            tar::EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                Node::Symlink(String::from_utf8_lossy(&target).into_owned())
            }
            _ => continue,
        };
        files.insert(name, node);
    }
    // dpkg-deb must be able to finish writing the padding.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink()).map_err(fail)?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wanted_files_are_kept_and_links_keep_their_target() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, "./usr/lib/a.so.1.2", &b"abc"[..]).unwrap();
        builder.append_data(&mut header, "./usr/share/doc", &b"doc"[..]).unwrap();
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        builder.append_link(&mut link, "./usr/lib/a.so.1", "a.so.1.2").unwrap();
        let tar = builder.into_inner().unwrap();
        let files = read_tar(&tar[..], Path::new("x.deb"), &|name| name.starts_with("usr/lib/")).unwrap();
        assert_eq!(files.len(), 2);
        assert_eq!(files["usr/lib/a.so.1.2"], Node::File(b"abc".to_vec()));
        assert_eq!(files["usr/lib/a.so.1"], Node::Symlink("a.so.1.2".into()));
    }

    #[test]
    fn a_file_that_is_no_package_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.deb");
        std::fs::write(&path, "no package").unwrap();
        assert!(matches!(read(&path, &|_| true), Err(DebError::Read { .. })));
    }
}
