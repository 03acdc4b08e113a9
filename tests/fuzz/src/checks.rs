//! One check per parser.

pub mod azure;
pub mod logs;
pub mod snp;
pub mod tdx;
pub mod texts;
pub mod tpm;
pub mod x509;

/// Test time of all certificates made by the testkit, and near that of most captures.
pub const NOW: u64 = sealpod_testkit::pki::NOW;
