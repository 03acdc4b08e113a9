//! Images in a registry (OCI distribution specification 1.1): pulled into an OCI layout in a cache, by digest.
//!
//! Everything that a registry sends is checked against a digest; only what a tag means is the registry's word. A digest
//! that is in the cache is never asked for again. One layout holds one image for linux/amd64, and its manifest digest
//! is the one that the guest checks.

use super::digest;
use crate::ui::Ui;
use cache::{Cache, Partial};
use manifest::{Blob, Contents};
use oci_client::Reference;
use remote::{Interrupted, Remote};
use sealpod_evidence::workload::ImageDigest;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

mod cache;
mod credentials;
mod manifest;
mod name;
mod remote;
#[cfg(test)]
mod tests;

/// Most bytes of what a reference names: what the distribution specification asks registries to accept (section
/// "Pushing Manifests").
const MAX_MANIFEST: u64 = 4 * 1024 * 1024;
/// How often one blob is asked for. Each time only the rest is, so a slow line still gets there.
const ATTEMPTS: u32 = 4;
/// Between two updates of the progress shown.
const PROGRESS: Duration = Duration::from_millis(100);

/// Where to pull to and what to accept.
pub struct Options {
    /// The cache.
    pub cache: PathBuf,
    /// Docker's `config.json`, which may hold credentials.
    pub docker_config: Option<PathBuf>,
    /// Plain http to any registry, not only to this machine.
    pub insecure: bool,
}

/// An image that is in the cache.
#[derive(Debug)]
pub struct Pulled {
    /// Its name by the digest of its platform manifest, `REGISTRY/REPOSITORY@sha256:…`.
    pub reference: String,
    /// Its layout.
    pub layout: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error(
        "image {found:?}: there is no such file, and it is no reference to an image in a registry ({message}); give an OCI layout, a `docker save` archive, or REGISTRY/REPOSITORY[:TAG]"
    )]
    Neither { found: String, message: String },
    #[error(
        "image {found:?}: there is no such file, and a reference to an image in a registry names the registry; correct the path, or write {reference}"
    )]
    NoRegistry { found: String, reference: String },
    #[error(
        "image {found:?}: the directory {dir:?} has nothing of that name, and a registry may be called {dir:?} too; correct the path, or write {dir}:443/… for the registry"
    )]
    Ambiguous { found: String, dir: String },
    #[error("no place for pulled images: {0} is not set; set XDG_CACHE_HOME to a directory")]
    NoCache(&'static str),
    #[error("image cache: {path:?}: {source}")]
    Cache { path: PathBuf, source: io::Error },
    #[error("registry credentials: {path:?}: {message}")]
    Credentials { path: PathBuf, message: String },
    #[error("cannot speak to registries: {message}; apt-get install ca-certificates")]
    Client { message: String },
    #[error("registry {registry} cannot be reached: {message}; {hint}")]
    Unreachable { registry: String, message: String, hint: String },
    #[error(
        "registry {registry} keeps {repository} from {who}: it is not there, or needs other credentials; `docker login {registry}` writes them down"
    )]
    Unauthorized { registry: String, repository: String, who: String },
    #[error("registry {registry} has no {what}; check repository, tag and digest")]
    Missing { registry: String, what: String },
    #[error("registry {registry} answers {answer} when asked for {what}")]
    Answer { registry: String, what: String, answer: String },
    #[error("{what} does not parse: {message}")]
    Syntax { what: String, message: String },
    #[error("{what} is longer than {expected} bytes")]
    TooLong { what: String, expected: u64 },
    #[error("the layers have {found} bytes in all, at most {expected} are pulled")]
    Budget { expected: u64, found: u64 },
    #[error("{what} has digest {found}, expected {expected}; what the registry sends is damaged")]
    Digest { what: String, expected: ImageDigest, found: ImageDigest },
    #[error("digest {found:?} is not a sha256 digest")]
    DigestText { found: String },
    #[error("{what} ends after {found} of {expected} bytes ({message}); pull again to get the rest")]
    Truncated { what: String, expected: u64, found: u64, message: String },
    #[error("{reference} has no image for linux/amd64")]
    Platform { reference: String },
}

impl Options {
    /// As the environment says: `$XDG_CACHE_HOME/sealpod`, else `/var/cache/sealpod` for root and `~/.cache/sealpod`
    /// for others; `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`.
    pub fn from_environment(insecure: bool) -> Result<Self, RegistryError> {
        let dir = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = match (dir("XDG_CACHE_HOME"), dir("HOME")) {
            (Some(xdg), _) => xdg.join("sealpod"),
            (None, _) if nix::unistd::geteuid().is_root() => "/var/cache/sealpod".into(),
            (None, Some(home)) => home.join(".cache/sealpod"),
            (None, None) => return Err(RegistryError::NoCache("HOME")),
        };
        let docker = dir("DOCKER_CONFIG").or_else(|| Some(dir("HOME")?.join(".docker")));
        Ok(Self { cache, docker_config: docker.map(|dir| dir.join("config.json")), insecure })
    }
}

/// Where the image is that the user named: the path itself, or the layout that it was pulled into just now.
pub async fn locate(image: &Path, insecure: bool, ui: &mut Ui) -> Result<PathBuf, RegistryError> {
    let Some(reference) = name::reference(Path::new(""), image)? else {
        return Ok(image.to_owned());
    };
    let pulled = pull(&reference, &Options::from_environment(insecure)?, ui).await?;
    ui.line(&format!("image {}", pulled.reference));
    Ok(pulled.layout)
}

/// Pull an image that is named by a reference; `None` when the text names a path.
pub async fn pull_named(
    image: &Path,
    options: &Options,
    ui: &mut Ui,
) -> Result<Option<Pulled>, RegistryError> {
    match name::reference(Path::new(""), image)? {
        Some(reference) => pull(&reference, options, ui).await.map(Some),
        None => Ok(None),
    }
}

/// Have the image in the cache. Speaks to the registry only for a tag and for what is not in the cache.
pub async fn pull(reference: &Reference, options: &Options, ui: &mut Ui) -> Result<Pulled, RegistryError> {
    let cache = Cache::open(&options.cache)?;
    let mut pull = Pull { reference, options, cache: &cache, remote: None };
    let result = pull.run(ui).await;
    if result.is_err() {
        ui.abandon();
    }
    let digest = result.map_err(|error| offline(error, reference, &cache))?;
    if let Some(tag) = tag(reference) {
        cache.remember(&tag, digest)?;
    }
    Ok(Pulled { reference: by_digest(reference, digest), layout: cache.layout(digest) })
}

/// Copy a layout to where the user wants it: a directory that is empty or not there yet.
pub fn export(layout: &Path, to: &Path) -> Result<(), RegistryError> {
    cache::export(layout, to)
}

struct Pull<'a> {
    reference: &'a Reference,
    options: &'a Options,
    cache: &'a Cache,
    /// Connected when first needed.
    remote: Option<Remote>,
}

impl Pull<'_> {
    async fn run(&mut self, ui: &mut Ui) -> Result<ImageDigest, RegistryError> {
        let named = self.reference.digest().map(manifest::parse_digest).transpose()?;
        ui.phase(&format!("looking for {}", self.reference));
        let (mut digest, mut bytes) = self.manifest(named).await?;
        if manifest::is_index(&bytes)? {
            digest = manifest::choose(&bytes)?.ok_or_else(|| self.no_platform())?;
            bytes = self.manifest(Some(digest)).await?.1;
            if manifest::is_index(&bytes)? {
                return Err(self.no_platform());
            }
        }
        let contents = Contents::parse(&bytes)?;
        for blob in &contents.blobs {
            self.blob(blob, ui).await?;
        }
        let blobs = contents.blobs.iter().map(|blob| blob.digest);
        self.cache.make_layout(digest, bytes.len(), &contents.media_type, blobs)?;
        Ok(digest)
    }

    /// A manifest or index: by digest from the cache or the registry, without one by the tag from the registry.
    async fn manifest(
        &mut self,
        named: Option<ImageDigest>,
    ) -> Result<(ImageDigest, Vec<u8>), RegistryError> {
        if let Some(expected) = named
            && let Some(bytes) = self.cache.document(expected, MAX_MANIFEST)?
        {
            return Ok((expected, bytes));
        }
        let reference = match named {
            Some(digest) => self.reference.clone_with_digest(digest.to_string()),
            None => self.reference.clone(),
        };
        let bytes = self.remote().await?.manifest(&reference, MAX_MANIFEST).await?;
        let found = digest(&bytes);
        if let Some(expected) = named
            && expected != found
        {
            return Err(RegistryError::Digest { what: format!("manifest {expected}"), expected, found });
        }
        self.cache.store(found, &bytes)?;
        Ok((found, bytes))
    }

    /// Have a blob in the cache.
    async fn blob(&mut self, blob: &Blob, ui: &mut Ui) -> Result<(), RegistryError> {
        if self.cache.holds(blob.digest, blob.size)? {
            return Ok(());
        }
        let mut partial = self.cache.partial(blob.digest, blob.size, || {
            ui.line(&format!("waiting for another pull of {}", blob.what));
        })?;
        // Whoever had the lock may have brought it.
        if self.cache.holds(blob.digest, blob.size)? {
            return Ok(());
        }
        ui.phase(&format!("{}, {}", blob.what, human(blob.size)));
        let mut message = String::new();
        for _ in 0..ATTEMPTS {
            let resumed = partial.len() > 0;
            if partial.len() < blob.size {
                match self.stream(blob, &mut partial, ui).await {
                    Ok(()) => "the registry closed the connection".clone_into(&mut message),
                    Err(Interrupted::Connection(text)) => message = text,
                    // The part may be of no use to this registry: once more from the start.
                    Err(Interrupted::Refused(_)) if resumed => partial.restart()?,
                    Err(Interrupted::Refused(error) | Interrupted::Fatal(error)) => return Err(error),
                }
            }
            if partial.len() == blob.size {
                let Some(found) = self.cache.finish(&mut partial, blob.digest)? else {
                    return Ok(());
                };
                if !resumed {
                    let (what, expected) = (blob.what.clone(), blob.digest);
                    return Err(RegistryError::Digest { what, expected, found });
                }
            }
        }
        Err(RegistryError::Truncated {
            what: blob.what.clone(),
            expected: blob.size,
            found: partial.len(),
            message,
        })
    }

    /// Append what the registry sends, up to the size stated.
    async fn stream(&mut self, blob: &Blob, partial: &mut Partial, ui: &mut Ui) -> Result<(), Interrupted> {
        let remote = self.remote().await.map_err(Interrupted::Fatal)?;
        let mut body = remote.blob(blob.digest, partial.len(), &blob.what).await?;
        if body.from_start {
            partial.restart().map_err(Interrupted::Fatal)?;
        }
        let mut shown = Instant::now();
        // At the full length the digest decides, not how the connection ends; so one byte more is asked for.
        while let Some(bytes) = body.next().await? {
            if partial.len() + bytes.len() as u64 > blob.size {
                // Longer than the manifest says: it cannot have the digest. What is here must not be resumed.
                partial.restart().map_err(Interrupted::Fatal)?;
                let (what, expected) = (blob.what.clone(), blob.size);
                return Err(Interrupted::Fatal(RegistryError::TooLong { what, expected }));
            }
            partial.append(&bytes).map_err(Interrupted::Fatal)?;
            if shown.elapsed() >= PROGRESS {
                shown = Instant::now();
                ui.progress(&format!("{}, {} of {}", blob.what, human(partial.len()), human(blob.size)));
            }
        }
        ui.progress(&format!("{}, {}", blob.what, human(partial.len())));
        Ok(())
    }

    async fn remote(&mut self) -> Result<&Remote, RegistryError> {
        let remote = match self.remote.take() {
            Some(remote) => remote,
            None => Remote::connect(self.reference, self.options).await?,
        };
        Ok(self.remote.insert(remote))
    }

    fn no_platform(&self) -> RegistryError {
        RegistryError::Platform { reference: self.reference.to_string() }
    }
}

/// What to do when the registry is down.
fn offline(error: RegistryError, reference: &Reference, cache: &Cache) -> RegistryError {
    let RegistryError::Unreachable { registry, message, hint } = error else {
        return error;
    };
    let known = tag(reference).and_then(|tag| cache.recall(&tag));
    let hint = match known {
        Some(digest) => {
            let known = by_digest(reference, digest);
            format!("what the tag named last is in the cache, {known} needs no registry")
        }
        None => hint,
    };
    RegistryError::Unreachable { registry, message, hint }
}

/// The name that only the registry can resolve, if the reference has no digest.
fn tag(reference: &Reference) -> Option<String> {
    reference.digest().is_none().then(|| reference.to_string())
}

fn by_digest(reference: &Reference, digest: ImageDigest) -> String {
    reference.clone_with_digest(digest.to_string()).to_string()
}

/// A size in the unit that people would choose.
fn human(bytes: u64) -> String {
    let kib = bytes as f64 / 1024.0;
    if kib < 1024.0 { format!("{kib:.1} KiB") } else { format!("{:.1} MiB", kib / 1024.0) }
}
