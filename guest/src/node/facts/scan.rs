//! A walk over the local file systems, for what can only be found by looking everywhere.

use super::accounts::ids;
use crate::node::mountinfo;
use crate::node::round::path_of;
use sealpod_evidence::node::NodePath;
use sealpod_evidence::node::statement::{Found, MAX_ENTRIES, Scan};
use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// File systems that are walked: local disks, and tmpfs.
const WALKED: &[&str] = &["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "overlay", "tmpfs", "ramfs"];
/// Directories of container storage: what is in them is another subject's.
const SKIPPED: &[&str] = &[
    "/run/sealpod/measure",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/lib/containers",
    "/var/lib/kubelet/pods",
    "/run/containerd",
];
/// Examples given of each kind.
const EXAMPLES: usize = 16;
/// Deepest directory entered: a path of `PATH_MAX` has no more.
const MAX_DEPTH: usize = 2048;

/// Walk. `None` where the mounts or the accounts cannot be read.
pub fn walk() -> Option<Scan> {
    let table = mountinfo::read().ok()?;
    let roots = table.iter().filter(|mount| WALKED.contains(&mount.fstype.as_str()));
    let skipped: BTreeSet<PathBuf> = SKIPPED.iter().map(PathBuf::from).collect();
    let mut walker = Walker { scan: Scan::default(), skipped, known: ids()? };
    let mut seen = BTreeSet::new();
    for root in roots.map(|mount| path_of(&mount.point)) {
        // A file system that is mounted twice is walked once.
        let device = std::fs::metadata(&root).map(|metadata| metadata.dev()).ok();
        if device.is_some_and(|device| seen.insert(device)) && !walker.is_skipped(&root) {
            walker.tree(root);
        }
    }
    walker.scan.set_id.sort();
    Some(walker.scan)
}

struct Walker {
    scan: Scan,
    skipped: BTreeSet<PathBuf>,
    known: (BTreeSet<u32>, BTreeSet<u32>),
}

impl Walker {
    fn is_skipped(&self, path: &Path) -> bool {
        self.skipped.iter().any(|skipped| path.starts_with(skipped))
    }

    /// One file system, without those mounted in it.
    fn tree(&mut self, root: PathBuf) {
        let Ok(metadata) = std::fs::symlink_metadata(&root) else { return };
        let device = metadata.dev();
        let mut open = vec![(root, 0)];
        while let Some((directory, depth)) = open.pop() {
            for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
                let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else { continue };
                if metadata.dev() != device || self.is_skipped(&path) {
                    continue;
                }
                self.look(&path, &metadata);
                if metadata.is_dir() && depth < MAX_DEPTH {
                    open.push((path, depth + 1));
                }
            }
        }
    }

    fn look(&mut self, path: &Path, metadata: &Metadata) {
        let Ok(name) = NodePath::from_bytes(path.as_os_str().as_bytes()) else { return };
        let mode = metadata.mode();
        let (file, directory) = (metadata.is_file(), metadata.is_dir());
        if (file && mode & 0o002 != 0) || (directory && mode & 0o1002 == 0o002) {
            note(&mut self.scan.world_writable, &name);
        }
        let (uids, gids) = &self.known;
        if !uids.contains(&metadata.uid()) || !gids.contains(&metadata.gid()) {
            note(&mut self.scan.unowned, &name);
        }
        if file && path.starts_with("/var/log") && mode & 0o037 != 0 {
            note(&mut self.scan.open_logs, &name);
        }
        if file && mode & 0o6000 != 0 && self.scan.set_id.len() < MAX_ENTRIES {
            self.scan.set_id.push(name);
        }
    }
}

fn note(found: &mut Found, path: &NodePath) {
    found.count = found.count.saturating_add(1);
    if found.examples.len() < EXAMPLES {
        found.examples.push(path.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_open_to_all_and_set_id_programs_are_found() {
        let dir = tempfile::tempdir().unwrap();
        for (name, mode) in [("open", 0o666), ("closed", 0o644), ("suid", 0o4755)] {
            let path = dir.path().join(name);
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        for (name, mode) in [("sticky", 0o1777), ("loose", 0o777)] {
            let path = dir.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut walker = Walker { scan: Scan::default(), skipped: BTreeSet::new(), known: ids().unwrap() };
        walker.tree(dir.path().to_owned());
        let names = |paths: &[NodePath]| {
            let mut names: Vec<_> =
                paths.iter().map(|path| String::from_utf8_lossy(path.file_name()).into_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&walker.scan.world_writable.examples), ["loose", "open"]);
        assert_eq!(walker.scan.world_writable.count, 2);
        assert_eq!(names(&walker.scan.set_id), ["suid"]);
        walker.known.0.clear();
        walker.tree(dir.path().to_owned());
        assert_eq!(walker.scan.unowned.count, 5);
    }
}
