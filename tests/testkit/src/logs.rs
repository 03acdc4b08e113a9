//! The three logs: what firmware measured, what IMA measured, what the guest started.
//!
//! Each says what it extends, so that [`crate::bundle`] can replay it into a TPM.

pub mod boot;
pub mod ima;
pub mod signature;
pub mod workload;

pub use boot::{BootEvent, BootLog};
pub use ima::{Bank, ImaEntry, ImaLog, Template};
