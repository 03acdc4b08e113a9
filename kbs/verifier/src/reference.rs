//! Reference Values in the form that appraisal looks them up in.
//!
//! Any number of documents add up. What is not in one of them is not expected, hence refused; nothing here means "any".

use sealpod_evidence::bytes::{HexArray, Sha256Digest};
use sealpod_evidence::reference_values::{
    BootReference, FileSet, ParavisorTee, ReferenceDocument, SnpMeasurement, SnpTcb, TdxMeasurement, VERSION,
};
use sealpod_evidence::snp::report::Product;
use sealpod_evidence::workload::ImageDigest;
use std::collections::HashMap;
use std::sync::Arc;

pub use error::ReferenceError;
pub use packed::{PackedError, PackedSet, pack};
pub use signers::FileKey;

pub(crate) use files::{ImageFiles, Paths};
pub(crate) use signers::Signer;

mod error;
mod files;
pub mod packed;
mod signers;

/// What the owner expects, compiled from reviewed documents. Lookups are by hash and allocate nothing.
///
/// Proves nothing about who wrote the documents: whoever stores them must have checked that.
#[derive(Debug, Clone, Default)]
pub struct ReferenceValues {
    measurements: HashMap<[u8; 48], Measurement>,
    minimum_tcb: HashMap<Product, SnpTcb>,
    tdx: Vec<TdxMeasurement>,
    paravisors: HashMap<(ParavisorTee, [u8; 48]), Box<str>>,
    initdata: HashMap<[u8; 32], Box<str>>,
    boots: Vec<BootReference>,
    guest_files: Option<ImageFiles>,
    guest_programs: files::PathSet,
    image_files: HashMap<ImageDigest, ImageFiles>,
    /// Packed sets that documents list, and the images that they say that these are of.
    listed_sets: HashMap<[u8; 32], Option<ImageDigest>>,
    signers: Vec<Signer>,
    /// Digests of measured buffers, by the names that the kernel gives these.
    buffers: HashMap<Box<[u8]>, Vec<[u8; 32]>>,
    violations: u64,
}

/// One accepted launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measurement {
    /// As its reviewer described it.
    pub description: Box<str>,
    /// Level at which it runs the guest's kernel; 0 where it has no SVSM.
    pub guest_vmpl: u8,
}

/// Highest VMPL (AMD 24593, section 15.36.7).
const MAX_VMPL: u8 = 3;

impl ReferenceValues {
    /// Compile documents. Lists add up; where two documents give a minimum TCB for one product, the higher value of each
    /// component counts, so that adding a document never admits older firmware. Of several numbers of accepted violations the
    /// largest counts.
    ///
    /// # Errors
    ///
    /// The first defect of any document, see [`ReferenceError`].
    pub fn from_documents(documents: &[ReferenceDocument]) -> Result<Self, ReferenceError> {
        let mut values = Self::default();
        for document in documents {
            values.add(document)?;
        }
        Ok(values)
    }

    /// The description of this launch digest, if it is one of the Reference Values.
    pub fn is_measurement(&self, measurement: &[u8; 48]) -> Option<&str> {
        self.measurement(measurement).map(|known| known.description.as_ref())
    }

    /// The launch with this digest.
    pub fn measurement(&self, measurement: &[u8; 48]) -> Option<&Measurement> {
        self.measurements.get(measurement)
    }

    /// The least TCB for a product; `None` means that the product is not accepted at all.
    pub fn minimum_tcb(&self, product: Product) -> Option<&SnpTcb> {
        self.minimum_tcb.get(&product)
    }

    /// The TDs that are accepted.
    pub(crate) fn tdx(&self) -> &[TdxMeasurement] {
        &self.tdx
    }

    /// The description of this launch of Azure's paravisor, if it is one of the Reference Values.
    pub fn is_paravisor(&self, tee: ParavisorTee, measurement: &[u8; 48]) -> Option<&str> {
        self.paravisors.get(&(tee, *measurement)).map(AsRef::as_ref)
    }

    /// The description of this initdata digest (SHA-256), if it is one of the Reference Values.
    pub fn is_initdata(&self, digest: &[u8; 32]) -> Option<&str> {
        self.initdata.get(digest).map(AsRef::as_ref)
    }

    /// The boots that are accepted.
    pub(crate) fn boots(&self) -> &[BootReference] {
        &self.boots
    }

    /// The guest image's files.
    pub(crate) fn guest_files(&self) -> Option<&ImageFiles> {
        self.guest_files.as_ref()
    }

    /// Add a packed set that one of the documents lists, from the bytes of its file.
    ///
    /// # Errors
    ///
    /// [`PackedError`] for bytes that are no sound set, for a set that no document lists, and for one that names another image than
    /// the document does.
    pub fn add_packed(&mut self, bytes: Arc<[u8]>) -> Result<(), PackedError> {
        let set = PackedSet::parse(bytes)?;
        let sha256 = set.sha256();
        let image = *self.listed_sets.get(&sha256.0).ok_or(PackedError::Unlisted { sha256 })?;
        if image != set.image() {
            let name = |image: Option<ImageDigest>| {
                image.map_or_else(|| "the guest image".to_owned(), |image| format!("image {image}"))
            };
            let (expected, found) = (name(image), name(set.image()));
            return Err(PackedError::Image { sha256, expected, found });
        }
        self.files_of(image).packed.push(set);
        Ok(())
    }

    /// SHA-256 of the packed sets that documents list and that were not given yet. Without them, their files are foreign.
    pub fn missing_packed(&self) -> Vec<Sha256Digest> {
        let given = |sha256: &[u8; 32]| {
            self.guest_files
                .iter()
                .chain(self.image_files.values())
                .any(|files| files.packed.iter().any(|set| set.sha256().0 == *sha256))
        };
        let mut missing: Vec<_> =
            self.listed_sets.keys().filter(|sha256| !given(sha256)).copied().map(HexArray).collect();
        missing.sort_unstable();
        missing
    }

    /// Keys whose signatures on files are accepted.
    pub(crate) fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// Whether a buffer of this name with this SHA-256 digest may be measured.
    pub(crate) fn buffer(&self, name: &[u8], digest: &[u8; 32]) -> bool {
        self.buffers.get(name).is_some_and(|known| known.contains(digest))
    }

    /// Whether this is the path of a file of the guest image's that is no shared library: the agent, the container runtime, kernel
    /// modules. A container has its own root, but the kernel logs paths without saying whose, so no container image may speak for
    /// these.
    ///
    /// Shared libraries are left out because a distribution has them at the same paths in every image, in whatever version.
    pub(crate) fn is_guest_program(&self, path: &[u8]) -> bool {
        let packed = |files: &ImageFiles| files.packed.iter().any(|set| set.has_program(path));
        self.guest_programs.contains(path) || self.guest_files.as_ref().is_some_and(packed)
    }

    /// A container image's files.
    pub(crate) fn image_files(&self, image: &ImageDigest) -> Option<&ImageFiles> {
        self.image_files.get(image)
    }

    /// How many IMA violations are accepted.
    pub(crate) fn violations(&self) -> u64 {
        self.violations
    }

    fn add(&mut self, document: &ReferenceDocument) -> Result<(), ReferenceError> {
        let name = || document.description.clone();
        if document.version != VERSION {
            let found = document.version;
            return Err(ReferenceError::Version { document: name(), expected: VERSION, found });
        }
        for known in &document.snp_measurements {
            self.add_measurement(document, known)?;
        }
        for (product, tcb) in &document.snp_minimum_tcb {
            self.add_minimum_tcb(document, product, *tcb)?;
        }
        self.tdx.extend(document.tdx_measurements.iter().cloned());
        for known in &document.azure_paravisors {
            self.paravisors.insert((known.tee, known.measurement.0), known.description.as_str().into());
        }
        for known in &document.initdata {
            self.initdata.insert(known.sha256.0, known.description.as_str().into());
        }
        for boot in &document.boot {
            if let Some(found) = boot.events.keys().copied().find(|pcr| *pcr > 9) {
                return Err(ReferenceError::BootPcr { document: name(), found });
            }
            self.boots.push(boot.clone());
        }
        for set in &document.files {
            self.add_files(document, set)?;
        }
        for set in &document.fs_verity {
            for (path, digests) in &set.files {
                absolute(document, path)?;
                self.files_of(set.image).verity.add(path, digests);
            }
            self.reserve_programs(set);
        }
        for set in &document.packed_files {
            if *self.listed_sets.entry(set.sha256.0).or_insert(set.image) != set.image {
                return Err(ReferenceError::PackedConflict { document: name(), sha256: set.sha256 });
            }
        }
        for signer in &document.ima_signers {
            let known = Signer::new(signer).map_err(|found| ReferenceError::Signer {
                document: name(),
                signer: signer.description.clone(),
                found,
            })?;
            // An image that is described by its signer alone is described.
            self.files_of(signer.image);
            self.signers.push(known);
        }
        for buffer in &document.ima_buffers {
            let known = self.buffers.entry(files::as_logged(&buffer.name).into_boxed_bytes()).or_default();
            known.push(buffer.sha256.0);
        }
        self.violations = self.violations.max(document.dangerous_allow_ima_violations_up_to);
        Ok(())
    }

    fn add_measurement(
        &mut self,
        document: &ReferenceDocument,
        known: &SnpMeasurement,
    ) -> Result<(), ReferenceError> {
        let (name, found) = (|| document.description.clone(), known.guest_vmpl);
        if found > MAX_VMPL {
            return Err(ReferenceError::GuestVmpl { document: name(), expected: MAX_VMPL, found });
        }
        let measurement = known.measurement;
        if let Some(Measurement { guest_vmpl: expected, .. }) = self.measurement(&measurement.0)
            && *expected != found
        {
            let (document, expected) = (name(), *expected);
            return Err(ReferenceError::GuestVmplConflict { document, measurement, expected, found });
        }
        let description = known.description.as_str().into();
        self.measurements.insert(measurement.0, Measurement { description, guest_vmpl: found });
        Ok(())
    }

    fn add_minimum_tcb(
        &mut self,
        document: &ReferenceDocument,
        name: &str,
        tcb: SnpTcb,
    ) -> Result<(), ReferenceError> {
        let known = [Product::Milan, Product::Genoa, Product::Turin];
        let product = known.into_iter().find(|product| product.as_str() == name).ok_or_else(|| {
            ReferenceError::Product { document: document.description.clone(), found: name.to_owned() }
        })?;
        let expected = match (product, tcb.fmc) {
            (Product::Turin, None) => Some("a value"),
            (Product::Milan | Product::Genoa, Some(_)) => Some("none"),
            _ => None,
        };
        if let Some(expected) = expected {
            let document = document.description.clone();
            return Err(ReferenceError::Fmc { document, product, expected, found: tcb.fmc });
        }
        let least = self.minimum_tcb.entry(product).or_insert(tcb);
        *least = SnpTcb {
            fmc: least.fmc.max(tcb.fmc),
            bootloader: least.bootloader.max(tcb.bootloader),
            tee: least.tee.max(tcb.tee),
            snp: least.snp.max(tcb.snp),
            microcode: least.microcode.max(tcb.microcode),
        };
        Ok(())
    }

    fn add_files(&mut self, document: &ReferenceDocument, set: &FileSet) -> Result<(), ReferenceError> {
        let index = &mut self.files_of(set.image).index;
        for (path, digests) in &set.files {
            absolute(document, path)?;
            index.add(path, digests);
        }
        self.reserve_programs(set);
        Ok(())
    }

    fn reserve_programs(&mut self, set: &FileSet) {
        let programs = set.files.keys().filter(|path| set.image.is_none() && !is_shared_library(path));
        self.guest_programs.extend(programs.map(|path| files::as_logged(path).into_boxed_bytes()));
    }

    fn files_of(&mut self, image: Option<ImageDigest>) -> &mut ImageFiles {
        match image {
            None => self.guest_files.get_or_insert_default(),
            Some(image) => self.image_files.entry(image).or_default(),
        }
    }
}

/// `libc.so.6`, `ld-linux-x86-64.so.2`, `libapp.so`.
fn is_shared_library(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".so") || name.contains(".so.")
}

/// Paths are those that the kernel reports. One that is not absolute would match a *name* that the kernel falls back to.
fn absolute(document: &ReferenceDocument, path: &str) -> Result<(), ReferenceError> {
    if path.starts_with('/') {
        return Ok(());
    }
    Err(ReferenceError::Path { document: document.description.clone(), found: path.to_owned() })
}

#[cfg(test)]
mod tests;
