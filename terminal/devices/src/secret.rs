//! Card data that must never be printed, stored or serialized.
//!
//! The types have no `Display`, print a fixed mask in `Debug`, are not `Serialize`, and are
//! wiped from memory when dropped.

use std::fmt;

use zeroize::Zeroizing;

/// Fewest digits of a primary account number (ISO/IEC 7812-1).
pub const PAN_MIN_DIGITS: usize = 13;
/// Most digits of a primary account number (ISO/IEC 7812-1).
pub const PAN_MAX_DIGITS: usize = 19;

/// A primary account number whose length and check digit are right.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretPan(Zeroizing<String>);

impl SecretPan {
    /// Takes 13 to 19 digits with a right check digit (ISO/IEC 7812-1, Luhn); `None` otherwise.
    pub fn new(digits: &str) -> Option<SecretPan> {
        let length_ok = (PAN_MIN_DIGITS..=PAN_MAX_DIGITS).contains(&digits.len());
        if length_ok && luhn_holds(digits) {
            Some(SecretPan(Zeroizing::new(digits.to_owned())))
        } else {
            None
        }
    }

    /// Shows the digits to code that has to have them.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The form fit for a screen: first six and last four digits.
    pub fn mask(&self) -> String {
        let digits = self.0.as_str();
        let hidden = digits.len().saturating_sub(10);
        format!("{}{}{}", &digits[..6], "*".repeat(hidden), &digits[digits.len() - 4..])
    }
}

impl fmt::Debug for SecretPan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretPan(****)")
    }
}

/// Track 2 as the bank wants it in DE 35: PAN, `=`, expiry, service code, discretionary data,
/// without sentinels (ISO/IEC 7813).
#[derive(Clone, PartialEq, Eq)]
pub struct Track2(Zeroizing<String>);

impl Track2 {
    pub(crate) fn new(data: &str) -> Track2 {
        Track2(Zeroizing::new(data.to_owned()))
    }

    /// Shows the data to code that has to have it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Track2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Track2(****)")
    }
}

/// Says whether all characters are digits and the Luhn sum is a multiple of ten.
pub fn luhn_holds(digits: &str) -> bool {
    let mut sum = 0u32;
    for (place, byte) in digits.bytes().rev().enumerate() {
        if !byte.is_ascii_digit() {
            return false;
        }
        let digit = u32::from(byte - b'0');
        let doubled = if place % 2 == 1 { digit * 2 } else { digit };
        sum += doubled / 10 + doubled % 10;
    }
    !digits.is_empty() && sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_test_numbers_pass_and_a_wrong_digit_fails() {
        let good = [
            "4111111111111111",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "6011111111111117",
            "3530111333300000",
            "6200000000000005",
            "6205500000000000004",
            "6210948000000011",
            "6250946000000016",
        ];
        for pan in good {
            assert!(SecretPan::new(pan).is_some(), "{pan}");
        }
        for pan in ["4111111111111112", "", "4", "411111111111111a", "42424242424242424242"] {
            assert!(SecretPan::new(pan).is_none(), "{pan}");
        }
    }

    #[test]
    fn length_is_limited_at_both_edges() {
        // Numbers of 12, 13, 19 and 20 digits that all pass Luhn: zeros and a check digit.
        for (digits, right) in [(12, false), (13, true), (19, true), (20, false)] {
            let number = "0".repeat(digits);
            assert!(luhn_holds(&number));
            assert_eq!(SecretPan::new(&number).is_some(), right, "{digits}");
        }
    }

    #[test]
    fn debug_and_mask_show_no_secret() {
        let pan = SecretPan::new("6205500000000000004").unwrap();
        assert_eq!(format!("{pan:?}"), "SecretPan(****)");
        assert_eq!(pan.mask(), "620550*********0004");
        assert_eq!(format!("{:?}", Track2::new("62=30")), "Track2(****)");
    }
}
