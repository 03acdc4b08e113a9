//! Intel TDX and SGX evidence: quotes as DCAP makes them, and the boot log of a TD.
//!
//! Sources: Intel "TDX DCAP Quoting Library API" 0.9, appendix A (quote versions 4 and 5); "SGX ECDSA QuoteLibReference DCAP
//! API" 1.22, appendix A (version 3); "TDX Module ABI" 348551-008 for the body's fields; UEFI 2.10 chapter 38 for the log.

pub mod attributes;
pub mod ccel;
pub mod enclave;
pub mod quote;
pub mod report;

pub use quote::{Quote, QuoteError};
