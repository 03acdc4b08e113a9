//! The disk that carries initdata into the guest.

use flate2::Compression;
use flate2::write::GzEncoder;
use sealpod_evidence::initdata::{DISK_MAGIC, Initdata};
use std::io::{self, Write as _};
use std::path::Path;

/// Magic, length of the compressed data, compressed data, zeros up to a whole sector.
pub fn write(initdata: &Initdata, path: &Path) -> io::Result<()> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(initdata.text().as_bytes())?;
    let compressed = encoder.finish()?;
    let mut disk = DISK_MAGIC.to_vec();
    disk.extend((compressed.len() as u64).to_le_bytes());
    disk.extend(compressed);
    disk.resize(disk.len().next_multiple_of(512), 0);
    std::fs::write(path, disk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpod_evidence::initdata::PodPolicy;
    use std::io::Read as _;

    #[test]
    fn the_disk_holds_exactly_the_text() {
        let initdata = Initdata::compose(&PodPolicy { kbs: None, containers: vec![] }).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        write(&initdata, file.path()).unwrap();
        let disk = std::fs::read(file.path()).unwrap();
        assert_eq!(disk.len() % 512, 0);
        assert_eq!(&disk[..8], DISK_MAGIC);
        let length = u64::from_le_bytes(disk[8..16].try_into().unwrap()) as usize;
        let mut text = String::new();
        flate2::read::GzDecoder::new(&disk[16..16 + length]).read_to_string(&mut text).unwrap();
        assert_eq!(text, initdata.text());
    }
}
