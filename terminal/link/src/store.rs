//! What outlives a session: messages that are not acknowledged yet, and how far the peer's stream is known.
//!
//! A terminal implements [`LinkStore`] on its own durable journal; the center's side may live in memory, because
//! what it says is said anew after a restart. [`conformance`] checks an implementation.

use std::collections::VecDeque;
use std::fmt;

use crate::envelope::{Mark, StreamId};
use crate::keys::KeyError;
use crate::limits::{DEFAULT_OUTBOX_MESSAGES, MAX_BODY_BYTES, MAX_STREAMS};

/// Fault of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// As many messages wait as the store may hold.
    #[error("{limit} messages wait already")]
    Busy {
        /// The bound.
        limit: usize,
    },
    /// The message is larger than a session carries.
    #[error("a message of {bytes} bytes is larger than {MAX_BODY_BYTES}")]
    TooLarge {
        /// Its size as JSON.
        bytes: usize,
    },
    /// The message cannot be written as JSON.
    #[error("a message cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// No randomness for a new stream.
    #[error("no new stream can be named")]
    Random(#[from] KeyError),
    /// The medium failed.
    #[error("the link's store failed")]
    Medium(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A message that waits.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its number.
    pub seq: u64,
    /// Not to be carried out after, microseconds UTC of this end's clock.
    pub not_after: Option<i64>,
    /// The message as JSON.
    pub body: String,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A message may hold a name.
        write!(f, "Stored {{ seq: {}, body: *** }}", self.seq)
    }
}

/// Durable state of one end of one link.
pub trait LinkStore: Send {
    /// The stream of this end's messages.
    fn stream(&self) -> StreamId;
    /// The highest number the peer has acknowledged; 0 at first.
    fn acknowledged(&self) -> u64;
    /// The highest number given out; equal to `acknowledged` when nothing waits.
    fn last(&self) -> u64;
    /// Stores a message under the next number; it is durable when this returns.
    ///
    /// # Errors
    /// `Busy` at the bound, `Medium`.
    fn push(&mut self, body: String, not_after: Option<i64>) -> Result<u64, StoreError>;
    /// A message that waits.
    ///
    /// # Errors
    /// `Medium`.
    fn get(&self, seq: u64) -> Result<Option<Stored>, StoreError>;
    /// Drops the messages up to `seq`. Losing this is harmless: they are sent again and told apart by number.
    ///
    /// # Errors
    /// `Medium`.
    fn acknowledge(&mut self, seq: u64) -> Result<(), StoreError>;
    /// How far the peer's streams are known here, the newest last, at most `MAX_STREAMS`.
    fn marks(&self) -> Vec<Mark>;
    /// Remembers how far; never goes back; durable when this returns.
    ///
    /// # Errors
    /// `Medium`.
    fn set_mark(&mut self, mark: Mark) -> Result<(), StoreError>;
    /// Begins a new stream: waiting messages are numbered from 1 again, in their order.
    ///
    /// # Errors
    /// `Random`, `Medium`.
    fn renew(&mut self) -> Result<(), StoreError>;
}

/// The mark of `stream` among `marks`; 0 when it is not known.
#[must_use]
pub fn mark_of(marks: &[Mark], stream: StreamId) -> u64 {
    marks.iter().find(|mark| mark.stream == stream).map_or(0, |mark| mark.seq)
}

/// Puts `mark` into the list as [`LinkStore::set_mark`] promises it.
pub fn put_mark(marks: &mut Vec<Mark>, mark: Mark) {
    let seq = mark.seq.max(mark_of(marks, mark.stream));
    marks.retain(|known| known.stream != mark.stream);
    if marks.len() >= MAX_STREAMS {
        marks.remove(0);
    }
    marks.push(Mark { seq, ..mark });
}

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    stream: StreamId,
    acknowledged: u64,
    waiting: VecDeque<(Option<i64>, String)>,
    marks: Vec<Mark>,
    limit: usize,
}

impl MemoryStore {
    /// An empty store of at most [`DEFAULT_OUTBOX_MESSAGES`].
    ///
    /// # Errors
    /// `Random`.
    pub fn new() -> Result<Self, StoreError> {
        Self::with_limit(DEFAULT_OUTBOX_MESSAGES)
    }

    /// An empty store of at most `limit` messages.
    ///
    /// # Errors
    /// `Random`.
    pub fn with_limit(limit: usize) -> Result<Self, StoreError> {
        let stream = StreamId::generate()?;
        Ok(Self { stream, acknowledged: 0, waiting: VecDeque::new(), marks: Vec::new(), limit })
    }
}

impl LinkStore for MemoryStore {
    fn stream(&self) -> StreamId {
        self.stream
    }
    fn acknowledged(&self) -> u64 {
        self.acknowledged
    }
    fn last(&self) -> u64 {
        self.acknowledged.saturating_add(self.waiting.len() as u64)
    }
    fn push(&mut self, body: String, not_after: Option<i64>) -> Result<u64, StoreError> {
        if self.waiting.len() >= self.limit {
            return Err(StoreError::Busy { limit: self.limit });
        }
        self.waiting.push_back((not_after, body));
        Ok(self.last())
    }
    fn get(&self, seq: u64) -> Result<Option<Stored>, StoreError> {
        let place = seq.checked_sub(self.acknowledged.saturating_add(1));
        let place = place.and_then(|place| usize::try_from(place).ok());
        let found = place.and_then(|place| self.waiting.get(place));
        Ok(found.map(|(not_after, body)| Stored { seq, not_after: *not_after, body: body.clone() }))
    }
    fn acknowledge(&mut self, seq: u64) -> Result<(), StoreError> {
        while self.acknowledged < seq && self.waiting.pop_front().is_some() {
            self.acknowledged += 1;
        }
        Ok(())
    }
    fn marks(&self) -> Vec<Mark> {
        self.marks.clone()
    }
    fn set_mark(&mut self, mark: Mark) -> Result<(), StoreError> {
        put_mark(&mut self.marks, mark);
        Ok(())
    }
    fn renew(&mut self) -> Result<(), StoreError> {
        self.stream = StreamId::generate()?;
        self.acknowledged = 0;
        Ok(())
    }
}

/// Checks what every [`LinkStore`] promises; `make` gives an empty store that holds at least 8 messages.
///
/// # Panics
/// When the store breaks a promise; meant to be called from a test.
pub fn conformance<S: LinkStore>(make: impl Fn() -> S) {
    let mut store = make();
    assert_eq!((store.acknowledged(), store.last()), (0, 0), "an empty store begins at 0");
    for n in 1..=5u64 {
        let seq = store.push(format!("{{\"n\":{n}}}"), (n == 2).then_some(77)).expect("room");
        assert_eq!((seq, store.last()), (n, n), "numbers follow each other");
    }
    let second = Stored { seq: 2, not_after: Some(77), body: "{\"n\":2}".into() };
    assert_eq!(store.get(2).expect("readable"), Some(second));
    store.acknowledge(3).expect("acknowledge");
    store.acknowledge(1).expect("an older acknowledgement changes nothing");
    assert_eq!((store.acknowledged(), store.last()), (3, 5));
    for (seq, there) in [(0, false), (3, false), (4, true), (5, true), (6, false)] {
        assert_eq!(store.get(seq).expect("readable").is_some(), there, "number {seq}");
    }
    store.acknowledge(99).expect("an acknowledgement beyond the last drops what there is");
    assert_eq!((store.acknowledged(), store.last()), (5, 5));
    assert_eq!(store.push("{}".into(), None).expect("room"), 6);

    let before = store.stream();
    store.push("{\"last\":1}".into(), None).expect("room");
    store.renew().expect("renew");
    assert_ne!(store.stream(), before, "a renewed stream has another name");
    assert_eq!((store.acknowledged(), store.last()), (0, 2));
    assert_eq!(store.get(2).expect("readable").map(|s| s.body), Some("{\"last\":1}".into()));

    let stream = StreamId(5);
    store.set_mark(Mark { stream, seq: 4 }).expect("mark");
    store.set_mark(Mark { stream, seq: 3 }).expect("mark");
    assert_eq!(mark_of(&store.marks(), stream), 4, "a mark never goes back");
    for n in 0..MAX_STREAMS as u64 {
        store.set_mark(Mark { stream: StreamId(100 + n), seq: 1 }).expect("mark");
    }
    let marks = store.marks();
    assert_eq!(marks.len(), MAX_STREAMS, "marks are bounded");
    assert_eq!(mark_of(&marks, stream), 0, "the oldest mark is forgotten first");
    assert_eq!(marks.last().map(|m| m.stream), Some(StreamId(100 + MAX_STREAMS as u64 - 1)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_store_conforms() {
        conformance(|| MemoryStore::new().unwrap());
    }

    #[test]
    fn the_bound_holds_at_its_edge() {
        let mut store = MemoryStore::with_limit(2).unwrap();
        assert!(store.push("1".into(), None).is_ok() && store.push("2".into(), None).is_ok());
        assert!(matches!(store.push("3".into(), None), Err(StoreError::Busy { limit: 2 })));
        store.acknowledge(1).unwrap();
        assert_eq!(store.push("3".into(), None).unwrap(), 3);
    }
}
