//! initrd archives: the `newc` format (kernel documentation, driver-api/early-userspace/buffer-format).
//!
//! [`writer`] makes them, byte for byte the same from the same tree; [`reader`] says which files the kernel will
//! find after unpacking a whole initrd.

pub mod reader;
pub mod writer;

pub use reader::{CpioError, unpack};
pub use writer::write;

use std::collections::BTreeMap;

/// File type bits of a mode.
pub(crate) const TYPE: u32 = 0o170_000;
pub(crate) const REGULAR: u32 = 0o100_000;
pub(crate) const DIRECTORY: u32 = 0o040_000;
pub(crate) const SYMLINK: u32 = 0o120_000;
/// Name of the entry that ends an archive.
pub(crate) const TRAILER: &str = "TRAILER!!!";
/// Length of a header: magic and 13 numbers of 8 hex digits.
pub(crate) const HEADER_LEN: usize = 110;

/// One file system object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A directory and its permission bits.
    Directory(u32),
    /// A regular file, its permission bits and its content.
    File(u32, Vec<u8>),
    /// A symbolic link.
    Symlink(String),
}

/// Objects by path without leading `/`.
pub type Tree = BTreeMap<String, Object>;
