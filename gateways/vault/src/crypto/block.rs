//! Block ciphers by key length (single, double and triple DES; AES), and key check values.

use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use des::{Des, TdesEde2, TdesEde3};

use super::{CryptoError, Key};

/// The cipher that a DES key of 8, 16 or 24 bytes means.
pub struct Tdes(TdesKind);

enum TdesKind {
    One(Des),
    Two(TdesEde2),
    Three(TdesEde3),
}

/// The cipher that an AES key of 16, 24 or 32 bytes means.
pub struct Aes(AesKind);

enum AesKind {
    A128(Aes128),
    A192(Aes192),
    A256(Aes256),
}

fn wrong(got: usize) -> CryptoError {
    CryptoError::KeyLength { got }
}

impl Tdes {
    /// Schedules a key; parity bits are ignored, as hosts do.
    ///
    /// # Errors
    /// `KeyLength` unless the key has 8, 16 or 24 bytes.
    pub fn new(key: &Key) -> Result<Self, CryptoError> {
        Self::from_bytes(key.bytes())
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, CryptoError> {
        let bad = |_| wrong(bytes.len());
        Ok(Self(match bytes.len() {
            8 => TdesKind::One(Des::new_from_slice(bytes).map_err(bad)?),
            16 => TdesKind::Two(TdesEde2::new_from_slice(bytes).map_err(bad)?),
            24 => TdesKind::Three(TdesEde3::new_from_slice(bytes).map_err(bad)?),
            got => return Err(wrong(got)),
        }))
    }

    /// Encrypts one block.
    #[must_use]
    pub fn encrypt(&self, block: [u8; 8]) -> [u8; 8] {
        let mut out = Array::from(block);
        match &self.0 {
            TdesKind::One(c) => c.encrypt_block(&mut out),
            TdesKind::Two(c) => c.encrypt_block(&mut out),
            TdesKind::Three(c) => c.encrypt_block(&mut out),
        }
        out.into()
    }

    /// Decrypts one block.
    #[must_use]
    pub fn decrypt(&self, block: [u8; 8]) -> [u8; 8] {
        let mut out = Array::from(block);
        match &self.0 {
            TdesKind::One(c) => c.decrypt_block(&mut out),
            TdesKind::Two(c) => c.decrypt_block(&mut out),
            TdesKind::Three(c) => c.decrypt_block(&mut out),
        }
        out.into()
    }

    /// Decrypts whole blocks one by one (ECB), as zone masters wrap working keys.
    ///
    /// # Errors
    /// `SealedForm` unless the bytes are whole blocks.
    pub fn decrypt_ecb(&self, bytes: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, CryptoError> {
        let (blocks, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(CryptoError::SealedForm);
        }
        let mut out = zeroize::Zeroizing::new(Vec::with_capacity(bytes.len()));
        for block in blocks {
            out.extend_from_slice(&self.decrypt(*block));
        }
        Ok(out)
    }
}

impl Aes {
    /// Schedules a key.
    ///
    /// # Errors
    /// `KeyLength` unless the key has 16, 24 or 32 bytes.
    pub fn new(key: &Key) -> Result<Self, CryptoError> {
        let bytes = key.bytes();
        let bad = |_| wrong(bytes.len());
        Ok(Self(match bytes.len() {
            16 => AesKind::A128(Aes128::new_from_slice(bytes).map_err(bad)?),
            24 => AesKind::A192(Aes192::new_from_slice(bytes).map_err(bad)?),
            32 => AesKind::A256(Aes256::new_from_slice(bytes).map_err(bad)?),
            got => return Err(wrong(got)),
        }))
    }

    /// Encrypts one block.
    #[must_use]
    pub fn encrypt(&self, block: [u8; 16]) -> [u8; 16] {
        let mut out = Array::from(block);
        match &self.0 {
            AesKind::A128(c) => c.encrypt_block(&mut out),
            AesKind::A192(c) => c.encrypt_block(&mut out),
            AesKind::A256(c) => c.encrypt_block(&mut out),
        }
        out.into()
    }

    /// Decrypts one block.
    #[must_use]
    pub fn decrypt(&self, block: [u8; 16]) -> [u8; 16] {
        let mut out = Array::from(block);
        match &self.0 {
            AesKind::A128(c) => c.decrypt_block(&mut out),
            AesKind::A192(c) => c.decrypt_block(&mut out),
            AesKind::A256(c) => c.decrypt_block(&mut out),
        }
        out.into()
    }
}

/// The check value of a DES key: the first 3 bytes of its encryption of zeros.
///
/// # Errors
/// `KeyLength` unless the key has 8, 16 or 24 bytes.
pub fn tdes_check_value(key: &Key) -> Result<[u8; 3], CryptoError> {
    let [a, b, c, ..] = Tdes::new(key)?.encrypt([0; 8]);
    Ok([a, b, c])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_of_published_keys() {
        // 89AB.. is a working key of the translation vectors; the single DES value is FIPS 81's key.
        for (key, expected) in [
            ("0123456789ABCDEFFEDCBA9876543210", "08d7b4"),
            ("89ABCDEF0123456776543210FEDCBA98", "eb7a8d"),
            ("5DB50B454F8389ADCE573BE50861F2BF", "5c9405"),
            ("3F419E1CB7079442AA37474C2EFBF8B8", "57c409"),
            ("0123456789ABCDEF", "d5d44f"),
        ] {
            let value = tdes_check_value(&Key::from_hex(key).unwrap()).unwrap();
            assert_eq!(hex::encode(value), expected, "{key}");
        }
        assert!(tdes_check_value(&Key::from_32([1; 32])).is_err());
    }

    #[test]
    fn decryption_undoes_encryption() {
        for len in [8, 16, 24] {
            let key = Key::new(&(1..=len).collect::<Vec<u8>>()).unwrap();
            let cipher = Tdes::new(&key).unwrap();
            assert_eq!(cipher.decrypt(cipher.encrypt(*b"abcdefgh")), *b"abcdefgh");
        }
        for len in [16, 24, 32] {
            let key = Key::new(&(1..=len).collect::<Vec<u8>>()).unwrap();
            let cipher = Aes::new(&key).unwrap();
            assert_eq!(cipher.decrypt(cipher.encrypt([9; 16])), [9; 16]);
        }
        assert!(Aes::new(&Key::new(&[1; 8]).unwrap()).is_err());
        assert!(Tdes::new(&Key::from_32([1; 32])).is_err());
        assert_eq!(
            Tdes::from_bytes(&[1; 16]).unwrap().decrypt_ecb(&[0; 9]).err(),
            Some(CryptoError::SealedForm)
        );
    }
}
