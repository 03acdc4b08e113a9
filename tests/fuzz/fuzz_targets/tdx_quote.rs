//! See `sealpod_fuzz::checks::tdx::quote`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::tdx::quote);
