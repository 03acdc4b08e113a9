//! Steps 10 to 12: the vTPM's keys, its quote, and the boot that the quoted PCRs hold.
//!
//! None of this says where the TPM is: that is the binding level, step 9.

mod boot;
mod keys;
mod quote;

pub(crate) use boot::{Booted, boot};
pub(crate) use keys::keys_and_credential;
pub(crate) use quote::quote;
