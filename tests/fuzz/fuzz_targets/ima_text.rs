//! See `sealpod_fuzz::checks::logs::ima_text`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::logs::ima_text);
