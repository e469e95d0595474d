//! A decoded message: its type and its data elements.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

use crate::{Mti, mask::Masked};

/// A message of ISO 8583:1987: a type and values by data element number (2 to 128).
///
/// Text values are ASCII (track separator always `=`), binary ones are the bytes themselves.
/// Every value is zeroised when dropped; `Debug` shows the masked form only.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Message type indicator.
    pub mti: Mti,
    fields: BTreeMap<u8, Zeroizing<Vec<u8>>>,
}

impl Message {
    /// An empty message of a type.
    pub fn new(mti: Mti) -> Message {
        Message { mti, fields: BTreeMap::new() }
    }

    /// Sets an element to a text.
    pub fn set(&mut self, de: u8, text: &str) {
        self.set_bytes(de, text.as_bytes());
    }

    /// Sets an element to bytes.
    pub fn set_bytes(&mut self, de: u8, bytes: &[u8]) {
        self.fields.insert(de, Zeroizing::new(bytes.to_vec()));
    }

    /// Sets an element to a text and gives the message back, for tables and tests.
    #[must_use]
    pub fn with(mut self, de: u8, text: &str) -> Message {
        self.set(de, text);
        self
    }

    /// Removes an element; true if it was there.
    pub fn remove(&mut self, de: u8) -> bool {
        self.fields.remove(&de).is_some()
    }

    /// The bytes of an element.
    pub fn bytes(&self, de: u8) -> Option<&[u8]> {
        self.fields.get(&de).map(|value| value.as_slice())
    }

    /// The text of an element; `None` if absent or not UTF-8.
    pub fn text(&self, de: u8) -> Option<&str> {
        self.bytes(de).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// An element of decimal digits as a number; `None` if absent, not digits, or above `u64`.
    pub fn number(&self, de: u8) -> Option<u64> {
        let text = self.text(de)?;
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        text.parse().ok()
    }

    /// Whether an element is present.
    pub fn has(&self, de: u8) -> bool {
        self.fields.contains_key(&de)
    }

    /// The numbers of the elements present, in order.
    pub fn elements(&self) -> impl Iterator<Item = u8> + '_ {
        self.fields.keys().copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.fields.iter().map(|(de, value)| (*de, value.as_slice()))
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Masked::of(self), f)
    }
}
