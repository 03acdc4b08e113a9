//! See `sealpod_fuzz::checks::tpm::structures`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::tpm::structures);
