//! See `sealpod_fuzz::checks::texts::body`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::texts::body);
