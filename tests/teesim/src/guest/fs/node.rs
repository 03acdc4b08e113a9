//! The tree as inode numbers.

use super::super::attributes::{ATTRIBUTES, Attribute, TEXT_MAX};
use fuser::{FileAttr, FileType, INodeNo};
use std::time::UNIX_EPOCH;

const ROOT: u64 = 1;
const TSM: u64 = 2;
const REPORT: u64 = 3;
/// Inode of the first entry; each has a block of [`BLOCK`]: the directory, then its attributes.
const FIRST: u64 = 16;
const BLOCK: u64 = 16;

/// A directory or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// `/`.
    Root,
    /// `tsm`.
    Tsm,
    /// `tsm/report`.
    Report,
    /// An entry, by its number.
    Entry(u64),
    /// A file of an entry.
    File(u64, Attribute),
}

impl Node {
    /// The node of an inode number, whether or not there is such an entry.
    pub fn from_inode(inode: INodeNo) -> Option<Self> {
        let inode = u64::from(inode);
        match inode {
            ROOT => Some(Self::Root),
            TSM => Some(Self::Tsm),
            REPORT => Some(Self::Report),
            _ => {
                let (entry, index) = (inode.checked_sub(FIRST)? / BLOCK, inode % BLOCK);
                match index {
                    0 => Some(Self::Entry(entry)),
                    _ => Some(Self::File(entry, ATTRIBUTES.get(index as usize - 1)?.0)),
                }
            }
        }
    }

    /// Its inode number.
    pub fn inode(self) -> u64 {
        match self {
            Self::Root => ROOT,
            Self::Tsm => TSM,
            Self::Report => REPORT,
            Self::Entry(entry) => FIRST + entry * BLOCK,
            Self::File(entry, attribute) => {
                let index = ATTRIBUTES.iter().position(|(a, ..)| *a == attribute).unwrap_or_default();
                FIRST + entry * BLOCK + 1 + index as u64
            }
        }
    }

    /// What `stat` says.
    pub fn attr(self) -> FileAttr {
        let (kind, perm, size) = match self {
            Self::File(_, attribute) => (FileType::RegularFile, attribute.mode(), TEXT_MAX as u64),
            _ => (FileType::Directory, 0o755, 0),
        };
        FileAttr {
            ino: INodeNo(self.inode()),
            size,
            blocks: 0,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: TEXT_MAX as u32,
            flags: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_is_found_by_its_inode() {
        let mut nodes = vec![Node::Root, Node::Tsm, Node::Report];
        for entry in [0, 1, 77] {
            nodes.push(Node::Entry(entry));
            nodes.extend(ATTRIBUTES.map(|(attribute, ..)| Node::File(entry, attribute)));
        }
        for node in nodes {
            assert_eq!(Node::from_inode(INodeNo(node.inode())), Some(node));
        }
        for stray in [0, 4, 15, FIRST + BLOCK - 1] {
            assert_eq!(Node::from_inode(INodeNo(stray)), None, "{stray}");
        }
    }
}
