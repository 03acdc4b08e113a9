//! Block devices, found by the serial number that the launcher gave them.

use crate::files;
use std::path::{Path, PathBuf};

/// The disk that carries initdata.
pub const INITDATA: &str = "initdata";
/// The disk that carries the container image.
pub const IMAGE: &str = "image0";

/// The device node of the disk with this serial, if there is one.
///
/// The host chooses serials; what is on a disk is trusted only after its digest is checked.
pub fn find(serial: &str) -> Option<PathBuf> {
    find_in(Path::new("/sys/block"), serial).map(|name| Path::new("/dev").join(name))
}

fn find_in(blocks: &Path, serial: &str) -> Option<std::ffi::OsString> {
    let mut names: Vec<_> =
        std::fs::read_dir(blocks).ok()?.filter_map(|e| Some(e.ok()?.file_name())).collect();
    names.sort();
    names.into_iter().find(|name| {
        let text = files::read_text(&blocks.join(name).join("serial"));
        text.is_ok_and(|text| text.trim() == serial)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_found_by_its_whole_serial() {
        let dir = tempfile::tempdir().unwrap();
        for (name, serial) in [("vda", "image0"), ("vdb", "initdata"), ("vdc", "initdata2")] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join("serial"), serial).unwrap();
        }
        std::fs::create_dir(dir.path().join("vdd")).unwrap();
        assert_eq!(find_in(dir.path(), "initdata").unwrap(), "vdb");
        assert_eq!(find_in(dir.path(), "init"), None);
    }
}
