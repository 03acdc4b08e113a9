//! Files of one image, by digest and then by path.

use super::{PackedSet, Sha256Digest};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// All that is known of one image's files.
#[derive(Debug, Clone, Default)]
pub(crate) struct ImageFiles {
    /// By the SHA-256 of their content.
    pub index: FileIndex,
    /// Those too many for an index.
    pub packed: Vec<PackedSet>,
    /// By their fs-verity digests.
    pub verity: FileIndex,
}

impl ImageFiles {
    /// Whether the image has a file with this content at this path. `fingerprint` is the file's, and is made when it is needed.
    pub fn has(&self, path: &str, digest: &Sha256Digest, fingerprint: &mut impl FnMut() -> [u8; 32]) -> bool {
        self.index.has(path, digest)
            || (!self.packed.is_empty() && {
                let fingerprint = fingerprint();
                self.packed.iter().any(|set| set.contains(&fingerprint))
            })
    }
}

/// Which content may be executed or mapped under which paths of one image.
///
/// Keyed by digest, because a digest needs no hashing: that makes a lookup several times cheaper than one by path, and there
/// is one for each entry of an IMA log.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileIndex {
    by_digest: HashMap<Sha256Digest, Paths, BuildHasherDefault<FirstBytes>>,
}

/// Where one content is. Few contents are at more than one path, but an empty file may be at thousands.
#[derive(Debug, Clone)]
pub(crate) enum Paths {
    One(Box<str>),
    /// In order.
    Many(Vec<Box<str>>),
}

impl FileIndex {
    /// Add digests; what was there before stays.
    pub fn add(&mut self, path: &str, digests: &[Sha256Digest]) {
        let path = as_logged(path);
        for digest in digests {
            self.by_digest
                .entry(*digest)
                .and_modify(|paths| paths.add(&path))
                .or_insert_with(|| Paths::One(path.clone()));
        }
    }

    /// Whether the image has a file with this content at this path.
    pub fn has(&self, path: &str, digest: &Sha256Digest) -> bool {
        self.paths(digest).is_some_and(|paths| paths.has(path.as_bytes()))
    }

    /// Where the image has this content, for a caller that looks at many digests before it looks at the paths.
    pub fn paths(&self, digest: &Sha256Digest) -> Option<&Paths> {
        self.by_digest.get(digest)
    }

    /// The first path, in order, that has this content.
    pub fn path_of(&self, digest: &Sha256Digest) -> Option<&str> {
        match self.by_digest.get(digest)? {
            Paths::One(path) => Some(path),
            Paths::Many(paths) => paths.first().map(AsRef::as_ref),
        }
    }

    /// The digests at a path. Looks at all files: for messages only.
    pub fn at(&self, path: &str) -> impl Iterator<Item = &Sha256Digest> {
        self.by_digest.iter().filter(move |(_, paths)| paths.has(path.as_bytes())).map(|(digest, _)| digest)
    }
}

impl Paths {
    /// Whether a path, as IMA logs it, is one of these. What is no text is none.
    pub fn has(&self, path: &[u8]) -> bool {
        match self {
            Self::One(known) => known.as_bytes() == path,
            Self::Many(known) => known.binary_search_by(|known| known.as_bytes().cmp(path)).is_ok(),
        }
    }

    fn add(&mut self, path: &str) {
        match self {
            Self::One(known) if **known == *path => {}
            Self::One(known) => {
                let mut both = vec![std::mem::take(known), path.into()];
                both.sort_unstable();
                *self = Self::Many(both);
            }
            Self::Many(known) => {
                if let Err(at) = known.binary_search_by(|known| (**known).cmp(path)) {
                    known.insert(at, path.into());
                }
            }
        }
    }
}

/// A path as IMA logs it: the kernel writes `_` for each space (`ima_write_template_field_data`).
pub(super) fn as_logged(path: &str) -> Box<str> {
    path.replace(' ', "_").into()
}

/// Paths, as IMA logs them.
pub(super) type PathSet = HashSet<Box<[u8]>, BuildHasherDefault<Mixed>>;

/// A quick hash of a path. As with digests, only the owner fills the table.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mixed(u64);

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        for word in words.iter().chain([&last]) {
            // An odd constant without pattern (2^64 over the golden ratio); the fold brings high bits down.
            let product = u128::from(self.0 ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.0 = (product as u64) ^ ((product >> 64) as u64);
        }
    }

    /// The length: two paths that differ only in zeros at the end are told apart by the table.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Takes the first eight bytes of a digest for its hash. Only the owner's documents fill the table, so a sender cannot make
/// buckets long by choosing digests to look up.
#[derive(Debug, Clone, Copy, Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    /// The length of a digest, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpod_evidence::bytes::HexArray;

    #[test]
    fn one_content_may_be_at_many_paths() {
        let (digest, other) = (HexArray([1; 32]), HexArray([2; 32]));
        let mut files = FileIndex::default();
        for path in ["/c", "/a", "/b d", "/a"] {
            files.add(path, &[digest]);
        }
        files.add("/a", &[other]);
        for path in ["/a", "/b_d", "/c"] {
            assert!(files.has(path, &digest), "{path}");
        }
        assert!(!files.has("/b d", &digest) && !files.has("/d", &digest) && !files.has("/c", &other));
        assert_eq!(files.path_of(&digest), Some("/a"));
        assert_eq!(files.at("/a").count(), 2);
        assert_eq!(files.at("/c").collect::<Vec<_>>(), [&digest]);
    }

    #[test]
    fn paths_of_every_length_are_told_apart() {
        let path =
            |length: usize| "/usr/bin/program-with-a-name".bytes().cycle().take(length).collect::<Vec<_>>();
        let set: PathSet = (0..40).step_by(2).map(|length| path(length).into_boxed_slice()).collect();
        for length in 0..40 {
            assert_eq!(set.contains(path(length).as_slice()), length % 2 == 0, "{length}");
            // Padding in the hash is not in the path.
            assert!(!set.contains([path(length).as_slice(), b"\0"].concat().as_slice()));
        }
    }

    #[test]
    fn digests_that_begin_alike_are_told_apart() {
        let digest = |last| {
            let mut bytes = [7; 32];
            bytes[31] = last;
            HexArray(bytes)
        };
        let mut files = FileIndex::default();
        files.add("/a", &[digest(0), digest(1)]);
        assert!(files.has("/a", &digest(0)) && files.has("/a", &digest(1)) && !files.has("/a", &digest(2)));
    }
}
