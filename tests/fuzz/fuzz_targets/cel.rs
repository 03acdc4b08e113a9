//! See `sealpod_fuzz::checks::logs::cel`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::logs::cel);
