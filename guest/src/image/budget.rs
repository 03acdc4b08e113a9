//! Memory that images may take. Containers live in a ramfs (see [`crate::init::CONTAINERS`]), which has no limit of
//! its own: without this one the kernel would start to kill.

use std::cell::Cell;
use std::io;

/// What an entry costs beside its bytes: inode and directory entry (about 800 bytes), and the unused rest of its
/// last page.
const ENTRY: u64 = 4096;

/// The unpacked image does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "unpacking needs more than the {expected} bytes of this machine's memory that images may take; give it more (--memory)"
)]
pub struct Exhausted {
    /// The budget in bytes.
    pub expected: u64,
}

impl From<Exhausted> for io::Error {
    fn from(error: Exhausted) -> Self {
        Self::new(io::ErrorKind::StorageFull, error)
    }
}

impl Exhausted {
    /// The one inside an I/O error, if that is what it is.
    pub fn inside(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

/// Bytes still to be had. What a later layer replaces is not given back: the count is an upper bound.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    left: Cell<u64>,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self { limit, left: Cell::new(limit) }
    }

    /// Ask for bytes before they are written.
    pub fn take(&self, bytes: u64) -> Result<(), Exhausted> {
        let left = self.left.get().checked_sub(bytes).ok_or(Exhausted { expected: self.limit })?;
        self.left.set(left);
        Ok(())
    }

    /// Ask for one more entry of a directory.
    pub fn take_entry(&self) -> Result<(), Exhausted> {
        self.take(ENTRY)
    }

    /// Return what was freed again.
    pub fn give_back(&self, bytes: u64) {
        self.left.set(self.left.get().saturating_add(bytes).min(self.limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_beyond_the_limit() {
        let budget = Budget::new(ENTRY + 10);
        budget.take_entry().unwrap();
        assert_eq!(budget.take(11), Err(Exhausted { expected: ENTRY + 10 }));
        budget.take(10).unwrap();
        assert!(budget.take(1).is_err());
        budget.give_back(u64::MAX);
        assert!(budget.take(ENTRY + 11).is_err());
        budget.take(ENTRY + 10).unwrap();
    }

    #[test]
    fn the_error_survives_being_an_io_error() {
        let error = Exhausted { expected: 7 };
        assert_eq!(Exhausted::inside(&error.into()), Some(error));
        assert_eq!(Exhausted::inside(&io::ErrorKind::NotFound.into()), None);
    }
}
