//! Bytes that are wiped when dropped and that no log can print.

use zeroize::Zeroizing;

/// A secret of any length. No `Debug`, no `Clone`.
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Take over these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes. Whoever copies them must wipe the copy.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// A 256-bit key.
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// Take over a key.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key's bytes.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}
