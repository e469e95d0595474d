//! The form of a message that may be shown, logged and journaled.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Message;

/// Elements whose value is never shown: expiry, extended PAN, tracks, PIN block, chip data,
/// message security code and account numbers.
const HIDDEN: [u8; 10] = [14, 34, 35, 36, 45, 52, 55, 96, 102, 103];

/// Private elements that may carry keys or customer data: only their length is shown.
const LENGTH_ONLY: [u8; 12] = [46, 47, 48, 56, 57, 58, 59, 62, 63, 125, 126, 127];

/// Digits of a PAN left open at its start, when it is long enough.
const PAN_HEAD: usize = 6;
/// Digits of a PAN left open at its end.
const PAN_TAIL: usize = 4;
/// Shortest PAN of which the head may be shown, so that at least six digits stay hidden.
const PAN_MIN_FOR_HEAD: usize = 16;

/// A message without anything secret in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masked {
    /// Message type indicator, four digits.
    pub mti: String,
    /// Element number and masked value, in the order of the elements.
    pub fields: Vec<(u8, String)>,
}

impl Masked {
    /// Masks a message.
    pub fn of(message: &Message) -> Masked {
        let fields = message.iter().map(|(de, value)| (de, mask_value(de, value))).collect();
        Masked { mti: message.mti.to_string(), fields }
    }

    /// The masked value of an element.
    pub fn get(&self, de: u8) -> Option<&str> {
        self.fields.iter().find(|(n, _)| *n == de).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mti)?;
        for (de, value) in &self.fields {
            write!(f, " {de}={value}")?;
        }
        Ok(())
    }
}

/// Masks a card number: six digits, stars, four digits; under 16 digits only the last four.
pub fn mask_pan(pan: &str) -> String {
    let digits: Vec<char> = pan.chars().collect();
    let count = digits.len();
    let head = if count >= PAN_MIN_FOR_HEAD { PAN_HEAD } else { 0 };
    let tail = if count >= PAN_HEAD + PAN_TAIL { PAN_TAIL } else { 0 };
    digits
        .iter()
        .enumerate()
        .map(|(at, c)| if at < head || at >= count - tail { *c } else { '*' })
        .collect()
}

fn mask_value(de: u8, value: &[u8]) -> String {
    if de == 2 {
        return mask_pan(&String::from_utf8_lossy(value));
    }
    if HIDDEN.contains(&de) {
        return "***".to_string();
    }
    if LENGTH_ONLY.contains(&de) {
        return format!("<{} bytes>", value.len());
    }
    match std::str::from_utf8(value) {
        Ok(text) if !text.chars().any(char::is_control) && de != 64 && de != 128 => {
            text.to_string()
        }
        Ok(_) | Err(_) => value.iter().map(|byte| format!("{byte:02X}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mti;

    #[test]
    fn card_numbers_keep_head_and_tail_only() {
        let rows = [
            ("6200000000000005", "620000******0005"),
            ("6205500000000000004", "620550*********0004"),
            ("378282246310005", "***********0005"),
            ("4222222222222", "*********2222"),
            ("123456789", "*********"),
            ("", ""),
        ];
        for (pan, masked) in rows {
            assert_eq!(mask_pan(pan), masked);
        }
    }

    #[test]
    fn no_secret_element_reaches_the_masked_form() {
        let mut message = Message::new(Mti::parse("0200").expect("mti"));
        for de in 2..=128u8 {
            message.set(de, "SECRET7");
        }
        message.set(2, "6200000000000005");
        let masked = Masked::of(&message);
        for de in HIDDEN.iter().chain(&LENGTH_ONLY) {
            let shown = masked.get(*de).expect("present");
            assert!(!shown.contains("SECRET7"), "DE {de} shows {shown}");
        }
        let debug = format!("{message:?}");
        assert!(!debug.contains("6200000000000005"), "{debug}");
        assert!(debug.starts_with("0200 2=620000******0005"), "{debug}");
    }
}
