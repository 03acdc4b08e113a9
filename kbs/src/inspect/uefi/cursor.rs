//! Reading what may be cut anywhere.

/// Bytes still to be read, little-endian.
pub(super) struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.take(2)?.first_chunk().map(|b| u16::from_le_bytes(*b))
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk().map(|b| u32::from_le_bytes(*b))
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.take(8)?.first_chunk().map(|b| u64::from_le_bytes(*b))
    }
}

/// A GUID in UEFI's mixed byte order.
pub fn guid(bytes: &[u8]) -> Option<String> {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes.first_chunk::<16>()?;
    let (first, second, third) =
        (u32::from_le_bytes([*a, *b, *c, *d]), u16::from_le_bytes([*e, *f]), u16::from_le_bytes([*g, *h]));
    let rest = hex::encode(rest);
    let (fourth, fifth) = rest.split_at_checked(4)?;
    Some(format!("{first:08x}-{second:04x}-{third:04x}-{fourth}-{fifth}"))
}

/// UTF-16LE up to its NUL; `None` where it is none.
pub fn utf16(bytes: &[u8]) -> Option<String> {
    let units =
        bytes.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit)).take_while(|unit| *unit != 0);
    let text: String = char::decode_utf16(units).collect::<Result<_, _>>().ok()?;
    (!text.contains(char::is_control)).then_some(text)
}

/// ASCII up to its NUL, what is not printable left out.
pub fn printable(bytes: &[u8]) -> String {
    let text = bytes.iter().take_while(|b| **b != 0);
    text.filter(|b| b.is_ascii_graphic() || **b == b' ').map(|b| char::from(*b)).collect()
}
