//! Step 14: the files that one pod may run.

use crate::error::{Check, VerifyError};
use crate::reference::{FileIndex, Paths, ReferenceValues};
use sealpod_evidence::bytes::Sha256Digest;
use sealpod_evidence::initdata::PodPolicy;
use sealpod_evidence::workload::ImageDigest;
use std::fmt::Write as _;

/// The guest image's files and those of every container image that a rule of initdata names.
pub(super) struct PodFiles<'r> {
    reference: &'r ReferenceValues,
    guest: &'r FileIndex,
    images: Vec<(ImageDigest, &'r FileIndex)>,
}

/// What one entry says was executed, mapped or loaded.
#[derive(Debug, Clone, Copy)]
pub(super) struct File<'l> {
    /// Path, or the name that the kernel falls back to.
    pub name: &'l [u8],
    pub digest: Sha256Digest,
    /// Whether it had a set-user-id or set-group-id bit.
    pub set_id: bool,
}

/// Files looked up together.
pub(super) const BATCH: usize = 32;

/// Where a content is known to be.
#[derive(Clone, Copy)]
struct Known<'r> {
    paths: Option<&'r Paths>,
    /// In the guest image rather than in a container image.
    guest: bool,
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
        Ok(Self { reference, guest, images })
    }

    /// [`Self::check`] for each file, in order; the first that may not be run.
    ///
    /// What is looked up is seldom in the processor's cache. So all digests go first and then all paths: lookups that do not
    /// depend on each other wait for memory at the same time. What this finds in order needs no second look; for the rest
    /// [`Self::check`] decides.
    pub fn check_all(&self, files: &[File<'_>]) -> Result<(), VerifyError> {
        for batch in files.chunks(BATCH) {
            let mut known = [const { Known { paths: None, guest: false } }; BATCH];
            for (known, file) in known.iter_mut().zip(batch) {
                *known = self.known(&file.digest);
            }
            let mut there = [false; BATCH];
            for ((there, known), file) in there.iter_mut().zip(&known).zip(batch) {
                *there = known.paths.is_some_and(|paths| paths.has(file.name));
            }
            for ((there, known), file) in there.iter().zip(&known).zip(batch) {
                let of_image = || !file.set_id && !self.reference.is_guest_program(file.name);
                if !(*there && (known.guest || of_image())) {
                    self.check(file)?;
                }
            }
        }
        Ok(())
    }

    /// Where the guest, or else the first image that has it, has this content.
    fn known(&self, digest: &Sha256Digest) -> Known<'r> {
        if let Some(paths) = self.guest.paths(digest) {
            return Known { paths: Some(paths), guest: true };
        }
        let paths = self.images.iter().find_map(|(_, files)| files.paths(digest));
        Known { paths, guest: false }
    }

    /// Whether this file may be run: by the guest, which may run what is its own, or else in the pod, from a container image, not
    /// at the path of one of the guest's programs and not with the right to become another user.
    ///
    /// A name that is not absolute is what the kernel falls back to for a file that no path leads to (a memfd, a detached
    /// mount). No set has such a name: nothing that the guest or a pod may run is without a path.
    fn check(&self, file: &File<'_>) -> Result<(), VerifyError> {
        let File { name, digest, set_id } = file;
        let Ok(name) = std::str::from_utf8(name) else { return Err(self.foreign(file)) };
        if self.guest.has(name, digest) {
            return Ok(());
        }
        let of_image = self.images.iter().find(|(_, files)| files.has(name, digest));
        match of_image.filter(|_| !self.reference.is_guest_program(name.as_bytes())) {
            Some((image, _)) if *set_id => Err(VerifyError::new(
                Check::SetIdFile,
                format!("no set-user-id and no set-group-id bit on files of {image}"),
                format!("{name} sha256:{digest} with one"),
            )),
            Some(_) => Ok(()),
            None => Err(self.foreign(file)),
        }
    }

    fn sets(&self) -> impl Iterator<Item = (Option<ImageDigest>, &'r FileIndex)> {
        let images = self.images.iter().map(|(image, files)| (Some(*image), *files));
        std::iter::once((None, self.guest)).chain(images)
    }

    #[cold]
    fn foreign(&self, File { name, digest, .. }: &File<'_>) -> VerifyError {
        let path = String::from_utf8_lossy(name);
        let mut expected = String::new();
        // Of a path that is the guest's alone, what images have there does not matter.
        let sets = if self.reference.is_guest_program(path.as_bytes()) { 1 } else { usize::MAX };
        for (image, files) in self.sets().take(sets) {
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
