//! See `sealpod_fuzz::checks::logs::boot_log`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::logs::boot_log);
