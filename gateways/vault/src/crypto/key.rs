//! Symmetric keys: wiped when dropped, never shown, never serialized by a library.

use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::CryptoError;

/// Bytes of the longest symmetric key (AES-256, ChaCha20).
pub const KEY_BYTES_MAX: usize = 32;

/// A symmetric key of 8, 16, 24 or 32 bytes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key {
    bytes: [u8; KEY_BYTES_MAX],
    len: usize,
}

impl Key {
    /// Takes a copy of `bytes`; the caller wipes the original.
    ///
    /// # Errors
    /// `KeyLength` unless there are 8, 16, 24 or 32 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, CryptoError> {
        match bytes.len() {
            8 | 16 | 24 | 32 => {
                let mut key = Self { bytes: [0; KEY_BYTES_MAX], len: bytes.len() };
                key.bytes[..bytes.len()].copy_from_slice(bytes);
                Ok(key)
            }
            got => Err(CryptoError::KeyLength { got }),
        }
    }

    /// Takes a 32-byte key.
    #[must_use]
    pub fn from_32(mut bytes: [u8; 32]) -> Self {
        let key = Self { bytes, len: 32 };
        bytes.zeroize();
        key
    }

    /// Takes a 16-byte key.
    #[must_use]
    pub fn from_16(mut bytes: [u8; 16]) -> Self {
        let mut key = Self { bytes: [0; KEY_BYTES_MAX], len: 16 };
        key.bytes[..16].copy_from_slice(&bytes);
        bytes.zeroize();
        key
    }

    /// Reads a key from hexadecimal digits, as configuration gives it.
    ///
    /// # Errors
    /// `KeyLength` for anything but 16, 32, 48 or 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Self, CryptoError> {
        let mut bytes = hex::decode(text.trim())
            .map_err(|_| CryptoError::KeyLength { got: text.trim().len() / 2 })?;
        let key = Self::new(&bytes);
        bytes.zeroize();
        key
    }

    /// The key's bytes, for the algorithm that uses it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The bytes of a key that was made with 32.
    ///
    /// # Errors
    /// `KeyLength` for a shorter key.
    pub fn bytes_32(&self) -> Result<&[u8; 32], CryptoError> {
        if self.len == 32 { Ok(&self.bytes) } else { Err(CryptoError::KeyLength { got: self.len }) }
    }

    /// The first and the second half, for algorithms over a double-length key.
    pub(crate) fn halves(&self) -> (&[u8], &[u8]) {
        self.bytes().split_at(self.len / 2)
    }

    /// The key with a pattern added (XOR) to it, repeated to the key's length.
    pub(crate) fn xor(&self, pattern: &[u8]) -> Self {
        let mut out = self.clone();
        for (byte, mask) in out.bytes[..self.len].iter_mut().zip(pattern.iter().cycle()) {
            *byte ^= mask;
        }
        out
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && bool::from(self.bytes().ct_eq(other.bytes()))
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(********)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_shows_itself() {
        let key = Key::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
        assert_eq!(format!("{key:?}"), "Key(********)");
        assert_eq!(key.bytes().len(), 16);
    }

    #[test]
    fn only_real_lengths_are_keys() {
        for len in 0..=64 {
            let made = Key::new(&vec![7; len]).is_ok();
            assert_eq!(made, [8, 16, 24, 32].contains(&len), "{len}");
        }
        for bad in ["", "0", "zz23456789ABCDEF", "0123456789ABCDE", "0123456789ABCDEF01"] {
            assert!(Key::from_hex(bad).is_err(), "{bad}");
        }
    }
}
