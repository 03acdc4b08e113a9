//! See `sealpod_fuzz::checks::azure::wire`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::azure::wire);
