//! Writing an archive.

use super::{DIRECTORY, Object, REGULAR, SYMLINK, TRAILER, Tree};

/// A file does not fit the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} has {found} bytes; the archive format allows {expected}", expected = u32::MAX)]
pub struct TooLarge {
    /// Which file.
    pub path: String,
    /// Its length.
    pub found: usize,
}

/// The tree as an archive: sorted by path, numbered in that order, owned by root, dated zero.
pub fn write(tree: &Tree) -> Result<Vec<u8>, TooLarge> {
    let mut out = Vec::new();
    let mut inode = 0u32;
    for (path, object) in tree {
        inode += 1;
        let (mode, links, content) = match object {
            Object::Directory(mode) => (DIRECTORY | mode, 2, &[][..]),
            Object::File(mode, content) => (REGULAR | mode, 1, content.as_slice()),
            Object::Symlink(target) => (SYMLINK | 0o777, 1, target.as_bytes()),
        };
        entry(&mut out, path, [inode, mode, 0, 0, links], content)?;
    }
    entry(&mut out, TRAILER, [0, 0, 0, 0, 1], &[])?;
    Ok(out)
}

fn entry(out: &mut Vec<u8>, path: &str, first: [u32; 5], content: &[u8]) -> Result<(), TooLarge> {
    let too_large = |found| TooLarge { path: path.to_owned(), found };
    let size = u32::try_from(content.len()).map_err(|_| too_large(content.len()))?;
    let name_size = u32::try_from(path.len() + 1).map_err(|_| too_large(path.len()))?;
    // mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check.
    let rest = [0, size, 0, 0, 0, 0, name_size, 0];
    out.extend(b"070701");
    for number in first.into_iter().chain(rest) {
        out.extend(format!("{number:08x}").bytes());
    }
    out.extend(path.bytes());
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(content);
    out.resize(out.len().next_multiple_of(4), 0);
    Ok(())
}
