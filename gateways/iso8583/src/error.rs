//! Typed errors of the codec: what went wrong, in which data element, at which byte.

use std::fmt;

/// What a message violates.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The bytes end before the element does; holds the number of bytes missing at least.
    Truncated {
        /// Bytes that were still needed.
        missing: usize,
    },
    /// Bytes remain after the last element.
    TrailingBytes {
        /// Bytes that were left.
        count: usize,
    },
    /// The MTI is not four digits of a known shape.
    BadMti,
    /// The bitmap holds a character that is not hexadecimal.
    BitmapNotHex,
    /// A secondary bitmap was announced, and this dialect has none.
    SecondaryBitmap,
    /// A secondary bitmap was announced and names no element.
    EmptySecondaryBitmap,
    /// Bit 65 announces a tertiary bitmap.
    TertiaryBitmap,
    /// The bitmap names an element that the field table does not have.
    UnknownElement,
    /// A length prefix holds something else than decimal digits.
    LengthNotDecimal,
    /// A value is longer than the table allows, or a body longer than the dialect allows.
    TooLong {
        /// The length found, in the unit of the element.
        found: usize,
        /// The longest allowed.
        max: usize,
    },
    /// A value is shorter than the table demands.
    TooShort {
        /// The length found, in the unit of the element.
        found: usize,
        /// The shortest allowed.
        min: usize,
    },
    /// A character does not belong to the element's type.
    BadCharacter,
    /// A nibble of a packed element is not one that may stand there.
    BadNibble,
    /// The padding nibble of an odd number of digits is not the table's.
    BadPadding,
    /// A counted length of a binary element is odd where pairs are due.
    OddLength,
    /// A frame's TPDU or header is not binary coded decimal.
    BadHeader,
    /// A message that must carry a MAC has none as its last element.
    NoMac,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Truncated { missing } => write!(f, "message ends {missing} byte(s) too early"),
            What::TrailingBytes { count } => write!(f, "{count} byte(s) after the last element"),
            What::BadMti => f.write_str("message type is not four known digits"),
            What::BitmapNotHex => f.write_str("bitmap is not hexadecimal"),
            What::SecondaryBitmap => f.write_str("dialect has no secondary bitmap"),
            What::EmptySecondaryBitmap => f.write_str("secondary bitmap names no element"),
            What::TertiaryBitmap => f.write_str("tertiary bitmap is not supported"),
            What::UnknownElement => f.write_str("element is not in the field table"),
            What::LengthNotDecimal => f.write_str("length prefix is not decimal"),
            What::TooLong { found, max } => write!(f, "length {found} is above {max}"),
            What::TooShort { found, min } => write!(f, "length {found} is below {min}"),
            What::BadCharacter => f.write_str("character does not belong to the element's type"),
            What::BadNibble => f.write_str("nibble does not belong to the element's type"),
            What::BadPadding => f.write_str("padding nibble is not the dialect's"),
            What::OddLength => f.write_str("binary length is odd"),
            What::BadHeader => f.write_str("frame header is not binary coded decimal"),
            What::NoMac => f.write_str("message carries no authentication code"),
        }
    }
}

/// An encoding or decoding error with its place. It never holds the value itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} ({place}, byte {offset})", place = Place(self.de))]
pub struct CodecError {
    /// What is violated.
    pub what: What,
    /// The data element concerned, if any; `None` for MTI, bitmap and frame.
    pub de: Option<u8>,
    /// Offset in bytes from the start of the body (or of the frame) where it was found.
    pub offset: usize,
}

impl CodecError {
    pub(crate) fn new(what: What, de: Option<u8>, offset: usize) -> Self {
        CodecError { what, de, offset }
    }
}

struct Place(Option<u8>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(de) => write!(f, "DE {de}"),
            None => f.write_str("outside elements"),
        }
    }
}

/// Why a dialect's table was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialectError {
    /// The file could not be read.
    #[error("dialect file {path} cannot be read")]
    Io {
        /// The path asked for.
        path: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The text is not TOML of the expected shape.
    #[error("dialect table is not well formed")]
    Toml(#[from] Box<toml::de::Error>),
    /// The table contradicts itself or the standard.
    #[error("dialect table is not usable: {place}: {reason}")]
    Invalid {
        /// Section or element concerned.
        place: String,
        /// What is wrong there.
        reason: String,
    },
}

impl DialectError {
    pub(crate) fn invalid(place: impl Into<String>, reason: impl Into<String>) -> Self {
        DialectError::Invalid { place: place.into(), reason: reason.into() }
    }
}
