//! What travels inside the encrypted frames: numbered messages, acknowledgements, signs of life.
//!
//! Each direction is a *stream* of messages numbered from 1. `ack` is cumulative: the receiver has made the
//! effects of every message up to it durable. Unknown fields are ignored, so that neighbours one version apart talk.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::keys::KeyError;
use crate::limits::MAX_STREAMS;

/// Name of one numbering of messages; a sender whose store is new or restored begins another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StreamId(pub u64);

impl StreamId {
    /// A fresh name from the system's randomness.
    ///
    /// # Errors
    /// `KeyError::Random` if the system has none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|_| KeyError::Random)?;
        Ok(Self(u64::from_be_bytes(bytes)))
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({self})")
    }
}

impl TryFrom<String> for StreamId {
    type Error = std::num::ParseIntError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        u64::from_str_radix(&text, 16).map(Self)
    }
}

impl From<StreamId> for String {
    fn from(stream: StreamId) -> Self {
        stream.to_string()
    }
}

/// How far a receiver has come in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The peer's stream.
    pub stream: StreamId,
    /// Every message up to this number is durable at the receiver.
    pub seq: u64,
}

/// The first envelope of each direction in a session: where both streams stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The sender's stream.
    pub stream: StreamId,
    /// The lowest number that the sender still has.
    pub first: u64,
    /// The sender's marks in the peer's streams, the newest last.
    pub marks: Vec<Mark>,
    /// The sender's clock, microseconds UTC.
    pub at: i64,
    /// The sender's program and version, for people.
    #[serde(default)]
    pub program: String,
}

/// Why one end says goodbye.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ByeReason {
    /// It stops; come back later.
    Stopping,
    /// The terminal is shut out.
    Revoked,
    /// A newer session of the same terminal took its place.
    Replaced,
    /// A reason of a later version.
    #[serde(other)]
    Other,
}

/// One envelope's content.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Item {
    /// Where the streams stand; first, once.
    Resume(Resume),
    /// A numbered message, repeated in later sessions until acknowledged.
    Message {
        /// Its number in the sender's stream.
        seq: u64,
        /// Not to be carried out after this instant of the sender's clock, microseconds UTC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_after: Option<i64>,
        /// The message.
        body: Value,
    },
    /// A number whose message expired before it was ever sent.
    Void {
        /// Its number.
        seq: u64,
    },
    /// A message that belongs to this session alone: never stored, never repeated.
    Passing {
        /// As in `Message`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_after: Option<i64>,
        /// The message.
        body: Value,
    },
    /// Only the acknowledgement.
    Ack,
    /// Asks for a sign of life.
    Ping {
        /// Comes back in the answer.
        n: u64,
    },
    /// The sign of life.
    Pong {
        /// From the question.
        n: u64,
        /// The answerer's clock, microseconds UTC.
        at: i64,
    },
    /// The session ends in order.
    Bye {
        /// Why.
        reason: ByeReason,
    },
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A message may hold a swipe, a PIN block or a name.
        match self {
            Self::Resume(resume) => f.debug_tuple("Resume").field(resume).finish(),
            Self::Message { seq, not_after: _, body: _ } => write!(f, "Message({seq}, ***)"),
            Self::Void { seq } => write!(f, "Void({seq})"),
            Self::Passing { not_after: _, body: _ } => f.write_str("Passing(***)"),
            Self::Ack => f.write_str("Ack"),
            Self::Ping { n } => write!(f, "Ping({n})"),
            Self::Pong { n, at } => write!(f, "Pong({n}, {at})"),
            Self::Bye { reason } => write!(f, "Bye({reason:?})"),
        }
    }
}

/// An envelope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// The protocol version of the session.
    pub v: u16,
    /// Every message of the peer up to this number is durable here.
    pub ack: u64,
    /// The content.
    #[serde(flatten)]
    pub item: Item,
}

/// Fault of an envelope.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not an envelope.
    #[error("an envelope cannot be read")]
    Malformed(#[source] serde_json::Error),
    /// Of another version than the session's.
    #[error("an envelope of version {found} in a session of version {agreed}")]
    Version {
        /// Its version.
        found: u16,
        /// The session's.
        agreed: u16,
    },
    /// More marks than any store keeps.
    #[error("an envelope names more than {MAX_STREAMS} streams")]
    Marks,
}

impl Envelope {
    /// The JSON bytes.
    ///
    /// # Errors
    /// `Malformed` if the body cannot be written as JSON (it always can).
    pub fn encode(&self) -> Result<Vec<u8>, EnvelopeError> {
        serde_json::to_vec(self).map_err(EnvelopeError::Malformed)
    }

    /// Reads an envelope of a session of version `agreed`.
    ///
    /// # Errors
    /// `Malformed`, `Version` or `Marks`.
    pub fn decode(bytes: &[u8], agreed: u16) -> Result<Self, EnvelopeError> {
        let envelope: Self = serde_json::from_slice(bytes).map_err(EnvelopeError::Malformed)?;
        if envelope.v != agreed {
            return Err(EnvelopeError::Version { found: envelope.v, agreed });
        }
        if let Item::Resume(resume) = &envelope.item
            && resume.marks.len() > MAX_STREAMS
        {
            return Err(EnvelopeError::Marks);
        }
        Ok(envelope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(n: u64) -> StreamId {
        StreamId(n)
    }

    #[test]
    fn golden_envelopes() {
        let body = serde_json::json!({"kind": "device_report", "device": 1});
        let resume = Resume {
            stream: stream(0xAB),
            first: 4,
            marks: vec![Mark { stream: stream(1), seq: 9 }],
            at: 17,
            program: "guichet 0.1.0".into(),
        };
        for (item, json) in [
            (
                Item::Message { seq: 5, not_after: Some(99), body: body.clone() },
                r#"{"v":1,"ack":3,"kind":"message","seq":5,"not_after":99,"body":{"device":1,"kind":"device_report"}}"#,
            ),
            (
                Item::Passing { not_after: None, body },
                r#"{"v":1,"ack":3,"kind":"passing","body":{"device":1,"kind":"device_report"}}"#,
            ),
            (
                Item::Resume(resume),
                r#"{"v":1,"ack":3,"kind":"resume","stream":"00000000000000ab","first":4,"marks":[{"stream":"0000000000000001","seq":9}],"at":17,"program":"guichet 0.1.0"}"#,
            ),
            (Item::Void { seq: 6 }, r#"{"v":1,"ack":3,"kind":"void","seq":6}"#),
            (Item::Ack, r#"{"v":1,"ack":3,"kind":"ack"}"#),
            (Item::Ping { n: 2 }, r#"{"v":1,"ack":3,"kind":"ping","n":2}"#),
            (Item::Pong { n: 2, at: -1 }, r#"{"v":1,"ack":3,"kind":"pong","n":2,"at":-1}"#),
            (
                Item::Bye { reason: ByeReason::Revoked },
                r#"{"v":1,"ack":3,"kind":"bye","reason":"revoked"}"#,
            ),
        ] {
            let envelope = Envelope { v: 1, ack: 3, item };
            assert_eq!(String::from_utf8(envelope.encode().unwrap()).unwrap(), json);
            assert_eq!(Envelope::decode(json.as_bytes(), 1).unwrap(), envelope);
        }
    }

    #[test]
    fn later_fields_and_reasons_are_ignored_other_versions_are_not() {
        let later = br#"{"v":2,"ack":0,"kind":"bye","reason":"moved","to":"elsewhere"}"#;
        let item = Envelope::decode(later, 2).unwrap().item;
        assert_eq!(item, Item::Bye { reason: ByeReason::Other });
        assert!(matches!(
            Envelope::decode(later, 1),
            Err(EnvelopeError::Version { found: 2, agreed: 1 })
        ));
    }

    #[test]
    fn the_number_of_marks_is_bounded() {
        let with = |count| {
            let marks = vec![Mark { stream: stream(1), seq: 1 }; count];
            let resume = Resume { stream: stream(1), first: 1, marks, at: 0, program: "".into() };
            Envelope { v: 1, ack: 0, item: Item::Resume(resume) }.encode().unwrap()
        };
        assert!(Envelope::decode(&with(MAX_STREAMS), 1).is_ok());
        assert!(matches!(Envelope::decode(&with(MAX_STREAMS + 1), 1), Err(EnvelopeError::Marks)));
    }

    proptest! {
        #[test]
        fn every_truncation_and_changed_byte_reads_or_fails(cut in 0usize..120, at in 0usize..120, byte: u8) {
            let json = r#"{"v":1,"ack":3,"kind":"message","seq":5,"not_after":99,"body":{"device":1}}"#;
            let mut bytes = json.as_bytes().to_vec();
            bytes.truncate(cut);
            prop_assert!(cut >= json.len() || Envelope::decode(&bytes, 1).is_err());
            let mut bytes = json.as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Envelope::decode(&bytes, 1);
        }
        #[test]
        fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Envelope::decode(&bytes, 1).is_err());
        }
    }
}
