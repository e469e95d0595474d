//! Messages between terminal and PIN pad: a command word and fields, separated by FS. Pure.

use std::time::Duration;

use zeroize::{Zeroize, Zeroizing};

use super::frame::FS;
use super::{CardTag, EncryptedPin, FunctionKey, PadInfo, PadLanguage, PadState, PadText};
use crate::secret::SecretPan;

/// Version of this protocol.
pub const VERSION: u32 = 1;
/// Fewest digits of a PIN (ISO 9564-1).
pub const PIN_MIN_DIGITS: u8 = 4;
/// Most digits of a PIN (ISO 9564-1).
pub const PIN_MAX_DIGITS: u8 = 12;
/// Longest time for the entry of a PIN.
pub const ENTRY_MAX: Duration = Duration::from_secs(255);
/// Most characters of a serial number or model name.
pub const NAME_MAX: usize = 32;

/// What the terminal asks of the pad.
#[derive(Debug)]
pub enum Command<'a> {
    /// Starts the conversation anew; an open PIN entry ends.
    Handshake,
    /// Asks for state and next KSN.
    Status,
    /// Shows one of the pad's own texts.
    Display(PadText, PadLanguage),
    /// Asks for the tag of a card.
    Tag(&'a SecretPan),
    /// Starts the entry of a PIN.
    PinEntry {
        /// The card that the PIN belongs to.
        pan: &'a SecretPan,
        /// Fewest digits.
        min: u8,
        /// Most digits.
        max: u8,
        /// Seconds.
        limit_s: u8,
        /// Language of the prompt.
        language: PadLanguage,
    },
    /// Ends the entry of a PIN.
    Cancel,
}

impl Command<'_> {
    /// The command word, which is also the word of the answer.
    pub fn word(&self) -> &'static str {
        match self {
            Command::Handshake => "HS",
            Command::Status => "ST",
            Command::Display(..) => "DT",
            Command::Tag(_) => "TG",
            Command::PinEntry { .. } => "PE",
            Command::Cancel => "CX",
        }
    }

    /// The data of the frame.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut data = Zeroizing::new(Vec::with_capacity(64));
        data.extend_from_slice(self.word().as_bytes());
        let mut field = |text: &str| {
            data.push(FS);
            data.extend_from_slice(text.as_bytes());
        };
        match self {
            Command::Handshake => field(&VERSION.to_string()),
            Command::Status | Command::Cancel => {}
            Command::Display(text, language) => {
                field(&text.code().to_string());
                field(language.code());
            }
            Command::Tag(pan) => field(pan.expose()),
            Command::PinEntry { pan, min, max, limit_s, language } => {
                field(pan.expose());
                field(&min.to_string());
                field(&max.to_string());
                field(&limit_s.to_string());
                field(language.code());
            }
        }
        data
    }
}

/// How the entry of a PIN ended, as the pad words it.
#[derive(Debug, PartialEq, Eq)]
pub enum EntryEnd {
    /// A PIN was entered.
    Entered(EncryptedPin),
    /// The person pressed cancel, or the terminal did.
    Cancelled,
    /// Nothing was entered in time.
    TimedOut,
    /// Enter was pressed after too few digits.
    TooShort,
}

/// What the pad says.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// Answer to a handshake.
    Handshake(PadInfo),
    /// Answer to a status request: state and next KSN.
    Status(PadState, [u8; 12]),
    /// The text is shown.
    Displayed,
    /// The tag of the card.
    Tag(CardTag),
    /// The entry of a PIN has begun.
    EntryOpen,
    /// The entry of a PIN ended.
    EntryEnd(EntryEnd),
    /// So many digits have been entered.
    Digits(u8),
    /// Cancel is done.
    Cancelled,
    /// A function key was pressed outside an entry.
    Key(FunctionKey),
    /// The pad refuses the last command with a code of its own.
    Error(u32),
}

/// A message that cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The command word is not known.
    #[error("unknown command word")]
    Word,
    /// There are more or fewer fields than the word has.
    #[error("wrong number of fields")]
    Count,
    /// A field is not what its place needs.
    #[error("wrong field")]
    Field,
}

impl Message {
    /// Reads the data of a frame.
    ///
    /// # Errors
    /// [`MessageError`]; never shows the content.
    pub fn decode(data: &[u8]) -> Result<Message, MessageError> {
        let text = std::str::from_utf8(data).map_err(|_| MessageError::Field)?;
        let mut fields = text.split(char::from(FS));
        let word = fields.next().unwrap_or_default();
        let fields: Vec<&str> = fields.collect();
        match word {
            "HS" => handshake(&fields),
            "ST" => {
                let [state, ksn] = exactly(&fields)?;
                Ok(Message::Status(pad_state(state)?, bytes(ksn)?))
            }
            "DT" => exactly::<0>(&fields).map(|_| Message::Displayed),
            "TG" => {
                let [tag] = exactly(&fields)?;
                Ok(Message::Tag(CardTag::from_bytes(bytes(tag)?)))
            }
            "PE" => exactly::<0>(&fields).map(|_| Message::EntryOpen),
            "PR" => entry_end(&fields).map(Message::EntryEnd),
            "KN" => {
                let [count] = exactly(&fields)?;
                Ok(Message::Digits(number(count, 2)? as u8))
            }
            "CX" => exactly::<0>(&fields).map(|_| Message::Cancelled),
            "FK" => {
                let [key] = exactly(&fields)?;
                FunctionKey::from_code(key).map(Message::Key).ok_or(MessageError::Field)
            }
            "ER" => {
                let [code] = exactly(&fields)?;
                Ok(Message::Error(number(code, 4)?))
            }
            _ => Err(MessageError::Word),
        }
    }
}

fn exactly<'a, const N: usize>(fields: &[&'a str]) -> Result<[&'a str; N], MessageError> {
    fields.try_into().map_err(|_| MessageError::Count)
}

fn number(text: &str, digits_max: usize) -> Result<u32, MessageError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits || text.len() > digits_max {
        return Err(MessageError::Field);
    }
    text.parse().map_err(|_| MessageError::Field)
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], MessageError> {
    let mut out = [0u8; N];
    hex::decode_to_slice(text, &mut out).map_err(|_| {
        out.zeroize();
        MessageError::Field
    })?;
    Ok(out)
}

fn name(text: &str) -> Result<String, MessageError> {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if text.is_empty() || text.len() > NAME_MAX || !plain {
        return Err(MessageError::Field);
    }
    Ok(text.to_owned())
}

fn pad_state(text: &str) -> Result<PadState, MessageError> {
    PadState::from_code(number(text, 2)?).ok_or(MessageError::Field)
}

fn handshake(fields: &[&str]) -> Result<Message, MessageError> {
    let [version, serial, model, ksn, state] = exactly(fields)?;
    Ok(Message::Handshake(PadInfo {
        version: number(version, 4)?,
        serial: name(serial)?,
        model: name(model)?,
        next_ksn: bytes(ksn)?,
        state: pad_state(state)?,
    }))
}

fn entry_end(fields: &[&str]) -> Result<EntryEnd, MessageError> {
    match fields {
        ["OK", block, ksn] => {
            Ok(EntryEnd::Entered(EncryptedPin::from_parts(bytes(block)?, bytes(ksn)?)))
        }
        ["CA"] => Ok(EntryEnd::Cancelled),
        ["TO"] => Ok(EntryEnd::TimedOut),
        ["TS"] => Ok(EntryEnd::TooShort),
        [] | [_, _, _, ..] => Err(MessageError::Count),
        [..] => Err(MessageError::Field),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fs(text: &str) -> Vec<u8> {
        text.replace('|', "\x1c").into_bytes()
    }

    #[test]
    fn commands_have_these_bytes() {
        let pan = SecretPan::new("6210948000000011").unwrap();
        let entry =
            Command::PinEntry { pan: &pan, min: 4, max: 6, limit_s: 60, language: PadLanguage::Zh };
        let table = [
            (Command::Handshake, "HS|1"),
            (Command::Status, "ST"),
            (Command::Display(PadText::TakeTicket, PadLanguage::En), "DT|5|en"),
            (Command::Tag(&pan), "TG|6210948000000011"),
            (entry, "PE|6210948000000011|4|6|60|zh"),
            (Command::Cancel, "CX"),
        ];
        for (command, right) in table {
            assert_eq!(command.encode().as_slice(), fs(right), "{right}");
            assert!(!format!("{command:?}").contains("6210"));
        }
    }

    #[test]
    fn messages_are_read_or_refused() {
        let ksn = "123456789012345600000001";
        let ksn_bytes = [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56, 0, 0, 0, 1];
        let block = "00112233445566778899aabbccddeeff";
        let block_bytes: [u8; 16] = std::array::from_fn(|n| (n * 0x11) as u8);
        let good = [
            (
                format!("HS|1|PAD-7|Guichet pad|{ksn}|0"),
                Message::Handshake(PadInfo {
                    version: 1,
                    serial: "PAD-7".into(),
                    model: "Guichet pad".into(),
                    next_ksn: ksn_bytes,
                    state: PadState::Ready,
                }),
            ),
            (format!("ST|1|{ksn}"), Message::Status(PadState::Busy, ksn_bytes)),
            ("DT".into(), Message::Displayed),
            (format!("TG|{block}"), Message::Tag(CardTag::from_bytes(block_bytes))),
            ("PE".into(), Message::EntryOpen),
            ("KN|3".into(), Message::Digits(3)),
            (
                format!("PR|OK|{block}|{ksn}"),
                Message::EntryEnd(EntryEnd::Entered(EncryptedPin::from_parts(
                    block_bytes,
                    ksn_bytes,
                ))),
            ),
            ("PR|CA".into(), Message::EntryEnd(EntryEnd::Cancelled)),
            ("PR|TO".into(), Message::EntryEnd(EntryEnd::TimedOut)),
            ("PR|TS".into(), Message::EntryEnd(EntryEnd::TooShort)),
            ("CX".into(), Message::Cancelled),
            ("FK|enter".into(), Message::Key(FunctionKey::Enter)),
            ("ER|3".into(), Message::Error(3)),
        ];
        for (text, right) in good {
            assert_eq!(Message::decode(&fs(&text)), Ok(right), "{text}");
            for cut in 0..text.len() {
                // A truncated message may be another message, never a panic.
                let _ = Message::decode(&fs(&text[..cut]));
            }
        }
        let bad = [
            ("", MessageError::Word),
            ("XX", MessageError::Word),
            ("ST|0", MessageError::Count),
            ("ST|99|123456789012345600000001", MessageError::Field),
            ("TG|00", MessageError::Field),
            ("PR|OK|00|00", MessageError::Field),
            ("PR|ZZ", MessageError::Field),
            ("PR", MessageError::Count),
            ("KN|x", MessageError::Field),
            ("KN|", MessageError::Field),
            ("FK|7", MessageError::Field),
            ("HS|1||m|123456789012345600000001|0", MessageError::Field),
        ];
        for (text, right) in bad {
            assert_eq!(Message::decode(&fs(text)), Err(right), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::decode(&bytes);
        }

        #[test]
        fn any_fields_are_read_or_refused(
            word in "(HS|ST|DT|TG|PE|PR|KN|CX|FK|ER)", rest in "(\x1c[0-9a-zA-Z]{0,40}){0,6}"
        ) {
            let _ = Message::decode(format!("{word}{rest}").as_bytes());
        }
    }
}
