//! See `sealpod_fuzz::verify::run`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::verify::run);
