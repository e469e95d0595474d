//! Rehearsals: the process ends as by a power cut at a place that can be counted, or orders' actors panic.

use std::io::Write;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use guichet_actors::{Journal, JournalFault};
use guichet_engine::event::Event;
use guichet_journal::Batch;
use guichet_ports::checkpoint::Position;
use serde_json::json;

/// What is rehearsed; nothing, unless the command line of `up` asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rehearsal {
    /// Where the process ends.
    pub crash_at_append: Option<CrashPoint>,
    /// Whether the owner of the directory may make orders' actors panic, over the admin socket.
    pub panics: bool,
}

/// Where the process ends. Each append of the journal has a place before and one after it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// At the n-th place; at 0 at none, the places are only named.
    Nth(u64),
    /// `before` or `after` the first append with this fact.
    Fact {
        /// `before` or `after`.
        when: &'static str,
        /// As the places name it.
        fact: &'static str,
    },
}

impl FromStr for CrashPoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(place) = text.parse() {
            return Ok(Self::Nth(place));
        }
        let named = |when, fact: &str| {
            // Kept as long as the process, which ends there.
            let fact = fact.to_owned().leak();
            Ok(Self::Fact { when, fact })
        };
        match text.split_once(' ') {
            Some(("before", fact)) if !fact.is_empty() => named("before", fact),
            Some(("after", fact)) if !fact.is_empty() => named("after", fact),
            _ => Err("it is a number, or before or after and the name of a fact".to_owned()),
        }
    }
}

impl CrashPoint {
    fn is_at(self, place: u64, when: &str, facts: &[String]) -> bool {
        match self {
            Self::Nth(n) => place == n,
            Self::Fact { when: wanted, fact } => when == wanted && facts.iter().any(|f| f == fact),
        }
    }
}

/// A journal that ends the process at a place.
struct Crashing {
    inner: Box<dyn Journal>,
    passed: Arc<AtomicU64>,
    at: CrashPoint,
}

impl Crashing {
    /// Says which place is reached, and ends there if it is the one. After the sync, nothing was released yet.
    fn place(&self, when: &str, batch: &Batch) {
        let place = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        let events: Vec<String> = batch.events().map(name).collect();
        let ends = self.at.is_at(place, when, &events);
        let line = json!({
            "rehearsal": { "place": place, "when": when, "events": events, "ends": ends }
        });
        // One write: another partition's thread may be about to end the process.
        let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
        if ends {
            std::process::abort();
        }
    }
}

impl Journal for Crashing {
    fn replay(
        &mut self,
        after: Position,
        each: &mut dyn FnMut(u64, Batch),
    ) -> Result<Option<Position>, JournalFault> {
        self.inner.replay(after, each)
    }

    fn append(&mut self, batch: &Batch) -> Result<Position, JournalFault> {
        self.place("before", batch);
        let position = self.inner.append(batch)?;
        self.place("after", batch);
        Ok(position)
    }
}

/// Counts and names the places of all partitions together, and ends the process at one.
pub fn crash_at(journals: Vec<Box<dyn Journal>>, at: CrashPoint) -> Vec<Box<dyn Journal>> {
    let passed = Arc::new(AtomicU64::new(0));
    journals
        .into_iter()
        .map(|inner| {
            Box::new(Crashing { inner, passed: Arc::clone(&passed), at }) as Box<dyn Journal>
        })
        .collect()
}

/// The name of a fact, as the code has it.
pub fn name(event: &Event) -> String {
    let (family, said) = match event {
        Event::Order(_, event) => ("", format!("{event:?}")),
        Event::Inventory(_, event) => ("inventory ", format!("{event:?}")),
        Event::Terminal(_, event) => ("terminal ", format!("{event:?}")),
        Event::Settlement(event) => ("settlement ", format!("{event:?}")),
        Event::Network(_, event) => ("network ", format!("{event:?}")),
        Event::Ledger(posting) => ("ledger ", format!("{:?}", posting.kind)),
        Event::Sent { message, .. } => ("sent ", format!("{message:?}")),
        Event::Answered(_) | Event::Received { .. } | Event::Acknowledged { .. } => {
            ("", format!("{event:?}"))
        }
    };
    let word = |c: char| !c.is_alphanumeric();
    format!("{family}{}", said.split(word).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_number_or_a_fact() {
        let fact = |when, fact| Ok(CrashPoint::Fact { when, fact });
        assert_eq!("7".parse(), Ok(CrashPoint::Nth(7)));
        assert_eq!("before LineHeld".parse(), fact("before", "LineHeld"));
        assert_eq!("after inventory Held".parse(), fact("after", "inventory Held"));
        for text in ["", "-1", "LineHeld", "before", "before ", "while LineHeld"] {
            assert!(text.parse::<CrashPoint>().is_err(), "{text}");
        }
        let facts = ["Completed".to_owned(), "ledger Post".to_owned()];
        assert!(CrashPoint::Nth(3).is_at(3, "after", &facts));
        assert!(!CrashPoint::Nth(0).is_at(1, "before", &facts));
        let post: CrashPoint = "after ledger Post".parse().unwrap();
        assert!(post.is_at(9, "after", &facts) && !post.is_at(9, "before", &facts));
    }
}
