//! Step 14: the files that one pod may run.

use super::evm;
use super::modsig::AppendedSignature;
use super::signature::{FileSignature, Signed};
use crate::error::{Check, VerifyError};
use crate::reference::packed::fingerprint;
use crate::reference::{ImageFiles, Paths, ReferenceValues, Signer};
use sealpod_evidence::bytes::{HexArray, Sha256Digest};
use sealpod_evidence::ima::{DigestKind, Entry, Fields, FileDigest};
use sealpod_evidence::initdata::PodPolicy;
use sealpod_evidence::workload::ImageDigest;
use std::cell::{Cell, OnceCell};
use std::fmt::Write as _;

/// The guest image's files and those of every container image that a rule of initdata names.
pub(super) struct PodFiles<'r> {
    reference: &'r ReferenceValues,
    guest: &'r ImageFiles,
    images: Vec<(ImageDigest, &'r ImageFiles)>,
    /// Signatures that were checked with a key.
    checked: Cell<u32>,
}

/// What one entry says was executed, mapped or loaded.
#[derive(Debug, Clone, Copy)]
pub(super) struct File<'l> {
    /// Path, or the name that the kernel falls back to.
    pub name: &'l [u8],
    pub digest: Sha256Digest,
    /// Whether it had a set-user-id or set-group-id bit.
    pub set_id: bool,
    /// The entry, where it has a signature.
    pub signed: Option<Entry<'l>>,
}

/// Files looked up together.
pub(super) const BATCH: usize = 32;

/// Most signatures that are checked with a key for one log: at 70 µs for the slowest, an RSA key of 4096 bits, a second. A file in a
/// set needs none.
const MAX_SIGNATURES: u32 = 1 << 14;

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
        let mut images: Vec<(ImageDigest, &ImageFiles)> = Vec::new();
        for rule in &policy.containers {
            let image = rule.spec.image;
            if images.iter().all(|(known, _)| *known != image) {
                let files = reference.image_files(&image).ok_or_else(|| missing(format!("image {image}")))?;
                images.push((image, files));
            }
        }
        Ok(Self { reference, guest, images, checked: Cell::new(0) })
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
        if let Some(paths) = self.guest.index.paths(digest) {
            return Known { paths: Some(paths), guest: true };
        }
        let paths = self.images.iter().find_map(|(_, files)| files.index.paths(digest));
        Known { paths, guest: false }
    }

    /// Whether this file may be run: by the guest, which may run what is its own, or else in the pod, from a container image, not
    /// at the path of one of the guest's programs and not with the right to become another user. It is a file of those by digest
    /// and path, or by a signature.
    ///
    /// A name that is not absolute is what the kernel falls back to for a file that no path leads to (a memfd, a detached
    /// mount). No set has such a name: nothing that the guest or a pod may run is without a path.
    fn check(&self, file: &File<'_>) -> Result<(), VerifyError> {
        let File { name, digest, set_id, signed } = file;
        let foreign = || self.foreign(name, "sha256", &digest.0);
        let Ok(path) = std::str::from_utf8(name) else { return Err(foreign()) };
        let once = OnceCell::new();
        let mut print = || *once.get_or_init(|| fingerprint(name, digest));
        if self.guest.has(path, digest, &mut print) {
            return Ok(());
        }
        let of_image = self.images.iter().find(|(_, files)| files.has(path, digest, &mut print));
        match (of_image, signed) {
            (Some((image, _)), _) if !self.reference.is_guest_program(name) => {
                self.no_set_id(*image, path, &HexArray(digest.0), *set_id)
            }
            (_, Some(entry)) if !self.reference.signers().is_empty() => self.by_signature(entry, *set_id),
            _ => Err(foreign()),
        }
    }

    /// Whether a file may be run that IMA knows by its fs-verity digest, `digest`.
    pub fn check_verity(
        &self,
        entry: &Entry<'_>,
        name: &[u8],
        digest: &FileDigest<'_>,
        set_id: bool,
    ) -> Result<(), VerifyError> {
        let path = std::str::from_utf8(name).ok();
        let sha256 = <[u8; 32]>::try_from(digest.value).ok().map(HexArray);
        if let (Some(path), Some(sha256)) = (path, sha256) {
            if self.guest.verity.has(path, &sha256) {
                return Ok(());
            }
            let of_image = self.images.iter().find(|(_, files)| files.verity.has(path, &sha256));
            if let Some((image, _)) = of_image.filter(|_| !self.reference.is_guest_program(name)) {
                return self.no_set_id(*image, path, &sha256, set_id);
            }
        }
        self.check_signed(entry, name, digest, set_id)
    }

    /// Whether a file may be run that no set can have, because of how it was hashed: only a signature speaks for it.
    pub fn check_signed(
        &self,
        entry: &Entry<'_>,
        name: &[u8],
        digest: &FileDigest<'_>,
        set_id: bool,
    ) -> Result<(), VerifyError> {
        if is_signed(&entry.fields().unwrap_or_default()) && !self.reference.signers().is_empty() {
            return self.by_signature(entry, set_id);
        }
        let hashed = if digest.kind == DigestKind::Verity { "verity:" } else { "" };
        Err(self.foreign(name, &format!("{hashed}{}", digest.algorithm.name()), digest.value))
    }

    fn no_set_id(
        &self,
        image: ImageDigest,
        path: &str,
        digest: &dyn std::fmt::Display,
        set_id: bool,
    ) -> Result<(), VerifyError> {
        if !set_id {
            return Ok(());
        }
        Err(VerifyError::new(
            Check::SetIdFile,
            format!("no set-user-id and no set-group-id bit on files of {image}"),
            format!("{path} sha256:{digest} with one"),
        ))
    }

    /// Whether one of the accepted keys signed the file, of those that may sign files of the guest or of the pod's images at this
    /// path. What a container image's key signs is held to what holds for all files of images.
    fn by_signature(&self, entry: &Entry<'_>, set_id: bool) -> Result<(), VerifyError> {
        let fields = entry.fields().unwrap_or_default();
        let name = fields.name.unwrap_or_default();
        let path = String::from_utf8_lossy(name);
        let Some(digest) = fields.digest else { return Err(self.foreign(name, "no digest", &[])) };
        let signer = self.signer_of(entry, &fields, &digest)?;
        let mine = |image| self.images.iter().any(|(known, _)| *known == image);
        let of_pod = signer.image.is_none_or(|image| mine(image) && !self.reference.is_guest_program(name));
        if !of_pod || !name.starts_with(b"/") || !signer.may_sign(name) {
            let expected = format!("a path at which files signed by {:?} may be", signer.description);
            return Err(VerifyError::new(Check::ForeignFile, expected, path));
        }
        match signer.image {
            Some(image) => self.no_set_id(image, &path, &hex::encode(digest.value), set_id),
            None => Ok(()),
        }
    }

    /// Whose signature it is. Keys of images that are not this pod's have no say.
    fn signer_of(
        &self,
        entry: &Entry<'_>,
        fields: &Fields<'_>,
        digest: &FileDigest<'_>,
    ) -> Result<&'r Signer, VerifyError> {
        let refused = |found: String| {
            let name = String::from_utf8_lossy(fields.name.unwrap_or_default());
            let expected = format!("IMA entry {}: {name} signed by a key that is accepted", entry.index);
            VerifyError::new(Check::FileSignature, expected, found)
        };
        let mine = |signer: &&Signer| {
            signer.image.is_none_or(|image| self.images.iter().any(|(known, _)| *known == image))
        };
        let mut signers = self.reference.signers().iter().filter(mine);
        let present = |field: Option<&'_ [u8]>| field.is_some_and(|field| !field.is_empty());
        if !present(fields.signature) && present(fields.modsig) {
            let message = fields.modsig.unwrap_or_default();
            let signature = AppendedSignature::parse(message).map_err(&refused)?;
            let content = fields
                .modsig_digest
                .ok_or_else(|| refused("an appended signature over nothing".to_owned()))?;
            for signer in signers {
                self.count()?;
                if signature.verifies(signer.key(), &content) {
                    return Ok(signer);
                }
            }
            return Err(refused("an appended signature by none of them".to_owned()));
        }
        let of_metadata = !present(fields.signature);
        let bytes = if of_metadata { fields.evm_signature } else { fields.signature };
        let signature =
            FileSignature::parse(bytes.unwrap_or_default()).map_err(|error| refused(error.to_string()))?;
        let expected = match (of_metadata, digest.kind) {
            (true, _) => Signed::Metadata,
            (false, DigestKind::Content) => Signed::File,
            (false, DigestKind::Verity) => Signed::Verity,
        };
        if signature.signed != expected {
            return Err(refused(format!("a signature over {:?}, not {expected:?}", signature.signed)));
        }
        if !of_metadata && signature.algorithm != digest.algorithm {
            let (one, other) = (signature.algorithm.name(), digest.algorithm.name());
            return Err(refused(format!("a signature over a digest by {one}, and a digest by {other}")));
        }
        let mut known = false;
        let by = signers.by_ref().filter(|signer| signer.key().is(signature.key_id));
        for signer in by {
            known = true;
            self.count()?;
            let good = match of_metadata {
                true => evm::verifies(signer.key(), &signature, fields, digest),
                false => signature.verifies(signer.key(), digest.value),
            };
            if good {
                return Ok(signer);
            }
        }
        let id = hex::encode(signature.key_id);
        let what = if known {
            "a signature that is not of this file, by key"
        } else {
            "a signature by another key,"
        };
        Err(refused(format!("{what} {id}")))
    }

    fn count(&self) -> Result<(), VerifyError> {
        let checked = self.checked.get();
        if checked == MAX_SIGNATURES {
            let found = "more, of files that are in no set";
            return Err(VerifyError::new(
                Check::SignatureBudget,
                format!("at most {MAX_SIGNATURES} signatures of files"),
                found,
            ));
        }
        self.checked.set(checked.saturating_add(1));
        Ok(())
    }

    fn sets(&self) -> impl Iterator<Item = (Option<ImageDigest>, &'r ImageFiles)> {
        let images = self.images.iter().map(|(image, files)| (Some(*image), *files));
        std::iter::once((None, self.guest)).chain(images)
    }

    #[cold]
    fn foreign(&self, name: &[u8], hash: &str, digest: &[u8]) -> VerifyError {
        let path = String::from_utf8_lossy(name);
        let mut expected = String::new();
        // Of a path that is the guest's alone, what images have there does not matter.
        let sets = if self.reference.is_guest_program(path.as_bytes()) { 1 } else { usize::MAX };
        for (image, files) in self.sets().take(sets) {
            let of = image.map_or_else(|| "the guest image".to_owned(), |image| image.to_string());
            for known in files.index.at(&path).take(MAX_LISTED) {
                // Writing to a string cannot fail.
                let _ = write!(expected, "sha256:{known} at this path in {of}; ");
            }
            let digest = <[u8; 32]>::try_from(digest).ok().map(HexArray);
            if let Some(other) = digest.and_then(|digest| files.index.path_of(&digest)) {
                let _ = write!(expected, "this content only at {other} in {of}; ");
            }
        }
        let expected = match expected.strip_suffix("; ") {
            Some(known) => known.to_owned(),
            None => format!("a file of the guest image or of the {} image(s) of this pod", self.images.len()),
        };
        VerifyError::new(Check::ForeignFile, expected, format!("{path} {hash}:{}", hex::encode(digest)))
    }
}

/// Whether an entry has a signature of any kind.
pub(super) fn is_signed(fields: &Fields<'_>) -> bool {
    [fields.signature, fields.modsig, fields.evm_signature]
        .into_iter()
        .flatten()
        .any(|field| !field.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;
    use base64::Engine as _;
    use sealpod_evidence::ima::{Bank, Log};
    use sealpod_evidence::reference_values::ImaSigner;
    use sealpod_testkit::Bundle;
    use sealpod_testkit::keys::Key;
    use sealpod_testkit::logs::signature::{Kind, version_2};

    #[test]
    fn signatures_have_a_budget() {
        let sized = |bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes(), bytes].concat();
        let digest = [b"sha256:\0".as_slice(), &sha256(b"content")].concat();
        let signature = version_2(Key::AkRsa, Kind::File, b"content");
        let data = [sized(&digest), sized(b"/x\0"), sized(&signature)].concat();
        let log = [&10_u32.to_le_bytes()[..], &sha256(&data), &sized(b"ima-sig"), &sized(&data)].concat();
        let entry = Log::new(&log, Bank::Sha256, 1).entries().next().unwrap().unwrap();

        let bundle = Bundle::valid();
        let mut document = bundle.reference();
        document.ima_signers.push(ImaSigner {
            image: None,
            description: String::new(),
            key: base64::engine::general_purpose::STANDARD.encode(Key::AkRsa.spki()),
            directories: vec!["/".to_owned()],
        });
        let reference = ReferenceValues::from_documents(&[document]).unwrap();
        let files = PodFiles::of(&bundle.policy, &reference).unwrap();
        files.checked.set(MAX_SIGNATURES - 1);
        assert_eq!(files.by_signature(&entry, false), Ok(()));
        assert_eq!(files.by_signature(&entry, false).unwrap_err().check, Check::SignatureBudget);
    }
}
