//! See `sealpod_fuzz::checks::texts::packed`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::texts::packed);
