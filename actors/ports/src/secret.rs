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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SwipedCard;

    const DIGITS: &str = "6200000000000005";

    /// What is said of a type by the more specific of two answers: the inherent one, if its bound holds.
    macro_rules! has {
        ($type:ty, $bound:path) => {{
            #[allow(dead_code, reason = "which of the two is used is the question")]
            trait Otherwise {
                const HAS: bool = false;
            }
            impl<T: ?Sized> Otherwise for T {}
            #[allow(dead_code, reason = "which of the two is used is the question")]
            struct Asked<T: ?Sized>(core::marker::PhantomData<T>);
            #[allow(dead_code, reason = "which of the two is used is the question")]
            impl<T: ?Sized + $bound> Asked<T> {
                const HAS: bool = true;
            }
            <Asked<$type>>::HAS
        }};
    }

    #[test]
    fn debug_prints_a_mask_wherever_a_secret_lies() {
        let track2 = Track2::new(format!("{DIGITS}=30121010000012300000"));
        let swipe = SealedSwipe { terminal: 1, session: 2, bytes: DIGITS.into() };
        let pin = PinEntry { ksn: [0x62; 12], block: [0x62; 16] };
        for text in [
            format!("{:?}", Pan::new(DIGITS.into())),
            format!("{track2:?}"),
            format!("{swipe:?}"),
            format!("{pin:?}"),
        ] {
            assert_eq!(text, MASK);
        }
        let card = SwipedCard {
            track2,
            pan: Pan::new(DIGITS.into()),
            expiry_yymm: None,
            service_code: None,
        };
        let secrets = crate::center::Secrets { swipe: Some(swipe), pin: Some(pin) };
        let shown = format!("{card:?} {secrets:?}");
        // 98 is 0x62, and the first digit of the number as a byte is 54.
        for leak in [DIGITS, "98, 98", "54, 50"] {
            assert!(!shown.contains(leak), "{shown}");
        }
    }

    #[test]
    fn secrets_are_never_shown_as_text_and_are_wiped() {
        assert!(has!(String, core::fmt::Display), "the question can be answered with yes");
        assert!(!has!(Pan, core::fmt::Display) && !has!(Track2, core::fmt::Display));
        assert!(!has!(PinEntry, core::fmt::Display) && !has!(SealedSwipe, core::fmt::Display));
        assert!(
            has!(PinEntry, zeroize::ZeroizeOnDrop) && has!(SealedSwipe, zeroize::ZeroizeOnDrop)
        );
        assert!(core::mem::needs_drop::<Pan>() && core::mem::needs_drop::<Track2>());
    }

    #[test]
    fn a_swipe_is_bound_to_terminal_and_session() {
        let context = SealedSwipe::context(0x0102_0304, 0x0506_0708_090a_0b0c);
        assert_eq!(context, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    }
}
