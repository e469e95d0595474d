//! The journal of one partition as batches, and where it lies under a data directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use guichet_engine::ids::PartitionId;
use thiserror::Error;

use crate::segment::error::LogError;
use crate::segment::files::FileLayer;
use crate::segment::log::{Appended, Log, LogOptions, Opened};
use crate::segment::reader::{Place, Reader};
use crate::stored::{Batch, StoredError, decode_batch, encode_batch};

/// Directory of all partitions' journals under a data directory.
pub const JOURNAL_DIR: &str = "journal";

/// Directory of a partition's journal under a data directory.
#[must_use]
pub fn partition_dir(data: &Path, partition: PartitionId) -> PathBuf {
    data.join(JOURNAL_DIR).join(format!("p{:03}", partition.0))
}

/// The partitions that have a journal under a data directory, in order.
///
/// # Errors
/// What the system says; a directory that does not exist has none.
pub fn partitions(data: &Path) -> Result<Vec<PartitionId>, LogError> {
    let root = data.join(JOURNAL_DIR);
    let failed = |source| LogError::Io { action: "list", path: root.clone(), source };
    let entries = match std::fs::read_dir(&root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix('p')?.parse().ok());
        if let Some(partition) = number.map(PartitionId)
            && partition_dir(data, partition).file_name() == Some(&name)
        {
            found.push(partition);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// A fault of a partition's journal.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The log itself.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A batch that cannot be stored.
    #[error("batch cannot be stored")]
    Encode(#[source] StoredError),
    /// A whole record that holds no batch that this build knows.
    #[error("record {sequence} of partition {partition} ({} at byte {}) holds no batch", place.segment.display(), place.offset)]
    Decode {
        /// The partition.
        partition: PartitionId,
        /// The record.
        sequence: u64,
        /// Where it stands.
        place: Place,
        /// Why.
        source: StoredError,
    },
}

/// The one writer of a partition's journal.
pub struct PartitionJournal {
    log: Log,
}

impl PartitionJournal {
    /// Opens or makes the journal of `partition` under the data directory.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open(
        files: Arc<dyn FileLayer>,
        data: &Path,
        partition: PartitionId,
        options: LogOptions,
    ) -> Result<(Self, Opened), LogError> {
        let dir = partition_dir(data, partition);
        let (log, opened) = Log::open(files, &dir, u32::from(partition.0), options)?;
        Ok((Self { log }, opened))
    }

    /// Appends a batch and returns when it is durable.
    ///
    /// # Errors
    /// [`JournalError::Encode`] leaves the journal as it was; after [`JournalError::Log`] it has
    /// to be opened again, unless the record was too large.
    pub fn append(&mut self, batch: &Batch) -> Result<Appended, JournalError> {
        let bytes = encode_batch(batch).map_err(JournalError::Encode)?;
        Ok(self.log.append(&bytes)?)
    }

    /// The log beneath, for archiving and its head.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }
}

/// A batch as it stands in a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournaledBatch {
    /// Its sequence in the partition.
    pub sequence: u64,
    /// Where its record stands.
    pub place: Place,
    /// What it holds.
    pub batch: Batch,
}

/// Reads a partition's batches in order, without a lock, from archive and live segments.
pub struct BatchReader {
    reader: Reader,
    partition: PartitionId,
}

impl BatchReader {
    /// Opens the journal of `partition` under the data directory at its oldest batch.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open(
        files: Arc<dyn FileLayer>,
        data: &Path,
        partition: PartitionId,
    ) -> Result<Self, LogError> {
        let dir = partition_dir(data, partition);
        let reader = Reader::open(files, &dir, u32::from(partition.0))?;
        Ok(Self { reader, partition })
    }

    /// Moves so that the next batch read is `sequence`.
    ///
    /// # Errors
    /// As [`Reader::seek`].
    pub fn seek(&mut self, sequence: u64) -> Result<(), LogError> {
        self.reader.seek(sequence)
    }

    /// Reads the next batch; `None` at the end, after which it may be asked again.
    ///
    /// # Errors
    /// [`JournalError`] with the place.
    pub fn next_batch(&mut self) -> Result<Option<JournaledBatch>, JournalError> {
        let Some(record) = self.reader.next_record()? else { return Ok(None) };
        match decode_batch(&record.payload) {
            Ok(batch) => {
                Ok(Some(JournaledBatch { sequence: record.sequence, place: record.place, batch }))
            }
            Err(source) => Err(JournalError::Decode {
                partition: self.partition,
                sequence: record.sequence,
                place: record.place,
                source,
            }),
        }
    }

    /// The reader beneath: the oldest record kept, the hash reached.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }
}

#[cfg(test)]
mod tests {
    use guichet_engine::event::Event;

    use super::*;
    use crate::segment::files::DiskFiles;
    use crate::stored::Entry;

    fn batch(n: u64) -> Batch {
        let event = Event::Received { from: PartitionId(1), n };
        let principal = guichet_engine::command::Principal {
            role: guichet_engine::command::Role::System,
            id: 0,
        };
        let command = guichet_engine::ids::CommandId(u128::from(n));
        let at = guichet_engine::time::Instant(7);
        let (second, channel, reason) = (None, guichet_engine::command::Channel::Internal, 0);
        let events = vec![event];
        Batch { entries: vec![Entry { command, at, principal, second, channel, reason, events }] }
    }

    #[test]
    fn partitions_lie_side_by_side_and_keep_their_batches() {
        let data = tempfile::tempdir().expect("tempdir");
        let files: Arc<dyn FileLayer> = Arc::new(DiskFiles);
        assert!(partitions(data.path()).expect("list").is_empty());
        for partition in [PartitionId(1), PartitionId(0)] {
            let options = LogOptions { segment_bytes: 8192, ..LogOptions::default() };
            let (mut journal, _) =
                PartitionJournal::open(Arc::clone(&files), data.path(), partition, options)
                    .expect("open");
            for n in 1..=3 {
                assert_eq!(journal.append(&batch(n)).expect("append").sequence, n);
            }
        }
        std::fs::create_dir(data.path().join(JOURNAL_DIR).join("p1")).expect("stray");
        assert_eq!(partitions(data.path()).expect("list"), [PartitionId(0), PartitionId(1)]);
        let mut reader = BatchReader::open(files, data.path(), PartitionId(1)).expect("open");
        reader.seek(2).expect("seek");
        let read = reader.next_batch().expect("read").expect("some");
        assert_eq!((read.sequence, read.batch), (2, batch(2)));
    }

    #[test]
    fn a_record_that_is_no_batch_is_named() {
        let data = tempfile::tempdir().expect("tempdir");
        let files: Arc<dyn FileLayer> = Arc::new(DiskFiles);
        let dir = partition_dir(data.path(), PartitionId(0));
        let options = LogOptions { segment_bytes: 8192, ..LogOptions::default() };
        let (mut log, _) = Log::open(Arc::clone(&files), &dir, 0, options).expect("open");
        log.append(b"not a batch").expect("append");
        let mut reader = BatchReader::open(files, data.path(), PartitionId(0)).expect("open");
        let error = reader.next_batch().expect_err("refused");
        assert!(matches!(error, JournalError::Decode { sequence: 1, .. }), "{error}");
    }
}
