//! The pad's end of the link: STX, sequence digit, data, ETX, LRC; ACK, NAK, EOT.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;
use zeroize::{Zeroize, Zeroizing};

const STX: u8 = 0x02;
const ETX: u8 = 0x03;
const EOT: u8 = 0x04;
const ACK: u8 = 0x06;
const NAK: u8 = 0x15;
const FS: u8 = 0x1C;
/// Most data bytes of a frame.
const DATA_MAX: usize = 512;
/// Tries to send a frame.
const TRIES: u32 = 3;
/// Wait for an ACK before a frame is sent again.
const ACK_WAIT: Duration = Duration::from_secs(1);
/// Most messages that wait to be sent.
const QUEUE_MAX: usize = 64;

/// Both directions of the link.
#[derive(Default)]
pub struct Link {
    inside: Option<Zeroizing<Vec<u8>>>,
    check_next: bool,
    spoiled: bool,
    heard: Option<u8>,
    queue: VecDeque<Zeroizing<Vec<u8>>>,
    flying: Option<Flying>,
    next: u8,
}

struct Flying {
    frame: Zeroizing<Vec<u8>>,
    tries: u32,
    again_at: Instant,
}

/// What a byte led to.
pub struct Heard {
    /// Control character to send at once.
    pub reply: Option<u8>,
    /// A new message from the host.
    pub message: Option<Zeroizing<Vec<u8>>>,
}

impl Link {
    /// Takes a byte from the host.
    pub fn hear(&mut self, byte: u8) -> Heard {
        let nothing = Heard { reply: None, message: None };
        if self.check_next {
            self.check_next = false;
            return self.close(byte);
        }
        match (&mut self.inside, byte) {
            (_, STX) => {
                self.inside = Some(Zeroizing::new(Vec::with_capacity(DATA_MAX + 1)));
                self.spoiled = false;
            }
            (Some(_), ETX) => self.check_next = true,
            (Some(text), _) => {
                let fits = text.len() <= DATA_MAX && (byte >= 0x20 || byte == FS);
                if fits {
                    text.push(byte);
                } else {
                    self.spoiled = true;
                }
            }
            (None, ACK) => self.flying = None,
            (None, NAK) => {
                if let Some(flying) = &mut self.flying {
                    flying.again_at = Instant::now();
                }
            }
            (None, EOT) => self.flying = None,
            (None, _) => {}
        }
        nothing
    }

    fn close(&mut self, check: u8) -> Heard {
        let text = self.inside.take().unwrap_or_default();
        let sum = text.iter().fold(ETX, |sum, byte| sum ^ byte);
        let digit = text.first().copied().filter(u8::is_ascii_digit);
        let (Some(digit), false, true) = (digit, self.spoiled, sum == check) else {
            return Heard { reply: Some(NAK), message: None };
        };
        let data = Zeroizing::new(text[1..].to_vec());
        // A handshake starts both directions anew, whatever came before.
        if data.starts_with(b"HS") {
            self.queue.clear();
            self.flying = None;
            self.next = 0;
            self.heard = None;
        }
        let twice = self.heard == Some(digit);
        self.heard = Some(digit);
        Heard { reply: Some(ACK), message: (!twice).then_some(data) }
    }

    /// Queues a message for the host; the oldest goes when there are too many.
    pub fn say(&mut self, data: Zeroizing<Vec<u8>>) {
        if self.queue.len() == QUEUE_MAX {
            self.queue.pop_front();
        }
        self.queue.push_back(data);
    }

    /// When the link wants to be asked again.
    pub fn due_at(&self) -> Option<Instant> {
        match (&self.flying, self.queue.is_empty()) {
            (Some(flying), _) => Some(flying.again_at),
            (None, false) => Some(Instant::now()),
            (None, true) => None,
        }
    }

    /// The bytes to send now, if any.
    pub fn due(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        let now = Instant::now();
        if let Some(flying) = &mut self.flying {
            if flying.again_at > now {
                return None;
            }
            if flying.tries >= TRIES {
                self.flying = None;
                return Some(Zeroizing::new(vec![EOT]));
            }
            flying.tries += 1;
            flying.again_at = now + ACK_WAIT;
            return Some(flying.frame.clone());
        }
        let data = self.queue.pop_front()?;
        let frame = wrap(self.next, &data);
        self.next = (self.next + 1) % 10;
        self.flying = Some(Flying { frame: frame.clone(), tries: 1, again_at: now + ACK_WAIT });
        Some(frame)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(text) = &mut self.inside {
            text.zeroize();
        }
    }
}

fn wrap(sequence: u8, data: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut frame = Zeroizing::new(Vec::with_capacity(data.len() + 4));
    frame.extend_from_slice(&[STX, b'0' + sequence]);
    frame.extend_from_slice(data);
    frame.push(ETX);
    let check = frame[1..].iter().fold(0, |sum, byte| sum ^ byte);
    frame.push(check);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear_all(link: &mut Link, bytes: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
        let mut replies = Vec::new();
        let mut messages = Vec::new();
        for byte in bytes {
            let heard = link.hear(*byte);
            replies.extend(heard.reply);
            messages.extend(heard.message.map(|data| data.to_vec()));
        }
        (replies, messages)
    }

    #[test]
    fn frames_are_taken_once_and_bad_ones_refused() {
        let mut link = Link::default();
        let good = b"\x020ST\x03\x34";
        assert_eq!(hear_all(&mut link, good), (vec![ACK], vec![b"ST".to_vec()]));
        assert_eq!(hear_all(&mut link, good), (vec![ACK], vec![]), "a repeat is not done twice");
        for bad in [&b"\x020ST\x03\x35"[..], b"\x02xST\x03\x7C", b"\x021S\x05T\x03\x35"] {
            assert_eq!(hear_all(&mut link, bad), (vec![NAK], vec![]), "{bad:02X?}");
        }
        let hello = wrap(0, b"HS\x1C1");
        assert_eq!(hear_all(&mut link, &hello).1.len(), 1, "a handshake always counts");
        assert_eq!(hear_all(&mut link, &hello).1.len(), 1);
    }

    #[test]
    fn a_frame_is_sent_three_times_and_then_given_up() {
        let mut link = Link::default();
        link.say(Zeroizing::new(b"KN\x1C1".to_vec()));
        let first = link.due().unwrap();
        assert!(first.starts_with(&[STX, b'0']));
        assert!(link.due().is_none(), "waits for the ACK");
        for _ in 0..2 {
            link.hear(NAK);
            assert_eq!(link.due().unwrap().as_slice(), first.as_slice());
        }
        link.hear(NAK);
        assert_eq!(link.due().unwrap().as_slice(), [EOT]);
        link.say(Zeroizing::new(b"KN\x1C2".to_vec()));
        assert!(link.due().unwrap().starts_with(&[STX, b'1']));
        link.hear(ACK);
        assert!(link.due_at().is_none());
    }
}
