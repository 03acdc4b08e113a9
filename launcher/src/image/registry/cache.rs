//! Pulled blobs by digest, and layouts of them.
//!
//! `blobs/sha256/HEX` is complete and was verified when it came; `partial/HEX` is on its way, under a lock;
//! `layouts/HEX` is the OCI layout of the manifest HEX, its blobs hard links; `tags/HEX` remembers what a tag meant.
//! Everything is verified again on use, so a damaged file is brought anew, and all of it may be deleted at any time.

use super::{RegistryError, digest};
use crate::image::{LAYOUT, blob_path};
use nix::fcntl::{Flock, FlockArg};
use sealpod_evidence::bytes::HexArray;
use sealpod_evidence::workload::ImageDigest;
use sha2::{Digest as _, Sha256};
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The cache's directory.
pub struct Cache(PathBuf);

/// A blob on its way. Locked, so that one process at a time writes it.
pub struct Partial {
    file: Flock<File>,
    path: PathBuf,
    hash: Sha256,
    len: u64,
}

impl Cache {
    /// Open or make the cache. Images can be private, so only its owner may look into it.
    pub fn open(dir: &Path) -> Result<Self, RegistryError> {
        for name in ["blobs/sha256", "partial", "layouts", "tags"] {
            let path = dir.join(name);
            DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(at(&path))?;
        }
        // Absolute, because layouts are shown to the user and given to other programs.
        dir.canonicalize().map(Self).map_err(at(dir))
    }

    /// Where the layout of a manifest is.
    pub fn layout(&self, manifest: ImageDigest) -> PathBuf {
        self.0.join("layouts").join(manifest.0.to_string())
    }

    /// A manifest or index, if it is here and undamaged.
    pub fn document(&self, wanted: ImageDigest, limit: u64) -> Result<Option<Vec<u8>>, RegistryError> {
        let Some((path, file)) = self.open_blob(wanted)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes).map_err(at(&path))?;
        Ok((digest(&bytes) == wanted).then_some(bytes))
    }

    /// Whether a blob is here and undamaged.
    pub fn holds(&self, wanted: ImageDigest, size: u64) -> Result<bool, RegistryError> {
        let Some((path, mut file)) = self.open_blob(wanted)? else {
            return Ok(false);
        };
        if file.metadata().map_err(at(&path))?.len() != size {
            return Ok(false);
        }
        let mut hash = Sha256::new();
        io::copy(&mut file, &mut hash).map_err(at(&path))?;
        Ok(finished(hash) == wanted)
    }

    /// Put a document in, whole or not at all.
    pub fn store(&self, name: ImageDigest, bytes: &[u8]) -> Result<(), RegistryError> {
        self.write(&self.blob(name), bytes)
    }

    /// The part of a blob that is here already. Waits for another process that brings the same one, after `waiting`.
    pub fn partial(
        &self,
        wanted: ImageDigest,
        size: u64,
        mut waiting: impl FnMut(),
    ) -> Result<Partial, RegistryError> {
        let path = self.0.join("partial").join(wanted.0.to_string());
        let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = open.map_err(at(&path))?;
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock).or_else(|(file, _)| {
            waiting();
            Flock::lock(file, FlockArg::LockExclusive)
                .map_err(|(_, errno)| at(&path)(io::Error::from_raw_os_error(errno as i32)))
        })?;
        let mut partial = Partial { file, path, hash: Sha256::new(), len: 0 };
        let here = partial.file.metadata().map_err(at(&partial.path))?.len();
        if here > size {
            partial.restart()?;
        } else {
            partial.len = io::copy(&mut &*partial.file, &mut partial.hash).map_err(at(&partial.path))?;
        }
        Ok(partial)
    }

    /// Put a complete blob in its place; gives its digest if that is not the one wanted, and starts over.
    pub fn finish(
        &self,
        partial: &mut Partial,
        wanted: ImageDigest,
    ) -> Result<Option<ImageDigest>, RegistryError> {
        let found = finished(partial.hash.clone());
        if found != wanted {
            partial.restart()?;
            return Ok(Some(found));
        }
        // No fsync: what a power failure leaves is noticed by its digest.
        let path = self.blob(wanted);
        std::fs::rename(&partial.path, &path).map_err(at(&path))?;
        Ok(None)
    }

    /// Make the layout of a manifest. All its blobs are in the cache.
    pub fn make_layout(
        &self,
        manifest: ImageDigest,
        size: usize,
        media_type: &str,
        blobs: impl Iterator<Item = ImageDigest>,
    ) -> Result<(), RegistryError> {
        let dir = self.layout(manifest);
        let blob_dir = dir.join("blobs/sha256");
        DirBuilder::new().recursive(true).mode(0o700).create(&blob_dir).map_err(at(&blob_dir))?;
        for blob in blobs.chain([manifest]) {
            self.link(blob, &dir.join(blob_path(&blob)))?;
        }
        let index = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{"mediaType": media_type, "digest": manifest, "size": size}],
        });
        self.write(&dir.join("oci-layout"), LAYOUT)?;
        // Last: with it the layout is one.
        self.write(&dir.join("index.json"), index.to_string().as_bytes())
    }

    /// Remember what a tag meant, for when the registry is down.
    pub fn remember(&self, tag: &str, manifest: ImageDigest) -> Result<(), RegistryError> {
        self.write(&self.tag(tag), manifest.to_string().as_bytes())
    }

    /// What a tag meant when it was pulled last, if that image is still here. Only a hint for the user.
    pub fn recall(&self, tag: &str) -> Option<ImageDigest> {
        let manifest: ImageDigest = std::fs::read_to_string(self.tag(tag)).ok()?.parse().ok()?;
        self.layout(manifest).join("index.json").is_file().then_some(manifest)
    }

    fn blob(&self, name: ImageDigest) -> PathBuf {
        self.0.join(blob_path(&name))
    }

    fn tag(&self, tag: &str) -> PathBuf {
        // A digest, because a tag holds characters with a meaning in paths.
        self.0.join("tags").join(digest(tag.as_bytes()).0.to_string())
    }

    fn open_blob(&self, name: ImageDigest) -> Result<Option<(PathBuf, File)>, RegistryError> {
        let path = self.blob(name);
        match File::open(&path) {
            Ok(file) => Ok(Some((path, file))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(at(&path)(e)),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), RegistryError> {
        let mut file = tempfile::NamedTempFile::new_in(self.0.join("partial")).map_err(at(path))?;
        file.write_all(bytes).map_err(at(path))?;
        file.persist(path).map_err(|e| at(path)(e.error))?;
        Ok(())
    }

    fn link(&self, blob: ImageDigest, to: &Path) -> Result<(), RegistryError> {
        let from = self.blob(blob);
        let place = |path: &Path| path.metadata().map(|m| (m.dev(), m.ino()));
        // Another file under that name is one that was damaged and has been replaced in the cache.
        if place(to).is_ok_and(|old| place(&from).is_ok_and(|new| old == new)) {
            return Ok(());
        }
        let dir = tempfile::TempDir::new_in(self.0.join("partial")).map_err(at(to))?;
        let new = dir.path().join("blob");
        std::fs::hard_link(&from, &new).and_then(|()| std::fs::rename(&new, to)).map_err(at(to))
    }
}

impl Partial {
    /// How much is here.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Add what came.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), RegistryError> {
        self.file.write_all(bytes).map_err(at(&self.path))?;
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Forget what is here.
    pub fn restart(&mut self) -> Result<(), RegistryError> {
        self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0))).map_err(at(&self.path))?;
        (self.hash, self.len) = (Sha256::new(), 0);
        Ok(())
    }
}

/// Copy a layout out of the cache; see [`super::export`].
pub fn export(layout: &Path, to: &Path) -> Result<(), RegistryError> {
    if std::fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(at(to)(io::Error::other("the directory is not empty; name a new one")));
    }
    let blobs = Path::new("blobs/sha256");
    std::fs::create_dir_all(to.join(blobs)).map_err(at(to))?;
    let copy = |name: &Path| {
        let path = to.join(name);
        std::fs::copy(layout.join(name), &path).map(drop).map_err(at(&path))
    };
    let entries = std::fs::read_dir(layout.join(blobs)).map_err(at(layout))?;
    for entry in entries {
        copy(&blobs.join(entry.map_err(at(layout))?.file_name()))?;
    }
    copy(Path::new("oci-layout"))?;
    copy(Path::new("index.json"))
}

fn finished(hash: Sha256) -> ImageDigest {
    ImageDigest(HexArray(hash.finalize().into()))
}

fn at(path: &Path) -> impl Fn(io::Error) -> RegistryError + use<> {
    let path = path.to_owned();
    move |source| RegistryError::Cache { path: path.clone(), source }
}
