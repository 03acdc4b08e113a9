//! See `sealpod_fuzz::checks::logs::file_signature`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::logs::file_signature);
