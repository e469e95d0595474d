//! The two greetings in clear before the handshake: who calls, for what, and which protocol version.
//!
//! Both greetings are part of the Noise prologue, so that a change on the way breaks the handshake.
//! Their form is frozen; a later version may append bytes, which older programs ignore but still bind.

use crate::keys::TerminalNumber;
use crate::limits::{MAX_HELLO_BYTES, PROTOCOL_NEWEST, PROTOCOL_OLDEST};

const MAGIC: &[u8; 4] = b"GLNK";
const PROLOGUE_LABEL: &[u8] = b"guichet/terminal-link\0";
const HELLO_BYTES: usize = 13;
const REPLY_BYTES: usize = 7;

/// Fault of a greeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// Too short, too long, or not of this protocol at all.
    #[error("the peer does not speak the terminal link")]
    Foreign,
    /// A mode that is not known.
    #[error("greeting of unknown mode {0}")]
    Mode(u8),
    /// A version range that is empty.
    #[error("greeting with an empty range of versions")]
    Range,
    /// A refusal that is not known.
    #[error("refusal of unknown number {0}")]
    Refusal(u8),
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// An enrolled terminal begins a session (`IK`).
    Connect,
    /// A new terminal shows its one-time code (`XXpsk3`).
    Enrol,
}

/// Why the center refuses a caller. It says little: who was refused is counted and logged at the center.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No version in common.
    #[error("the center speaks no version of this terminal's protocol")]
    Version,
    /// Too many handshakes or sessions; later again.
    #[error("the center is busy")]
    Busy,
    /// The terminal, its key or its code is not known, not valid any more, or revoked.
    #[error("the center does not accept this terminal")]
    Denied,
}

/// Versions that one end speaks, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// Oldest one.
    pub oldest: u16,
    /// Newest one.
    pub newest: u16,
}

impl Default for Versions {
    fn default() -> Self {
        Self { oldest: PROTOCOL_OLDEST, newest: PROTOCOL_NEWEST }
    }
}

impl Versions {
    /// The newest version that both speak.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u16> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest && newest >= other.oldest).then_some(newest)
    }
}

/// The terminal's greeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// What it wants.
    pub mode: Mode,
    /// What it speaks.
    pub versions: Versions,
    /// Who it says it is; proved by the handshake.
    pub terminal: TerminalNumber,
}

impl Hello {
    /// The bytes on the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HELLO_BYTES);
        out.extend_from_slice(MAGIC);
        out.push(match self.mode {
            Mode::Connect => 1,
            Mode::Enrol => 2,
        });
        out.extend_from_slice(&self.versions.oldest.to_be_bytes());
        out.extend_from_slice(&self.versions.newest.to_be_bytes());
        out.extend_from_slice(&self.terminal.0.to_be_bytes());
        out
    }

    /// Reads a greeting; bytes after the known ones are ignored.
    ///
    /// # Errors
    /// `Foreign`, `Mode` or `Range`.
    pub fn decode(bytes: &[u8]) -> Result<Self, HelloError> {
        let fields = bytes.first_chunk::<HELLO_BYTES>().ok_or(HelloError::Foreign)?;
        if &fields[..4] != MAGIC || bytes.len() > MAX_HELLO_BYTES {
            return Err(HelloError::Foreign);
        }
        let mode = match fields[4] {
            1 => Mode::Connect,
            2 => Mode::Enrol,
            other => return Err(HelloError::Mode(other)),
        };
        let versions = Versions {
            oldest: u16::from_be_bytes([fields[5], fields[6]]),
            newest: u16::from_be_bytes([fields[7], fields[8]]),
        };
        if versions.oldest == 0 || versions.oldest > versions.newest {
            return Err(HelloError::Range);
        }
        let terminal = u32::from_be_bytes([fields[9], fields[10], fields[11], fields[12]]);
        Ok(Self { mode, versions, terminal: TerminalNumber(terminal) })
    }
}

/// The center's greeting: go on with this version, or a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Go on.
    Welcome {
        /// The version both will speak.
        version: u16,
    },
    /// The center closes.
    Refused(Refusal),
}

impl Reply {
    /// The bytes on the wire; a refusal in the same form may also stand in place of the second handshake message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (status, version) = match self {
            Self::Welcome { version } => (0, *version),
            Self::Refused(Refusal::Version) => (1, 0),
            Self::Refused(Refusal::Busy) => (2, 0),
            Self::Refused(Refusal::Denied) => (3, 0),
        };
        let mut out = Vec::with_capacity(REPLY_BYTES);
        out.extend_from_slice(MAGIC);
        out.push(status);
        out.extend_from_slice(&version.to_be_bytes());
        out
    }

    /// Reads a reply; bytes after the known ones are ignored.
    ///
    /// # Errors
    /// `Foreign` or `Refusal`.
    pub fn decode(bytes: &[u8]) -> Result<Self, HelloError> {
        let fields = bytes.first_chunk::<REPLY_BYTES>().ok_or(HelloError::Foreign)?;
        if &fields[..4] != MAGIC || bytes.len() > MAX_HELLO_BYTES {
            return Err(HelloError::Foreign);
        }
        match fields[4] {
            0 => Ok(Self::Welcome { version: u16::from_be_bytes([fields[5], fields[6]]) }),
            1 => Ok(Self::Refused(Refusal::Version)),
            2 => Ok(Self::Refused(Refusal::Busy)),
            3 => Ok(Self::Refused(Refusal::Denied)),
            other => Err(HelloError::Refusal(other)),
        }
    }

    /// The refusal that stands in place of a handshake message, if `frame` is one: it is shorter than any of them.
    #[must_use]
    pub fn refusal_instead(frame: &[u8]) -> Option<Refusal> {
        match Self::decode(frame) {
            Ok(Self::Refused(refusal)) if frame.len() == REPLY_BYTES => Some(refusal),
            Ok(_) | Err(_) => None,
        }
    }
}

/// The Noise prologue: a label, then both greetings as they were on the wire.
#[must_use]
pub fn prologue(hello: &[u8], reply: &[u8]) -> Vec<u8> {
    // The greeting's length keeps the border between the two unambiguous.
    let length = u8::try_from(hello.len()).unwrap_or(u8::MAX);
    [PROLOGUE_LABEL, &[length], hello, reply].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hello() -> Hello {
        let versions = Versions { oldest: 1, newest: 2 };
        Hello { mode: Mode::Enrol, versions, terminal: TerminalNumber(0x0102_0304) }
    }

    #[test]
    fn golden_greetings() {
        let bytes = hello().encode();
        assert_eq!(hex::encode(&bytes), "474c4e4b020001000201020304");
        assert_eq!(Hello::decode(&bytes), Ok(hello()));
        let refused = Reply::Refused(Refusal::Denied);
        assert_eq!(hex::encode(refused.encode()), "474c4e4b030000");
        for reply in [
            Reply::Welcome { version: 7 },
            refused,
            Reply::Refused(Refusal::Busy),
            Reply::Refused(Refusal::Version),
        ] {
            assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
        }
    }

    #[test]
    fn neighbours_talk_and_strangers_do_not() {
        let v = |oldest, newest| Versions { oldest, newest };
        for (a, b, common) in [
            (v(1, 1), v(1, 2), Some(1)),
            (v(1, 2), v(2, 3), Some(2)),
            (v(2, 3), v(1, 2), Some(2)),
            (v(1, 1), v(2, 3), None),
            (v(3, 3), v(1, 2), None),
        ] {
            assert_eq!(a.common(b), common, "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_longer_greeting_of_a_later_version_is_read() {
        let mut bytes = hello().encode();
        bytes.resize(MAX_HELLO_BYTES, 0xEE);
        assert_eq!(Hello::decode(&bytes), Ok(hello()));
        bytes.push(0);
        assert_eq!(Hello::decode(&bytes), Err(HelloError::Foreign));
    }

    #[test]
    fn every_changed_bit_changes_the_prologue() {
        let (hello, reply) = (hello().encode(), Reply::Welcome { version: 1 }.encode());
        let right = prologue(&hello, &reply);
        for bit in 0..hello.len() * 8 {
            let mut changed = hello.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(prologue(&changed, &reply), right);
        }
        assert_ne!(prologue(&hello[..12], &[&hello[12..], &reply[..]].concat()), right);
    }

    proptest! {
        #[test]
        fn any_bytes_read_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = (Hello::decode(&bytes), Reply::decode(&bytes), Reply::refusal_instead(&bytes));
        }
    }
}
