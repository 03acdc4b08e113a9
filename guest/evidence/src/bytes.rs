//! Byte strings as JSON carries them: base64 for long ones, lower-case hex for digests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
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
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(Self).map_err(D::Error::custom)
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
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
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
}
