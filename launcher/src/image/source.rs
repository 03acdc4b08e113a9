//! A directory or an uncompressed tar, seen as files by name.

use super::ImageError;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// Most entries of an archive; a large `docker save` has four per layer.
const MAX_ENTRIES: usize = 8192;

/// A file's content and length.
pub type Entry<'a> = (Box<dyn Read + 'a>, u64);

/// Where an image's files come from.
pub enum Source {
    Dir(PathBuf),
    Tar { file: File, index: BTreeMap<String, (u64, u64)> },
}

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("more than {expected} entries")]
    Entries { expected: usize },
    #[error("{found:?} is in it twice")]
    Twice { found: String },
}

impl Source {
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let io = |source| ImageError::Io { path: path.to_owned(), source };
        if path.metadata().map_err(io)?.is_dir() {
            return Ok(Self::Dir(path.to_owned()));
        }
        let mut file = File::open(path).map_err(io)?;
        let mut magic = [0; 4];
        let got = file.read(&mut magic).map_err(io)?;
        if magic[..got].starts_with(&[0x1f, 0x8b])
            || magic == [0x28, 0xb5, 0x2f, 0xfd]
            || magic == *b"\xfd7zX"
        {
            return Err(ImageError::Compressed { path: path.to_owned() });
        }
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        let index = index(&file)?;
        Ok(Self::Tar { file, index })
    }

    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::Dir(dir) => dir.join(name).is_file(),
            Self::Tar { index, .. } => index.contains_key(name),
        }
    }

    /// A file's content and length. Names never leave the directory.
    pub fn open_entry(&mut self, name: &str) -> Result<Option<Entry<'_>>, ImageError> {
        let io = |source| ImageError::Io { path: name.into(), source };
        if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Ok(None);
        }
        match self {
            Self::Dir(dir) => {
                let path = dir.join(name);
                if !path.is_file() {
                    return Ok(None);
                }
                let file = File::open(path).map_err(io)?;
                let size = file.metadata().map_err(io)?.len();
                Ok(Some((Box::new(file), size)))
            }
            Self::Tar { file, index } => {
                let Some((offset, size)) = index.get(name).copied() else {
                    return Ok(None);
                };
                file.seek(SeekFrom::Start(offset)).map_err(io)?;
                Ok(Some((Box::new(file.take(size)), size)))
            }
        }
    }
}

/// Regular files and where they lie. Links are left out: a file that is only a link is reported as missing.
fn index(file: &File) -> Result<BTreeMap<String, (u64, u64)>, ArchiveError> {
    let mut index = BTreeMap::new();
    let mut archive = tar::Archive::new(file);
    for (count, entry) in archive.entries_with_seek()?.enumerate() {
        if count >= MAX_ENTRIES {
            return Err(ArchiveError::Entries { expected: MAX_ENTRIES });
        }
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
        let place = (entry.raw_file_position(), entry.size());
        if index.insert(name.clone(), place).is_some() {
            return Err(ArchiveError::Twice { found: name });
        }
    }
    Ok(index)
}
