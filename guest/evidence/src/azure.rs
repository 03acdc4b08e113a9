//! What Azure's confidential VMs send: the report of the paravisor (HCL) and the quote of its vTPM.
//!
//! Parsing only. The paravisor runs above the guest, holds the vTPM and asks the hardware for one report over its *runtime
//! data*, JSON that names the vTPM's keys. Layouts are those of OpenHCL (`openhcl_attestation_protocol`, `igvm_attest::get`);
//! the wire evidence is what Confidential Containers' attesters send for `az-snp-vtpm` and `az-tdx-vtpm`.

mod additional;
mod hcl;
mod quote;
mod runtime;
mod td_report;
mod wire;

pub use additional::{AzAdditionalEvidence, AzLogs};
pub use hcl::{Hardware, HclError, HclReport, MAX_HCL_LEN, RuntimeHash};
pub use quote::{PCR_COUNT, QuoteError, VtpmQuote};
pub use runtime::{RuntimeData, RuntimeError, USER_DATA_LEN, VmConfiguration};
pub use td_report::{TD_REPORT_LEN, TdInfo, TdReport, TdReportError};
pub use wire::{AzSnpEvidence, AzTdxEvidence, MAX_TD_QUOTE_LEN, MAX_WIRE_LEN, WireError};

#[cfg(test)]
mod tests;
