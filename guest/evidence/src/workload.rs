//! What a pod may run, and the record of what it did run.

use crate::bytes::Sha256Digest;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An OCI manifest digest, `sha256:` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageDigest(pub Sha256Digest);

impl fmt::Display for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl fmt::Debug for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not an image digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an image digest is `sha256:` and 64 lower-case hex digits, found {found:?}")]
pub struct ImageDigestError {
    /// The text found, cut to 128 characters.
    pub found: String,
}

impl FromStr for ImageDigest {
    type Err = ImageDigestError;
    fn from_str(text: &str) -> Result<Self, ImageDigestError> {
        text.strip_prefix("sha256:")
            .and_then(|hex| hex.parse().ok())
            .map(Self)
            .ok_or_else(|| ImageDigestError { found: text.chars().take(128).collect() })
    }
}

impl Serialize for ImageDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ImageDigest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What one container is asked to be. Everything that can change what it does is here, so that equality
/// with a rule is the whole check.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerSpec {
    /// OCI manifest digest.
    pub image: ImageDigest,
    /// The whole argument vector, entry point included.
    pub args: Vec<String>,
    /// The whole environment, `NAME=value`, in order.
    #[serde(default)]
    pub env: Vec<String>,
    /// Working directory.
    #[serde(default = "root_directory")]
    pub working_dir: String,
    /// User id in the container.
    #[serde(default)]
    pub uid: u32,
    /// Group id in the container.
    #[serde(default)]
    pub gid: u32,
    /// Secrets fetched before the container starts.
    #[serde(default)]
    pub secrets: Vec<SecretMount>,
}

fn root_directory() -> String {
    "/".to_owned()
}

/// One secret and the file it becomes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretMount {
    /// A name for people.
    pub name: String,
    /// `repository/type/tag`, the path under `/kbs/v0/resource/`.
    pub resource: ResourcePath,
    /// Absolute path inside the container; mode 0400, on tmpfs.
    pub path: String,
}

/// A resource's three path segments, each `[A-Za-z0-9_-]+[A-Za-z0-9_.-]*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourcePath(String);

/// Why a text is not a resource path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a resource is `repository/type/tag`, each of letters, digits, `_`, `-` and (not first) `.`; found {found:?}"
)]
pub struct ResourcePathError {
    /// The text found, cut to 128 characters.
    pub found: String,
}

/// Longest resource path: 3 segments of 80 characters.
const MAX_RESOURCE_PATH: usize = 242;

impl FromStr for ResourcePath {
    type Err = ResourcePathError;
    fn from_str(text: &str) -> Result<Self, ResourcePathError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let segment =
            |s: &str| s.bytes().next().is_some_and(plain) && s.bytes().all(|b| plain(b) || b == b'.');
        if text.len() <= MAX_RESOURCE_PATH && text.split('/').count() == 3 && text.split('/').all(segment) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ResourcePathError { found: text.chars().take(128).collect() })
        }
    }
}

impl TryFrom<String> for ResourcePath {
    type Error = ResourcePathError;
    fn try_from(text: String) -> Result<Self, ResourcePathError> {
        text.parse()
    }
}

impl From<ResourcePath> for String {
    fn from(path: ResourcePath) -> String {
        path.0
    }
}

impl fmt::Display for ResourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ResourcePath {
    /// The three segments.
    pub fn segments(&self) -> [&str; 3] {
        let mut parts = self.0.split('/');
        std::array::from_fn(|_| parts.next().unwrap_or_default())
    }
}

/// One container that the owner allows, and what the untrusted host may do with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerRule {
    /// The one specification that is allowed.
    pub spec: ContainerSpec,
    /// Whether the host gets the container's standard output and error.
    #[serde(default)]
    pub allow_output: bool,
    /// Whether the host may write to the container's standard input.
    #[serde(default)]
    pub allow_input: bool,
    /// Whether the host may send signals other than the final stop.
    #[serde(default)]
    pub allow_signals: bool,
}

/// One record of the workload log: the content of a CEL event in PCR 13.
///
/// The event's content bytes are the RFC 8785 form of this, and its digest is theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum WorkloadEvent {
    /// A container was accepted and is about to be started.
    Container {
        /// What it is.
        spec: ContainerSpec,
    },
}

impl WorkloadEvent {
    /// The bytes that are measured.
    pub fn to_content(&self) -> Vec<u8> {
        // A tree of strings and integers always has a canonical form.
        serde_json_canonicalizer::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_paths_are_three_plain_segments() {
        for good in ["a/b/c", "default/key/1.2", "A_-/x/y.z"] {
            assert_eq!(good.parse::<ResourcePath>().unwrap().to_string(), good);
        }
        for bad in ["", "a/b", "a/b/c/d", "a//c", "../b/c", ".a/b/c", "a/b/c%2f", "a/b/ c", "/a/b/c"] {
            assert!(bad.parse::<ResourcePath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_resource_path_gives_its_segments() {
        assert_eq!("a/b/c".parse::<ResourcePath>().unwrap().segments(), ["a", "b", "c"]);
    }

    #[test]
    fn image_digests_are_exact() {
        let text = format!("sha256:{}", "ab".repeat(32));
        assert_eq!(text.parse::<ImageDigest>().unwrap().to_string(), text);
        assert!("sha512:00".parse::<ImageDigest>().is_err());
        assert!(text.to_uppercase().parse::<ImageDigest>().is_err());
    }
}
