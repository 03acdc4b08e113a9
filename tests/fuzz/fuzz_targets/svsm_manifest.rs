//! See `sealpod_fuzz::checks::snp::svsm_manifest`.
#![no_main]
sealpod_fuzz::target!(sealpod_fuzz::checks::snp::svsm_manifest);
