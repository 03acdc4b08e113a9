//! Intel TDX: who signed a quote, what Intel says of the platform, and what the quote says of the TD.
//!
//! Each check is a function over a single piece, so that an operator's tool runs the very ones that the pipeline runs:
//!
//! | step | function |
//! |---|---|
//! | 1 | [`parse`], [`Collateral::from_json`], [`Collateral::from_parts`] |
//! | 3 | [`endorse`]; in parts [`certificates`] then [`pck`], and [`verify_collateral`] |
//! | 4 | [`qe_report`], [`evaluate`], [`accept`] |
//! | 5 | [`signature`] |
//! | 6 | [`td`], [`attributes`] |
//! | 7 | [`report_data`] |
//! | 8 | [`launch`], [`config_id`] |
//! | 12 | [`boot_log`] |
//! | 15 | [`workload_log`] |
//!
//! Steps 3 to 5 take SGX quotes too.

pub(crate) mod claims;

mod chain;
mod collateral;
mod document;
mod endorsements;
mod fields;
mod intel;
mod level;
mod logs;
mod pck;
mod quote;
mod status;
mod text;

pub use chain::{VerifiedPck, pck, root_key_digest};
pub use collateral::{
    Collateral, CollateralParts, MAX_COLLATERAL, VerifiedCollateral, verify as verify_collateral,
    verify_qe_identity, verify_tcb_info,
};
pub use document::{EnclaveIdentity, TcbInfo};
pub use endorsements::{TdxEndorsements, VerifiedPlatform, endorse};
pub use fields::{attributes, config_id, launch, report_data, td};
pub use intel::{PckCa, builtin_roots};
pub use level::{TcbVerdict, accept, evaluate};
pub use logs::{MAX_CCEL, boot_log, initdata_digest, workload_log};
pub use pck::Platform;
pub use quote::{MAX_QUOTE, certificates, parse, qe_report, signature};
pub use status::TcbStatus;
pub use text::certificates as read_certificates;
