//! A dialect: the checked form of a table, and the questions one may ask it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::coding::{BinaryCoding, Coding, Packing, Side};
use crate::compose::TransactionSpec;
use crate::error::DialectError;
use crate::frame::Framing;
use crate::mask::Masked;
use crate::profile::{
    AdviceVerdict, CodeMeaning, Entry, KeyPart, MacSpec, OriginalData, PaymentFlow, Profile,
    Verdict,
};
use crate::schema::{RawCoding, RawCounts, RawDialect, RawField, RawLength};
use crate::{Action, MAX_DE, Message};

/// The type of an element, ISO 8583:1987 clause 4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Decimal digits.
    N,
    /// Letters, digits and space.
    An,
    /// Digits and special characters.
    Ns,
    /// Letters, digits and special characters.
    Ans,
    /// Track data: digits and separator.
    Z,
    /// Bytes.
    B,
    /// A sign letter, then digits.
    Xn,
}

/// How the length of an element is known. Lengths are in characters, for binary in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Always this long.
    Fixed(usize),
    /// A prefix of two (LL) or three (LLL) decimal digits.
    Variable {
        /// Digits of the prefix.
        prefix: usize,
        /// Shortest allowed.
        min: usize,
        /// Longest allowed.
        max: usize,
    },
}

/// One row of the field table.
#[derive(Debug, Clone)]
pub struct FieldSpec {
    /// Element number.
    pub de: u8,
    /// Type.
    pub kind: Kind,
    /// Length.
    pub length: Length,
    pub(crate) coding: Coding,
    pub(crate) binary: BinaryCoding,
    pub(crate) packing: Packing,
    /// The prefix counts bytes on the wire instead of characters or digits.
    pub(crate) counts_wire_bytes: bool,
    /// The prefix of a hexadecimal binary element counts its characters.
    pub(crate) counts_hex_characters: bool,
    pub(crate) signs: Vec<u8>,
    pub(crate) any_byte: bool,
}

/// The coding of everything outside elements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Codings {
    pub mti: Coding,
    pub bitmap: BinaryCoding,
    pub secondary: bool,
    pub length: Coding,
    pub separator: u8,
}

/// A dialect of ISO 8583:1987, read from a table.
#[derive(Debug, Clone)]
pub struct Dialect {
    name: String,
    description: String,
    pub(crate) framing: Framing,
    pub(crate) codings: Codings,
    fields: BTreeMap<u8, FieldSpec>,
    pub(crate) transactions: BTreeMap<String, TransactionSpec>,
    pub(crate) profile: Profile,
}

/// Tables that come with the crate, by name.
const SHIPPED: [(&str, &str); 2] = [
    ("ascii", include_str!("../dialects/ascii.toml")),
    ("bcd", include_str!("../dialects/bcd.toml")),
];

impl Dialect {
    /// Reads a table from text.
    ///
    /// # Errors
    /// [`DialectError`] if it is no TOML of the shape, or contradicts itself.
    pub fn parse(text: &str) -> Result<Dialect, DialectError> {
        let mut raw: RawDialect =
            toml::from_str(text).map_err(|error| DialectError::Toml(Box::new(error)))?;
        let framing = Framing::check(&raw.framing)?;
        let codings = check_codings(&raw.coding)?;
        let mut fields = BTreeMap::new();
        for row in &raw.field {
            let spec = check_field(row, &raw.coding)?;
            if fields.insert(row.de, spec).is_some() {
                return Err(DialectError::invalid(format!("DE {}", row.de), "given twice"));
            }
        }
        let transactions = TransactionSpec::check_all(&mut raw)?;
        let profile = Profile::check(&mut raw)?;
        let dialect = Dialect {
            name: raw.name,
            description: raw.description,
            framing,
            codings,
            fields,
            transactions,
            profile,
        };
        dialect.check_references()?;
        Ok(dialect)
    }

    /// Reads a table from a file.
    ///
    /// # Errors
    /// [`DialectError::Io`] if it cannot be read, else as [`Dialect::parse`].
    pub fn load(path: &Path) -> Result<Dialect, DialectError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| DialectError::Io { path: path.display().to_string(), source })?;
        Dialect::parse(&text)
    }

    /// A table that comes with the crate (`ascii`, `bcd`), or else a path to one.
    ///
    /// # Errors
    /// As [`Dialect::load`].
    pub fn named(name: &str) -> Result<Dialect, DialectError> {
        match SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            Some((_, text)) => Dialect::parse(text),
            None => Dialect::load(Path::new(name)),
        }
    }

    /// Names of the tables that come with the crate.
    pub fn shipped() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|(name, _)| *name)
    }

    /// The dialect's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One sentence on what it is.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The row of an element.
    pub fn field(&self, de: u8) -> Option<&FieldSpec> {
        self.fields.get(&de)
    }

    /// How a payment with PIN runs.
    pub fn payment_flow(&self) -> PaymentFlow {
        self.profile.payment_flow
    }

    /// Where and how messages are authenticated; `None` if they are not.
    pub fn mac(&self) -> Option<&MacSpec> {
        self.profile.mac.as_ref()
    }

    /// The layout of the element that points to an earlier message.
    pub fn original(&self) -> Option<&OriginalData> {
        self.profile.original.as_ref()
    }

    /// DE 22 for a way of reading the card, with or without PIN.
    pub fn entry_mode(&self, entry: Entry, with_pin: bool) -> Option<&str> {
        let (pin, no_pin) = self.profile.entry_modes.get(entry.word())?;
        Some(if with_pin { pin } else { no_pin })
    }

    /// DE 39 of a reversal for a reason word of the table (`timeout`, `mac`, …).
    pub fn reason(&self, word: &str) -> Option<&str> {
        self.profile.reasons.get(word).map(String::as_str)
    }

    /// What a response code says; one that the table does not know is in doubt.
    pub fn meaning(&self, code: &str) -> CodeMeaning {
        self.profile.codes.get(code).cloned().unwrap_or_else(|| CodeMeaning {
            verdict: Verdict::InDoubt,
            action: Action::None,
            meaning: "unknown response code".to_string(),
        })
    }

    /// The response codes that the table knows, in order.
    pub fn codes(&self) -> impl Iterator<Item = (&str, &CodeMeaning)> {
        self.profile.codes.iter().map(|(code, meaning)| (code.as_str(), meaning))
    }

    /// What the answer to a reversal says; a code that the table does not list repeats.
    pub fn reversal_verdict(&self, code: &str) -> AdviceVerdict {
        self.profile.reversal_codes.verdict(code)
    }

    /// What the answer to a refund advice says; a code that the table does not list repeats.
    pub fn refund_verdict(&self, code: &str) -> AdviceVerdict {
        self.profile.refund_codes.verdict(code)
    }

    /// The text that pairs a request with its answer: type of the request, then the elements
    /// of the table's matching key. An element the message lacks is left out.
    pub fn match_key(&self, message: &Message) -> String {
        let request = message.mti.request().unwrap_or(message.mti).first();
        let mut key = request.to_string();
        for de in &self.profile.match_key {
            if let Some(text) = message.text(*de) {
                key.push('|');
                key.push_str(text);
            }
        }
        key
    }

    /// An answer that returns the request's elements which an answer has to return; `None` if
    /// the message is no request.
    pub fn answer_to(&self, request: &Message) -> Option<Message> {
        let mut answer = Message::new(request.mti.answer()?);
        for de in &self.profile.echo {
            if let Some(bytes) = request.bytes(*de) {
                answer.set_bytes(*de, bytes);
            }
        }
        Some(answer)
    }

    /// The working keys that a sign-on answer delivers; `None` if it has none of the right size.
    pub fn zone_keys(&self, message: &Message) -> Option<BTreeMap<KeyPart, Zeroizing<Vec<u8>>>> {
        let layout = self.profile.keys.as_ref()?;
        layout.parse(message.bytes(layout.field)?)
    }

    /// Puts working keys into a sign-on answer; `find` is asked for each part with its length.
    ///
    /// Returns false if the dialect has no place for them, or a part is missing or ill sized.
    pub fn set_zone_keys<'a>(
        &self,
        message: &mut Message,
        find: impl Fn(KeyPart, usize) -> Option<&'a [u8]>,
    ) -> bool {
        let Some(layout) = self.profile.keys.as_ref() else { return false };
        match layout.compose(find) {
            Some(bytes) => {
                message.set_bytes(layout.field, &bytes);
                true
            }
            None => false,
        }
    }

    /// The parts of the original data that a message points to, by name.
    pub fn original_of(&self, message: &Message) -> Option<BTreeMap<&str, String>> {
        let original = self.profile.original.as_ref()?;
        original.parse(message.text(original.field)?)
    }

    /// The form of a message that may be shown and logged. The element that delivers keys is
    /// never shown.
    pub fn mask(&self, message: &Message) -> Masked {
        let mut masked = Masked::of(message);
        if let Some(layout) = &self.profile.keys {
            for (de, value) in &mut masked.fields {
                if *de == layout.field {
                    *value = "***".to_string();
                }
            }
        }
        masked
    }

    fn check_references(&self) -> Result<(), DialectError> {
        let require = |place: &str, de: u8| {
            if self.fields.contains_key(&de) {
                Ok(())
            } else {
                Err(DialectError::invalid(place, format!("DE {de} is not in the field table")))
            }
        };
        for (name, transaction) in &self.transactions {
            for de in transaction.elements() {
                require(&format!("transactions.{name}"), de)?;
            }
        }
        if let Some(mac) = &self.profile.mac {
            let plain = Message::new(crate::Mti::parse("0200").unwrap_or_else(|| unreachable!()));
            require("mac", mac.carrier_for(&plain))?;
            for de in [mac.carrier_for(&plain), mac.carrier_for(&plain.with(70, "001"))] {
                require("mac", de)?;
                let spec = &self.fields[&de];
                if spec.kind != Kind::B || spec.length != Length::Fixed(8) {
                    return Err(DialectError::invalid("mac", "the carrier has 8 binary bytes"));
                }
            }
        }
        if let Some(original) = &self.profile.original {
            require("original", original.field)?;
        }
        if let Some(keys) = &self.profile.keys {
            require("keys", keys.field)?;
        }
        for de in &self.profile.match_key {
            require("matching.key", *de)?;
            if matches!(de, 2 | 14 | 34..=36 | 45 | 52 | 55) {
                return Err(DialectError::invalid("matching.key", format!("DE {de} is secret")));
            }
        }
        Ok(())
    }
}

fn check_codings(raw: &RawCoding) -> Result<Codings, DialectError> {
    let packed = [("text", raw.text)];
    for (place, coding) in packed {
        if coding == Coding::Bcd {
            return Err(DialectError::invalid(format!("coding.{place}"), "text is never packed"));
        }
    }
    if raw.pad_nibble > 15 {
        return Err(DialectError::invalid("coding.pad_nibble", "a nibble is 0 to 15"));
    }
    let separator = u8::try_from(raw.track_separator)
        .ok()
        .filter(u8::is_ascii_graphic)
        .ok_or_else(|| DialectError::invalid("coding.track_separator", "one ASCII character"))?;
    Ok(Codings {
        mti: raw.mti,
        bitmap: raw.bitmap,
        secondary: raw.secondary_bitmap,
        length: raw.length,
        separator,
    })
}

fn check_field(raw: &RawField, coding: &RawCoding) -> Result<FieldSpec, DialectError> {
    let invalid = |reason: &str| DialectError::invalid(format!("DE {}", raw.de), reason);
    let highest = if coding.secondary_bitmap { MAX_DE } else { 64 };
    if raw.de < 2 || raw.de > highest || raw.de == 65 {
        return Err(invalid("element number is outside the bitmaps"));
    }
    if raw.max == 0 || raw.max > 999 || raw.min > raw.max {
        return Err(invalid("max is 1 to 999, and min not above it"));
    }
    let fixed = raw.length == RawLength::Fixed;
    let length = match raw.length {
        RawLength::Fixed => Length::Fixed(raw.max),
        RawLength::Ll if raw.max > 99 => return Err(invalid("LL reaches 99")),
        RawLength::Ll => Length::Variable { prefix: 2, min: raw.min, max: raw.max },
        RawLength::Lll => Length::Variable { prefix: 3, min: raw.min, max: raw.max },
    };
    let default_coding = match raw.kind {
        Kind::N | Kind::Z | Kind::Xn => coding.numeric,
        Kind::An | Kind::Ns | Kind::Ans | Kind::B => coding.text,
    };
    let field_coding = raw.coding.unwrap_or(default_coding);
    if field_coding == Coding::Bcd && !matches!(raw.kind, Kind::N | Kind::Z | Kind::Xn) {
        return Err(invalid("only digits and tracks are packed"));
    }
    if raw.kind == Kind::Xn && (!fixed || raw.max < 2) {
        return Err(invalid("a signed amount has a fixed length of at least 2"));
    }
    let nibble = raw.nibble.unwrap_or(coding.pad_nibble);
    if nibble > 15 {
        return Err(invalid("a nibble is 0 to 15"));
    }
    let side = raw.pad.unwrap_or(if fixed { coding.odd_fixed } else { coding.odd_variable });
    let counts = raw.counts.unwrap_or(if raw.kind == Kind::B {
        RawCounts::Bytes
    } else {
        RawCounts::Digits
    });
    let binary = raw.binary.unwrap_or(coding.binary);
    Ok(FieldSpec {
        de: raw.de,
        kind: raw.kind,
        length,
        coding: field_coding,
        binary,
        packing: Packing { side, nibble },
        counts_wire_bytes: raw.kind != Kind::B && counts == RawCounts::Bytes,
        counts_hex_characters: raw.kind == Kind::B
            && counts == RawCounts::Digits
            && binary == BinaryCoding::Hex,
        signs: raw.signs.clone().unwrap_or_else(|| "CD".to_string()).into_bytes(),
        any_byte: raw.any_byte,
    })
}

impl FieldSpec {
    /// Whether a character may stand in this element; track separators are seen as `=`.
    pub(crate) fn admits(&self, byte: u8) -> bool {
        match self.kind {
            Kind::N | Kind::Xn => byte.is_ascii_digit(),
            Kind::An => byte.is_ascii_alphanumeric() || byte == b' ',
            Kind::Ns => byte.is_ascii_digit() || byte.is_ascii_punctuation() || byte == b' ',
            Kind::Ans => self.any_byte || byte == b' ' || byte.is_ascii_graphic(),
            Kind::Z => byte.is_ascii_digit() || byte == b'=' || self.any_byte,
            Kind::B => true,
        }
    }

    /// Whether the padding of an odd number of digits is on the right.
    pub fn pads_right(&self) -> bool {
        self.packing.side == Side::Right
    }
}
