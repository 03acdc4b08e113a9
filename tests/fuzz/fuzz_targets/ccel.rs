//! See `sealpod_fuzz::checks::logs::ccel`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::logs::ccel);
