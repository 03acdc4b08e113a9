//! What is fuzzed: one check per parser, and one for the whole verification.
//!
//! A check takes any bytes. It must not panic, must not take more heap than a small multiple of the bytes, and what a parser accepts must
//! be what it was given: read again, written again or digested again, it is the same.
//!
//! The targets in `fuzz_targets/` are one line each; `scripts/fuzz` runs them.

pub mod checks;
pub mod heap;
pub mod seeds;
pub mod verify;

/// All targets and their checks, in the order in which they are run.
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("snp_report", checks::snp::report),
    ("cert_table", checks::snp::cert_table),
    ("svsm_manifest", checks::snp::svsm_manifest),
    ("boot_log", checks::logs::boot_log),
    ("ccel", checks::logs::ccel),
    ("ima_log", checks::logs::ima_log),
    ("ima_text", checks::logs::ima_text),
    ("cel", checks::logs::cel),
    ("file_signature", checks::logs::file_signature),
    ("tpm", checks::tpm::structures),
    ("tpm_containers", checks::tpm::containers),
    ("initdata", checks::texts::initdata),
    ("body", checks::texts::body),
    ("reference", checks::texts::reference),
    ("packed", checks::texts::packed),
    ("x509", checks::x509::certificates),
    ("tdx_quote", checks::tdx::quote),
    ("collateral", checks::tdx::collateral),
    ("hcl", checks::azure::hcl),
    ("az_wire", checks::azure::wire),
    ("verify", verify::run),
];

/// Run one check on one input; what a target's program consists of.
#[macro_export]
macro_rules! target {
    ($check:path) => {
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $check(data));
    };
}
