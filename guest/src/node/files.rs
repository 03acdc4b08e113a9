//! The files of a round: what patterns meet, what each file is, and the contents that are sent.

use super::NodeError;
use super::round::{Round, path_of};
use sealpod_evidence::node::contents::{Contents, MAX_FILE};
use sealpod_evidence::node::request::{FileWish, MeasureRequest, NEVER_SENT};
use sealpod_evidence::node::statement::{AgentStatement, FileOutcome, MAX_ENTRIES};
use sealpod_evidence::node::{NodePath, PathPattern};
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;

/// Reads every file that is asked for through the round's overlays. Outcomes and listings go into the statement; the contents
/// that may leave the node are given back.
///
/// # Errors
///
/// Where an overlay cannot be mounted. A file that cannot be read is an outcome and no error.
pub fn measure(
    round: &mut Round,
    request: &MeasureRequest,
    statement: &mut AgentStatement,
) -> Result<Contents, NodeError> {
    let mut wanted: BTreeMap<NodePath, FileWish> = BTreeMap::new();
    for (pattern, wish) in &request.files {
        let paths = match pattern.literal() {
            Some(path) => vec![path],
            None => {
                let met = expand(pattern);
                statement.listings.insert(pattern.clone(), met.clone());
                met
            }
        };
        for path in paths {
            let held = wanted.entry(path).or_insert(*wish);
            *held = (*held).max(*wish);
        }
    }
    let secret: Vec<PathPattern> = NEVER_SENT.iter().filter_map(|pattern| pattern.parse().ok()).collect();
    let mut contents = Contents::new();
    for (path, wish) in wanted {
        let (outcome, content) = one(round, &path, wish, &secret)?;
        statement.files.insert(path.clone(), outcome);
        contents.extend(content.map(|content| (path, content)));
    }
    Ok(contents)
}

fn one(
    round: &mut Round,
    path: &NodePath,
    wish: FileWish,
    secret: &[PathPattern],
) -> Result<(FileOutcome, Option<Vec<u8>>), NodeError> {
    round.show(path)?;
    let real = match resolve(path) {
        Ok(real) => real,
        Err(error) => return Ok((outcome_of(&error), None)),
    };
    let resolved = (real != *path).then(|| real.clone());
    let send =
        wish == FileWish::Content && !secret.iter().any(|never| never.matches(path) || never.matches(&real));
    let content = round.open(&real)?.and_then(|file| {
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        if send {
            file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
        }
        Ok(Some(bytes))
    });
    Ok(match content {
        Err(error) => (outcome_of(&error), None),
        Ok(None) => (FileOutcome::NotRegular, None),
        // Longer than a content may be: measured, and not sent.
        Ok(Some(bytes)) => {
            (FileOutcome::Measured { resolved }, (send && bytes.len() <= MAX_FILE).then_some(bytes))
        }
    })
}

fn outcome_of(error: &io::Error) -> FileOutcome {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FileOutcome::Absent,
        io::ErrorKind::IsADirectory => FileOutcome::NotRegular,
        _ => FileOutcome::Failed { error: error.to_string() },
    }
}

/// The path without symbolic links.
fn resolve(path: &NodePath) -> io::Result<NodePath> {
    let real = std::fs::canonicalize(path_of(path))?;
    NodePath::from_bytes(real.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// The paths that a pattern meets, in order; a directory that cannot be read meets nothing.
pub fn expand(pattern: &PathPattern) -> Vec<NodePath> {
    let mut met = vec![NodePath::root()];
    let segments: Vec<&str> = pattern.as_str().split('/').skip(1).collect();
    for (depth, segment) in segments.iter().enumerate() {
        let prefix = format!("/{}", segments.get(..=depth).unwrap_or_default().join("/"));
        let Ok(prefix) = prefix.parse::<PathPattern>() else { return Vec::new() };
        let step = |directory: &NodePath| -> Vec<NodePath> {
            if segment.contains('*') {
                children(directory).filter(|child| prefix.matches(child)).collect()
            } else {
                child(directory, segment.as_bytes()).into_iter().collect()
            }
        };
        met = met.iter().flat_map(step).take(MAX_ENTRIES).collect();
    }
    met.retain(|path| std::fs::symlink_metadata(path_of(path)).is_ok());
    met.sort();
    met.dedup();
    met
}

fn children(directory: &NodePath) -> impl Iterator<Item = NodePath> + '_ {
    let entries = std::fs::read_dir(path_of(directory)).into_iter().flatten().flatten();
    entries.filter_map(|entry| child(directory, entry.file_name().as_bytes()))
}

fn child(directory: &NodePath, name: &[u8]) -> Option<NodePath> {
    let parent = if *directory == NodePath::root() { &b""[..] } else { directory.as_bytes() };
    NodePath::from_bytes(&[parent, b"/", name].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn a_pattern_meets_what_a_shell_would() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".hidden.conf", "c.txt", "d d.conf"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        std::fs::write(dir.path().join(OsStr::from_bytes(b"\xff.conf")), "").unwrap();
        let pattern: PathPattern = format!("{}/*.conf", dir.path().display()).parse().unwrap();
        let names: Vec<_> = expand(&pattern).iter().map(|path| path.file_name().to_vec()).collect();
        assert_eq!(names, [&b"a.conf"[..], b"b.conf", b"d d.conf", b"\xff.conf"]);
        assert_eq!(expand(&"/nonexistent/*".parse().unwrap()), []);
        assert_eq!(
            expand(&"/etc/host*".parse().unwrap()).iter().filter(|p| p.as_bytes() == b"/etc/hosts").count(),
            1
        );
    }

    #[test]
    fn what_cannot_be_read_is_an_outcome() {
        assert_eq!(outcome_of(&io::ErrorKind::NotFound.into()), FileOutcome::Absent);
        assert_eq!(outcome_of(&io::ErrorKind::IsADirectory.into()), FileOutcome::NotRegular);
        assert!(matches!(outcome_of(&io::ErrorKind::PermissionDenied.into()), FileOutcome::Failed { .. }));
        assert!(resolve(&"/etc/passwd/x".parse().unwrap()).is_err());
    }
}
