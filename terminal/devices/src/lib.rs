//! Device classes of a ticket terminal, and the drivers behind them.
//!
//! A kind of device is a small trait ([`CardReader`], [`PinPad`], [`TicketPrinter`],
//! [`ReceiptPrinter`]); a driver implements it over a serial line. Everything that turns bytes
//! into words and back lives in pure modules (`stripe::frame`, `pinpad::frame`,
//! `pinpad::message`, `escpos`, `paper`) and is tested on byte vectors; [`port`] alone touches
//! the operating system. Status words come from XFS4IoT; every error says whose [`Fault`] it is.
//!
//! The exact bytes are written down in `PROTOCOLS.md` beside this crate.
#![deny(missing_docs)]

pub mod error;
pub mod escpos;
pub mod paper;
pub mod pinpad;
pub mod port;
pub mod printer;
pub mod secret;
pub mod status;
pub mod stripe;

pub use error::{DeviceError, Fault};
pub use paper::receipt::{ReceiptDoc, ReceiptLine};
pub use paper::ticket::TicketDoc;
pub use paper::{Bilingual, DocError};
pub use pinpad::{
    CardTag, EncryptedPin, FunctionKey, PadInfo, PadLanguage, PadState, PadText, PinOutcome,
    PinPad, PinProgress, PinRequest, SerialPinPad,
};
pub use port::{Line, LineConfig};
pub use printer::outcome::{
    Doubt, JobId, JobRecord, JobState, MediaOutcome, PrintOutcome, PrintProof, PrintTrouble,
    PrinterStatus,
};
pub use printer::{ReceiptPrinter, SerialReceiptPrinter, SerialTicketPrinter, TicketPrinter};
pub use secret::{SecretPan, Track2};
pub use status::{DeviceState, MediaState, PaperState, ReaderCapabilities, ReaderStatus};
pub use stripe::{CardRead, CardReader, SerialCardReader, Swipe, Unreadable};
