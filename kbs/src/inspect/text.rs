//! Bytes that were written down as text: byte order marks, hex, base64, dumps.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// The text of a file, without byte order mark; UTF-16 where one says so. `None` where it is no text.
pub fn of(bytes: &[u8]) -> Option<String> {
    let text = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => std::str::from_utf8(rest).ok()?.to_owned(),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        _ => std::str::from_utf8(bytes).ok()?.to_owned(),
    };
    // NUL and other controls are in no text that anyone writes evidence in; NULs at the end are some tools' terminators.
    let text = text.trim_end_matches('\0').to_owned();
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}');
    (!text.is_empty() && !text.contains(odd)).then_some(text)
}

/// Bytes written as hex: digits in either case, with spaces, line ends, colons, commas or `0x` between them, or the dumps
/// of `xxd` and `hexdump -C`.
pub fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    dump(text).or_else(|| {
        let text = text.trim().trim_matches('"').trim();
        let mut digits = String::with_capacity(text.len());
        for word in text.split(|c: char| c.is_ascii_whitespace() || matches!(c, ':' | ',' | '-')) {
            let word = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")).unwrap_or(word);
            let word = word.strip_prefix("\\x").unwrap_or(word);
            digits.push_str(word);
        }
        if digits.len() < 2 { None } else { hex::decode(&digits).ok() }
    })
}

/// Bytes written as base64 of either alphabet, with or without padding, on any number of lines.
pub fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    let text = text.trim().trim_matches('"');
    let text = text.strip_prefix("base64:").unwrap_or(text);
    let digits: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let digits = digits.replace("\\n", "");
    if digits.len() < 4 {
        return None;
    }
    let alphabet = if digits.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    GeneralPurpose::new(alphabet, LENIENT).decode(digits.as_bytes()).ok()
}

fn utf16(bytes: &[u8], read: fn([u8; 2]) -> u16) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    char::decode_utf16(units.iter().map(|unit| read(*unit))).collect::<Result<String, _>>().ok()
}

/// `00000010: ff54 4347 …  .TCG`, and `00000010  ff 54 43 47 …  |.TCG|`.
fn dump(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (offset, rest) = line.split_at_checked(8)?;
        let offset = usize::from_str_radix(offset, 16).ok()?;
        if offset != out.len() {
            return None;
        }
        let digits = match rest.strip_prefix(": ") {
            Some(rest) => rest.split("  ").next()?,
            // hexdump ends with the offset alone.
            None if rest.trim().is_empty() && !out.is_empty() => continue,
            None => rest.strip_prefix("  ")?.split('|').next()?,
        };
        let digits: String = digits.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        out.extend(hex::decode(digits).ok()?);
    }
    (!out.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_however_it_is_spaced() {
        for text in [
            "ff544347",
            "FF 54 43 47",
            "ff:54:43:47\r\n",
            "0xff544347",
            "0xff, 0x54, 0x43, 0x47",
            "\"ff544347\"\n",
        ] {
            assert_eq!(hex_bytes(text), Some(vec![0xff, 0x54, 0x43, 0x47]), "{text}");
        }
        let xxd = "00000000: ff54 4347 8018 0022 000b 5e49 660a b763  .TCG...\"..^If..c\n00000010: 2407                                     $.\n";
        assert_eq!(hex_bytes(xxd).map(|b| b.len()), Some(18));
        let hexdump = "00000000  ff 54 43 47 80 18 00 22  00 0b 5e 49 66 0a b7 63  |.TCG...\"..^If..c|\n00000010  24 07                                             |$.|\n00000012\n";
        assert_eq!(hex_bytes(hexdump).map(|b| b.len()), Some(18));
        for text in ["", "f", "xyz", "ff5443470"] {
            assert_eq!(hex_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn base64_is_read_in_both_alphabets() {
        for text in ["/1RDRw==", "_1RDRw", " /1RD\r\nRw==\n", "\"/1RDRw==\""] {
            assert_eq!(base64_bytes(text), Some(vec![0xff, 0x54, 0x43, 0x47]), "{text}");
        }
    }

    #[test]
    fn byte_order_marks_are_no_content() {
        assert_eq!(of(b"\xef\xbb\xbfab\r\n").as_deref(), Some("ab\r\n"));
        assert_eq!(of(b"\xff\xfea\0b\0").as_deref(), Some("ab"));
        assert_eq!(of(b"\xfe\xff\0a\0b").as_deref(), Some("ab"));
        assert_eq!(of(b"a\0b"), None);
        assert_eq!(of(b"\xff\x54"), None);
        assert_eq!(of(b""), None);
    }
}
