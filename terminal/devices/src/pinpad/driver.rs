//! The driver of a pad on a serial line.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;

use super::link::PadLink;
use super::message::{
    Command, ENTRY_MAX, EntryEnd, Message, PIN_MAX_DIGITS, PIN_MIN_DIGITS, VERSION,
};
use super::{
    CardTag, FunctionKey, PadInfo, PadLanguage, PadText, PinOutcome, PinPad, PinProgress,
    PinRequest,
};
use crate::error::DeviceError;
use crate::port::LineConfig;
use crate::secret::SecretPan;

/// Longest wait for the answer to a command.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// How much longer than the pad itself the driver waits for the end of an entry.
const ENTRY_SLACK: Duration = Duration::from_secs(5);
/// Most function keys kept for later.
const KEYS_MAX: usize = 8;

/// Driver of a pad that speaks the protocol of `PROTOCOLS.md`.
pub struct SerialPinPad {
    link: PadLink,
    /// The connection with which hands were shaken.
    greeted: Option<u64>,
    info: Option<PadInfo>,
    entry_open: bool,
    keys: VecDeque<FunctionKey>,
}

impl SerialPinPad {
    /// Prepares the driver; opens the line on first use.
    pub fn new(line: LineConfig) -> SerialPinPad {
        SerialPinPad {
            link: PadLink::new(line),
            greeted: None,
            info: None,
            entry_open: false,
            keys: VecDeque::new(),
        }
    }

    /// Brings line and conversation to a known state before a command.
    async fn ready(&mut self) -> Result<(), DeviceError> {
        let epoch = self.link.open().await?;
        if self.greeted == Some(epoch) {
            if self.entry_open {
                self.end_entry().await?;
            }
            return Ok(());
        }
        self.greeted = None;
        self.link.reset();
        self.entry_open = false;
        match self.exchange(&Command::Handshake, "shaking hands with the PIN pad").await? {
            Message::Handshake(info) if info.version == VERSION => {
                self.info = Some(info);
                self.greeted = Some(epoch);
                Ok(())
            }
            Message::Handshake(info) => {
                Err(DeviceError::Version { ours: VERSION, theirs: info.version })
            }
            _ => Err(unexpected("shaking hands with the PIN pad")),
        }
    }

    /// Sends a command and waits for its answer; a broken link is greeted anew next time.
    async fn exchange(
        &mut self,
        command: &Command<'_>,
        doing: &'static str,
    ) -> Result<Message, DeviceError> {
        let outcome = self.try_exchange(command, doing).await;
        if outcome.as_ref().is_err_and(|error| !matches!(error, DeviceError::Reported { .. })) {
            self.greeted = None;
        }
        outcome
    }

    async fn try_exchange(
        &mut self,
        command: &Command<'_>,
        doing: &'static str,
    ) -> Result<Message, DeviceError> {
        self.link.send(&command.encode(), doing).await?;
        let deadline = Instant::now() + ANSWER_LIMIT;
        loop {
            let Some(data) = self.link.receive(Some(deadline)).await? else {
                let limit_ms = ANSWER_LIMIT.as_millis() as u64;
                return Err(DeviceError::Timeout { doing, limit_ms });
            };
            let message = Message::decode(&data)
                .map_err(|_| DeviceError::Unexpected { doing, detail: "unknown message" })?;
            if answers(command, &message) {
                return Ok(message);
            }
            match message {
                Message::Error(code) => return Err(DeviceError::Reported { doing, code }),
                // What belongs to an entry that is over, or came while nobody waited for it.
                other => self.keep(other),
            }
        }
    }

    fn keep(&mut self, message: Message) {
        match message {
            Message::Key(key) => {
                if self.keys.len() == KEYS_MAX {
                    self.keys.pop_front();
                }
                self.keys.push_back(key);
            }
            Message::EntryEnd(_) => self.entry_open = false,
            Message::Handshake(_)
            | Message::Status(..)
            | Message::Displayed
            | Message::Tag(_)
            | Message::EntryOpen
            | Message::Digits(_)
            | Message::Cancelled
            | Message::Error(_) => {}
        }
    }

    async fn end_entry(&mut self) -> Result<(), DeviceError> {
        self.exchange(&Command::Cancel, "ending the PIN entry").await?;
        self.entry_open = false;
        Ok(())
    }

    async fn follow_entry(
        &mut self,
        limit: Duration,
        progress: &mut (impl FnMut(PinProgress) + Send),
        cancel: impl Future<Output = ()> + Send,
    ) -> Result<PinOutcome, DeviceError> {
        let doing = "waiting for the PIN";
        let mut cancel = pin!(cancel);
        let mut deadline = Instant::now() + limit;
        loop {
            let data = tokio::select! {
                biased;
                data = self.link.receive(Some(deadline)) => data?,
                () = &mut cancel => {
                    self.end_entry().await?;
                    return Ok(PinOutcome::Cancelled);
                }
            };
            let Some(data) = data else {
                let limit_ms = limit.as_millis() as u64;
                return Err(DeviceError::Timeout { doing, limit_ms });
            };
            match Message::decode(&data) {
                Ok(Message::Digits(digits)) => {
                    deadline = Instant::now() + limit;
                    progress(PinProgress { digits });
                }
                Ok(Message::EntryEnd(end)) => {
                    self.entry_open = false;
                    return Ok(match end {
                        EntryEnd::Entered(pin) => PinOutcome::Entered(pin),
                        EntryEnd::Cancelled => PinOutcome::Cancelled,
                        EntryEnd::TimedOut => PinOutcome::TimedOut,
                        EntryEnd::TooShort => PinOutcome::TooShort,
                    });
                }
                Ok(Message::Error(code)) => {
                    self.entry_open = false;
                    return Err(DeviceError::Reported { doing, code });
                }
                Ok(other) => self.keep(other),
                Err(_) => return Err(DeviceError::Unexpected { doing, detail: "unknown message" }),
            }
        }
    }
}

impl PinPad for SerialPinPad {
    async fn info(&mut self) -> Result<PadInfo, DeviceError> {
        self.ready().await?;
        let doing = "asking the PIN pad for its status";
        let Message::Status(state, next_ksn) = self.exchange(&Command::Status, doing).await? else {
            return Err(unexpected(doing));
        };
        let info = self.info.as_mut().ok_or_else(|| unexpected(doing))?;
        info.state = state;
        info.next_ksn = next_ksn;
        Ok(info.clone())
    }

    async fn display(&mut self, text: PadText, language: PadLanguage) -> Result<(), DeviceError> {
        self.ready().await?;
        self.exchange(&Command::Display(text, language), "showing a text on the PIN pad").await?;
        Ok(())
    }

    async fn tag(&mut self, pan: &SecretPan) -> Result<CardTag, DeviceError> {
        self.ready().await?;
        let doing = "asking the PIN pad for a card tag";
        match self.exchange(&Command::Tag(pan), doing).await? {
            Message::Tag(tag) => Ok(tag),
            _ => Err(unexpected(doing)),
        }
    }

    async fn pin_entry(
        &mut self,
        request: &PinRequest<'_>,
        mut progress: impl FnMut(PinProgress) + Send,
        cancel: impl Future<Output = ()> + Send,
    ) -> Result<PinOutcome, DeviceError> {
        let command = entry_command(request)?;
        self.ready().await?;
        // From here on an entry may be open in the pad even if the answer is never seen.
        self.entry_open = true;
        let begun = self.exchange(&command, "starting the PIN entry").await;
        if let Err(DeviceError::Reported { .. }) = begun {
            self.entry_open = false;
        }
        begun?;
        let outcome = self.follow_entry(request.timeout + ENTRY_SLACK, &mut progress, cancel).await;
        if outcome.is_err() {
            self.greeted = None;
        }
        outcome
    }

    async fn next_key(&mut self) -> Result<FunctionKey, DeviceError> {
        self.ready().await?;
        loop {
            if let Some(key) = self.keys.pop_front() {
                return Ok(key);
            }
            match self.link.receive(None).await {
                Ok(Some(data)) => {
                    if let Ok(message) = Message::decode(&data) {
                        self.keep(message);
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    self.greeted = None;
                    return Err(error);
                }
            }
        }
    }
}

fn unexpected(doing: &'static str) -> DeviceError {
    DeviceError::Unexpected { doing, detail: "another message than asked for" }
}

fn answers(command: &Command<'_>, message: &Message) -> bool {
    matches!(
        (command, message),
        (Command::Handshake, Message::Handshake(_))
            | (Command::Status, Message::Status(..))
            | (Command::Display(..), Message::Displayed)
            | (Command::Tag(_), Message::Tag(_))
            | (Command::PinEntry { .. }, Message::EntryOpen)
            | (Command::Cancel, Message::Cancelled)
    )
}

fn entry_command<'a>(request: &PinRequest<'a>) -> Result<Command<'a>, DeviceError> {
    let (min, max) = (request.min_digits, request.max_digits);
    if min < PIN_MIN_DIGITS || max > PIN_MAX_DIGITS || min > max {
        return Err(DeviceError::Argument { why: "a PIN has 4 to 12 digits" });
    }
    let whole = u8::try_from(request.timeout.as_secs()).unwrap_or(0);
    if whole == 0 || request.timeout > ENTRY_MAX {
        return Err(DeviceError::Argument { why: "a PIN entry lasts 1 to 255 seconds" });
    }
    Ok(Command::PinEntry { pan: request.pan, min, max, limit_s: whole, language: request.language })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_limits_hold_at_their_edges() {
        let pan = SecretPan::new("6210948000000011").unwrap();
        let table = [
            (4, 12, 1, true),
            (4, 4, 255, true),
            (3, 12, 60, false),
            (4, 13, 60, false),
            (7, 6, 60, false),
            (4, 12, 0, false),
            (4, 12, 256, false),
        ];
        for (min, max, seconds, right) in table {
            let request = PinRequest {
                pan: &pan,
                min_digits: min,
                max_digits: max,
                timeout: Duration::from_secs(seconds),
                language: PadLanguage::En,
            };
            assert_eq!(entry_command(&request).is_ok(), right, "{min} {max} {seconds}");
        }
    }
}
