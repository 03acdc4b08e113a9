//! See `sealpod_fuzz::checks::azure::hcl`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::azure::hcl);
