//! The link between terminal and PIN pad: STX, sequence digit, data, ETX, LRC. Pure.
//!
//! LRC is the exclusive or of all bytes after STX up to and with ETX. A frame is answered by ACK
//! or NAK; after three tries the sender gives up with EOT. The sequence digit lets the receiver
//! see that a frame came twice because an ACK was lost.

use zeroize::{Zeroize, Zeroizing};

/// Most data bytes of a frame.
pub const DATA_MAX: usize = 512;
/// Tries to send one frame.
pub const TRIES_MAX: u32 = 3;

/// Start of a frame.
pub const STX: u8 = 0x02;
/// End of the data of a frame.
pub const ETX: u8 = 0x03;
/// Sender gives up.
pub const EOT: u8 = 0x04;
/// Frame taken.
pub const ACK: u8 = 0x06;
/// Frame refused: send it again.
pub const NAK: u8 = 0x15;
/// Separates the fields of a message; the only control character that data may hold.
pub const FS: u8 = 0x1C;

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The check byte does not fit.
    #[error("the check byte does not fit")]
    Lrc,
    /// More than [`DATA_MAX`] bytes of data.
    #[error("frame too long")]
    TooLong,
    /// A control character within the data.
    #[error("control character within the data")]
    Control,
    /// The sequence digit is missing.
    #[error("no sequence digit")]
    Sequence,
}

/// Something that came over the link.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkItem {
    /// The last frame was taken.
    Ack,
    /// The last frame was refused.
    Nak,
    /// The other side gave up.
    Eot,
    /// A good frame.
    Frame {
        /// Sequence digit, 0 to 9.
        sequence: u8,
        /// The data.
        data: Zeroizing<Vec<u8>>,
    },
    /// A bad frame, to be answered by NAK.
    Bad(FrameError),
}

/// Builds a frame.
///
/// # Errors
/// [`FrameError::TooLong`], [`FrameError::Control`] and [`FrameError::Sequence`] for arguments
/// that no receiver would take.
pub fn encode(sequence: u8, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    if sequence > 9 {
        return Err(FrameError::Sequence);
    }
    if data.len() > DATA_MAX {
        return Err(FrameError::TooLong);
    }
    if data.iter().any(|byte| !is_data(*byte)) {
        return Err(FrameError::Control);
    }
    let mut frame = Zeroizing::new(Vec::with_capacity(data.len() + 4));
    frame.push(STX);
    frame.push(b'0' + sequence);
    frame.extend_from_slice(data);
    frame.push(ETX);
    let check = lrc(&frame[1..]);
    frame.push(check);
    Ok(frame)
}

/// The exclusive or of all bytes.
pub fn lrc(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum ^ byte)
}

fn is_data(byte: u8) -> bool {
    byte >= 0x20 || byte == FS
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    Outside,
    Inside,
    Check,
}

/// Finds frames and control characters in the bytes of the line.
#[derive(Default)]
pub struct FrameDecoder {
    place: Place,
    text: Zeroizing<Vec<u8>>,
    fault: Option<FrameError>,
}

impl FrameDecoder {
    /// Takes one byte; gives an item when it completes one. Bytes outside frames that mean
    /// nothing are noise and are dropped.
    pub fn push(&mut self, byte: u8) -> Option<LinkItem> {
        match self.place {
            Place::Outside => match byte {
                STX => {
                    self.begin();
                    None
                }
                ACK => Some(LinkItem::Ack),
                NAK => Some(LinkItem::Nak),
                EOT => Some(LinkItem::Eot),
                _ => None,
            },
            Place::Inside => {
                match byte {
                    STX => self.begin(),
                    ETX => self.place = Place::Check,
                    _ if !is_data(byte) => {
                        self.fault.get_or_insert(FrameError::Control);
                    }
                    // One more than the data: the sequence digit.
                    _ if self.text.len() > DATA_MAX => {
                        self.fault.get_or_insert(FrameError::TooLong);
                    }
                    _ => self.text.push(byte),
                }
                None
            }
            Place::Check => {
                self.place = Place::Outside;
                Some(self.close(byte))
            }
        }
    }

    fn begin(&mut self) {
        self.place = Place::Inside;
        self.text.zeroize();
        self.text.reserve_exact(DATA_MAX + 1);
        self.fault = None;
    }

    fn close(&mut self, check: u8) -> LinkItem {
        if let Some(fault) = self.fault.take() {
            return LinkItem::Bad(fault);
        }
        if lrc(&self.text) ^ ETX != check {
            return LinkItem::Bad(FrameError::Lrc);
        }
        match self.text.split_first() {
            Some((digit, data)) if digit.is_ascii_digit() => {
                LinkItem::Frame { sequence: digit - b'0', data: Zeroizing::new(data.to_vec()) }
            }
            _ => LinkItem::Bad(FrameError::Sequence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(bytes: &[u8]) -> Vec<LinkItem> {
        let mut decoder = FrameDecoder::default();
        bytes.iter().filter_map(|byte| decoder.push(*byte)).collect()
    }

    fn frame(sequence: u8, data: &[u8]) -> LinkItem {
        LinkItem::Frame { sequence, data: Zeroizing::new(data.to_vec()) }
    }

    #[test]
    fn byte_vectors() {
        // STX '0' "ST" ETX, check = 30 ^ 53 ^ 54 ^ 03.
        assert_eq!(encode(0, b"ST").unwrap().as_slice(), b"\x020ST\x03\x34");
        assert_eq!(encode(9, b"").unwrap().as_slice(), b"\x029\x03\x3A");
        let table: Vec<(&[u8], Vec<LinkItem>)> = vec![
            (b"\x020ST\x03\x34", vec![frame(0, b"ST")]),
            (b"\x06\x15\x04", vec![LinkItem::Ack, LinkItem::Nak, LinkItem::Eot]),
            (b"xx\x06\x020ST\x03\x34yy", vec![LinkItem::Ack, frame(0, b"ST")]),
            (b"\x020ST\x03\x35", vec![LinkItem::Bad(FrameError::Lrc)]),
            (b"\x020S\x05T\x03\x31", vec![LinkItem::Bad(FrameError::Control)]),
            (b"\x02AST\x03\x45", vec![LinkItem::Bad(FrameError::Sequence)]),
            (b"\x02\x03\x03", vec![LinkItem::Bad(FrameError::Sequence)]),
            // A frame cut off by the start of the next.
            (b"\x020S\x020ST\x03\x34", vec![frame(0, b"ST")]),
        ];
        for (bytes, right) in table {
            assert_eq!(decode(bytes), right, "{bytes:02X?}");
        }
    }

    #[test]
    fn length_is_limited_at_its_edge() {
        let longest = vec![b'x'; DATA_MAX];
        assert_eq!(decode(&encode(1, &longest).unwrap()), vec![frame(1, &longest)]);
        assert_eq!(encode(1, &[b'x'; DATA_MAX + 1]).unwrap_err(), FrameError::TooLong);
        let mut bytes = vec![STX, b'1'];
        bytes.extend(vec![b'x'; DATA_MAX + 1]);
        bytes.push(ETX);
        let check = lrc(&bytes[1..]);
        bytes.push(check);
        assert_eq!(decode(&bytes), vec![LinkItem::Bad(FrameError::TooLong)]);
        assert_eq!(encode(1, b"a\x03").unwrap_err(), FrameError::Control);
        assert_eq!(encode(10, b"a").unwrap_err(), FrameError::Sequence);
    }

    #[test]
    fn no_truncation_and_no_flipped_bit_passes_as_the_frame() {
        let good = encode(3, b"PR\x1COK\x1C00112233").unwrap();
        for length in 0..good.len() {
            assert_eq!(decode(&good[..length]), vec![], "{length}");
        }
        for place in 0..good.len() * 8 {
            let mut bytes = good.to_vec();
            bytes[place / 8] ^= 1 << (place % 8);
            for item in decode(&bytes) {
                assert!(!matches!(item, LinkItem::Frame { .. }), "bit {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            sequence in 0u8..10,
            data in proptest::collection::vec(0x20u8..=0xFF, 0..DATA_MAX)
        ) {
            prop_assert_eq!(decode(&encode(sequence, &data).unwrap()), vec![frame(sequence, &data)]);
        }

        #[test]
        fn noise_never_panics_and_holds_no_memory(
            bytes in proptest::collection::vec(any::<u8>(), 0..3000)
        ) {
            let mut decoder = FrameDecoder::default();
            for byte in bytes {
                let _ = decoder.push(byte);
                prop_assert!(decoder.text.len() <= DATA_MAX + 1);
            }
        }
    }
}
