//! Rehearsals: the process ends as by a power cut, at a place that can be counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use guichet_actors::{Journal, JournalFault};
use guichet_journal::Batch;
use guichet_ports::checkpoint::Position;

/// A journal that ends the process at the n-th place: each append has one before and one after it is durable.
struct Crashing {
    inner: Box<dyn Journal>,
    passed: Arc<AtomicU64>,
    at: u64,
}

impl Crashing {
    fn place(&self, what: &str) {
        let n = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        if n == self.at {
            eprintln!("rehearsal: the center ends {what} an append (place {n})");
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
        self.place("before");
        let position = self.inner.append(batch)?;
        self.place("after");
        Ok(position)
    }
}

/// Counts the places of all partitions together, and ends the process at the n-th.
pub fn crash_at(journals: Vec<Box<dyn Journal>>, at: u64) -> Vec<Box<dyn Journal>> {
    let passed = Arc::new(AtomicU64::new(0));
    journals
        .into_iter()
        .map(|inner| {
            Box::new(Crashing { inner, passed: Arc::clone(&passed), at }) as Box<dyn Journal>
        })
        .collect()
}
