//! Endorsements on disk: one file each, whole or not there. A file that is not whole counts as none, and is said.

use super::item::Item;
use super::record::Record;
use crate::layout::Layout;
use crate::storage::StorageError;
use crate::storage::files::{Durability, write_atomic};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;

/// Largest file that is read: the largest body, a chain beside it, and a head.
const MAX_FILE: u64 = 512 << 10;
/// Directory of what there is one of for each chip, so that the rest is quickly listed.
const CHIPS: &str = "chips";
/// Most chips kept. A vendor certifies a chip for many TCBs, and a guest on a real chip may name them all; 65,536 files take 256 MiB.
const MAX_CHIPS: usize = 65_536;

/// The directory. Several processes may use it at the same time.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
    /// Chips kept, as far as this process knows: counted when it is opened and with each one that is written.
    chips: Arc<AtomicUsize>,
}

impl Cache {
    /// Open or make the cache of a broker.
    pub fn open(layout: &Layout) -> Result<Self, StorageError> {
        let root = layout.endorsements();
        for path in [&root, &root.join(CHIPS)] {
            match fs::DirBuilder::new().mode(0o700).create(path) {
                Err(source) if source.kind() != ErrorKind::AlreadyExists => {
                    return Err(error("cannot make", path, source));
                }
                _ => {}
            }
        }
        let chips = list(&root.join(CHIPS))?.len();
        Ok(Self { root, chips: Arc::new(AtomicUsize::new(chips)) })
    }

    /// The record of an item; `None` where there is none that is whole.
    pub fn get(&self, item: &Item) -> Option<Record> {
        let path = self.path(item);
        let found = read(&path)?;
        match Record::decode(*item, &found) {
            Ok(record) => Some(record),
            Err(why) => {
                eprintln!("sealpod-kbs: {} is not whole and counts as absent: {why}", path.display());
                None
            }
        }
    }

    /// Keep a record in place of an older one. A reader sees all of either.
    pub fn put(&self, record: &Record) -> Result<(), StorageError> {
        let is_chip = matches!(record.item, Item::Vcek { .. });
        if is_chip && self.chips.fetch_add(1, Ordering::Relaxed) >= MAX_CHIPS {
            let left = forget_oldest(&self.root.join(CHIPS), MAX_CHIPS / 8 * 7)?;
            self.chips.store(left + 1, Ordering::Relaxed);
        }
        write_atomic(&self.path(&record.item), &record.encode(), Durability::Cached)
    }

    /// Forget an item; whether there was a file.
    pub fn remove(&self, item: &Item) -> Result<bool, StorageError> {
        let path = self.path(item);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(source) if source.kind() == ErrorKind::NotFound => Ok(false),
            Err(source) => Err(error("cannot remove", &path, source)),
        }
    }

    /// Names of the items that do not belong to one chip, sorted.
    pub fn standing(&self) -> Result<Vec<Item>, StorageError> {
        list(&self.root)
    }

    /// Names of all items, sorted.
    pub fn all(&self) -> Result<Vec<Item>, StorageError> {
        let mut items = list(&self.root)?;
        items.extend(list(&self.root.join(CHIPS))?);
        items.sort();
        Ok(items)
    }

    fn path(&self, item: &Item) -> PathBuf {
        let directory = match item {
            Item::Vcek { .. } => self.root.join(CHIPS),
            _ => self.root.clone(),
        };
        directory.join(item.to_string())
    }
}

/// The bytes of a file, or `None` with a word about it where it is there and cannot be read.
fn read(path: &Path) -> Option<Vec<u8>> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(source) if source.kind() == ErrorKind::NotFound => return None,
        Err(source) => {
            eprintln!("sealpod-kbs: cannot read {}: {source}", path.display());
            return None;
        }
    };
    if length > MAX_FILE {
        let path = path.display();
        eprintln!("sealpod-kbs: {path} has {length} bytes, at most {MAX_FILE} expected; it counts as absent");
        return None;
    }
    fs::read(path)
        .inspect_err(|source| eprintln!("sealpod-kbs: cannot read {}: {source}", path.display()))
        .ok()
}

fn list(directory: &Path) -> Result<Vec<Item>, StorageError> {
    let failed = |source| error("cannot list", directory, source);
    let mut items = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        // Other names are temporary files of writers that died, or the chips' directory.
        items.extend(entry.map_err(failed)?.file_name().to_str().and_then(|name| name.parse::<Item>().ok()));
    }
    items.sort();
    Ok(items)
}

/// Remove the files that were written longest ago until `most` are left; how many are. They can be fetched again.
fn forget_oldest(directory: &Path, most: usize) -> Result<usize, StorageError> {
    let failed = |source| error("cannot list", directory, source);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // One that another process removed meanwhile is removed.
        let Ok(written) = entry.metadata().and_then(|metadata| metadata.modified()) else { continue };
        files.push((written.duration_since(UNIX_EPOCH).unwrap_or_default(), entry.path()));
    }
    files.sort();
    let surplus = files.len().saturating_sub(most);
    for (_, path) in files.iter().take(surplus) {
        match fs::remove_file(path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(error("cannot remove", path, source));
            }
            _ => {}
        }
    }
    Ok(files.len() - surplus)
}

fn error(operation: &'static str, path: &Path, source: std::io::Error) -> StorageError {
    StorageError::Io { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::super::content::Content;
    use super::*;
    use sealpod_evidence::snp::report::Product;

    const CHIP: Item = Item::Vcek { product: Product::Genoa, chip_id: [7; 64], tcb: [1; 8] };

    fn record(item: Item) -> Record {
        let content = Content { body: b"body".to_vec(), chain: None, window: (0, 9), issued: 0 };
        Record::new(item, content, "file".to_owned(), 1)
    }

    #[test]
    fn what_is_kept_is_found_by_another_process() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(directory.path());
        let cache = Cache::open(&layout).unwrap();
        assert_eq!(cache.get(&CHIP), None);
        for item in [CHIP, Item::TdxQeIdentity] {
            cache.put(&record(item)).unwrap();
        }
        let other = Cache::open(&layout).unwrap();
        assert_eq!(other.get(&CHIP), Some(record(CHIP)));
        assert_eq!(other.standing().unwrap(), [Item::TdxQeIdentity]);
        assert_eq!(other.all().unwrap(), [CHIP, Item::TdxQeIdentity]);
        assert!(other.remove(&CHIP).unwrap() && !other.remove(&CHIP).unwrap());
    }

    #[test]
    fn of_too_many_the_oldest_are_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(&Layout::new(directory.path())).unwrap();
        let chip = |id| Item::Vcek { product: Product::Genoa, chip_id: [id; 64], tcb: [1; 8] };
        for id in 1..=8 {
            cache.put(&record(chip(id))).unwrap();
            let file = fs::File::open(cache.path(&chip(id))).unwrap();
            file.set_modified(UNIX_EPOCH + std::time::Duration::from_secs(1000 - u64::from(id))).unwrap();
        }
        let chips = cache.root.join(CHIPS);
        assert_eq!(forget_oldest(&chips, 8).unwrap(), 8);
        assert_eq!(forget_oldest(&chips, 3).unwrap(), 3);
        assert_eq!(cache.all().unwrap(), [chip(1), chip(2), chip(3)]);
        // The count makes room before the next one is written.
        cache.chips.store(MAX_CHIPS, Ordering::Relaxed);
        cache.put(&record(chip(9))).unwrap();
        assert_eq!(cache.chips.load(Ordering::Relaxed), 4);
        assert_eq!(Cache::open(&Layout::new(directory.path())).unwrap().chips.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn a_file_that_is_not_whole_counts_as_none_and_can_be_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(&Layout::new(directory.path())).unwrap();
        cache.put(&record(CHIP)).unwrap();
        let path = cache.path(&CHIP);
        let whole = fs::read(&path).unwrap();
        for bad in [&b""[..], &whole[..whole.len() - 1], b"text\n", &vec![b'x'; MAX_FILE as usize + 1]] {
            fs::write(&path, bad).unwrap();
            assert_eq!(cache.get(&CHIP), None);
        }
        cache.put(&record(CHIP)).unwrap();
        assert_eq!(cache.get(&CHIP), Some(record(CHIP)));
        // A writer that was killed leaves this, which nobody takes for an item.
        fs::write(path.with_file_name(".0123"), b"half").unwrap();
        assert_eq!(cache.all().unwrap(), [CHIP]);
    }
}
