//! File names as they are: bytes. And the patterns that ask for them.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Longest path in bytes (Linux, `PATH_MAX`, with its terminator).
pub const MAX_PATH: usize = 4095;

/// An absolute path in its one normal form, of any bytes but NUL.
///
/// As text, a byte outside of printable ASCII, and `%`, is `%` and two upper-case hex digits; every path has one spelling.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodePath(Vec<u8>);

/// A path in which `*` stands for any bytes within one segment. A segment that starts with a dot is only met by a pattern that
/// starts with a dot there, as in a shell. Printable ASCII only.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathPattern(String);

/// Why bytes or text are not a path or a pattern. `found` is cut to 128 characters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PathError {
    /// Does not start with a slash, or has an empty, `.` or `..` segment, or ends with a slash (but for `/` itself).
    #[error("{found:?} is not an absolute path in normal form")]
    NotNormal {
        /// What was found.
        found: String,
    },
    /// Longer than [`MAX_PATH`].
    #[error("a path of {found} bytes, more than the {expected} allowed")]
    TooLong {
        /// The limit.
        expected: usize,
        /// The length.
        found: usize,
    },
    /// A NUL byte, a byte that must be escaped and is not, or an escape that is not the shortest one.
    #[error("{found:?} is not the text of a path: other bytes than printable ASCII, and `%`, are `%XX`")]
    Text {
        /// What was found.
        found: String,
    },
}

impl NodePath {
    /// A path from the operating system's bytes.
    ///
    /// # Errors
    ///
    /// [`PathError`]
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PathError> {
        if bytes.len() > MAX_PATH {
            return Err(PathError::TooLong { expected: MAX_PATH, found: bytes.len() });
        }
        if !is_normal(bytes) || bytes.contains(&0) {
            return Err(PathError::NotNormal { found: shown(bytes) });
        }
        Ok(Self(bytes.to_vec()))
    }

    /// `/`
    pub fn root() -> Self {
        Self(b"/".to_vec())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// This path as IMA logs it: the kernel writes `_` for a space (`ima_template_lib.c`, `DATA_FMT_STRING`). Two paths may so
    /// get one name.
    pub fn as_logged(&self) -> Vec<u8> {
        self.0.iter().map(|byte| if *byte == b' ' { b'_' } else { *byte }).collect()
    }

    /// The bytes after the last slash.
    pub fn file_name(&self) -> &[u8] {
        self.0.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }

    /// This path below `prefix`: the two joined. `None` if that is too long.
    pub fn below(&self, prefix: &Self) -> Option<Self> {
        if self.0 == b"/" {
            return Some(prefix.clone());
        }
        Self::from_bytes(&[prefix.0.as_slice(), self.0.as_slice()].concat()).ok()
    }

    /// Whether this is `directory` or something in it.
    pub fn is_in(&self, directory: &Self) -> bool {
        directory.0 == b"/"
            || self
                .0
                .strip_prefix(directory.0.as_slice())
                .is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
    }
}

impl PathPattern {
    /// Whether it has no `*`, and so asks for exactly one path.
    pub fn literal(&self) -> Option<NodePath> {
        if self.0.contains('*') { None } else { NodePath::from_bytes(self.0.as_bytes()).ok() }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a path is one that this asks for.
    pub fn matches(&self, path: &NodePath) -> bool {
        let (mut patterns, mut segments) = (self.0.as_bytes().split(is_slash), path.0.split(is_slash));
        loop {
            match (patterns.next(), segments.next()) {
                (None, None) => return true,
                (Some(pattern), Some(segment)) if segment_matches(pattern, segment) => {}
                _ => return false,
            }
        }
    }
}

fn is_slash(byte: &u8) -> bool {
    *byte == b'/'
}

/// One segment. Backtracks to the last `*` only, so the work is at most the product of the two lengths.
fn segment_matches(pattern: &[u8], segment: &[u8]) -> bool {
    if segment.first() == Some(&b'.') && pattern.first() == Some(&b'*') {
        return false;
    }
    let (mut at, mut from, mut star) = (0, 0, None);
    while from < segment.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(byte) if Some(byte) == segment.get(from) => {
                at += 1;
                from += 1;
            }
            _ => match star {
                Some((back, taken)) => {
                    at = back + 1;
                    from = taken + 1;
                    star = Some((back, taken + 1));
                }
                None => return false,
            },
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

fn is_normal(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(b"/") else { return false };
    rest.is_empty() || rest.split(is_slash).all(|segment| !matches!(segment, b"" | b"." | b".."))
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(128).collect()
}

impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0 {
            match byte {
                b'%' => f.write_str("%25")?,
                0x20..=0x7e => write!(f, "{}", char::from(*byte))?,
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodePath {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Self, PathError> {
        if text.len() > 3 * MAX_PATH {
            return Err(PathError::TooLong { expected: MAX_PATH, found: text.len() });
        }
        let error = || PathError::Text { found: shown(text.as_bytes()) };
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            if *first != b'%' {
                bytes.push(*first);
                continue;
            }
            let (digits, after) = rest.split_at_checked(2).ok_or_else(error)?;
            let mut byte = [0];
            hex::decode_to_slice(digits, &mut byte).map_err(|_| error())?;
            bytes.extend(byte);
            rest = after;
        }
        let path = Self::from_bytes(&bytes)?;
        if path.to_string() == text { Ok(path) } else { Err(error()) }
    }
}

impl FromStr for PathPattern {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Self, PathError> {
        if text.len() > MAX_PATH {
            return Err(PathError::TooLong { expected: MAX_PATH, found: text.len() });
        }
        if text.bytes().any(|byte| !(0x20..=0x7e).contains(&byte)) {
            return Err(PathError::Text { found: shown(text.as_bytes()) });
        }
        if is_normal(text.as_bytes()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PathError::NotNormal { found: shown(text.as_bytes()) })
        }
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

macro_rules! serde_as_text {
    ($($kind:ty)*) => {
        $(impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        })*
    };
}

serde_as_text! { NodePath PathPattern }

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> NodePath {
        text.parse().unwrap()
    }

    fn matches(pattern: &str, text: &str) -> bool {
        pattern.parse::<PathPattern>().unwrap().matches(&path(text))
    }

    #[test]
    fn a_path_of_any_bytes_has_one_text() {
        let bytes = b"/home/J\xfcrgen/100% sure\n";
        let path = NodePath::from_bytes(bytes).unwrap();
        assert_eq!(path.to_string(), "/home/J%FCrgen/100%25 sure%0A");
        assert_eq!(path.to_string().parse(), Ok(path.clone()));
        assert_eq!(path.as_logged(), b"/home/J\xfcrgen/100%_sure\n");
        for other in ["/a%2", "/a%", "/a%zz", "/%61", "/%fc", "/\u{fc}"] {
            let found = other.to_owned();
            assert_eq!(other.parse::<NodePath>(), Err(PathError::Text { found }), "{other}");
        }
    }

    #[test]
    fn only_absolute_paths_in_normal_form_are_taken() {
        for bad in ["", "a", "a/b", "/a/", "//a", "/a//b", "/.", "/a/..", "/a/./b", "/../etc/shadow", "/a%00"]
        {
            let error = bad.parse::<NodePath>().unwrap_err();
            assert!(matches!(error, PathError::NotNormal { .. }), "{bad}: {error}");
        }
        assert_eq!(path("/").as_bytes(), b"/");
        let long = format!("/{}", "a".repeat(MAX_PATH));
        assert_eq!(long.parse::<NodePath>(), Err(PathError::TooLong { expected: 4095, found: 4096 }));
    }

    #[test]
    fn joining_and_containing_go_by_segments() {
        let prefix = path("/run/m");
        assert_eq!(path("/etc/a").below(&prefix), Some(path("/run/m/etc/a")));
        assert_eq!(path("/").below(&prefix), Some(prefix.clone()));
        assert!(path("/run/m/etc").is_in(&prefix) && prefix.is_in(&prefix) && prefix.is_in(&path("/")));
        assert!(!path("/run/mm").is_in(&prefix) && !path("/run").is_in(&prefix));
    }

    #[test]
    fn a_star_stays_within_its_segment() {
        assert!(matches("/etc/*.d/*.conf", "/etc/x.d/10-a.conf"));
        assert!(matches("/etc/*", "/etc/a") && matches("/a*b*c", "/aXbbYc") && matches("/a*", "/a"));
        assert!(!matches("/etc/*", "/etc/a/b") && !matches("/etc/*.conf", "/etc/a.conf.bak"));
        assert!(!matches("/etc/*", "/etc/.hidden") && matches("/etc/.*", "/etc/.hidden"));
        assert!(!matches("/etc/a", "/etc/ab") && !matches("/etc/ab", "/etc/a"));
        assert_eq!("/etc/a".parse::<PathPattern>().unwrap().literal(), Some(path("/etc/a")));
        assert_eq!("/etc/*".parse::<PathPattern>().unwrap().literal(), None);
    }

    #[test]
    fn a_pattern_made_to_backtrack_is_quick() {
        let pattern: PathPattern = format!("/{}b", "a*".repeat(1000)).parse().unwrap();
        assert!(!pattern.matches(&path(&format!("/{}", "a".repeat(4000)))));
    }
}
