//! Evidence of an Intel TD: quote, PCK chain, collateral, boot log, and what the guest adds.
//!
//! As for SNP: a test starts from [`TdxBundle::valid`], changes one thing, and expects the one refusal that names it. The root is
//! [`Key::Root`], pinned by [`root_digest`].

mod bundle;
mod ccel;
mod collateral;
mod keys;
mod pki;
mod quote;

pub use bundle::{TdxBundle, TdxSealed};
pub use ccel::{Ccel, CcelEvent};
pub use collateral::{Collateral, enclave_level, module_identity, tcb_level};
pub use keys::Key;
pub use pki::{IntelCa, IntelCertificate, IntelCrl, SgxExtensions, pem};
pub use quote::{Certified, EnclaveFields, QuoteFields, TdFields};

use crate::hash::sha384;

/// FMSPC of the test platform.
pub const FMSPC: [u8; 6] = [0x5e, 0xa1, 0x90, 0x0d, 0, 0];
/// PCEID of the test platform.
pub const PCE_ID: [u8; 2] = [0, 0];
/// Security versions of its SGX components.
pub const COMPONENTS: [u8; 16] = [7, 7, 2, 2, 3, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0];
/// Its PCESVN.
pub const PCE_SVN: u16 = 11;
/// Its TEE_TCB_SVN: module 1, version 5.
pub const TEE_TCB_SVN: [u8; 16] = [5, 1, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// MRSIGNER of the test platform's quoting enclave.
pub const QE_SIGNER: [u8; 32] = [0xdc; 32];
/// ISVPRODID of a TD's quoting enclave.
pub const QE_PRODUCT: u16 = 2;
/// ISVSVN of the test platform's quoting enclave.
pub const QE_SVN: u16 = 6;

/// What the test root is pinned by.
pub fn root_digest() -> [u8; 48] {
    sha384(&Key::Root.spki())
}
