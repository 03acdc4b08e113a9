//! Reference Values in the form that appraisal looks them up in.
//!
//! Any number of documents add up. What is not in one of them is not expected, hence refused; nothing here means "any".

use sealpod_evidence::bytes::{Sha256Digest, Sha384Digest};
use sealpod_evidence::reference_values::{
    BootReference, FileSet, ParavisorTee, ReferenceDocument, SnpMeasurement, SnpTcb, TdxMeasurement, VERSION,
};
use sealpod_evidence::snp::report::Product;
use sealpod_evidence::workload::ImageDigest;
use std::collections::HashMap;

pub(crate) use files::{FileIndex, Paths};

mod files;

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
    guest_files: Option<FileIndex>,
    guest_programs: files::PathSet,
    image_files: HashMap<ImageDigest, FileIndex>,
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

/// Why documents do not make Reference Values. Each names the document by its description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// A document of another version.
    #[error("Reference Values {document:?}: version {found}, expected {expected}")]
    Version {
        /// The document.
        document: String,
        /// [`VERSION`].
        expected: u32,
        /// The version found.
        found: u32,
    },
    /// A minimum TCB for a product that is not known.
    #[error("Reference Values {document:?}: product {found:?}, expected milan, genoa or turin")]
    Product {
        /// The document.
        document: String,
        /// The name found.
        found: String,
    },
    /// A minimum TCB without the FMC component that the product has, or with one that it does not have: either way a
    /// component would silently go unchecked.
    #[error("Reference Values {document:?}: minimum TCB of {product}: fmc is {found:?}, expected {expected}")]
    Fmc {
        /// The document.
        document: String,
        /// The product.
        product: Product,
        /// What that product needs.
        expected: &'static str,
        /// The value found.
        found: Option<u8>,
    },
    /// A guest level that SNP does not have.
    #[error("Reference Values {document:?}: guest_vmpl {found}, expected 0 to {expected}")]
    GuestVmpl {
        /// The document.
        document: String,
        /// The highest.
        expected: u8,
        /// The level found.
        found: u8,
    },
    /// One launch digest with two guest levels: a launch has an SVSM or has none.
    #[error(
        "Reference Values {document:?}: guest_vmpl {found} for launch digest {measurement}, expected {expected} as listed before"
    )]
    GuestVmplConflict {
        /// The document.
        document: String,
        /// The launch digest.
        measurement: Sha384Digest,
        /// The level listed before.
        expected: u8,
        /// The level found.
        found: u8,
    },
    /// A file at a path that is not absolute.
    #[error("Reference Values {document:?}: path {found:?} is not absolute")]
    Path {
        /// The document.
        document: String,
        /// The path found.
        found: String,
    },
    /// A boot event in a PCR that no boot log is appraised for.
    #[error("Reference Values {document:?}: boot events of PCR {found}, expected a PCR of 0 to 9")]
    BootPcr {
        /// The document.
        document: String,
        /// The PCR found.
        found: u8,
    },
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
    pub(crate) fn guest_files(&self) -> Option<&FileIndex> {
        self.guest_files.as_ref()
    }

    /// Whether this is the path of a file of the guest image's that is no shared library: the agent, the container runtime, kernel
    /// modules. A container has its own root, but the kernel logs paths without saying whose, so no container image may speak for
    /// these.
    ///
    /// Shared libraries are left out because a distribution has them at the same paths in every image, in whatever version.
    pub(crate) fn is_guest_program(&self, path: &[u8]) -> bool {
        self.guest_programs.contains(path)
    }

    /// A container image's files.
    pub(crate) fn image_files(&self, image: &ImageDigest) -> Option<&FileIndex> {
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
        let index = match set.image {
            None => self.guest_files.get_or_insert_default(),
            Some(image) => self.image_files.entry(image).or_default(),
        };
        for (path, digests) in &set.files {
            absolute(document, path)?;
            index.add(path, digests);
            if set.image.is_none() && !is_shared_library(path) {
                self.guest_programs.insert(files::as_logged(path).into_boxed_bytes());
            }
        }
        Ok(())
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
