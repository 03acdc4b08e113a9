//! See `sealpod_fuzz::checks::texts::reference`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::texts::reference);
