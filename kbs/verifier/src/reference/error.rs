//! Why documents do not make Reference Values.

use sealpod_evidence::bytes::{Sha256Digest, Sha384Digest};
use sealpod_evidence::snp::report::Product;

/// Why documents do not make Reference Values. Each names the document by its description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// A document of another version.
    #[error("Reference Values {document:?}: version {found}, expected {expected}")]
    Version {
        /// The document.
        document: String,
        /// The version of [`sealpod_evidence::reference_values::VERSION`].
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
    /// A key of an IMA signer that cannot be used, or one without directories.
    #[error("Reference Values {document:?}: IMA signer {signer:?}: {found}")]
    Signer {
        /// The document.
        document: String,
        /// As its reviewer described it.
        signer: String,
        /// What is wrong with it.
        found: String,
    },
    /// One packed set for two images.
    #[error("Reference Values {document:?}: packed set {sha256} is listed for another image already")]
    PackedConflict {
        /// The document.
        document: String,
        /// SHA-256 of the set.
        sha256: Sha256Digest,
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
