//! The journal: a segment log for each partition, and the stored forms of what is kept in it.
//!
//! *Invariant*: this crate alone knows old and new stored shapes, and it alone uses `bincode`.

#![deny(missing_docs)]

pub mod partition;
pub mod segment;
pub mod stored;

pub use partition::{
    BatchReader, JournalError, JournaledBatch, PartitionJournal, partition_dir, partitions,
};
pub use segment::error::LogError;
pub use segment::files::{DiskFiles, FileLayer};
pub use segment::format::ChainHash;
pub use segment::log::{Appended, Log, LogOptions, Opened};
pub use segment::reader::{LogRecord, Place, Reader};
pub use stored::{Batch, Entry, Part, StoredError, decode_batch, encode_batch};
