//! Valid combined evidence under published test keys, made to be spoiled.
//!
//! A test starts from [`Bundle::valid`], changes one thing, and expects the one refusal that names it. Parts that are
//! changed *before* [`Bundle::seal`] stay consistent with everything that is computed from them; parts that are changed in
//! the [`Sealed`] stay as spoiled, and its `re…` methods recompute the bindings around them, innermost first.
//!
//! What is made here proves nothing to anybody: the keys are in the repository (`keys/README.md`). Everything is the same
//! on every run except the randomness in ECDSA and RSA-PSS signatures. A wrong use panics, as a test should.
#![forbid(unsafe_code)]

pub mod azure;
pub mod bundle;
pub mod channel;
pub mod hash;
pub mod keys;
pub mod logs;
pub mod node;
pub mod pki;
pub mod report;
pub mod tdx;
pub mod tpm;

pub use azure::{AzureBundle, AzureSealed};
pub use bundle::{Bundle, Sealed};
