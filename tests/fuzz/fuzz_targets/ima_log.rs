//! See `sealpod_fuzz::checks::logs::ima_log`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::logs::ima_log);
