//! Reading a whole initrd as the kernel does: archives one after another, plain or compressed, later entries override.
//!
//! Follows Linux `init/initramfs.c`: an archive starts at a multiple of four, zeros between archives are skipped, an object
//! of another type at the same path is replaced, parents are looked up through symbolic links.

use super::{DIRECTORY, HEADER_LEN, Object, REGULAR, SYMLINK, TRAILER, TYPE, Tree};
use std::io::Read;

/// Most bytes of one initrd after decompression: it must fit into a guest's memory beside everything else.
pub const MAX_UNPACKED: u64 = 1 << 30;
/// Longest path (Linux `PATH_MAX`).
const PATH_MAX: usize = 4096;
/// Most symbolic links followed in one path (Linux `MAXSYMLINKS`).
const MAX_SYMLINKS: usize = 40;

/// Why an initrd cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum CpioError {
    /// Neither an archive nor a compressed one.
    #[error("initrd offset {offset}: expected a newc archive or its zstd, gzip or xz form, found {found}")]
    Unknown {
        /// Where.
        offset: usize,
        /// The bytes there, in hex.
        found: String,
    },
    /// A header or body is cut, or a number is not hex.
    #[error("initrd archive offset {offset}: {what}")]
    Malformed {
        /// Where in the (decompressed) archive.
        offset: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A compressed part does not decompress.
    #[error("initrd offset {offset}: the compressed part is damaged: {source}")]
    Compressed {
        /// Where.
        offset: usize,
        /// The decompressor's answer.
        source: std::io::Error,
    },
    /// More than any guest unpacks.
    #[error("the initrd unpacks to more than the {expected} bytes allowed")]
    TooLarge {
        /// The limit.
        expected: u64,
    },
    /// Something whose effect is not modelled.
    #[error("initrd entry {path:?}: {what}")]
    Unsupported {
        /// Which entry.
        path: String,
        /// What it is.
        what: &'static str,
    },
}

/// All objects of an initrd, as they are after the kernel unpacked it.
pub fn unpack(initrd: &[u8]) -> Result<Tree, CpioError> {
    let mut tree = Tree::new();
    let mut left = MAX_UNPACKED;
    let mut offset = 0;
    loop {
        offset += initrd[offset..].iter().take_while(|b| **b == 0).count();
        let rest = &initrd[offset..];
        if rest.is_empty() {
            return Ok(tree);
        }
        offset += if rest.starts_with(b"07070") {
            archive(rest, offset, &mut tree)?
        } else {
            let (content, used) = decompress(rest, offset, &mut left)?;
            archives(&content, &mut tree)?;
            used
        };
    }
}

fn archives(bytes: &[u8], tree: &mut Tree) -> Result<(), CpioError> {
    let mut offset = 0;
    loop {
        offset += bytes[offset..].iter().take_while(|b| **b == 0).count();
        if offset == bytes.len() {
            return Ok(());
        }
        offset += archive(&bytes[offset..], offset, tree)?;
    }
}

/// One compressed member and how many bytes it took.
fn decompress(bytes: &[u8], offset: usize, left: &mut u64) -> Result<(Vec<u8>, usize), CpioError> {
    let damaged = |source| CpioError::Compressed { offset, source };
    let mut content = Vec::new();
    let rest: &[u8] = match bytes {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let mut decoder = zstd::Decoder::with_buffer(bytes).map_err(damaged)?.single_frame();
            limited(&mut decoder, &mut content, *left).map_err(damaged)?;
            decoder.finish()
        }
        [0x1f, 0x8b, ..] => {
            let mut decoder = flate2::bufread::GzDecoder::new(bytes);
            limited(&mut decoder, &mut content, *left).map_err(damaged)?;
            decoder.into_inner()
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            let mut decoder = xz2::bufread::XzDecoder::new(bytes);
            limited(&mut decoder, &mut content, *left).map_err(damaged)?;
            decoder.into_inner()
        }
        _ => {
            return Err(CpioError::Unknown { offset, found: hex::encode(&bytes[..bytes.len().min(8)]) });
        }
    };
    *left = left.checked_sub(content.len() as u64).ok_or(CpioError::TooLarge { expected: MAX_UNPACKED })?;
    Ok((content, bytes.len() - rest.len()))
}

fn limited(decoder: &mut impl Read, content: &mut Vec<u8>, left: u64) -> std::io::Result<()> {
    // One byte more than allowed, so that the caller sees that there was more.
    decoder.take(left + 1).read_to_end(content).map(|_| ())
}

struct Header {
    inode: u32,
    mode: u32,
    links: u32,
    size: usize,
    name_size: usize,
}

fn archive(bytes: &[u8], start: usize, tree: &mut Tree) -> Result<usize, CpioError> {
    let mut offset = 0;
    loop {
        let bad = |what| CpioError::Malformed { offset: start.saturating_add(offset), what };
        if !(start + offset).is_multiple_of(4) {
            return Err(bad("an entry does not begin at a multiple of four"));
        }
        let header = header(bytes.get(offset..).unwrap_or_default()).map_err(bad)?;
        let name_end = offset + HEADER_LEN + header.name_size;
        let name = bytes.get(offset + HEADER_LEN..name_end).ok_or_else(|| bad("a name is cut"))?;
        let (0, name) = name.split_last().map_or((1, name), |(last, name)| (*last, name)) else {
            return Err(bad("a name does not end in zero"));
        };
        let name = std::str::from_utf8(name).map_err(|_| bad("a name is not UTF-8"))?;
        if name.contains('\0') {
            return Err(bad("a name holds a zero"));
        }
        let body = name_end.next_multiple_of(4);
        if name == TRAILER {
            return Ok(body.min(bytes.len()));
        }
        let end = body.checked_add(header.size).ok_or_else(|| bad("a size overflows"))?;
        let content = bytes.get(body..end).ok_or_else(|| bad("a file is cut"))?;
        place(tree, name, &header, content)?;
        offset = end.next_multiple_of(4);
    }
}

fn header(bytes: &[u8]) -> Result<Header, &'static str> {
    let bytes = bytes.get(..HEADER_LEN).ok_or("a header is cut, or the archive has no trailer")?;
    // 070702 differs in a checksum field that the kernel does not read for the content's meaning.
    if !bytes.starts_with(b"070701") && !bytes.starts_with(b"070702") {
        return Err("expected magic 070701 or 070702");
    }
    let number = |index: usize| {
        let digits = &bytes[6 + 8 * index..14 + 8 * index];
        let text = std::str::from_utf8(digits).ok().filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit()));
        text.and_then(|t| u32::from_str_radix(t, 16).ok()).ok_or("a number is not hexadecimal")
    };
    let name_size = number(11)? as usize;
    if name_size == 0 || name_size > PATH_MAX {
        return Err("a name is empty or longer than PATH_MAX");
    }
    Ok(Header {
        inode: number(0)?,
        mode: number(1)?,
        links: number(4)?,
        size: number(6)? as usize,
        name_size,
    })
}

fn place(tree: &mut Tree, name: &str, header: &Header, content: &[u8]) -> Result<(), CpioError> {
    let unsupported = |what| CpioError::Unsupported { path: name.to_owned(), what };
    let mode = header.mode & 0o7777;
    let object = match header.mode & TYPE {
        REGULAR if header.links > 1 && header.inode != 0 => {
            return Err(unsupported("hard links are not supported; make the archive without them"));
        }
        REGULAR => Object::File(mode, content.to_owned()),
        DIRECTORY => Object::Directory(mode),
        SYMLINK => Object::Symlink(
            String::from_utf8(content.to_owned()).map_err(|_| unsupported("its link target is not UTF-8"))?,
        ),
        // Device nodes, pipes and sockets hold no content that could be measured.
        _ => return Ok(()),
    };
    let Some(path) =
        resolve(tree, name).ok_or_else(|| unsupported("its parent has too many symbolic links"))?
    else {
        // The kernel cannot create an object whose parent is missing, and goes on.
        return Ok(());
    };
    if path.is_empty() {
        return Ok(());
    }
    match (tree.get(&path), &object) {
        // A directory that is not empty cannot be replaced: rmdir fails and so does creating the new object.
        (Some(Object::Directory(_)), Object::File(..) | Object::Symlink(_)) if has_children(tree, &path) => {}
        // symlink() fails when there is one already.
        (Some(Object::Symlink(_)), Object::Symlink(_)) => {}
        _ => {
            tree.insert(path, object);
        }
    }
    Ok(())
}

fn has_children(tree: &Tree, path: &str) -> bool {
    let prefix = format!("{path}/");
    tree.range(prefix.clone()..).next().is_some_and(|(p, _)| p.starts_with(&prefix))
}

/// The path with its parents looked up: `None` for a link loop, `Some(None)` for a missing parent.
fn resolve(tree: &Tree, name: &str) -> Option<Option<String>> {
    let mut todo: Vec<String> =
        name.split('/').rev().filter(|s| !s.is_empty() && *s != ".").map(str::to_owned).collect();
    let mut done: Vec<String> = Vec::new();
    let mut links = 0;
    while let Some(segment) = todo.pop() {
        if segment == ".." {
            done.pop();
            continue;
        }
        done.push(segment);
        if todo.is_empty() {
            break;
        }
        match tree.get(&done.join("/")) {
            Some(Object::Directory(_)) => {}
            Some(Object::Symlink(target)) => {
                links += 1;
                if links > MAX_SYMLINKS {
                    return None;
                }
                if target.starts_with('/') {
                    done.clear();
                } else {
                    done.pop();
                }
                todo.extend(
                    target.split('/').rev().filter(|s| !s.is_empty() && *s != ".").map(str::to_owned),
                );
            }
            // The kernel's built-in archive has made /dev and /root before.
            _ if matches!(done.join("/").as_str(), "dev" | "root") => {}
            _ => return Some(None),
        }
    }
    Some(Some(done.join("/")))
}

#[cfg(test)]
mod tests;
