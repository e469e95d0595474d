//! Secrets: a fixed mask in `Debug`, no `Display`, wiped on drop, not serializable.

use core::fmt;

use zeroize::{Zeroize, Zeroizing};

/// What `Debug` prints for any secret.
pub const MASK: &str = "***";

macro_rules! secret_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(Zeroizing<String>);
        impl $name {
            /// Wraps the clear text.
            #[must_use]
            pub fn new(clear: String) -> Self {
                Self(Zeroizing::new(clear))
            }
            /// The clear text, for the few places that need it.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(MASK)
            }
        }
    };
}

secret_text!(/// A primary account number, 13 to 19 digits.
    Pan);
secret_text!(/// Track 2 without sentinels (ISO 8583:1987 DE 35): PAN `=` YYMM service code discretionary data.
    Track2);

/// An encrypted PIN as a PIN pad made it: ISO 9564-1 format 4 under an AES DUKPT key.
#[derive(Clone, PartialEq, Eq, Zeroize, zeroize::ZeroizeOnDrop)]
pub struct PinEntry {
    /// The key serial number (ANSI X9.24-3, 12 bytes).
    pub ksn: [u8; 12],
    /// The encrypted block.
    pub block: [u8; 16],
}

impl fmt::Debug for PinEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// A swipe as a terminal sealed it to the key server's card-data key; opaque to everything between.
#[derive(Clone, PartialEq, Eq, Zeroize, zeroize::ZeroizeOnDrop)]
pub struct SealedSwipe {
    /// The terminal's number.
    pub terminal: u32,
    /// The session it is bound to.
    pub session: u64,
    /// Version, ephemeral key, ciphertext and tag.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for SealedSwipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl SealedSwipe {
    /// The bytes that bind the box to terminal and session: both numbers, big endian (4 + 8 bytes).
    #[must_use]
    pub fn context(terminal: u32, session: u64) -> [u8; 12] {
        let mut out = [0; 12];
        out[..4].copy_from_slice(&terminal.to_be_bytes());
        out[4..].copy_from_slice(&session.to_be_bytes());
        out
    }
}
