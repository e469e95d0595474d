//! The rules of a numbered stream: when a delta is applied, ignored, or shows that one is missing.
//!
//! The provider keeps its deltas, so the snapshot is fetched first and the stream asked from the
//! snapshot's number on; that gives the same order as buffering the stream beside the snapshot.

/// What to do with a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Apply it.
    Apply,
    /// It is already in.
    Ignore,
    /// Something is missing: stale until the next snapshot.
    Gap,
}

/// Where in the stream a view stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    epoch: String,
    sequence: u64,
    /// A delta was applied since the snapshot; from then on each names the one before.
    chained: bool,
}

impl Follower {
    /// Stands where a snapshot was taken.
    #[must_use]
    pub const fn at(epoch: String, sequence: u64) -> Self {
        Self { epoch, sequence, chained: false }
    }
    /// The stream's life.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.epoch
    }
    /// The number of the last change taken in.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Judges a delta, and moves on when it is to be applied.
    pub fn judge(&mut self, epoch: &str, first: u64, last: u64, prev: u64) -> Step {
        if epoch != self.epoch || first > last {
            return Step::Gap;
        }
        if last <= self.sequence {
            return Step::Ignore;
        }
        let next = self.sequence.saturating_add(1);
        let follows = if self.chained { prev == self.sequence } else { first <= next };
        if !follows {
            return Step::Gap;
        }
        self.sequence = last;
        self.chained = true;
        Step::Apply
    }

    /// Judges a heartbeat: the provider's own number, after all its deltas were taken in.
    pub fn judge_beat(&self, epoch: &str, sequence: u64) -> Step {
        if epoch == self.epoch && sequence == self.sequence { Step::Ignore } else { Step::Gap }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of the stream conventions: a snapshot at 100 with A=5, B=2.
    #[test]
    fn the_stream_s_test_vectors_hold() {
        let t2 = [("e", 98, 101, 97, Step::Apply)];
        let t3 = [t2[0], ("e", 102, 102, 101, Step::Apply)];
        type Row<'a> = (&'a str, &'a [(&'a str, u64, u64, u64, Step)]);
        let rows: &[Row<'_>] = &[
            ("T1", &[("e", 99, 100, 98, Step::Ignore)]),
            ("T2", &t2),
            ("T3", &t3),
            ("T4", &[t3[0], t3[1], ("e", 104, 104, 103, Step::Gap)]),
            ("T5", &[t3[0], t3[1], ("e", 102, 102, 101, Step::Ignore)]),
            ("T6", &[t3[0], t3[1], ("f", 1, 1, 0, Step::Gap)]),
            ("T7", &[t3[0], t3[1], ("e", 103, 103, 102, Step::Apply)]),
            ("a hole right after the snapshot", &[("e", 102, 103, 101, Step::Gap)]),
            ("a delta that ends before it begins", &[("e", 102, 101, 100, Step::Gap)]),
            ("an overlap later", &[t2[0], ("e", 101, 102, 100, Step::Gap)]),
        ];
        for (name, deltas) in rows {
            let mut follower = Follower::at("e".to_owned(), 100);
            for (epoch, first, last, prev, step) in *deltas {
                assert_eq!(follower.judge(epoch, *first, *last, *prev), *step, "{name}: {last}");
            }
        }
    }

    #[test]
    fn a_heartbeat_shows_a_lost_tail() {
        let follower = Follower::at("e".to_owned(), 100);
        for (epoch, sequence, step) in [
            ("e", 100, Step::Ignore),
            ("e", 101, Step::Gap),
            ("e", 99, Step::Gap),
            ("f", 100, Step::Gap),
        ] {
            assert_eq!(follower.judge_beat(epoch, sequence), step, "{epoch} {sequence}");
        }
    }
}
