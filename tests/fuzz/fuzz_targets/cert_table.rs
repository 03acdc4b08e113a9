//! See `sealpod_fuzz::checks::snp::cert_table`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::snp::cert_table);
