//! ISO 8583:1987 codec whose dialects are data.
//!
//! A [`Dialect`] is read from a TOML table and says everything that differs between one host and
//! the next: framing, coding, field table, MAC carrier, request templates, network codes and the
//! meaning of response codes. Nothing in this crate knows a dialect by name, and nothing in it
//! does input or output.
#![deny(missing_docs)]

mod coding;
mod compose;
mod dialect;
mod error;
mod frame;
mod mask;
mod message;
mod mti;
mod pack;
mod profile;
mod schema;
mod unpack;

pub use compose::{ComposeError, TransactionSpec, Values};
pub use dialect::{Dialect, FieldSpec, Kind, Length};
pub use error::{CodecError, DialectError, What};
pub use frame::{Frame, Routing};
pub use mask::{Masked, mask_pan};
pub use message::Message;
pub use mti::Mti;
pub use pack::Unsigned;
pub use profile::{
    Action, AdviceVerdict, CodeMeaning, Entry, KeyPart, MacAlgorithm, MacSpec, OriginalData,
    PaymentFlow, Verdict,
};

/// Bytes of a message body, zeroised when dropped since they may hold a card number.
pub type WireBytes = zeroize::Zeroizing<Vec<u8>>;

/// Longest message body accepted unless a dialect says otherwise, in bytes.
pub const DEFAULT_MAX_BODY: usize = 4096;

/// Longest message body that a dialect may ask for, in bytes.
pub const MAX_BODY_LIMIT: usize = 65_535;

/// Highest data element number of ISO 8583:1987 with a secondary bitmap.
pub const MAX_DE: u8 = 128;
