//! Reading and writing small kernel files with a stated budget.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// A file operation that failed, with the file's name.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operation failed.
    #[error("cannot {operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// More bytes than the caller's budget.
    #[error("{path} is longer than the {budget} bytes that are read")]
    TooLong {
        /// Which file.
        path: PathBuf,
        /// Most bytes that are read.
        budget: usize,
    },
}

impl FileError {
    /// Wrap an I/O error.
    pub fn io(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { operation, path: path.into(), source }
    }

    /// The kernel's error number, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } => source.raw_os_error(),
            Self::TooLong { .. } => None,
        }
    }
}

/// Read a whole file of at most `budget` bytes.
pub fn read(path: &Path, budget: usize) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(|e| FileError::io("open", path, e))?;
    read_from(file, path, budget)
}

/// [`read`] from a file that is already open; `path` is for the error.
pub fn read_from(file: impl io::Read, path: &Path, budget: usize) -> Result<Vec<u8>, FileError> {
    let mut out = Vec::new();
    file.take(budget as u64 + 1).read_to_end(&mut out).map_err(|e| FileError::io("read", path, e))?;
    if out.len() > budget {
        return Err(FileError::TooLong { path: path.to_owned(), budget });
    }
    Ok(out)
}

/// Read a short text and drop the newline the kernel puts at its end.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    // An attribute is at most one page.
    let bytes = read(path, 4096)?;
    let text = String::from_utf8(bytes)
        .map_err(|e| FileError::io("read", path, io::Error::new(io::ErrorKind::InvalidData, e)))?;
    Ok(text.trim_end_matches('\n').to_owned())
}

/// Write all of `bytes` to an existing file in one `write`, as kernel attributes need it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    use std::io::Write as _;
    let mut file = File::options().write(true).open(path).map_err(|e| FileError::io("open", path, e))?;
    let written = file.write(bytes).map_err(|e| FileError::io("write", path, e))?;
    if written != bytes.len() {
        return Err(FileError::io("write", path, io::ErrorKind::WriteZero.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_longer_than_its_budget_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, [0; 9]).unwrap();
        assert_eq!(read(&path, 9).unwrap().len(), 9);
        assert!(matches!(read(&path, 8), Err(FileError::TooLong { budget: 8, .. })));
    }

    #[test]
    fn a_missing_file_gives_the_kernels_number() {
        let error = read(Path::new("/nonexistent/x"), 1).unwrap_err();
        assert_eq!(error.errno(), Some(libc::ENOENT));
    }
}
