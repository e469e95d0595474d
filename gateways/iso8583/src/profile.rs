//! What a dialect says beyond the bytes: flow, MAC, keys, original data, meaning of codes.

use std::collections::BTreeMap;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::error::DialectError;
use crate::schema::{RawAdviceCodes, RawDialect, RawKeys, RawMac, RawOriginal};
use crate::{MAX_DE, Message};

/// How a payment with PIN runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentFlow {
    /// 0100 holds the amount, 0200 with the PIN completes that hold.
    TwoStep,
    /// 0200 with the PIN does both.
    #[default]
    OneStep,
}

/// How the card's number was read (DE 22, first two digits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Magnetic stripe.
    Swipe,
    /// Contact chip.
    Chip,
    /// Contactless chip.
    Contactless,
    /// Typed or taken from a booking.
    Manual,
}

impl Entry {
    /// The word used for it in dialect tables.
    pub fn word(self) -> &'static str {
        match self {
            Entry::Swipe => "swipe",
            Entry::Chip => "chip",
            Entry::Contactless => "contactless",
            Entry::Manual => "manual",
        }
    }
}

/// What a response code says about the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The bank agreed.
    Yes,
    /// The bank refused; nothing happened.
    No,
    /// The code does not tell; the transaction must be reversed.
    InDoubt,
}

/// What a response code asks for besides its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing in particular.
    #[default]
    None,
    /// The PIN was wrong and may be entered again.
    RetryPin,
    /// The tries are used up.
    PinExhausted,
    /// The card should be kept.
    Capture,
    /// The link has to sign on again, for new keys.
    SignOn,
    /// The same transaction may be tried later.
    RetryLater,
    /// The chip must be used.
    UseChip,
}

/// What a dialect's table says about one response code (DE 39).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeMeaning {
    /// Yes, no or in doubt.
    pub verdict: Verdict,
    /// What to do besides.
    pub action: Action,
    /// Plain words, for logs and operators.
    pub meaning: String,
}

/// What an answer to a reversal or a refund advice says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdviceVerdict {
    /// It is done, or there was nothing to undo: repetition ends.
    Done,
    /// Repetition is useless: an operator has to look.
    Operator,
    /// Not answered to the point: repeat.
    Repeat,
}

/// Message authentication algorithms that a dialect may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MacAlgorithm {
    /// ISO 9797-1 algorithm 1 with DES, padding 1 (X9.9).
    Iso9797Alg1Pad1,
    /// ISO 9797-1 algorithm 3 (X9.19 retail MAC), padding 1.
    Iso9797Alg3Pad1,
    /// ISO 9797-1 algorithm 3 (X9.19 retail MAC), padding 2.
    Iso9797Alg3Pad2,
    /// UnionPay POS "ECB MAC": XOR of blocks, hexadecimal text, two encryptions.
    UnionpayEcb,
    /// AES-CMAC (RFC 4493), leftmost eight bytes.
    AesCmac,
}

/// Where and how a dialect carries its MAC. It is always the last element of a message and
/// covers every byte of the body before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacSpec {
    /// The algorithm.
    pub algorithm: MacAlgorithm,
    carrier: u8,
    carrier_extended: Option<u8>,
    classes: Vec<u8>,
}

impl MacSpec {
    /// Whether messages of this MTI class (2 for 02xx) carry a MAC.
    pub fn applies_to(&self, class: u8) -> bool {
        self.classes.contains(&class)
    }

    /// The element that carries the MAC in this message: the extended one if the message has
    /// elements above the plain one.
    pub fn carrier_for(&self, message: &Message) -> u8 {
        let above = message.elements().any(|de| de > self.carrier);
        match self.carrier_extended {
            Some(extended) if above => extended,
            Some(_) | None => self.carrier,
        }
    }

    pub(crate) fn check(raw: RawMac, secondary: bool) -> Result<MacSpec, DialectError> {
        if raw.carrier_extended.is_none() && secondary {
            return Err(DialectError::invalid(
                "mac",
                "a dialect with a secondary bitmap needs carrier_extended",
            ));
        }
        Ok(MacSpec {
            algorithm: raw.algorithm,
            carrier: raw.carrier,
            carrier_extended: raw.carrier_extended,
            classes: raw.classes,
        })
    }
}

/// The element that points to an earlier message, and its parts in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalData {
    /// Element number (DE 90 in the standard, DE 61 in POS dialects).
    pub field: u8,
    parts: Vec<(String, usize)>,
}

/// Names that a part of the original data may have.
const ORIGINAL_PARTS: [&str; 8] =
    ["mti", "stan", "transmission", "local_date", "local_time", "acquirer", "forwarder", "batch"];

impl OriginalData {
    pub(crate) fn check(raw: RawOriginal) -> Result<OriginalData, DialectError> {
        for part in &raw.parts {
            if !ORIGINAL_PARTS.contains(&part.name.as_str()) {
                return Err(DialectError::invalid(
                    "original",
                    format!("unknown part {:?}; known: {ORIGINAL_PARTS:?}", part.name),
                ));
            }
            if part.length == 0 || part.length > 99 {
                return Err(DialectError::invalid("original", "a part has 1 to 99 digits"));
            }
        }
        let parts = raw.parts.into_iter().map(|part| (part.name, part.length)).collect();
        Ok(OriginalData { field: raw.field, parts })
    }

    /// Builds the text from parts found by name; an unknown part is zero filled, each is right
    /// justified with zeros. `None` if a part does not fit.
    pub fn compose<'a>(&self, find: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
        let mut text = String::new();
        for (name, length) in &self.parts {
            let value = find(name).unwrap_or("");
            if value.len() > *length || !value.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            text.push_str(&"0".repeat(length - value.len()));
            text.push_str(value);
        }
        Some(text)
    }

    /// Splits the text into its parts by name; `None` if its length is not the sum of the parts.
    pub fn parse(&self, text: &str) -> Option<BTreeMap<&str, String>> {
        let total: usize = self.parts.iter().map(|(_, length)| length).sum();
        if text.len() != total || !text.is_ascii() {
            return None;
        }
        let mut at = 0;
        let mut parts = BTreeMap::new();
        for (name, length) in &self.parts {
            parts.insert(name.as_str(), text[at..at + length].to_string());
            at += length;
        }
        Some(parts)
    }
}

/// How working keys are written in a sign-on answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyForm {
    /// The bytes themselves.
    Binary,
    /// Two hexadecimal characters a byte.
    Hex,
}

/// A part of the element that delivers working keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPart {
    /// PIN key, encrypted under the zone master key.
    Pin,
    /// Check value of the PIN key.
    PinCheck,
    /// MAC key, encrypted under the zone master key.
    Mac,
    /// Check value of the MAC key.
    MacCheck,
    /// Zero bytes.
    Zero,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyLayout {
    pub field: u8,
    form: KeyForm,
    parts: Vec<(KeyPart, usize)>,
}

/// Longest key part that a table may ask for, in bytes.
const MAX_KEY_PART: usize = 64;

impl KeyLayout {
    pub(crate) fn check(raw: RawKeys) -> Result<KeyLayout, DialectError> {
        let parts: Vec<_> = raw.parts.iter().map(|part| (part.part, part.bytes)).collect();
        if parts.iter().any(|(_, bytes)| *bytes == 0 || *bytes > MAX_KEY_PART) {
            return Err(DialectError::invalid("keys", "a part has 1 to 64 bytes"));
        }
        Ok(KeyLayout { field: raw.field, form: raw.form, parts })
    }

    pub(crate) fn parse(&self, value: &[u8]) -> Option<BTreeMap<KeyPart, Zeroizing<Vec<u8>>>> {
        let bytes = match self.form {
            KeyForm::Binary => Zeroizing::new(value.to_vec()),
            KeyForm::Hex => Zeroizing::new(crate::coding::from_hex(value)?),
        };
        let total: usize = self.parts.iter().map(|(_, length)| length).sum();
        if bytes.len() != total {
            return None;
        }
        let mut at = 0;
        let mut found = BTreeMap::new();
        for (part, length) in &self.parts {
            found.insert(*part, Zeroizing::new(bytes[at..at + length].to_vec()));
            at += length;
        }
        Some(found)
    }

    pub(crate) fn compose<'a>(
        &self,
        find: impl Fn(KeyPart, usize) -> Option<&'a [u8]>,
    ) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for (part, length) in &self.parts {
            if *part == KeyPart::Zero {
                bytes.resize(bytes.len() + length, 0);
                continue;
            }
            let value = find(*part, *length)?;
            if value.len() != *length {
                return None;
            }
            bytes.extend_from_slice(value);
        }
        Some(match self.form {
            KeyForm::Binary => bytes,
            KeyForm::Hex => crate::coding::to_hex(&bytes),
        })
    }
}

/// Which answers end the repetition of an advice, and which call for an operator.
#[derive(Debug, Clone, Default)]
pub(crate) struct AdviceCodes {
    done: Vec<String>,
    operator: Vec<String>,
}

impl From<RawAdviceCodes> for AdviceCodes {
    fn from(raw: RawAdviceCodes) -> AdviceCodes {
        AdviceCodes { done: raw.done, operator: raw.operator }
    }
}

impl AdviceCodes {
    pub(crate) fn verdict(&self, code: &str) -> AdviceVerdict {
        let listed = |list: &[String]| list.iter().any(|known| known == code);
        if listed(&self.done) {
            AdviceVerdict::Done
        } else if listed(&self.operator) {
            AdviceVerdict::Operator
        } else {
            AdviceVerdict::Repeat
        }
    }
}

/// Everything of the table that is not bytes.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub payment_flow: PaymentFlow,
    pub entry_modes: BTreeMap<String, (String, String)>,
    pub mac: Option<MacSpec>,
    pub original: Option<OriginalData>,
    pub keys: Option<KeyLayout>,
    pub reasons: BTreeMap<String, String>,
    pub match_key: Vec<u8>,
    pub echo: Vec<u8>,
    pub codes: BTreeMap<String, CodeMeaning>,
    pub reversal_codes: AdviceCodes,
    pub refund_codes: AdviceCodes,
}

impl Profile {
    pub(crate) fn check(raw: &mut RawDialect) -> Result<Profile, DialectError> {
        let secondary = raw.coding.secondary_bitmap;
        let mac = raw.mac.take().map(|mac| MacSpec::check(mac, secondary)).transpose()?;
        let original = raw.original.take().map(OriginalData::check).transpose()?;
        let keys = raw.keys.take().map(KeyLayout::check).transpose()?;
        let entry_modes = std::mem::take(&mut raw.entry_modes)
            .into_iter()
            .map(|(word, mode)| (word, (mode.pin, mode.no_pin)))
            .collect();
        let codes = std::mem::take(&mut raw.codes)
            .into_iter()
            .map(|(code, row)| {
                let meaning =
                    CodeMeaning { verdict: row.verdict, action: row.action, meaning: row.meaning };
                (code, meaning)
            })
            .collect();
        for de in raw.matching.key.iter().chain(&raw.matching.echo) {
            if !(2..=MAX_DE).contains(de) {
                return Err(DialectError::invalid("matching", format!("no element {de}")));
            }
        }
        Ok(Profile {
            payment_flow: raw.payment_flow,
            entry_modes,
            mac,
            original,
            keys,
            reasons: std::mem::take(&mut raw.reasons),
            match_key: std::mem::take(&mut raw.matching.key),
            echo: std::mem::take(&mut raw.matching.echo),
            codes,
            reversal_codes: AdviceCodes::from(std::mem::take(&mut raw.reversal_codes)),
            refund_codes: AdviceCodes::from(std::mem::take(&mut raw.refund_codes)),
        })
    }
}
