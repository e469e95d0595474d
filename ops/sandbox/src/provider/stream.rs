//! The numbered stream of changes.

use std::collections::VecDeque;

use super::wire::{Change, Delta};

/// Deltas kept for those who ask late; who asks later needs a snapshot.
pub const DELTAS_KEPT_MAX: usize = 100_000;
/// Deltas in one answer at most.
pub const DELTAS_ANSWERED_MAX: usize = 1000;

/// The stream of one epoch.
#[derive(Debug)]
pub struct Stream {
    epoch: String,
    sequence: u64,
    deltas: VecDeque<Delta>,
}

/// Why a question about the stream cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// Another life of the stream.
    OtherEpoch,
    /// What follows was dropped.
    TooOld,
    /// Beyond the end.
    TooNew,
}

impl Stream {
    /// A stream without changes.
    pub fn new(epoch: String) -> Self {
        Self { epoch, sequence: 0, deltas: VecDeque::new() }
    }
    /// Which life this is.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }
    /// The number of the last change.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Adds changes under one delta.
    pub fn push(&mut self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let prev = self.sequence;
        self.sequence += changes.len() as u64;
        self.deltas.push_back(Delta { first: prev + 1, last: self.sequence, prev, changes });
        while self.deltas.len() > DELTAS_KEPT_MAX {
            self.deltas.pop_front();
        }
    }

    /// Loses one number, as a faulty provider would.
    pub fn lose_one(&mut self) {
        self.sequence += 1;
    }

    /// What came after a number.
    ///
    /// # Errors
    /// Another epoch, or a number that is not kept.
    pub fn after(&self, epoch: &str, number: u64) -> Result<Vec<Delta>, StreamError> {
        if epoch != self.epoch {
            return Err(StreamError::OtherEpoch);
        }
        if number > self.sequence {
            return Err(StreamError::TooNew);
        }
        let kept_from = self.deltas.front().map_or(self.sequence, |d| d.prev);
        if number < kept_from && self.sequence > 0 && self.deltas.len() >= DELTAS_KEPT_MAX {
            return Err(StreamError::TooOld);
        }
        let start = self.deltas.partition_point(|d| d.last <= number);
        Ok(self.deltas.iter().skip(start).take(DELTAS_ANSWERED_MAX).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(unit: u16) -> Change {
        Change::Unit { service: "s".to_owned(), unit, taken: vec![(0, 1)], owner: None }
    }

    #[test]
    fn numbers_follow_each_other() {
        let mut stream = Stream::new("e".to_owned());
        assert_eq!(stream.after("e", 0), Ok(vec![]));
        stream.push(vec![change(1)]);
        stream.push(vec![change(2), change(3)]);
        stream.push(vec![]);
        let numbers = |from| -> Vec<(u64, u64, u64)> {
            stream
                .after("e", from)
                .expect("kept")
                .iter()
                .map(|d| (d.first, d.last, d.prev))
                .collect()
        };
        assert_eq!(numbers(0), [(1, 1, 0), (2, 3, 1)]);
        assert_eq!(numbers(1), [(2, 3, 1)]);
        assert_eq!(numbers(2), [(2, 3, 1)], "a delta that spans the number is given whole");
        assert_eq!(numbers(3), []);
        assert_eq!(stream.after("e", 4), Err(StreamError::TooNew));
        assert_eq!(stream.after("f", 0), Err(StreamError::OtherEpoch));
    }

    #[test]
    fn a_lost_number_shows_as_a_gap() {
        let mut stream = Stream::new("e".to_owned());
        stream.push(vec![change(1)]);
        stream.lose_one();
        stream.push(vec![change(2)]);
        let last = stream.after("e", 1).expect("kept");
        assert_eq!((last[0].first, last[0].prev), (3, 2), "the reader is at 1");
    }

    #[test]
    fn what_is_dropped_needs_a_snapshot() {
        let mut stream = Stream::new("e".to_owned());
        for _ in 0..=DELTAS_KEPT_MAX {
            stream.push(vec![change(1)]);
        }
        assert_eq!(stream.after("e", 0), Err(StreamError::TooOld));
        assert_eq!(stream.after("e", 1).map(|d| d.len()), Ok(DELTAS_ANSWERED_MAX));
    }
}
