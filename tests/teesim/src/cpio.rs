//! The initrd part that holds the guest half: a `newc` archive (kernel documentation, driver-api/early-userspace/
//! buffer-format), appended to a guest image's own initrd. The same inputs give the same bytes.

use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const REGULAR: u32 = 0o100_755;
const DIRECTORY: u32 = 0o040_755;
/// The kernel looks for the next archive at a multiple of this.
const ALIGNMENT: usize = 512;

/// An archive with this program as `/init`, and with the shared libraries it uses if asked for.
pub fn archive(with_libraries: bool) -> Result<Vec<u8>> {
    let program = fs::read("/proc/self/exe").context("cannot read this program")?;
    let mut archive = Archive::default();
    archive.file("init", &program);
    if with_libraries {
        let maps = fs::read_to_string("/proc/self/maps").context("cannot list this program's libraries")?;
        for library in libraries(&maps) {
            let content = fs::read(&library).with_context(|| format!("cannot read {}", library.display()))?;
            archive.file(&in_archive(&library), &content);
        }
    }
    Ok(archive.finish())
}

/// Paths of mapped shared objects, in order.
fn libraries(maps: &str) -> BTreeSet<PathBuf> {
    let paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    paths.filter(|path| path.starts_with('/') && path.contains(".so")).map(PathBuf::from).collect()
}

/// The dynamic loader goes where programs name it; everything else where it was found.
fn in_archive(library: &Path) -> String {
    let name = library.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("ld-linux-") {
        return format!("lib64/{name}");
    }
    library.to_string_lossy().trim_start_matches('/').to_owned()
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    inode: u32,
    directories: BTreeSet<PathBuf>,
}

impl Archive {
    fn file(&mut self, path: &str, content: &[u8]) {
        let parents: Vec<_> =
            Path::new(path).ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()).collect();
        for parent in parents.into_iter().rev() {
            if self.directories.insert(parent.to_owned()) {
                self.entry(&parent.to_string_lossy(), DIRECTORY, &[]);
            }
        }
        self.entry(path, REGULAR, content);
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.inode += 1;
        // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check.
        let numbers =
            [self.inode, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        self.bytes.extend(b"070701");
        for number in numbers {
            self.bytes.extend(format!("{number:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad(4);
        self.bytes.extend(content);
        self.pad(4);
    }

    fn pad(&mut self, alignment: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(alignment), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.inode = 0;
        self.entry("TRAILER!!!", 0, &[]);
        self.pad(ALIGNMENT);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    #[test]
    fn cpio_reads_what_was_written() {
        let mut archive = Archive::default();
        archive.file("init", b"#!/bin/true\n");
        archive.file("usr/lib/a.so", b"");
        archive.file("usr/lib/b.so", b"12345");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % ALIGNMENT, 0);

        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new("cpio")
            .args(["--extract", "--make-directories", "--quiet"])
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(fs::read(directory.path().join("init")).unwrap(), b"#!/bin/true\n");
        assert_eq!(fs::read(directory.path().join("usr/lib/a.so")).unwrap(), b"");
        assert_eq!(fs::read(directory.path().join("usr/lib/b.so")).unwrap(), b"12345");
    }

    #[test]
    fn the_archive_is_reproducible_and_libraries_are_added_only_when_asked_for() {
        let plain = archive(false).unwrap();
        assert_eq!(plain, archive(false).unwrap());
        assert!(archive(true).unwrap().len() > plain.len());
    }

    #[test]
    fn the_loader_is_put_where_programs_look_for_it() {
        let maps = "7f00-7f01 r-xp 00000000 08:01 12 /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2\n\
            7f02-7f03 r-xp 00000000 08:01 13 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
            7f02-7f03 r--p 00000000 08:01 13 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
            7f04-7f05 rw-p 00000000 00:00 0 [heap]\n";
        let names: Vec<_> = libraries(maps).iter().map(|path| in_archive(path)).collect();
        assert_eq!(names, ["lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu/libc.so.6"]);
    }
}
