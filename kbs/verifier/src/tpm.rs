//! Steps 10 to 12: the vTPM's keys, its quote, and the boot that the quoted PCRs hold.
//!
//! None of this says where the TPM is: that is the binding level, step 9. As with [`crate::snp`], the parts of a step can be called
//! by themselves.

pub mod boot;
pub mod ek;
pub mod keys;
pub mod quote;
