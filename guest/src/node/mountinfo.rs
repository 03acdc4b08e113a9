//! The kernel's mount table, `/proc/thread-self/mountinfo` (proc_pid_mountinfo(5)): a mount namespace belongs to a thread.

use crate::files;
use sealpod_evidence::node::NodePath;
use std::path::Path;

/// Most bytes of the table: a node with a thousand containers has some 300 KiB.
const MAX_LEN: usize = 4 << 20;

/// One mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountInfo {
    /// Where it is mounted.
    pub point: NodePath,
    /// `major:minor` of its device.
    pub device: String,
    /// File system type.
    pub fstype: String,
    /// What is mounted.
    pub source: String,
    /// Options of the mount, then those of the file system.
    pub options: String,
}

/// A line that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of /proc/self/mountinfo is not understood: {found:?}")]
pub struct MountInfoError {
    /// Which one, from 1.
    pub line: usize,
    /// The line, cut.
    pub found: String,
}

/// The mounts of this process, in mount order.
pub fn read() -> Result<Vec<MountInfo>, super::NodeError> {
    Ok(parse(&files::read(Path::new("/proc/thread-self/mountinfo"), MAX_LEN)?)?)
}

/// Parse a table.
///
/// # Errors
///
/// [`MountInfoError`] with the line.
pub fn parse(table: &[u8]) -> Result<Vec<MountInfo>, MountInfoError> {
    let lines = table.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let parsed = lines.enumerate().map(|(at, line)| {
        let found = || String::from_utf8_lossy(line).chars().take(256).collect();
        entry(line).ok_or_else(|| MountInfoError { line: at + 1, found: found() })
    });
    parsed.collect()
}

/// `ID parent major:minor root point options [optional...] - type source superoptions`
fn entry(line: &[u8]) -> Option<MountInfo> {
    let mut words = line.split(|byte| *byte == b' ');
    let device = text(words.nth(2)?);
    let point = NodePath::from_bytes(&unescape(words.nth(1)?)).ok()?;
    let options = text(words.next()?);
    words.by_ref().find(|word| *word == b"-")?;
    let (fstype, source) = (text(words.next()?), text(words.next()?));
    let super_options = text(words.next().unwrap_or_default());
    Some(MountInfo { point, device, fstype, source, options: format!("{options},{super_options}") })
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(&unescape(word)).into_owned()
}

/// The kernel writes space, tab, newline and backslash as `\ooo`.
fn unescape(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|digits| digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match digits {
            Some(digits) if *first == b'\\' => {
                let value = digits.iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                out.push((value & 0xff) as u8);
                rest = after.get(3..).unwrap_or_default();
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_with_its_escapes() {
        let table = b"21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n\
            40 21 0:30 / /mnt/a\\040b ro - overlay overlay ro,lowerdir=/:/x\n";
        let mounts = parse(table).unwrap();
        assert_eq!(mounts[0].point.to_string(), "/");
        assert_eq!(mounts[0].device, "8:1");
        assert_eq!(mounts[0].options, "rw,relatime,rw,errors=remount-ro");
        assert_eq!(mounts[1].point.as_bytes(), b"/mnt/a b");
        assert_eq!(
            (mounts[1].fstype.as_str(), mounts[1].options.as_str()),
            ("overlay", "ro,ro,lowerdir=/:/x")
        );
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let error = parse(b"21 1 8:1 / / rw - ext4 /dev/sda1 rw\nnonsense\n").unwrap_err();
        assert_eq!(error, MountInfoError { line: 2, found: "nonsense".to_owned() });
        assert!(parse(b"21 1 8:1 / relative rw - ext4 a b\n").is_err());
    }

    #[test]
    fn this_machines_table_is_read() {
        assert!(read().unwrap().iter().any(|mount| mount.point == NodePath::root()));
    }
}
