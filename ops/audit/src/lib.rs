//! The audit: replays every fact from the first record and judges with rules of its own.
//!
//! *Invariant*: nothing here calls the engine's machines; only its words for facts are shared, so
//! that a fault of the rules cannot hide itself.

mod books;
mod days;
mod lines;
mod marks;
mod orders;
mod payments;
pub mod report;
mod seats;

#[cfg(test)]
mod script;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use guichet_engine::event::Event;
use guichet_engine::ids::PartitionId;
use guichet_engine::time::Instant;
use guichet_journal::{
    Batch, BatchReader, DiskFiles, FileLayer, JournalError, LogError, partitions,
};
use thiserror::Error;

pub use report::{
    CurrencyTotal, FactPlace, OpenItem, Owner, PartitionRead, Report, Rule, UNCOMPARED, Violation,
};

use books::Books;
use days::Days;
use marks::Marks;
use orders::Orders;
use report::Findings;
use seats::Seats;

/// Why an audit could not be made.
#[derive(Debug, Error)]
pub enum AuditError {
    /// The data directory holds no journal.
    #[error("{0} holds no journal; name a data directory")]
    NoJournal(String),
    /// The directory cannot be read, or is newer than this build.
    #[error("journal cannot be read")]
    Journal(#[from] LogError),
    /// Old records were purged, so the history cannot be judged.
    #[error("partition {partition} begins at record {first_sequence}; restore its archive")]
    Purged {
        /// The partition.
        partition: u16,
        /// Its oldest record.
        first_sequence: u64,
    },
}

/// The rules over the facts of all partitions. Feed each partition's batches in order, the
/// partitions in any order.
pub struct Auditor {
    findings: Findings,
    drained: bool,
    seats: Seats,
    orders: Orders,
    books: Books,
    marks: Marks,
    days: Days,
    read: BTreeMap<u16, PartitionRead>,
}

impl Auditor {
    /// Begins an audit as of `now`; with `drained` nothing may be open at its end.
    #[must_use]
    pub fn new(now: Instant, drained: bool) -> Self {
        Self {
            findings: Findings::new(now, drained),
            drained,
            seats: Seats::default(),
            orders: Orders::default(),
            books: Books::default(),
            marks: Marks::default(),
            days: Days::default(),
            read: BTreeMap::new(),
        }
    }

    /// Takes in one batch.
    pub fn batch(&mut self, partition: PartitionId, sequence: u64, batch: &Batch) {
        let read = self.read.entry(partition.0).or_insert_with(|| PartitionRead {
            partition: partition.0,
            last_sequence: 0,
            head: String::new(),
            events: 0,
        });
        read.last_sequence = sequence;
        read.events += batch.events().count() as u64;
        for entry in &batch.entries {
            let place = FactPlace::new(partition, sequence, entry.at);
            for event in &entry.events {
                self.event(place, event);
            }
        }
    }

    /// Takes in what was written after the first pass over a running center: only message marks
    /// that earlier facts of other partitions refer to.
    pub fn later(&mut self, partition: PartitionId, batch: &Batch) {
        for event in batch.events() {
            self.marks.later(partition, event);
        }
    }

    /// Judges what is left at the end.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let out = &mut self.findings;
        self.seats.finish(out.now, out);
        self.orders.finish(&self.seats, &self.books, &self.days, out);
        self.books.finish(out);
        self.marks.finish(out);
        self.days.finish(out);
        let ledger = self.books.totals();
        let findings = self.findings;
        let mut open = findings.open;
        open.sort_by(|a, b| (b.age_s, &a.subject).cmp(&(a.age_s, &b.subject)));
        Report {
            drained: self.drained,
            partitions: self.read.into_values().collect(),
            orders: self.orders.count(),
            tickets: self.orders.tickets(),
            charges: self.orders.charges(),
            refunds: self.orders.refunds_done,
            ledger,
            violations: findings.violations,
            violation_count: findings.violation_count,
            open,
            notes: Vec::new(),
        }
    }

    fn event(&mut self, place: FactPlace, event: &Event) {
        let out = &mut self.findings;
        match event {
            Event::Order(id, fact) => self.orders.take(place, *id, fact, &mut self.days, out),
            Event::Inventory(id, fact) => self.seats.take(place, *id, fact, out),
            Event::Terminal(..) | Event::Network(..) => {}
            Event::Ledger(posting) => self.books.take(place, posting, out),
            Event::Settlement(fact) => self.days.take(place, fact, out),
            Event::Answered(answered) => self.marks.answered(place, answered, out),
            Event::Sent { partition, n, .. } => self.marks.sent(place, *partition, *n, out),
            Event::Received { from, n } => self.marks.received(place, *from, *n, out),
            Event::Acknowledged { by, n } => self.marks.acknowledged(place, *by, *n, out),
        }
    }

    fn damage(&mut self, partition: PartitionId, error: &JournalError) {
        let sequence = match error {
            JournalError::Decode { sequence, .. }
            | JournalError::Log(
                LogError::Damaged { sequence, .. } | LogError::Missing { sequence, .. },
            ) => *sequence,
            JournalError::Log(_) | JournalError::Encode(_) => 0,
        };
        let place = FactPlace::new(partition, sequence, Instant(0));
        let subject = format!("partition {partition}");
        let source =
            std::error::Error::source(error).map_or_else(String::new, |s| format!(": {s}"));
        self.findings.violation(Rule::Journal, place, subject, format!("{error}{source}"));
    }
}

/// Audits every partition under a data directory, running or not, as of `now`.
///
/// # Errors
/// [`AuditError`] where nothing can be judged. Damage is a violation with its place, and what lies
/// behind it in that partition is not read.
pub fn audit(data: &Path, now: Instant, drained: bool) -> Result<Report, AuditError> {
    audit_files(Arc::new(DiskFiles), data, now, drained)
}

fn audit_files(
    files: Arc<dyn FileLayer>,
    data: &Path,
    now: Instant,
    drained: bool,
) -> Result<Report, AuditError> {
    let found = partitions(data)?;
    if found.is_empty() {
        return Err(AuditError::NoJournal(data.display().to_string()));
    }
    let mut auditor = Auditor::new(now, drained);
    let mut readers = Vec::new();
    for partition in found {
        let mut reader = BatchReader::open(Arc::clone(&files), data, partition)?;
        let first_sequence = reader.reader().first_sequence();
        if first_sequence > 1 {
            return Err(AuditError::Purged { partition: partition.0, first_sequence });
        }
        let sound = read_on(&mut reader, |sequence, batch| {
            auditor.batch(partition, sequence, batch);
        });
        if let Some(read) = auditor.read.get_mut(&partition.0) {
            read.head = reader.reader().previous_hash().to_string();
        }
        match sound {
            Ok(()) => readers.push((partition, reader)),
            Err(error) => auditor.damage(partition, &error),
        }
    }
    for (partition, mut reader) in readers {
        // Damage that appears only now is for the next audit: this one judges what it read.
        let _ = read_on(&mut reader, |_, batch| auditor.later(partition, batch));
    }
    Ok(auditor.finish())
}

fn read_on(
    reader: &mut BatchReader,
    mut take: impl FnMut(u64, &Batch),
) -> Result<(), JournalError> {
    while let Some(read) = reader.next_batch()? {
        take(read.sequence, &read.batch);
    }
    Ok(())
}
