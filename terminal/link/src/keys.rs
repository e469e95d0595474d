//! The keys of both ends: a secret that never shows itself, a public key, its fingerprint.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use x25519_dalek::StaticSecret;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Length of a fingerprint, in bytes: 128 bits, so that a second key with the same one is out of reach.
pub const FINGERPRINT_BYTES: usize = 16;

/// Fault of reading a key or a terminal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 64 hexadecimal digits.
    #[error("a key is 64 hexadecimal digits")]
    NotHex,
    /// The all-zero key, which no one owns.
    #[error("a key must not be all zero")]
    Zero,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// Long-term X25519 private key of one end (RFC 7748); masked in `Debug`, wiped on drop.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct StaticKey([u8; 32]);

impl StaticKey {
    /// Makes a new key from the system's randomness.
    ///
    /// # Errors
    /// `KeyError::Random` if the system has none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut key = Self([0; 32]);
        getrandom::fill(&mut key.0).map_err(|_| KeyError::Random)?;
        Ok(key)
    }
    /// Takes the 32 bytes of a stored key.
    ///
    /// # Errors
    /// `KeyError::Zero` if all of them are zero.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        if bytes == [0; 32] { Err(KeyError::Zero) } else { Ok(Self(bytes)) }
    }
    /// The 32 secret bytes, for storing them in a file that only the owner reads.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let secret = StaticSecret::from(self.0);
        PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
    }
}

impl fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StaticKey(****)")
    }
}

/// Public X25519 key of one end; shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// `KeyError::NotHex` for anything else, `KeyError::Zero` for the all-zero key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(KeyError::NotHex);
        }
        let mut key = [0u8; 32];
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let nibble = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
            let (high, low) = nibble(pair[0]).zip(nibble(pair[1])).ok_or(KeyError::NotHex)?;
            *byte = high << 4 | low;
        }
        if key == [0; 32] { Err(KeyError::Zero) } else { Ok(Self(key)) }
    }
    /// First 16 bytes of the SHA-256 of a domain label and the key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let digest =
            Sha256::new().chain_update(b"guichet/link-key/1").chain_update(self.0).finalize();
        let mut short = [0; FINGERPRINT_BYTES];
        short.copy_from_slice(&digest[..FINGERPRINT_BYTES]);
        Fingerprint(short)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::parse(&text)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

/// Short name of a public key, that two people can compare; shown in hexadecimal groups of four.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; FINGERPRINT_BYTES]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, pair) in self.0.chunks(2).enumerate() {
            let gap = if at == 0 { "" } else { "-" };
            write!(f, "{gap}{:02x}{:02x}", pair[0], pair[1])?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Number of a terminal, as the center counts them; shown as ISO 8583 DE 41 does: `T0000001`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TerminalNumber(pub u32);

impl fmt::Display for TerminalNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{:07}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_key_of_the_published_static_key() {
        let secret =
            hex::decode("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1");
        let key = StaticKey::from_bytes(secret.unwrap().try_into().unwrap()).unwrap();
        let public = "6bc3822a2aa7f4e6981d6538692b3cdf3e6df9eea6ed269eb41d93c22757b75a";
        assert_eq!(key.public().to_string(), public);
        assert_eq!(PublicKey::parse(public), Ok(key.public()));
    }

    #[test]
    fn a_secret_shows_a_mask() {
        let key = StaticKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), "StaticKey(****)");
        assert_eq!(StaticKey::from_bytes([0; 32]).unwrap_err(), KeyError::Zero);
    }

    #[test]
    fn bad_keys_are_named() {
        let good = "ab".repeat(32);
        assert!(PublicKey::parse(&good).is_ok());
        for (text, fault) in [
            ("", KeyError::NotHex),
            (&good[1..], KeyError::NotHex),
            (&"zz".repeat(32), KeyError::NotHex),
            (&"é".repeat(32), KeyError::NotHex),
            (&"00".repeat(32), KeyError::Zero),
        ] {
            assert_eq!(PublicKey::parse(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn fingerprints_differ_and_read_well() {
        let (a, b) = (PublicKey([1; 32]), PublicKey([2; 32]));
        assert_ne!(a.fingerprint(), b.fingerprint());
        assert_eq!(a.fingerprint().to_string().len(), 39);
    }
}
