//! The mounts of one round: fresh read-only overlays under a directory named by its nonce.

use super::NodeError;
use super::mountinfo::{self, MountInfo};
use super::policy::MEASURE_GID;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::Gid;
use sealpod_evidence::node::round::{EMPTY_LAYER, MEASURE_DIRECTORY, Overlay};
use sealpod_evidence::node::{NodePath, RoundNonce};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// File system types that hold no files of the system's own, and are never shown through an overlay.
const NO_LOWER: &[&str] =
    &["proc", "sysfs", "securityfs", "cgroup", "cgroup2", "devpts", "debugfs", "tracefs"];

/// A round under way. It owns a mount namespace, so it must run in a process of its own.
pub struct Round {
    nonce: RoundNonce,
    table: Vec<MountInfo>,
    shown: Vec<NodePath>,
}

impl Round {
    /// Leave the node's mount namespace and make the round's directory.
    ///
    /// # Errors
    ///
    /// [`NodeError::NotRoot`], [`NodeError::Prepare`] and what reading the mount table says.
    pub fn begin(nonce: RoundNonce) -> Result<Self, NodeError> {
        if !nix::unistd::geteuid().is_root() {
            return Err(NodeError::NotRoot);
        }
        let prepare =
            |operation| move |errno: nix::Error| NodeError::Prepare { operation, source: errno.into() };
        let table = mountinfo::read()?;
        unshare(CloneFlags::CLONE_NEWNS).map_err(prepare("a mount namespace of its own"))?;
        // Nothing that is mounted here may show up outside, where it would outlive the round.
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .map_err(prepare("keeping its mounts from the node"))?;
        nix::unistd::setegid(Gid::from_raw(MEASURE_GID))
            .map_err(prepare("taking on the group that the kernel measures"))?;
        // A file system of its own: overlayfs refuses two layers of which one is inside the other.
        let directory = Path::new(MEASURE_DIRECTORY);
        std::fs::create_dir_all(directory)
            .map_err(|source| NodeError::Prepare { operation: "its directory below /run/sealpod", source })?;
        mount(
            Some("tmpfs"),
            directory,
            Some("tmpfs"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            Some("mode=700,size=64k"),
        )
        .map_err(prepare("a file system for its mount points"))?;
        for directory in [Path::new(EMPTY_LAYER), path_of(&nonce.directory()).as_path()] {
            std::fs::create_dir_all(directory).map_err(|source| NodeError::Prepare {
                operation: "its directory below /run/sealpod",
                source,
            })?;
        }
        Ok(Self { nonce, table, shown: Vec::new() })
    }

    /// Open a file, given by a path without symbolic links, through this round's overlay: the kernel measures it as it is now.
    ///
    /// # Errors
    ///
    /// The outer error where the overlay cannot be made, the inner one where the file cannot be opened.
    pub fn open(&mut self, real: &NodePath) -> Result<io::Result<File>, NodeError> {
        self.show(real)?;
        let Some(path) = real.below(&self.nonce.directory()) else {
            return Ok(Err(io::ErrorKind::InvalidFilename.into()));
        };
        // A link that was put there since the path was resolved must not lead out of the overlay, nor a pipe block the round.
        let mut options = File::options();
        options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
        Ok(options.open(path_of(&path)))
    }

    /// The mounts of this round as the kernel shows them now.
    ///
    /// # Errors
    ///
    /// What reading the mount table says.
    pub fn overlays(&self) -> Result<Vec<Overlay>, NodeError> {
        let directory = self.nonce.directory();
        let mounts = mountinfo::read()?;
        let stated = mounts.into_iter().filter(|mount| mount.point.is_in(&directory)).map(|mount| {
            let rest = mount.point.as_bytes().get(directory.as_bytes().len()..).unwrap_or_default();
            let lower = if rest.is_empty() { NodePath::root() } else { NodePath::from_bytes(rest)? };
            let device = self.table.iter().rev().find(|below| below.point == lower);
            let device = device.map(|below| below.device.clone()).unwrap_or_default();
            Ok(Overlay {
                mount_point: mount.point,
                lower,
                fstype: mount.fstype,
                options: mount.options,
                device,
            })
        });
        stated.collect()
    }

    /// Mount the overlays of all file systems on the way to a path, outermost first, where they are not there yet. That a file
    /// is absent counts only where an overlay shows its place, so this is asked for those too.
    ///
    /// # Errors
    ///
    /// [`NodeError::Overlay`]
    pub fn show(&mut self, real: &NodePath) -> Result<(), NodeError> {
        let mut chain: Vec<&MountInfo> =
            self.table.iter().filter(|mount| real.is_in(&mount.point) && has_files(mount)).collect();
        chain.sort_by_key(|mount| mount.point.as_bytes().len());
        let missing: Vec<NodePath> = chain
            .into_iter()
            .map(|mount| mount.point.clone())
            .filter(|point| !self.shown.contains(point))
            .collect();
        for lower in missing {
            if !self.shown.contains(&lower) {
                self.mount(&lower)?;
                self.shown.push(lower);
            }
        }
        Ok(())
    }

    fn mount(&self, lower: &NodePath) -> Result<(), NodeError> {
        let failed = |source: io::Error| NodeError::Overlay { lower: lower.clone(), source };
        let point = lower
            .below(&self.nonce.directory())
            .ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?;
        let options = [b"lowerdir=", escaped(lower).as_slice(), b":", EMPTY_LAYER.as_bytes()].concat();
        mount(
            Some("overlay"),
            &path_of(&point),
            Some("overlay"),
            MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
            Some(OsStr::from_bytes(&options)),
        )
        .map_err(|errno| failed(errno.into()))
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        // The mounts end with the namespace. The group does not: what is written after the round is root's own again.
        let _ = nix::unistd::setegid(Gid::from_raw(0));
    }
}

/// A path for the operating system.
pub fn path_of(path: &NodePath) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path.as_bytes()))
}

fn has_files(mount: &MountInfo) -> bool {
    !NO_LOWER.contains(&mount.fstype.as_str())
}

/// overlayfs takes `:` and `\` in a layer's name with a backslash before them, and has no way to take a comma.
fn escaped(path: &NodePath) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.as_bytes().len());
    for byte in path.as_bytes() {
        if matches!(byte, b':' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}

#[cfg(test)]
mod tests;
