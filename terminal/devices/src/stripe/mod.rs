//! Magnetic stripe readers: the class, the card model and the driver.

pub mod frame;
pub mod track;

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use zeroize::Zeroize;

use crate::error::DeviceError;
use crate::port::{Line, LineConfig};
use crate::secret::{SecretPan, Track2};
use crate::status::{DeviceState, MediaState, ReaderCapabilities, ReaderStatus};
use frame::{RawSwipe, SwipeParser, TrackData};

/// A pause on the line after which a swipe without end mark counts as complete.
pub const IDLE_GAP: Duration = Duration::from_millis(150);

/// A card whose track 2 was read and understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardRead {
    /// The account number.
    pub pan: SecretPan,
    /// Expiry as the number YYMM, if the card states one (ISO/IEC 7813).
    pub expiry_yymm: Option<u16>,
    /// Service code of three digits, if the card states one (ISO/IEC 7813).
    pub service_code: Option<u16>,
    /// Track 2 as the bank wants it.
    pub track2: Track2,
}

impl CardRead {
    /// Says whether the card has expired in the month `now_yymm`; a card without expiry has not.
    /// Years are compared within the same century.
    pub fn expired_in(&self, now_yymm: u16) -> bool {
        self.expiry_yymm.is_some_and(|expiry| expiry < now_yymm)
    }

    /// Says whether the service code asks for the chip to be used (first digit 2 or 6).
    pub fn asks_for_chip(&self) -> bool {
        self.service_code.is_some_and(|code| matches!(code / 100, 2 | 6))
    }
}

/// Why a swipe gave no card. The person is asked to swipe again, or to take another card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The reader could not read track 2.
    #[error("track 2 could not be read")]
    BadTrack,
    /// The swipe has no track 2.
    #[error("the card has no track 2")]
    NoTrack2,
    /// Track 2 is not formed as ISO/IEC 7813 has it.
    #[error("track 2 is malformed: {0}")]
    Malformed(track::TrackError),
    /// Tracks 1 and 2 name different accounts.
    #[error("tracks 1 and 2 name different accounts")]
    TracksDisagree,
}

/// What came of a swipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swipe {
    /// A card.
    Card(CardRead),
    /// No card, and why.
    Unreadable(Unreadable),
}

/// Class of the readers of magnetic stripes.
pub trait CardReader: Send {
    /// What the reader can do.
    fn capabilities(&self) -> ReaderCapabilities;

    /// What the reader says of itself; tries to open its line.
    fn status(&mut self) -> impl Future<Output = ReaderStatus> + Send;

    /// Waits for the next swipe. Dropping the future loses no swipe.
    ///
    /// # Errors
    /// [`DeviceError`] of the line; calling again tries to open it again after a pause.
    fn next_swipe(&mut self) -> impl Future<Output = Result<Swipe, DeviceError>> + Send;

    /// Forgets swipes that were made before they were wanted.
    fn discard(&mut self);
}

/// Driver of a reader that sends STX, tracks, CR, ETX over a serial line (MagTek style).
pub struct SerialCardReader {
    line: Line,
    parser: SwipeParser,
    last_byte: Option<Instant>,
}

impl SerialCardReader {
    /// Prepares the driver; opens the line on first use.
    pub fn new(line: LineConfig) -> SerialCardReader {
        SerialCardReader { line: Line::new(line), parser: SwipeParser::default(), last_byte: None }
    }

    async fn next_raw(&mut self) -> Result<RawSwipe, DeviceError> {
        let mut buffer = [0u8; 128];
        loop {
            if let Some(swipe) = self.parser.take() {
                return Ok(swipe);
            }
            let outcome = match self.last_byte {
                Some(at) if self.parser.is_open() => {
                    self.line.read_until(&mut buffer, at + IDLE_GAP).await
                }
                _ => self.line.read(&mut buffer).await,
            };
            match outcome {
                Ok(0) => self.parser.idle(),
                Ok(count) => {
                    self.last_byte = Some(Instant::now());
                    self.parser.push(&buffer[..count]);
                    buffer.zeroize();
                }
                Err(error) => {
                    self.parser.reset();
                    return Err(error);
                }
            }
        }
    }
}

impl CardReader for SerialCardReader {
    fn capabilities(&self) -> ReaderCapabilities {
        ReaderCapabilities { track1: true, track2: true, holds_card: false }
    }

    async fn status(&mut self) -> ReaderStatus {
        let device = match self.line.ensure_open().await {
            Ok(()) => DeviceState::Online,
            Err(_) => DeviceState::NoDevice,
        };
        ReaderStatus { device, media: MediaState::NotSupported }
    }

    async fn next_swipe(&mut self) -> Result<Swipe, DeviceError> {
        Ok(understand(&self.next_raw().await?))
    }

    fn discard(&mut self) {
        self.line.discard_input();
        self.parser.reset();
    }
}

/// Makes a card of a raw swipe. Pure.
pub fn understand(raw: &RawSwipe) -> Swipe {
    match card_of(raw) {
        Ok(card) => Swipe::Card(card),
        Err(reason) => Swipe::Unreadable(reason),
    }
}

fn card_of(raw: &RawSwipe) -> Result<CardRead, Unreadable> {
    let data = match &raw.track2 {
        TrackData::Good(data) => data,
        TrackData::Bad => return Err(Unreadable::BadTrack),
        TrackData::Absent => return Err(Unreadable::NoTrack2),
    };
    let fields = track::parse_track2(data).map_err(Unreadable::Malformed)?;
    if let TrackData::Good(first) = &raw.track1
        && let Ok(first) = track::parse_track1(first)
        && first.pan != fields.pan
    {
        return Err(Unreadable::TracksDisagree);
    }
    Ok(CardRead {
        track2: Track2::new(&fields.as_de35()),
        pan: fields.pan,
        expiry_yymm: fields.expiry_yymm,
        service_code: fields.service_code,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swipe(bytes: &[u8]) -> Swipe {
        let mut parser = SwipeParser::default();
        parser.push(bytes);
        parser.idle();
        understand(&parser.take().expect("a swipe"))
    }

    #[test]
    fn swipes_become_cards_or_reasons() {
        use track::TrackError;
        let both = b"\x02%B4111111111111111^PUBLIC/JOHN Q^30122010000?\
                     ;4111111111111111=30122010000012300000?\r\x03";
        let Swipe::Card(card) = swipe(both) else { panic!("no card") };
        assert_eq!(card.pan.expose(), "4111111111111111");
        assert_eq!(card.expiry_yymm, Some(3012));
        assert_eq!(card.service_code, Some(201));
        assert_eq!(card.track2.expose(), "4111111111111111=30122010000012300000");
        assert!(card.asks_for_chip());
        assert!(!card.expired_in(3012) && card.expired_in(3101));

        let Swipe::Card(card) = swipe(b"%E?;6210948000000011=30102010100000?\r") else {
            panic!("no card")
        };
        assert_eq!(card.pan.expose(), "6210948000000011");

        let table: [(&[u8], Unreadable); 7] = [
            (b"\x02%E?;E?1\x03", Unreadable::BadTrack),
            (b"\x02%B4111111111111111^A/B^30122010000?\r\x03", Unreadable::NoTrack2),
            (b";4111111111111112=30122010000?", Unreadable::Malformed(TrackError::Pan)),
            (b";4111111111111111=30132010000?", Unreadable::Malformed(TrackError::Expiry)),
            (b";4111111111111111?", Unreadable::Malformed(TrackError::Separator)),
            (b";4111111111111111=3012?", Unreadable::Malformed(TrackError::ServiceCode)),
            (
                b"%B4111111111111111^A/B^30122010000?;6210948000000011=30102010100000?",
                Unreadable::TracksDisagree,
            ),
        ];
        for (bytes, reason) in table {
            assert_eq!(swipe(bytes), Swipe::Unreadable(reason));
        }
    }

    #[test]
    fn a_card_prints_no_secret() {
        let Swipe::Card(card) = swipe(b";4111111111111111=30122010000012300000?") else {
            panic!("no card")
        };
        let text = format!("{card:?}");
        assert!(!text.contains("4111") && !text.contains("0000123"), "{text}");
    }
}
