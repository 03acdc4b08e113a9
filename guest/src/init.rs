//! The mount table of PID 1, and a root that containers can pivot away from.

use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where everything the guest makes lives.
pub const RUN: &str = "/run/sealpod";
/// Where containers' file systems live: its own mount, so that an image cannot fill [`RUN`].
///
/// A ramfs, not a tmpfs. IMA measures a file anew after it was open for writing unless the file's change counter says
/// that nothing was written, and a tmpfs does not count writes through a shared mapping: a container could measure a good
/// program, exchange its content through a mapping and execute it again, without an entry. A ramfs has no such counter, so
/// IMA takes every writer for a change.
pub const CONTAINERS: &str = "/run/sealpod/containers";
/// Where fetched secrets live: its own tmpfs, so that they are never beside an image's files.
pub const SECRETS: &str = "/run/sealpod/secrets";

/// Why a mount failed.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The mount point cannot be made.
    #[error("cannot make the mount point {path}: {source}")]
    MountPoint {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The mount itself failed.
    #[error("cannot mount {fs_type} on {path}: {source}")]
    Mount {
        /// Which file system.
        fs_type: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: nix::Error,
    },
    /// The root is a file system whose changes IMA can miss.
    #[error(
        "the root is a tmpfs, on which IMA can miss changes; start the guest with the command line of its image's manifest (it has rootfstype=ramfs)"
    )]
    Tmpfs,
    /// The root could not be bound over itself.
    #[error("cannot move the root ({step}): {source}")]
    Root {
        /// Which part of it.
        step: &'static str,
        /// The system's answer.
        source: nix::Error,
    },
}

struct Entry {
    fs_type: &'static str,
    path: &'static str,
    flags: MsFlags,
    data: Option<&'static str>,
}

const fn entry(
    fs_type: &'static str,
    path: &'static str,
    flags: MsFlags,
    data: Option<&'static str>,
) -> Entry {
    Entry { fs_type, path, flags, data }
}

const QUIET: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

/// In order. `/run` is mounted `noexec`; containers' root file systems are the only place below it
/// where something may be executed.
const TABLE: &[Entry] = &[
    entry("proc", "/proc", QUIET, None),
    entry("sysfs", "/sys", QUIET, None),
    entry("devtmpfs", "/dev", MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC), Some("mode=0755")),
    entry(
        "devpts",
        "/dev/pts",
        MsFlags::MS_NOSUID.union(MsFlags::MS_NOEXEC),
        Some("newinstance,ptmxmode=0666,mode=0620"),
    ),
    entry("tmpfs", "/dev/shm", QUIET, Some("mode=1777,size=16m")),
    entry("tmpfs", "/run", QUIET, Some("mode=0755,size=64m")),
    entry("tmpfs", "/tmp", QUIET, Some("mode=1777,size=16m")),
    entry("securityfs", "/sys/kernel/security", QUIET, None),
    entry("cgroup2", "/sys/fs/cgroup", QUIET, None),
    // No size can be given: `image::budget` and the container's cgroup are the limits.
    entry("ramfs", CONTAINERS, MsFlags::MS_NODEV, Some("mode=0711")),
    entry("tmpfs", SECRETS, QUIET, Some("mode=0700,size=16m")),
];

/// Make the root a mount that `pivot_root` can leave, mount [`TABLE`], and leave the root itself read-only.
///
/// An initramfs is the kernel's `rootfs`, which `pivot_root(2)` refuses to leave. Without it a container
/// would be confined by `chroot` alone. A recursive bind of `/` moved over `/` is an ordinary mount with a parent.
/// Whatever is mounted already stays as it is.
pub fn mounts() -> Result<(), InitError> {
    rebind_root()?;
    TABLE.iter().try_for_each(mount_entry)?;
    // Not before, so that the host can be told.
    check_root(Path::new("/"))?;
    // Nothing of the guest image changes from here on. crun, too, sees that no container could overwrite it, and need not
    // execute a copy of itself.
    let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(None::<&str>, "/", None::<&str>, read_only, None::<&str>)
        .map_err(|source| InitError::Root { step: "read-only", source })
}

/// Mount configfs once the modules that bring it are in; absent where the kernel has none.
pub fn mount_configfs() -> Result<(), InitError> {
    if !Path::new("/sys/kernel/config").is_dir() {
        return Ok(());
    }
    mount_entry(&entry("configfs", "/sys/kernel/config", QUIET, None))
}

/// A root on tmpfs has the weakness that [`CONTAINERS`] describes, and makes crun execute a copy of itself from a memory file,
/// which is not allowed here.
fn check_root(root: &Path) -> Result<(), InitError> {
    let found = statfs(root).map_err(|source| InitError::Root { step: "statfs", source })?;
    if found.filesystem_type() == TMPFS_MAGIC { Err(InitError::Tmpfs) } else { Ok(()) }
}

fn rebind_root() -> Result<(), InitError> {
    const STAGE: &str = "/.root";
    let fail = |step| move |source| InitError::Root { step, source };
    make_directory(Path::new(STAGE))?;
    mount(Some("/"), STAGE, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .map_err(fail("bind"))?;
    nix::unistd::chdir(STAGE).map_err(fail("chdir"))?;
    mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>).map_err(fail("move"))?;
    nix::unistd::chroot(".").map_err(fail("chroot"))?;
    nix::unistd::chdir("/").map_err(fail("chdir"))
}

fn mount_entry(entry: &Entry) -> Result<(), InitError> {
    let path = Path::new(entry.path);
    make_directory(path)?;
    if is_mount_point(path) {
        return Ok(());
    }
    mount(Some(entry.fs_type), path, Some(entry.fs_type), entry.flags, entry.data)
        .map_err(|source| InitError::Mount { fs_type: entry.fs_type, path: path.to_owned(), source })
}

fn make_directory(path: &Path) -> Result<(), InitError> {
    fs::create_dir_all(path).map_err(|source| InitError::MountPoint { path: path.to_owned(), source })
}

/// A directory on another device than its parent. All of [`TABLE`] are other file systems than what
/// they are mounted on.
fn is_mount_point(path: &Path) -> bool {
    let device = |p: &Path| fs::symlink_metadata(p).ok().map(|m| m.dev());
    let parent = path.parent().unwrap_or(Path::new("/"));
    device(path) != device(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_before_their_children() {
        for (index, entry) in TABLE.iter().enumerate() {
            let later = &TABLE[index + 1..];
            assert!(later.iter().all(|l| !Path::new(entry.path).starts_with(l.path)), "{}", entry.path);
        }
    }

    #[test]
    fn a_mount_point_is_told_from_a_directory() {
        assert!(is_mount_point(Path::new("/proc")));
        assert!(!is_mount_point(Path::new("/usr/bin")));
    }

    #[test]
    fn only_containers_may_execute_below_run() {
        let executable: Vec<_> = TABLE
            .iter()
            .filter(|e| e.path.starts_with("/run") && !e.flags.contains(MsFlags::MS_NOEXEC))
            .map(|e| e.path)
            .collect();
        assert_eq!(executable, [CONTAINERS]);
    }

    #[test]
    fn a_root_on_tmpfs_is_refused() {
        assert!(matches!(check_root(Path::new("/dev/shm")), Err(InitError::Tmpfs)));
        assert!(check_root(Path::new("/proc")).is_ok());
    }

    #[test]
    fn what_a_container_can_change_and_execute_is_measured_again() {
        // tmpfs has a change counter (STATX_CHANGE_COOKIE) that writes through a shared mapping do not move, and IMA
        // believes it; ramfs has none.
        let of = |path| TABLE.iter().find(|e| e.path == path).map(|e| e.fs_type);
        assert_eq!(of(CONTAINERS), Some("ramfs"));
        let executable = TABLE.iter().filter(|e| !e.flags.contains(MsFlags::MS_NOEXEC));
        assert!(executable.map(|e| e.fs_type).eq(["ramfs"]));
    }
}
