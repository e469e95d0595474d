//! Finds swipes in the bytes of a stripe reader. Pure.
//!
//! Readers differ in what they put around the tracks: STX and ETX, CR or CR LF, a sensor
//! character, nothing. So the parser looks only for start and end sentinels, and takes ETX or a
//! pause as the end of a swipe.

use std::fmt;
use std::mem;

use zeroize::{Zeroize, Zeroizing};

/// Most characters of track 1 with sentinels and LRC (ISO/IEC 7811-6).
pub const TRACK1_MAX: usize = 79;
/// Most characters of track 2 with sentinels and LRC (ISO/IEC 7811-6).
pub const TRACK2_MAX: usize = 40;
/// Most characters of track 3 with sentinels and LRC (ISO/IEC 4909).
pub const TRACK3_MAX: usize = 107;

const STX: u8 = 0x02;
const ETX: u8 = 0x03;

/// One track as the reader gave it, without its sentinels.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum TrackData {
    /// The swipe does not have it.
    #[default]
    Absent,
    /// The reader marked it as bad, or it breaks the rules of a track.
    Bad,
    /// Its characters.
    Good(Zeroizing<String>),
}

impl fmt::Debug for TrackData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrackData::Absent => "Absent",
            TrackData::Bad => "Bad",
            TrackData::Good(_) => "Good(****)",
        })
    }
}

/// The tracks of one swipe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawSwipe {
    /// Track 1, after `%`.
    pub track1: TrackData,
    /// Track 2, after `;`.
    pub track2: TrackData,
    /// Track 3, after `+` or `!`.
    pub track3: TrackData,
}

impl RawSwipe {
    fn is_empty(&self) -> bool {
        *self == RawSwipe::default()
    }

    fn slot(&mut self, which: Which) -> &mut TrackData {
        match which {
            Which::One => &mut self.track1,
            Which::Two => &mut self.track2,
            Which::Three => &mut self.track3,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    One,
    Two,
    Three,
}

impl Which {
    fn starting_with(byte: u8) -> Option<Which> {
        match byte {
            b'%' => Some(Which::One),
            b';' => Some(Which::Two),
            b'+' | b'!' => Some(Which::Three),
            _ => None,
        }
    }

    /// Most characters between the sentinels: the standard's length less sentinels and LRC.
    fn capacity(self) -> usize {
        match self {
            Which::One => TRACK1_MAX - 3,
            Which::Two => TRACK2_MAX - 3,
            Which::Three => TRACK3_MAX - 3,
        }
    }

    fn allows(self, byte: u8) -> bool {
        match self {
            Which::One => (0x20..=0x5F).contains(&byte),
            Which::Two | Which::Three => byte.is_ascii_digit() || matches!(byte, b'=' | b'D'),
        }
    }
}

/// Collects bytes until a swipe is complete.
#[derive(Default)]
pub struct SwipeParser {
    swipe: RawSwipe,
    track: Option<Which>,
    text: Zeroizing<Vec<u8>>,
    broken: bool,
    done: Option<RawSwipe>,
}

impl SwipeParser {
    /// Takes bytes as they come off the line. A swipe that is complete and not yet taken is
    /// replaced by a later one: the last card counts.
    pub fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }

    /// Notes that the line fell silent: what came so far is the whole swipe.
    pub fn idle(&mut self) {
        self.close_track(false);
        self.finish();
    }

    /// Says whether a swipe has begun and not ended.
    pub fn is_open(&self) -> bool {
        self.track.is_some() || !self.swipe.is_empty()
    }

    /// Gives the last complete swipe, once.
    pub fn take(&mut self) -> Option<RawSwipe> {
        self.done.take()
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = SwipeParser::default();
    }

    fn byte(&mut self, byte: u8) {
        match (self.track, byte) {
            (_, STX) => {
                self.close_track(false);
                self.finish();
            }
            (_, ETX) => self.idle(),
            (Some(_), b'?') => self.close_track(true),
            (Some(which), _) => {
                let fits = self.text.len() < which.capacity();
                if self.broken || !fits || !is_reading(which, byte, self.text.is_empty()) {
                    self.broken = true;
                } else {
                    if self.text.capacity() == 0 {
                        // One allocation, so that no copy of the data is left behind by growth.
                        self.text.reserve_exact(TRACK3_MAX);
                    }
                    self.text.push(byte);
                }
            }
            // Line ends, sensor characters and noise between tracks.
            (None, _) => self.track = Which::starting_with(byte),
        }
    }

    fn close_track(&mut self, ended: bool) {
        let Some(which) = self.track.take() else { return };
        let text = mem::take(&mut self.text);
        let broken = mem::take(&mut self.broken) || !ended;
        let data = match std::str::from_utf8(&text) {
            Ok(text) if !broken && !text.is_empty() && text != "E" => {
                TrackData::Good(Zeroizing::new(text.to_owned()))
            }
            _ => TrackData::Bad,
        };
        *self.swipe.slot(which) = data;
    }

    fn finish(&mut self) {
        let swipe = mem::take(&mut self.swipe);
        if !swipe.is_empty() {
            self.done = Some(swipe);
        }
    }
}

impl Drop for SwipeParser {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

/// A character may stand in the track, or is the `E` by which readers mark a bad one.
fn is_reading(which: Which, byte: u8, first: bool) -> bool {
    which.allows(byte) || (first && byte == b'E')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOTH: &[u8] = b"\x02%B4111111111111111^PUBLIC/JOHN Q^30122010000?\
        ;4111111111111111=30122010000012300000?\r\x03";

    fn good(text: &str) -> TrackData {
        TrackData::Good(Zeroizing::new(text.to_owned()))
    }

    fn swipe(t1: TrackData, t2: TrackData, t3: TrackData) -> RawSwipe {
        RawSwipe { track1: t1, track2: t2, track3: t3 }
    }

    #[test]
    fn vendor_frames_are_understood() {
        use TrackData::{Absent, Bad};
        let t1 = "B4111111111111111^PUBLIC/JOHN Q^30122010000";
        let t2 = "4111111111111111=30122010000012300000";
        let table: Vec<(&[u8], RawSwipe)> = vec![
            (BOTH, swipe(good(t1), good(t2), Absent)),
            (b"%E?;62=30?\r", swipe(Bad, good("62=30"), Absent)),
            (b"\x02%E?;E?1\x03", swipe(Bad, Bad, Absent)),
            (b";62=30?\r\n+0112=3?\r\n", swipe(Absent, good("62=30"), good("0112=3"))),
            (b";62=30?!0112=3?", swipe(Absent, good("62=30"), good("0112=3"))),
            (b"noise;62D30?", swipe(Absent, good("62D30"), Absent)),
            (b";62=3a0?", swipe(Absent, Bad, Absent)),
            (b";62=30", swipe(Absent, Bad, Absent)),
            (b";?", swipe(Absent, Bad, Absent)),
            (b";62\r=30?", swipe(Absent, Bad, Absent)),
            (b"%B;62=30?", swipe(good("B;62=30"), Absent, Absent)),
        ];
        for (bytes, right) in table {
            for chunk in [1, 3, bytes.len()] {
                let mut parser = SwipeParser::default();
                bytes.chunks(chunk).for_each(|part| parser.push(part));
                parser.idle();
                assert_eq!(parser.take(), Some(right.clone()), "{bytes:02X?} by {chunk}");
                assert_eq!(parser.take(), None);
                assert!(!parser.is_open());
            }
        }
    }

    #[test]
    fn sensor_characters_and_silence_are_no_swipe() {
        for bytes in [&b"\x021\x03"[..], b"\x020\x03", b"", b"\r\n", b"\x02\x03"] {
            let mut parser = SwipeParser::default();
            parser.push(bytes);
            parser.idle();
            assert_eq!(parser.take(), None, "{bytes:02X?}");
        }
    }

    #[test]
    fn etx_ends_a_swipe_at_once_and_a_later_swipe_replaces_an_untaken_one() {
        let mut parser = SwipeParser::default();
        parser.push(b"\x02;62=30?\x03");
        assert!(!parser.is_open());
        parser.push(b"\x02;62=31?\x03");
        assert_eq!(parser.take().unwrap().track2, good("62=31"));
    }

    #[test]
    fn track_length_is_limited_at_its_edge() {
        for (start, limit) in [(b'%', TRACK1_MAX), (b';', TRACK2_MAX), (b'+', TRACK3_MAX)] {
            for (extra, right) in [(0, true), (1, false)] {
                let mut bytes = vec![start];
                bytes.extend(std::iter::repeat_n(b'1', limit - 3 + extra));
                bytes.push(b'?');
                let mut parser = SwipeParser::default();
                parser.push(&bytes);
                parser.idle();
                let mut swipe = parser.take().unwrap();
                let which = Which::starting_with(start).unwrap();
                assert_eq!(matches!(swipe.slot(which), TrackData::Good(_)), right);
            }
        }
    }

    #[test]
    fn every_truncation_and_every_flipped_bit_gives_a_swipe_or_nothing() {
        for length in 0..BOTH.len() {
            let mut parser = SwipeParser::default();
            parser.push(&BOTH[..length]);
            parser.idle();
            if let Some(swipe) = parser.take()
                && length < BOTH.len() - 3
            {
                assert!(!matches!(swipe.track2, TrackData::Good(_)), "{length}");
            }
        }
        for place in 0..BOTH.len() * 8 {
            let mut bytes = BOTH.to_vec();
            bytes[place / 8] ^= 1 << (place % 8);
            let mut parser = SwipeParser::default();
            parser.push(&bytes);
            parser.idle();
            let _ = parser.take();
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics_and_holds_no_memory(
            bytes in proptest::collection::vec(any::<u8>(), 0..2000)
        ) {
            let mut parser = SwipeParser::default();
            parser.push(&bytes);
            prop_assert!(parser.text.len() <= TRACK3_MAX);
            parser.idle();
            if let Some(swipe) = parser.take() {
                let _ = crate::stripe::understand(&swipe);
            }
        }
    }
}
