//! Where a partition's batches are kept: the segment log, or memory.

use std::path::Path;
use std::sync::Arc;

use guichet_engine::ids::PartitionId;
use guichet_journal::{Batch, StoredError, decode_batch, encode_batch};
use guichet_journal::{ChainHash, DiskFiles, FileLayer, Log, LogError, LogOptions, Reader};
use guichet_ports::checkpoint::Position;
use parking_lot::Mutex;

use crate::meters;

/// Why a journal failed. After a failed append the partition stops.
#[derive(Debug, thiserror::Error)]
pub enum JournalFault {
    /// The log refused or failed.
    #[error("the journal's log failed")]
    Log(#[from] LogError),
    /// A batch does not encode, or a record does not decode.
    #[error("record {sequence} of the journal has the wrong form")]
    Form {
        /// The record.
        sequence: u64,
        /// What is wrong with it.
        source: StoredError,
    },
    /// The directory was made with another number of partitions.
    #[error("the data directory has {found} partitions, the configuration says {asked}")]
    PartitionCount {
        /// Partitions found.
        found: u16,
        /// Partitions configured.
        asked: u16,
    },
    /// The directory cannot be read.
    #[error("the journal's directory cannot be read")]
    Directory(#[source] std::io::Error),
    /// A fault that a test or rehearsal asked for.
    #[error("the append failed as it was told to")]
    Injected,
}

/// One partition's journal.
pub trait Journal: Send {
    /// Gives every record after `after` in order and returns the last one (`after` itself when there is none).
    /// `None`, and nothing is given, when `after` is no record of this journal: it lies behind its end, or has another
    /// hash. Called before the first append.
    ///
    /// # Errors
    /// When a record cannot be read.
    fn replay(
        &mut self,
        after: Position,
        each: &mut dyn FnMut(u64, Batch),
    ) -> Result<Option<Position>, JournalFault>;

    /// Appends one batch with one write and one sync; returns its place when it is durable.
    ///
    /// # Errors
    /// After any error it is not known whether the batch is durable, and nothing more may be appended.
    fn append(&mut self, batch: &Batch) -> Result<Position, JournalFault>;
}

/// The journal on disk.
pub struct SegmentJournal {
    log: Log,
    partition: PartitionId,
    files: Arc<dyn FileLayer>,
}

impl SegmentJournal {
    /// Opens one partition's log, or makes it.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open(
        files: Arc<dyn FileLayer>,
        dir: &Path,
        partition: PartitionId,
        options: LogOptions,
    ) -> Result<Self, JournalFault> {
        let (log, opened) = Log::open(Arc::clone(&files), dir, u32::from(partition.0), options)?;
        if opened.cut_bytes > 0 {
            tracing::warn!(%partition, bytes = opened.cut_bytes, "cut off a torn append at the end of the journal");
        }
        Ok(Self { log, partition, files })
    }
}

impl Journal for SegmentJournal {
    fn replay(
        &mut self,
        after: Position,
        each: &mut dyn FnMut(u64, Batch),
    ) -> Result<Option<Position>, JournalFault> {
        if after.sequence >= self.log.next_sequence() {
            return Ok(None);
        }
        let mut reader =
            Reader::open(Arc::clone(&self.files), self.log.dir(), self.log.partition())?;
        if after.sequence > 0 {
            reader.seek(after.sequence + 1)?;
            if reader.previous_hash() != ChainHash(after.head) {
                return Ok(None);
            }
        }
        let mut last = after;
        // The log knows its end: no need to search the rest of the segment for it once more.
        while last.sequence + 1 < self.log.next_sequence() {
            let sequence = last.sequence + 1;
            let Some(record) = reader.next_record()? else {
                return Err(LogError::Missing { dir: self.log.dir().to_owned(), sequence }.into());
            };
            let batch = decode_batch(&record.payload)
                .map_err(|source| JournalFault::Form { sequence, source })?;
            each(sequence, batch);
            last = Position { sequence, head: record.hash.0 };
        }
        Ok(Some(last))
    }

    fn append(&mut self, batch: &Batch) -> Result<Position, JournalFault> {
        let sequence = self.log.next_sequence();
        let bytes =
            encode_batch(batch).map_err(|source| JournalFault::Form { sequence, source })?;
        let appended = self.log.append(&bytes)?;
        if let Some(fault) = self.log.take_archive_fault() {
            let cause = std::error::Error::source(&fault).map(ToString::to_string);
            tracing::error!(partition = self.log.partition(), %fault, cause, "a sealed segment was not copied to the archive");
            meters::not_archived(self.partition);
        }
        Ok(Position { sequence: appended.sequence, head: appended.hash.0 })
    }
}

/// The directory of a partition's log inside the journal's directory; readers of a data directory look for the same.
fn log_dir(journals: &Path, number: u16) -> std::path::PathBuf {
    let under_data = guichet_journal::partition_dir(Path::new(""), PartitionId(number));
    journals.join(under_data.file_name().unwrap_or_default())
}

/// Opens the logs of all partitions in `dir`; the number of partitions is fixed when the directory is made.
///
/// # Errors
/// [`JournalFault::PartitionCount`], or as [`SegmentJournal::open`].
pub fn open_segments(
    dir: &Path,
    partitions: u16,
    options: &LogOptions,
) -> Result<Vec<Box<dyn Journal>>, JournalFault> {
    std::fs::create_dir_all(dir).map_err(JournalFault::Directory)?;
    let mut found = 0u16;
    while log_dir(dir, found).is_dir() {
        found += 1;
    }
    if found != 0 && found != partitions {
        return Err(JournalFault::PartitionCount { found, asked: partitions });
    }
    let files: Arc<dyn FileLayer> = Arc::new(DiskFiles);
    (0..partitions)
        .map(|number| {
            let dir = log_dir(dir, number);
            let partition = PartitionId(number);
            let journal =
                SegmentJournal::open(Arc::clone(&files), &dir, partition, options.clone())?;
            Ok(Box::new(journal) as Box<dyn Journal>)
        })
        .collect()
}

/// What a memory journal does at an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Injected {
    /// The record is lost and the append fails.
    Lose,
    /// The record is kept and the append fails: as when the power goes between the sync and its answer.
    Keep,
}

#[derive(Debug, Default)]
struct Memory {
    partitions: Vec<Vec<Batch>>,
    appends: u64,
    fail: Option<(u64, Injected)>,
}

/// The records of all partitions in memory: what is left when the engine that wrote them is gone.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    memory: Arc<Mutex<Memory>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(partitions: u16) -> Self {
        let memory =
            Memory { partitions: vec![Vec::new(); usize::from(partitions)], ..Memory::default() };
        Self { memory: Arc::new(Mutex::new(memory)) }
    }

    /// Journals for a new engine; an engine that still runs on older ones must be gone.
    #[must_use]
    pub fn journals(&self) -> Vec<Box<dyn Journal>> {
        let count = self.memory.lock().partitions.len();
        (0..count)
            .map(|partition| {
                Box::new(MemoryJournal { store: self.clone(), partition, failed: false })
                    as Box<dyn Journal>
            })
            .collect()
    }

    /// Makes the append number `n` (from 1, over all partitions and engines) fail; `kept` when its record survives.
    pub fn fail_append(&self, n: u64, kept: bool) {
        let how = if kept { Injected::Keep } else { Injected::Lose };
        self.memory.lock().fail = Some((n, how));
    }

    /// Loses the records of a partition beyond the first `kept`, as a copy from an earlier day would.
    pub fn keep_first(&self, partition: PartitionId, kept: usize) {
        if let Some(records) = self.memory.lock().partitions.get_mut(usize::from(partition.0)) {
            records.truncate(kept);
        }
    }

    /// Appends that were tried so far.
    #[must_use]
    pub fn appends(&self) -> u64 {
        self.memory.lock().appends
    }

    /// A copy of a partition's records.
    #[must_use]
    pub fn batches(&self, partition: PartitionId) -> Vec<Batch> {
        self.memory.lock().partitions.get(usize::from(partition.0)).cloned().unwrap_or_default()
    }
}

/// One partition's journal in memory.
#[derive(Debug)]
pub struct MemoryJournal {
    store: MemoryStore,
    partition: usize,
    failed: bool,
}

/// In memory a record's hash is its number: there is no other journal to be mistaken for.
fn numbered(sequence: u64) -> Position {
    let mut head = [0; 32];
    head[..8].copy_from_slice(&sequence.to_be_bytes());
    Position { sequence, head }
}

impl Journal for MemoryJournal {
    fn replay(
        &mut self,
        after: Position,
        each: &mut dyn FnMut(u64, Batch),
    ) -> Result<Option<Position>, JournalFault> {
        let batches = self.store.memory.lock().partitions[self.partition].clone();
        let count = batches.len() as u64;
        if after.sequence > count || after != numbered(after.sequence) {
            return Ok(None);
        }
        let later = (1..).zip(batches).skip_while(|(sequence, _)| *sequence <= after.sequence);
        for (sequence, batch) in later {
            each(sequence, batch);
        }
        Ok(Some(numbered(count)))
    }

    fn append(&mut self, batch: &Batch) -> Result<Position, JournalFault> {
        let mut memory = self.store.memory.lock();
        memory.appends += 1;
        let failing = memory.fail.filter(|(n, _)| *n == memory.appends).map(|(_, how)| how);
        if self.failed || failing == Some(Injected::Lose) {
            self.failed = true;
            return Err(JournalFault::Injected);
        }
        let records = &mut memory.partitions[self.partition];
        records.push(batch.clone());
        let sequence = records.len() as u64;
        if failing == Some(Injected::Keep) {
            self.failed = true;
            return Err(JournalFault::Injected);
        }
        Ok(numbered(sequence))
    }
}

#[cfg(test)]
mod tests {
    use guichet_engine::command::{Channel, Principal, Role};
    use guichet_engine::event::Event;
    use guichet_engine::ids::CommandId;
    use guichet_engine::time::Instant;
    use guichet_journal::Entry;

    use super::*;

    fn batch(n: u64) -> Batch {
        let events = (0..40).map(|k| Event::Received { from: PartitionId(1), n: n * 100 + k });
        let principal = Principal { role: Role::System, id: 0 };
        let (command, at) = (CommandId(n.into()), Instant(0));
        let entry = Entry {
            command,
            at,
            principal,
            second: None,
            channel: Channel::Internal,
            reason: 0,
            events: events.collect(),
        };
        Batch { entries: vec![entry] }
    }

    type Replayed = (Option<Position>, Vec<(u64, Batch)>);

    fn replayed(journal: &mut dyn Journal, after: Position) -> Replayed {
        let mut given = Vec::new();
        let last = journal.replay(after, &mut |sequence, batch| given.push((sequence, batch)));
        (last.expect("readable"), given)
    }

    #[test]
    fn a_journal_is_replayed_from_any_of_its_records_and_from_no_other() {
        let dir = tempfile::tempdir().expect("tempdir");
        let options = LogOptions { segment_bytes: 4096, ..LogOptions::default() };
        let store = MemoryStore::new(1);
        let open = || open_segments(dir.path(), 1, &options).expect("opens");
        for disk in [true, false] {
            let journals = || if disk { open() } else { store.journals() };
            let mut positions = vec![Position::default()];
            let mut written = journals();
            for n in 1..=60 {
                positions.push(written[0].append(&batch(n)).expect("appends"));
            }
            drop(written);
            let mut journal = journals();
            let last = positions.last().copied();
            for position in &positions {
                let later: Vec<_> = (position.sequence + 1..=60).map(|n| (n, batch(n))).collect();
                assert_eq!(replayed(&mut *journal[0], *position), (last, later), "{position:?}");
                let mut other = *position;
                other.head[31] ^= 1;
                if position.sequence > 0 {
                    assert_eq!(replayed(&mut *journal[0], other), (None, vec![]));
                }
            }
            let ahead = Position { sequence: 61, ..positions[60] };
            assert_eq!(replayed(&mut *journal[0], ahead), (None, vec![]));
        }
        let segments = std::fs::read_dir(log_dir(dir.path(), 0)).expect("listed").count();
        assert!(segments > 3, "the records lie in several segments: {segments}");
    }
}
