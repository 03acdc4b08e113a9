//! AMD SEV-SNP evidence: the attestation report, and the certificate table that the host sends with it.
//!
//! Sources: AMD 56860 (SNP firmware ABI, revision 1.58) for the report, AMD 56421 (GHCB) for the table.

pub mod cert_table;
pub mod report;
