//! A directory tree that is written to without ever leaving it, whatever links it already holds.
//!
//! Parents are resolved by `openat2(RESOLVE_IN_ROOT)`, which treats the tree as `/`; the last component is then
//! used without following it. Nothing else writes to the tree meanwhile.

use super::budget::Budget;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;
use std::collections::HashSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

/// Longest path (`PATH_MAX`, limits.h).
const MAX_PATH: usize = 4096;
/// Deepest path: far beyond real trees, and what bounds recursion when one is removed.
const MAX_DEPTH: usize = 256;

/// Owner, mode and time of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits, set-id bits included (`no_new_privs` makes those inert).
    pub mode: u32,
    /// Modification time, seconds since 1970.
    pub mtime: u64,
}

/// A path inside the tree: relative, without `..`, within the budgets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InnerPath {
    parent: PathBuf,
    name: String,
}

/// Why a path is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It holds `..`.
    #[error("path {found:?} holds \"..\"")]
    Escape {
        /// The path, cut.
        found: String,
    },
    /// Too long or too deep.
    #[error("path {found:?} is longer than {MAX_PATH} bytes or deeper than {MAX_DEPTH} components")]
    Budget {
        /// The path, cut.
        found: String,
    },
    /// Not UTF-8, or with a zero byte.
    #[error("path {found:?} is not a text")]
    Text {
        /// The path, cut and made printable.
        found: String,
    },
}

impl InnerPath {
    /// Check a path; `None` for the root itself.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, PathError> {
        let shown = || String::from_utf8_lossy(&bytes[..bytes.len().min(128)]).into_owned();
        let text = std::str::from_utf8(bytes).map_err(|_| PathError::Text { found: shown() })?;
        if text.contains('\0') {
            return Err(PathError::Text { found: shown() });
        }
        let mut parts = Vec::new();
        for component in Path::new(text).components() {
            match component {
                Component::Normal(part) => parts.push(part),
                Component::CurDir | Component::RootDir => {}
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(PathError::Escape { found: shown() });
                }
            }
        }
        if bytes.len() > MAX_PATH || parts.len() > MAX_DEPTH {
            return Err(PathError::Budget { found: shown() });
        }
        let Some(name) = parts.pop() else {
            return Ok(None);
        };
        Ok(Some(Self { parent: parts.iter().collect(), name: name.to_string_lossy().into_owned() }))
    }

    /// The last component.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same parent with another last component.
    pub fn with_name(&self, name: &str) -> Self {
        Self { parent: self.parent.clone(), name: name.to_owned() }
    }
}

/// How much of a file is in hand at once: some pages of the tree's file system.
const CHUNK: usize = 64 * 1024;

/// The tree.
pub struct Rootfs<'a> {
    root: OwnedFd,
    budget: &'a Budget,
    buffer: Vec<u8>,
    /// Inodes that the current layer made or named: whiteouts of the same layer do not touch them.
    fresh: HashSet<u64>,
}

/// The directory of an entry, held open: paths made by [`Parent::join`] mean something only while it lives.
struct Parent(OwnedFd);

impl Parent {
    /// A path whose every component but the last is this very directory (proc(5), `/proc/pid/fd`).
    fn join(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd())).join(name)
    }
}

impl<'a> Rootfs<'a> {
    /// Open an existing directory as the tree's root. Everything made in it is asked of `budget` before.
    pub fn open(path: &Path, budget: &'a Budget) -> io::Result<Self> {
        let root = File::open(path)?.into();
        Ok(Self { root, budget, buffer: vec![0; CHUNK], fresh: HashSet::new() })
    }

    /// Start a layer: whiteouts from here on hide what is there now.
    pub fn begin_layer(&mut self) {
        self.fresh.clear();
    }

    /// Make a directory, or take over the one that is there.
    pub fn directory(&mut self, path: &InnerPath, meta: Meta) -> io::Result<()> {
        let parent = self.parent_of(path)?;
        let target = parent.join(&path.name);
        if !fs::symlink_metadata(&target).is_ok_and(|m| m.is_dir()) {
            remove(&target)?;
            self.budget.take_entry()?;
            fs::create_dir(&target)?;
        }
        self.finish(&target, meta, true)
    }

    /// Set owner and mode of the root itself.
    pub fn root_meta(&mut self, meta: Meta) -> io::Result<()> {
        let file = File::from(self.root.try_clone()?);
        std::os::unix::fs::fchown(&file, Some(meta.uid), Some(meta.gid))?;
        file.set_permissions(Permissions::from_mode(meta.mode))
    }

    /// Make a regular file from at most what `content` gives.
    pub fn file(&mut self, path: &InnerPath, meta: Meta, content: &mut impl io::Read) -> io::Result<()> {
        let parent = self.parent_of(path)?;
        let target = parent.join(&path.name);
        remove(&target)?;
        self.budget.take_entry()?;
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&target)?;
        loop {
            let count = content.read(&mut self.buffer)?;
            if count == 0 {
                break;
            }
            self.budget.take(count as u64)?;
            file.write_all(&self.buffer[..count])?;
        }
        self.finish(&target, meta, true)?;
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(meta.mtime))
    }

    /// Make a symbolic link. Where it points is no matter: nothing here follows it out of the tree.
    pub fn symlink(&mut self, path: &InnerPath, target: &str, meta: Meta) -> io::Result<()> {
        let parent = self.parent_of(path)?;
        let link = parent.join(&path.name);
        remove(&link)?;
        self.budget.take_entry()?;
        std::os::unix::fs::symlink(target, &link)?;
        self.finish(&link, meta, false)
    }

    /// Make a second name for a file of the tree.
    pub fn hard_link(&mut self, path: &InnerPath, source: &InnerPath) -> io::Result<()> {
        let source_parent = self.existing_parent_of(source)?;
        let from = source_parent.join(&source.name);
        if fs::symlink_metadata(&from)?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let parent = self.parent_of(path)?;
        let to = parent.join(&path.name);
        remove(&to)?;
        self.budget.take_entry()?;
        fs::hard_link(&from, &to)?;
        self.note(&to)
    }

    /// Remove an entry of a lower layer (OCI image layer specification, *Whiteouts*).
    pub fn whiteout(&mut self, path: &InnerPath) -> io::Result<()> {
        match self.existing_parent_of(path) {
            Ok(parent) => self.hide(&parent.join(&path.name)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Remove all entries of lower layers from the directory that holds `path`.
    pub fn opaque(&mut self, path: &InnerPath) -> io::Result<()> {
        let parent = self.parent_of(path)?;
        self.hide_children(&parent.join("."))
    }

    fn hide(&self, target: &Path) -> io::Result<()> {
        let found = match fs::symlink_metadata(target) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if !self.fresh.contains(&found.ino()) {
            return remove(target);
        }
        if found.is_dir() { self.hide_children(target) } else { Ok(()) }
    }

    fn hide_children(&self, directory: &Path) -> io::Result<()> {
        for child in fs::read_dir(directory)? {
            self.hide(&child?.path())?;
        }
        Ok(())
    }

    fn finish(&mut self, target: &Path, meta: Meta, mode: bool) -> io::Result<()> {
        std::os::unix::fs::lchown(target, Some(meta.uid), Some(meta.gid))?;
        if mode {
            // After `lchown`, which clears set-id bits. Never a symbolic link: it was just made as something else.
            fs::set_permissions(target, Permissions::from_mode(meta.mode & 0o7777))?;
        }
        self.note(target)
    }

    fn note(&mut self, target: &Path) -> io::Result<()> {
        self.fresh.insert(fs::symlink_metadata(target)?.ino());
        Ok(())
    }

    fn existing_parent_of(&self, path: &InnerPath) -> io::Result<Parent> {
        self.resolve(&path.parent).map(Parent)
    }

    /// The entry's directory; missing ones are made, as layers need not name them.
    fn parent_of(&mut self, path: &InnerPath) -> io::Result<Parent> {
        match self.resolve(&path.parent) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other.map(Parent),
        }
        let mut directory = Parent(self.root.try_clone()?);
        let mut so_far = PathBuf::new();
        for part in path.parent.components() {
            so_far.push(part);
            directory = match self.resolve(&so_far) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let target = directory.join(&part.as_os_str().to_string_lossy());
                    // Fails on a dangling link, which is the only thing that can be here and not be found.
                    self.budget.take_entry()?;
                    fs::create_dir(&target)?;
                    self.note(&target)?;
                    Parent(self.resolve(&so_far)?)
                }
                other => Parent(other?),
            };
        }
        Ok(directory)
    }

    fn resolve(&self, path: &Path) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .mode(Mode::empty())
            .resolve(
                ResolveFlag::RESOLVE_IN_ROOT
                    | ResolveFlag::RESOLVE_NO_MAGICLINKS
                    | ResolveFlag::RESOLVE_NO_XDEV,
            );
        openat2(self.root.as_fd(), path, how).map_err(io::Error::from)
    }
}

/// Remove whatever is there, without following it; nothing there is fine.
fn remove(target: &Path) -> io::Result<()> {
    let result = match fs::symlink_metadata(target) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(target),
        Ok(_) => fs::remove_file(target),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
