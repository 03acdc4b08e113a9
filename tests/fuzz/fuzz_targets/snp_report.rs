//! See `sealpod_fuzz::checks::snp::report`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::snp::report);
