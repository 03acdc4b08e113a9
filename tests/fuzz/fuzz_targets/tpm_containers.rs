//! See `sealpod_fuzz::checks::tpm::containers`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::tpm::containers);
