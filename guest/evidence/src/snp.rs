//! AMD SEV-SNP evidence: the attestation report, the certificate table that the host sends with it, and the manifest of an SVSM's
//! services.
//!
//! Sources: AMD 56860 (SNP firmware ABI, revision 1.58) for the report, AMD 56421 (GHCB) for the table, AMD
//! 58019 (SVSM) for the manifest.

pub mod cert_table;
pub mod manifest;
pub mod report;
