//! An OCI layout: a directory, or an uncompressed tar of one.

use super::{MAX_DOCUMENT, OciError};
use sealpod_evidence::workload::ImageDigest;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// Most entries of a tar: as many as the guest reads (guest/src/image/archive.rs).
const MAX_ENTRIES: usize = 1024;

/// Offset and length of each file of a tar.
type Index = BTreeMap<String, (u64, u64)>;

/// Where blobs are read from.
pub struct Layout {
    path: PathBuf,
    /// `None` for a directory.
    tar: Option<(File, Index)>,
}

impl Layout {
    /// Open the layout at `path`.
    pub fn open(path: &Path) -> Result<Self, OciError> {
        let read = |source| OciError::Read { path: path.to_owned(), source };
        let tar = if path.metadata().map_err(read)?.is_dir() {
            None
        } else {
            let file = File::open(path).map_err(read)?;
            let files = index(&file).map_err(|_| OciError::Unknown { path: path.to_owned() })?;
            Some((file, files))
        };
        Ok(Self { path: path.to_owned(), tar })
    }

    /// What was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of `index.json`. Nothing vouches for them.
    pub fn index_json(&mut self) -> Result<Vec<u8>, OciError> {
        let path = self.path.clone();
        let Some(file) = self.open_file("index.json")? else {
            return Err(OciError::Unknown { path });
        };
        let mut bytes = Vec::new();
        file.take(MAX_DOCUMENT + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| OciError::Read { path, source })?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            return Err(OciError::TooLong { what: "index.json", expected: MAX_DOCUMENT });
        }
        Ok(bytes)
    }

    /// A blob by the digest it claims to have; whoever reads it checks.
    pub fn open_blob(
        &mut self,
        digest: ImageDigest,
        what: &'static str,
    ) -> Result<Box<dyn Read + '_>, OciError> {
        let file = self.open_file(&format!("blobs/sha256/{}", digest.0))?;
        file.ok_or(OciError::Missing { what, digest })
    }

    fn open_file(&mut self, name: &str) -> Result<Option<Box<dyn Read + '_>>, OciError> {
        let read = |path: &Path| {
            let path = path.to_owned();
            move |source| OciError::Read { path, source }
        };
        let Some((file, files)) = &mut self.tar else {
            let path = self.path.join(name);
            return match File::open(&path) {
                Ok(file) => Ok(Some(Box::new(file))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(read(&path)(error)),
            };
        };
        let Some((offset, size)) = files.get(name).copied() else {
            return Ok(None);
        };
        file.seek(SeekFrom::Start(offset)).map_err(read(&self.path))?;
        Ok(Some(Box::new(file.take(size))))
    }
}

fn index(file: &File) -> io::Result<Index> {
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(file);
    for (count, entry) in archive.entries_with_seek()?.enumerate() {
        let entry = entry?;
        if count >= MAX_ENTRIES {
            return Err(io::Error::other("too many entries"));
        }
        if entry.header().entry_type().is_file() {
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
            files.insert(name, (entry.raw_file_position(), entry.size()));
        }
    }
    Ok(files)
}
