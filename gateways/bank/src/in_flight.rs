//! Which answer belongs to which request. Pure but for the clock value given in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Requests remembered at a time, answered ones included.
pub(crate) const MAX_ENTRIES: usize = 20_000;

/// What an answer found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Match<W, T> {
    /// A request that waits for it.
    Waiting(W, T),
    /// A request that was given up.
    Late(T),
    /// A request that was answered already.
    Duplicate(T),
    /// No request of ours.
    Unknown,
}

struct Entry<W, T> {
    waiter: Option<W>,
    answered: bool,
    trail: T,
    since: Instant,
}

/// Requests by matching key; `W` waits for the answer, `T` says what it was about.
pub(crate) struct InFlight<W, T> {
    entries: HashMap<String, Entry<W, T>>,
    keep: Duration,
}

impl<W, T: Clone> InFlight<W, T> {
    /// An empty table that remembers requests for `keep`.
    pub fn new(keep: Duration) -> InFlight<W, T> {
        InFlight { entries: HashMap::new(), keep }
    }

    /// Whether a request of this key was sent and is remembered.
    pub fn knows(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Whether there is no place for a request of this key.
    pub fn is_full(&mut self, key: &str, now: Instant) -> bool {
        if self.entries.len() >= MAX_ENTRIES {
            self.forget(now);
        }
        self.entries.len() >= MAX_ENTRIES && !self.entries.contains_key(key)
    }

    /// Enters a request before it is written; one of the same key is replaced. False if full.
    pub fn enter(&mut self, key: String, waiter: W, trail: T, now: Instant) -> bool {
        if self.is_full(&key, now) {
            return false;
        }
        let entry = Entry { waiter: Some(waiter), answered: false, trail, since: now };
        self.entries.insert(key, entry);
        true
    }

    /// Finds what an answer belongs to; `gone` says that a waiter has given up.
    pub fn answer(&mut self, key: &str, gone: impl Fn(&W) -> bool) -> Match<W, T> {
        let Some(entry) = self.entries.get_mut(key) else { return Match::Unknown };
        if entry.answered {
            return Match::Duplicate(entry.trail.clone());
        }
        entry.answered = true;
        match entry.waiter.take() {
            Some(waiter) if !gone(&waiter) => Match::Waiting(waiter, entry.trail.clone()),
            Some(_) | None => Match::Late(entry.trail.clone()),
        }
    }

    /// Takes every waiter, as when the connection breaks; the requests stay remembered.
    pub fn abandon(&mut self) -> Vec<W> {
        self.entries.values_mut().filter_map(|entry| entry.waiter.take()).collect()
    }

    /// Forgets requests older than the table keeps them.
    pub fn forget(&mut self, now: Instant) {
        let keep = self.keep;
        self.entries.retain(|_, entry| now.saturating_duration_since(entry.since) < keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> (InFlight<u32, &'static str>, Instant) {
        let now = Instant::now();
        let mut table = InFlight::new(Duration::from_secs(10));
        assert!(table.enter("a".to_string(), 1, "order a", now));
        assert!(table.enter("b".to_string(), 2, "order b", now));
        (table, now)
    }

    #[test]
    fn an_answer_finds_its_request_once() {
        let (mut table, _) = table();
        assert_eq!(table.answer("b", |_| false), Match::Waiting(2, "order b"));
        assert_eq!(table.answer("b", |_| false), Match::Duplicate("order b"));
        assert_eq!(table.answer("c", |_| false), Match::Unknown);
        assert_eq!(table.answer("a", |_| true), Match::Late("order a"));
        assert_eq!(table.answer("a", |_| true), Match::Duplicate("order a"));
    }

    #[test]
    fn requests_of_a_broken_connection_are_answered_late() {
        let (mut table, _) = table();
        let mut waiting = table.abandon();
        waiting.sort_unstable();
        assert_eq!(waiting, [1, 2]);
        assert!(table.knows("a"));
        assert_eq!(table.answer("a", |_| false), Match::Late("order a"));
    }

    #[test]
    fn the_table_is_bounded_and_forgets() {
        let (mut table, now) = table();
        for n in 2..MAX_ENTRIES {
            assert!(table.enter(format!("n{n}"), 0, "", now));
        }
        assert!(!table.enter("one more".to_string(), 0, "", now));
        assert!(table.enter("a".to_string(), 3, "again", now), "replacing is always possible");
        let later = now + Duration::from_secs(10);
        assert!(table.enter("one more".to_string(), 0, "", later));
        assert_eq!(table.answer("a", |_| false), Match::Unknown);
    }
}
