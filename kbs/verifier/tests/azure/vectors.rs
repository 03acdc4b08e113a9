//! Captures from real hardware. They are published by other projects and not kept here.

use std::path::PathBuf;

/// The file at `path` under `$SEALPOD_VECTORS`, or beside the workspace; where it is absent, says so.
pub fn vector(path: &str) -> Option<Vec<u8>> {
    let default = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors"));
    let root = std::env::var_os("SEALPOD_VECTORS").map_or(default, PathBuf::from);
    let file = root.join(path);
    let bytes = std::fs::read(&file).ok();
    if bytes.is_none() {
        eprintln!("skipped: no {} (set SEALPOD_VECTORS)", file.display());
    }
    bytes
}
