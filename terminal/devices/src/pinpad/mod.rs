//! PIN pads: the class, its words, and the driver.
//!
//! The pad is a secure module. The PIN leaves it only as an encrypted block, the terminal's tag
//! key never leaves it, and the terminal learns of key presses only their number.

pub mod frame;
pub mod message;

mod driver;
mod link;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::error::DeviceError;
use crate::secret::SecretPan;
pub use driver::SerialPinPad;

/// A keyed hash of a card number under the key of this pad; means nothing to another terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CardTag([u8; 16]);

impl CardTag {
    /// Takes the 16 bytes of a tag.
    pub fn from_bytes(bytes: [u8; 16]) -> CardTag {
        CardTag(bytes)
    }

    /// The 16 bytes of the tag.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A PIN block of ISO 9564-1 format 4, encrypted under a key of AES DUKPT (ANSI X9.24-3).
///
/// It serves one attempt: not stored, not logged, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct EncryptedPin {
    block: [u8; 16],
    ksn: [u8; 12],
}

impl EncryptedPin {
    /// Joins a block and the KSN of its key.
    pub fn from_parts(block: [u8; 16], ksn: [u8; 12]) -> EncryptedPin {
        EncryptedPin { block, ksn }
    }

    /// The encrypted block, for the message that carries it to the key server.
    pub fn block(&self) -> &[u8; 16] {
        &self.block
    }

    /// The key serial number: 8 bytes of key identity and 4 bytes of counter.
    pub fn ksn(&self) -> &[u8; 12] {
        &self.ksn
    }
}

impl fmt::Debug for EncryptedPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptedPin(****)")
    }
}

/// State of a pad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PadState {
    /// Ready for a command.
    Ready,
    /// A PIN is being entered.
    Busy,
    /// No keys are loaded.
    NoKeys,
    /// The DUKPT keys are used up.
    KeysExhausted,
    /// The pad was opened and has wiped its keys.
    Tampered,
}

impl PadState {
    pub(crate) fn from_code(code: u32) -> Option<PadState> {
        match code {
            0 => Some(PadState::Ready),
            1 => Some(PadState::Busy),
            2 => Some(PadState::NoKeys),
            3 => Some(PadState::KeysExhausted),
            4 => Some(PadState::Tampered),
            _ => None,
        }
    }
}

/// What a pad says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PadInfo {
    /// Version of the protocol that it speaks.
    pub version: u32,
    /// Serial number.
    pub serial: String,
    /// Model.
    pub model: String,
    /// KSN of the next PIN block.
    pub next_ksn: [u8; 12],
    /// State.
    pub state: PadState,
}

/// Languages of the pad's own texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PadLanguage {
    /// Chinese.
    Zh,
    /// English.
    En,
}

impl PadLanguage {
    pub(crate) fn code(self) -> &'static str {
        match self {
            PadLanguage::Zh => "zh",
            PadLanguage::En => "en",
        }
    }
}

/// Texts that live in the pad; only these can be shown, so that nobody asks for a PIN by a text
/// of his own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PadText {
    /// Welcome.
    Idle,
    /// Please swipe the card.
    SwipeCard,
    /// Please look at the screen.
    LookAtScreen,
    /// Please wait.
    Wait,
    /// Please take the card.
    TakeCard,
    /// Please take the ticket.
    TakeTicket,
    /// Cancelled.
    Cancelled,
    /// Wrong PIN.
    WrongPin,
    /// Thank you.
    Thanks,
    /// Out of service.
    OutOfService,
}

impl PadText {
    pub(crate) fn code(self) -> u8 {
        match self {
            PadText::Idle => 0,
            PadText::SwipeCard => 1,
            PadText::LookAtScreen => 2,
            PadText::Wait => 3,
            PadText::TakeCard => 4,
            PadText::TakeTicket => 5,
            PadText::Cancelled => 6,
            PadText::WrongPin => 7,
            PadText::Thanks => 8,
            PadText::OutOfService => 9,
        }
    }
}

/// Keys beside the digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FunctionKey {
    /// Confirms.
    Enter,
    /// Takes back the entry.
    Clear,
    /// Ends the whole.
    Cancel,
}

impl FunctionKey {
    pub(crate) fn from_code(code: &str) -> Option<FunctionKey> {
        match code {
            "enter" => Some(FunctionKey::Enter),
            "clear" => Some(FunctionKey::Clear),
            "cancel" => Some(FunctionKey::Cancel),
            _ => None,
        }
    }
}

/// A PIN is wanted.
#[derive(Debug)]
pub struct PinRequest<'a> {
    /// The card that the PIN belongs to.
    pub pan: &'a SecretPan,
    /// Fewest digits, at least 4.
    pub min_digits: u8,
    /// Most digits, at most 12.
    pub max_digits: u8,
    /// Time without a key press after which the entry ends; whole seconds, at most 255.
    pub timeout: Duration,
    /// Language of the pad's prompt.
    pub language: PadLanguage,
}

/// News from an open PIN entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinProgress {
    /// How many digits stand in the pad now.
    pub digits: u8,
}

/// How the entry of a PIN ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinOutcome {
    /// A PIN was entered.
    Entered(EncryptedPin),
    /// The person or the caller ended it.
    Cancelled,
    /// No key was pressed for too long.
    TimedOut,
    /// Enter came after too few digits; the caller may ask again.
    TooShort,
}

/// Class of the PIN pads.
pub trait PinPad: Send {
    /// Asks the pad who and how it is; opens the line and shakes hands if need be.
    ///
    /// # Errors
    /// [`DeviceError`] of the line or the link.
    fn info(&mut self) -> impl Future<Output = Result<PadInfo, DeviceError>> + Send;

    /// Shows one of the pad's texts.
    ///
    /// # Errors
    /// [`DeviceError`] of the line or the link.
    fn display(
        &mut self,
        text: PadText,
        language: PadLanguage,
    ) -> impl Future<Output = Result<(), DeviceError>> + Send;

    /// Asks for the tag of a card under the tag key that lives in the pad.
    ///
    /// # Errors
    /// [`DeviceError`] of the line or the link, or reported by a pad without keys.
    fn tag(&mut self, pan: &SecretPan)
    -> impl Future<Output = Result<CardTag, DeviceError>> + Send;

    /// Lets the person enter a PIN. `progress` is called after each key; when `cancel` is ready
    /// the entry is ended. If the future is dropped, the next call ends the entry first.
    ///
    /// # Errors
    /// [`DeviceError`] of the line or the link; [`DeviceError::Argument`] for limits outside
    /// ISO 9564-1. No PIN block exists then for the caller.
    fn pin_entry(
        &mut self,
        request: &PinRequest<'_>,
        progress: impl FnMut(PinProgress) + Send,
        cancel: impl Future<Output = ()> + Send,
    ) -> impl Future<Output = Result<PinOutcome, DeviceError>> + Send;

    /// Waits for a function key outside an entry. Dropping the future loses no key.
    ///
    /// # Errors
    /// [`DeviceError`] of the line; calling again tries to open it again after a pause.
    fn next_key(&mut self) -> impl Future<Output = Result<FunctionKey, DeviceError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encrypted_pin_prints_a_mask() {
        let pin = EncryptedPin::from_parts([0xAB; 16], [0xCD; 12]);
        assert_eq!(format!("{pin:?}"), "EncryptedPin(****)");
        let outcome = format!("{:?}", PinOutcome::Entered(pin));
        assert!(!outcome.contains("171") && !outcome.to_lowercase().contains("ab,"), "{outcome}");
    }
}
