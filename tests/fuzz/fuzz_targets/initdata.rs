//! See `sealpod_fuzz::checks::texts::initdata`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::texts::initdata);
