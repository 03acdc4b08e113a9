//! See `sealpod_fuzz::checks::x509::certificates`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::x509::certificates);
