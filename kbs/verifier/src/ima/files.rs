//! Step 14: the files that one pod may run.

use crate::error::{Check, VerifyError};
use crate::reference::{FileIndex, ReferenceValues};
use sealpod_evidence::bytes::Sha256Digest;
use sealpod_evidence::initdata::PodPolicy;
use sealpod_evidence::workload::ImageDigest;
use std::fmt::Write as _;

/// The guest image's files and those of every container image that a rule of initdata names.
pub(super) struct PodFiles<'r> {
    guest: &'r FileIndex,
    images: Vec<(ImageDigest, &'r FileIndex)>,
}

/// Known digests listed in one message.
const MAX_LISTED: usize = 4;

impl<'r> PodFiles<'r> {
    /// Look the sets up. One that is missing is an error even if none of its files was run: nothing could be said if one were.
    pub fn of(policy: &PodPolicy, reference: &'r ReferenceValues) -> Result<Self, VerifyError> {
        let missing = |what: String| {
            VerifyError::new(
                Check::FileReference,
                format!("Reference Values for the files of {what}"),
                "none",
            )
        };
        let guest = reference.guest_files().ok_or_else(|| missing("the guest image".to_owned()))?;
        let mut images: Vec<(ImageDigest, &FileIndex)> = Vec::new();
        for rule in &policy.containers {
            let image = rule.spec.image;
            if images.iter().all(|(known, _)| *known != image) {
                let files = reference.image_files(&image).ok_or_else(|| missing(format!("image {image}")))?;
                images.push((image, files));
            }
        }
        Ok(Self { guest, images })
    }

    /// Whether this content may be run under this name.
    ///
    /// A name that is not absolute is what the kernel falls back to for a file that no path leads to (a memfd, a detached
    /// mount): container runtimes re-execute themselves so. It says nothing of the place, so such content must be the guest
    /// image's own.
    pub fn check(&self, name: &[u8], digest: &Sha256Digest) -> Result<(), VerifyError> {
        let allowed = match std::str::from_utf8(name) {
            Ok(path) if path.starts_with('/') => self.sets().any(|(_, files)| files.has(path, digest)),
            Ok(_) => self.guest.has_digest(digest),
            Err(_) => false,
        };
        if allowed { Ok(()) } else { Err(self.foreign(name, digest)) }
    }

    fn sets(&self) -> impl Iterator<Item = (Option<ImageDigest>, &'r FileIndex)> {
        let images = self.images.iter().map(|(image, files)| (Some(*image), *files));
        std::iter::once((None, self.guest)).chain(images)
    }

    #[cold]
    fn foreign(&self, name: &[u8], digest: &Sha256Digest) -> VerifyError {
        let path = String::from_utf8_lossy(name);
        let mut expected = String::new();
        for (image, files) in self.sets() {
            let of = image.map_or_else(|| "the guest image".to_owned(), |image| image.to_string());
            for known in files.at(&path).take(MAX_LISTED) {
                // Writing to a string cannot fail.
                let _ = write!(expected, "sha256:{known} at this path in {of}; ");
            }
            if let Some(other) = files.path_of(digest) {
                let _ = write!(expected, "this content only at {other} in {of}; ");
            }
        }
        let expected = match expected.strip_suffix("; ") {
            Some(known) => known.to_owned(),
            None => format!("a file of the guest image or of the {} image(s) of this pod", self.images.len()),
        };
        VerifyError::new(Check::ForeignFile, expected, format!("{path} sha256:{digest}"))
    }
}
