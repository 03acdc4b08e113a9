//! See `sealpod_fuzz::checks::tdx::collateral`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::tdx::collateral);
