//! A cursor over untrusted bytes.
//!
//! Shared by every binary parser of this crate. A read past the end is an error that names the
//! offset, and [`Reader::finish`] is how a parser proves that it used every byte.

use thiserror::Error;

/// The bytes do not have the length that the format calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// A field reaches past the end.
    #[error("{wanted} bytes expected at offset {offset}, {left} left")]
    Truncated {
        /// Where the field starts, from the start of the bytes given to the reader.
        offset: usize,
        /// Length of the field in bytes.
        wanted: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// Bytes follow the last field.
    #[error("{left} bytes left over at offset {offset}")]
    Trailing {
        /// Where the surplus starts.
        offset: usize,
        /// Length of the surplus in bytes.
        left: usize,
    },
}

/// A cursor over borrowed bytes; every method that reads also advances.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

macro_rules! integers {
    ($($(#[$doc:meta])* $name:ident: $int:ty = $from:ident;)*) => {
        $($(#[$doc])*
        pub(crate) fn $name(&mut self) -> Result<$int, ReadError> {
            self.array().map(<$int>::$from)
        })*
    };
}

impl<'a> Reader<'a> {
    /// Starts at the first of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, offset: 0 }
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// Bytes not yet read, without reading them.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether every byte has been read.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], ReadError> {
        let Some((head, tail)) = self.rest.split_at_checked(length) else {
            return Err(self.truncated(length));
        };
        self.advance(tail, length);
        Ok(head)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let Some((head, tail)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.truncated(N));
        };
        self.advance(tail, N);
        Ok(*head)
    }

    /// The next byte.
    pub(crate) fn u8(&mut self) -> Result<u8, ReadError> {
        self.array::<1>().map(|[byte]| byte)
    }

    integers! {
        /// The next two bytes, least significant first.
        le_u16: u16 = from_le_bytes;
        /// The next four bytes, least significant first.
        le_u32: u32 = from_le_bytes;
        /// The next two bytes, most significant first.
        be_u16: u16 = from_be_bytes;
        /// The next four bytes, most significant first.
        be_u32: u32 = from_be_bytes;
        /// The next eight bytes, most significant first.
        be_u64: u64 = from_be_bytes;
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// [`ReadError::Trailing`] where bytes are left.
    pub(crate) fn finish(self) -> Result<(), ReadError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(ReadError::Trailing { offset: self.offset, left }),
        }
    }

    fn advance(&mut self, tail: &'a [u8], length: usize) {
        self.rest = tail;
        // Cannot overflow: the offset never passes the length of the slice that `new` was given.
        self.offset = self.offset.saturating_add(length);
    }

    fn truncated(&self, wanted: usize) -> ReadError {
        ReadError::Truncated { offset: self.offset, wanted, left: self.rest.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_in_both_orders_and_counts() -> Result<(), ReadError> {
        let mut reader = Reader::new(&[1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(reader.u8()?, 1);
        assert_eq!(reader.le_u16()?, 0x0302);
        assert_eq!(reader.be_u16()?, 0x0405);
        assert_eq!(reader.offset(), 5);
        assert_eq!(reader.take(2)?, [6, 7]);
        assert!(reader.is_empty());
        reader.finish()
    }

    #[test]
    fn a_read_past_the_end_moves_nothing() {
        let mut reader = Reader::new(&[1, 2, 3]);
        let wanted = ReadError::Truncated { offset: 0, wanted: 4, left: 3 };
        assert_eq!(reader.le_u32(), Err(wanted));
        assert_eq!(reader.take(4), Err(wanted));
        assert_eq!(reader.rest(), [1, 2, 3]);
    }

    #[test]
    fn surplus_is_an_error() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u8(), Ok(1));
        let wanted = ReadError::Trailing { offset: 1, left: 2 };
        assert_eq!(reader.finish(), Err(wanted));
    }
}
