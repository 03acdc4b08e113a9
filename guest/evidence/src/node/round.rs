//! One round of measuring anew: the nonce, the directory named by it, and the overlays mounted there.
//!
//! A log is not a state: the kernel measures a file once, and not again when its mode changes or an earlier content returns.
//! Through a read-only overlay that was never there before, every file is new to the kernel and is measured as it is now.

use super::path::NodePath;
use crate::bytes::HexArray;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Where each round has its directory.
pub const MEASURE_DIRECTORY: &str = "/run/sealpod/measure";
/// The lower layer beside the real one: overlayfs without an upper layer wants two, and this is an empty directory.
pub const EMPTY_LAYER: &str = "/run/sealpod/measure/empty";
/// Most overlays of a round: one for each file system that holds a file asked for.
pub const MAX_OVERLAYS: usize = 64;

/// What makes a round this one: 32 bytes that follow from the broker's challenge.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoundNonce(pub HexArray<32>);

impl RoundNonce {
    /// The round that answers a challenge, named by the text of its nonce. Hashed under a label of its own, so that no other
    /// use of the challenge gives the same bytes.
    pub fn of_challenge(nonce: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"sealpod node round 1\0");
        hash.update(nonce.as_bytes());
        Self(HexArray(hash.finalize().into()))
    }

    /// The directory of this round, under which a file's real path follows.
    pub fn directory(&self) -> NodePath {
        let path = format!("{MEASURE_DIRECTORY}/{}", self.0);
        // Hex digits under a constant are always a path; were they not, `/` has no IMA entry of its own.
        path.parse().unwrap_or_else(|_| NodePath::root())
    }

    /// The real path, as IMA logs it, of a file that was measured in this round; `None` for any other name.
    pub fn real_name<'a>(&self, logged: &'a [u8]) -> Option<&'a [u8]> {
        let rest = logged.strip_prefix(self.directory().as_bytes())?;
        rest.starts_with(b"/").then_some(rest)
    }
}

impl fmt::Display for RoundNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for RoundNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One mount of a round, as the kernel shows it in `/proc/self/mountinfo`. The agent's word, measured with its statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overlay {
    /// Where it is mounted: the round's directory, and for a file system below the root, that and its own mount point.
    pub mount_point: NodePath,
    /// The real directory that shows through, as a mount point of the node.
    pub lower: NodePath,
    /// File system type; `overlay`.
    pub fstype: String,
    /// Mount and superblock options, joined with commas.
    pub options: String,
    /// The device of the lower file system, `major:minor`.
    pub device: String,
}

/// What is wrong with a mount of a round.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// It is not where the round would have it.
    #[error("{lower} is mounted at {found}, this round has it at {expected}")]
    MountPoint {
        /// The real directory.
        lower: NodePath,
        /// Where it belongs.
        expected: String,
        /// Where it is.
        found: NodePath,
    },
    /// Not an overlay.
    #[error("{mount_point} is a {found:?}, expected an overlay")]
    Type {
        /// Where.
        mount_point: NodePath,
        /// The type.
        found: String,
    },
    /// Not read-only, or with an upper layer.
    #[error("{mount_point} is not a read-only overlay without an upper layer: {found:?}")]
    Writable {
        /// Where.
        mount_point: NodePath,
        /// The options.
        found: String,
    },
    /// Shows another directory than it says.
    #[error("{mount_point} shows {found:?}, expected {expected:?}")]
    Layers {
        /// Where.
        mount_point: NodePath,
        /// The layers expected.
        expected: String,
        /// The layers found.
        found: String,
    },
}

impl Overlay {
    /// The mount is read-only, at its place in this round, and shows the directory that it names.
    ///
    /// # Errors
    ///
    /// [`OverlayError`]
    pub fn check(&self, round: &RoundNonce) -> Result<(), OverlayError> {
        let mount_point = self.mount_point.clone();
        let expected = self.lower.below(&round.directory());
        if expected.as_ref() != Some(&self.mount_point) {
            let expected = expected.map(|path| path.to_string()).unwrap_or_default();
            return Err(OverlayError::MountPoint { lower: self.lower.clone(), expected, found: mount_point });
        }
        if self.fstype != "overlay" {
            return Err(OverlayError::Type { mount_point, found: self.fstype.clone() });
        }
        let options = || self.options.split(',');
        if !options().any(|option| option == "ro")
            || options().any(|option| option == "rw")
            || options().any(|option| option.starts_with("upperdir="))
        {
            return Err(OverlayError::Writable { mount_point, found: self.options.clone() });
        }
        let expected = format!("{}:{EMPTY_LAYER}", self.lower);
        let layers: Vec<&str> = options().filter_map(|option| option.strip_prefix("lowerdir=")).collect();
        if layers != [expected.as_str()] {
            return Err(OverlayError::Layers { mount_point, expected, found: layers.join(" ") });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlay(round: &RoundNonce, lower: &str) -> Overlay {
        let lower: NodePath = lower.parse().unwrap();
        Overlay {
            mount_point: lower.below(&round.directory()).unwrap(),
            fstype: "overlay".to_owned(),
            options: format!("ro,relatime,lowerdir={lower}:{EMPTY_LAYER}"),
            device: "8:1".to_owned(),
            lower,
        }
    }

    #[test]
    fn a_round_is_named_by_its_challenge() {
        let round = RoundNonce::of_challenge("bm9uY2U=");
        assert_ne!(round, RoundNonce::of_challenge("bm9uY2U"));
        assert_eq!(round.directory().to_string(), format!("/run/sealpod/measure/{round}"));
        let logged = format!("/run/sealpod/measure/{round}/etc/motd");
        assert_eq!(round.real_name(logged.as_bytes()), Some(&b"/etc/motd"[..]));
        let other = RoundNonce::of_challenge("x");
        for name in
            [format!("/run/sealpod/measure/{other}/etc/motd"), "/etc/motd".to_owned(), format!("{logged}x")]
        {
            let same = name == format!("{logged}x");
            assert_eq!(round.real_name(name.as_bytes()).is_some(), same, "{name}");
        }
        assert_eq!(round.real_name(format!("/run/sealpod/measure/{round}x/etc").as_bytes()), None);
    }

    #[test]
    fn a_mount_of_the_round_holds_and_each_spoiled_part_has_its_error() {
        let round = RoundNonce::of_challenge("a");
        for lower in ["/", "/boot", "/var/log"] {
            assert_eq!(overlay(&round, lower).check(&round), Ok(()), "{lower}");
        }
        let good = overlay(&round, "/");
        let spoiled = |change: fn(&mut Overlay)| {
            let mut overlay = good.clone();
            change(&mut overlay);
            overlay.check(&round).unwrap_err()
        };
        let error = good.check(&RoundNonce::of_challenge("b")).unwrap_err();
        assert!(matches!(error, OverlayError::MountPoint { .. }), "{error}");
        let error = spoiled(|o| o.lower = "/srv".parse().unwrap());
        assert!(matches!(error, OverlayError::MountPoint { .. }), "{error}");
        let error = spoiled(|o| o.fstype = "tmpfs".to_owned());
        assert!(matches!(error, OverlayError::Type { .. }), "{error}");
        let error = spoiled(|o| o.options = o.options.replace("ro,", ""));
        assert!(matches!(error, OverlayError::Writable { .. }), "{error}");
        let error = spoiled(|o| o.options.push_str(",rw"));
        assert!(matches!(error, OverlayError::Writable { .. }), "{error}");
        let error = spoiled(|o| o.options.push_str(",upperdir=/tmp/u,workdir=/tmp/w"));
        assert!(matches!(error, OverlayError::Writable { .. }), "{error}");
        let error = spoiled(|o| o.options = o.options.replace("lowerdir=/:", "lowerdir=/srv/good:"));
        assert!(matches!(error, OverlayError::Layers { .. }), "{error}");
        let error = spoiled(|o| o.options.push_str(",lowerdir=/srv/good"));
        assert!(matches!(error, OverlayError::Layers { .. }), "{error}");
    }
}
