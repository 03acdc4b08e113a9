//! Byte strings as JSON carries them: base64 for long ones, lower-case hex for digests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, de::Visitor};
use std::fmt;

/// Bytes that travel as standard base64 with padding.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Base64(pub Vec<u8>);

impl fmt::Debug for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base64({} bytes)", self.0.len())
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Base64Visitor)
    }
}

/// Decodes where the text lies: a `Cow` would be an owned copy, and a log has megabytes.
struct Base64Visitor;

impl Visitor<'_> for Base64Visitor {
    type Value = Base64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string of standard base64")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Base64, E> {
        STANDARD.decode(text).map(Base64).map_err(E::custom)
    }
}

/// Exactly `N` bytes that travel as lower-case hex; any other length is refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HexArray<const N: usize>(pub [u8; N]);

/// A SHA-256 digest.
pub type Sha256Digest = HexArray<32>;
/// A SHA-384 digest, also the size of an SNP launch measurement.
pub type Sha384Digest = HexArray<48>;

/// Why a text is not the hex of `N` bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} lower-case hex digits, found {found:?}")]
pub struct HexError {
    /// How many digits were expected.
    pub expected: usize,
    /// The text found, cut to 128 characters.
    pub found: String,
}

impl<const N: usize> std::str::FromStr for HexArray<N> {
    type Err = HexError;
    fn from_str(text: &str) -> Result<Self, HexError> {
        let error = || HexError { expected: 2 * N, found: text.chars().take(128).collect() };
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(error());
        }
        let mut out = [0; N];
        hex::decode_to_slice(text, &mut out).map_err(|_| error())?;
        Ok(Self(out))
    }
}

impl<const N: usize> fmt::Display for HexArray<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        for bytes in self.0.chunks(32) {
            let digits = digits.get_mut(..2 * bytes.len()).unwrap_or_default();
            hex::encode_to_slice(bytes, digits).map_err(|_| fmt::Error)?;
            f.write_str(std::str::from_utf8(digits).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

impl<const N: usize> fmt::Debug for HexArray<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> Serialize for HexArray<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for HexArray<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_takes_exactly_its_length_in_lower_case() {
        assert_eq!("00ff".parse::<HexArray<2>>().unwrap(), HexArray([0, 255]));
        assert!("00FF".parse::<HexArray<2>>().is_err());
        assert!("00f".parse::<HexArray<2>>().is_err());
        assert!("00ff00".parse::<HexArray<2>>().is_err());
        assert!("zz00".parse::<HexArray<2>>().is_err());
    }

    #[test]
    fn hex_of_any_length_is_read_back() {
        fn both_ways<const N: usize>() {
            let bytes = HexArray(std::array::from_fn::<u8, N, _>(|at| (at * 37) as u8));
            let text = bytes.to_string();
            assert_eq!(text, hex::encode(bytes.0));
            assert_eq!(text.parse(), Ok(bytes));
        }
        both_ways::<0>();
        both_ways::<1>();
        both_ways::<32>();
        both_ways::<48>();
        both_ways::<65>();
    }

    #[test]
    fn base64_is_read_from_plain_and_from_escaped_text() {
        let read = |text: &str| serde_json::from_str::<Base64>(text).map(|bytes| bytes.0);
        assert_eq!(read("\"AP8=\"").unwrap(), [0, 255]);
        assert_eq!(read("\"\\u0041P8=\"").unwrap(), [0, 255]);
        for bad in ["\"AP8\"", "\"AP9=\"", "\"A P8=\"", "1", "null", "[0]"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
