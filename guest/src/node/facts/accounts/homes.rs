//! Home directories, dot files and root's search path.

use super::database::Passwd;
use crate::node::facts::lines_of;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Files that have no place in a home directory.
const FORBIDDEN: &[&str] = &[".forward", ".netrc", ".rhosts"];
/// Written by others: group or all.
const WRITABLE: u32 = 0o022;

/// Accounts whose home is missing, somebody else's, or open: group may not write, others may do nothing.
pub fn directories(users: &[&Passwd]) -> Vec<String> {
    let against = |user: &&&Passwd| match fs::metadata(&user.home) {
        Ok(home) => !home.is_dir() || home.uid() != user.uid || home.mode() & 0o027 != 0,
        Err(_) => true,
    };
    users.iter().filter(against).map(|user| user.name.clone()).collect()
}

/// Accounts with a dot file that others can write, or with one of [`FORBIDDEN`].
pub fn dot_files(users: &[&Passwd]) -> Vec<String> {
    let against = |user: &&&Passwd| {
        let entries = fs::read_dir(&user.home).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| {
            let name = entry.file_name();
            let dotted = name.as_encoded_bytes().starts_with(b".");
            let Ok(metadata) = entry.metadata() else { return false };
            dotted
                && metadata.is_file()
                && (metadata.mode() & WRITABLE != 0 || FORBIDDEN.iter().any(|forbidden| name == *forbidden))
        })
    };
    users.iter().filter(against).map(|user| user.name.clone()).collect()
}

/// Entries of root's `PATH`, as a login shell has it, that are no directory of root's own or that others can write.
pub fn root_path() -> Vec<String> {
    let lines = lines_of("su", &["-", "root", "-c", "printf '%s' \"$PATH\""]);
    let path = lines.and_then(|lines| lines.last().cloned());
    path.map_or_else(|| vec!["root's PATH cannot be told".to_owned()], |path| against(&path))
}

fn against(path: &str) -> Vec<String> {
    let bad = |entry: &&str| {
        let absolute = entry.starts_with('/');
        let metadata = fs::metadata(Path::new(entry));
        !absolute || metadata.map_or(true, |m| !m.is_dir() || m.uid() != 0 || m.mode() & WRITABLE != 0)
    };
    path.split(':')
        .filter(bad)
        .map(|entry| if entry.is_empty() { "(empty)".to_owned() } else { entry.to_owned() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn user(home: &Path) -> Passwd {
        let uid = nix::unistd::geteuid().as_raw();
        let home = home.to_str().unwrap().to_owned();
        Passwd { name: "a".into(), password: "x".into(), uid, gid: 0, home, shell: "/bin/sh".into() }
    }

    #[test]
    fn an_open_home_and_its_dot_files_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let user = user(dir.path());
        mode(dir.path(), 0o700);
        assert!(directories(&[&user]).is_empty() && dot_files(&[&user]).is_empty());
        mode(dir.path(), 0o755);
        assert_eq!(directories(&[&user]), ["a"]);
        let profile = dir.path().join(".profile");
        fs::write(&profile, "").unwrap();
        mode(&profile, 0o664);
        assert_eq!(dot_files(&[&user]), ["a"]);
        mode(&profile, 0o644);
        assert!(dot_files(&[&user]).is_empty());
        fs::write(dir.path().join(".netrc"), "").unwrap();
        assert_eq!(dot_files(&[&user]), ["a"]);
        let missing = Passwd { home: "/nonexistent".into(), ..user };
        assert_eq!(directories(&[&missing]), ["a"]);
    }

    #[test]
    fn a_search_path_has_only_roots_own_directories() {
        assert!(against("/usr/sbin:/usr/bin").is_empty());
        assert_eq!(against("/usr/bin::.:/nonexistent:/tmp"), ["(empty)", ".", "/nonexistent", "/tmp"]);
    }
}
