//! What can go wrong with a log, with the place.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::format::{HeaderFault, RecordFault};

/// A fault of a segment log.
#[derive(Debug, Error)]
pub enum LogError {
    /// The system refused a file operation.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No space is left for the next segment or record.
    #[error("disk is full: cannot {action} {}", path.display())]
    DiskFull {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Another process owns the directory.
    #[error("{} is in use by {}; stop it first or use another directory", dir.display(), owner(*pid))]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The owner's process id, where its lock file says it.
        pid: Option<u32>,
    },
    /// The directory was written by a later release.
    #[error("{} has format version {found}, this build reads up to {supported}; use a newer build", path.display())]
    NewerVersion {
        /// The segment.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version read.
        supported: u32,
    },
    /// The header of a segment is damaged.
    #[error("{}: {fault}; restore the segment from archive or backup", path.display())]
    Header {
        /// The segment.
        path: PathBuf,
        /// What is wrong.
        fault: HeaderFault,
    },
    /// A segment belongs somewhere else.
    #[error("{} holds {what} {found} where {expected} was due", path.display())]
    Misplaced {
        /// The segment.
        path: PathBuf,
        /// Which field.
        what: &'static str,
        /// The value due.
        expected: u64,
        /// The value found.
        found: u64,
    },
    /// A record that was once whole is not so any more.
    #[error("{} is damaged at byte {offset}, record {sequence}: {fault}; restore the segment from archive or backup", segment.display())]
    Damaged {
        /// The segment.
        segment: PathBuf,
        /// Byte at which the bad record starts.
        offset: u64,
        /// Sequence of the bad record.
        sequence: u64,
        /// What is wrong.
        fault: RecordFault,
    },
    /// No segment holds this sequence though later ones exist.
    #[error("{}: no segment holds record {sequence}", dir.display())]
    Missing {
        /// The directory of the partition.
        dir: PathBuf,
        /// The first sequence that is nowhere.
        sequence: u64,
    },
    /// The log ends before a record that is known to have been durable.
    #[error("{}: log ends at record {found}, record {known} is known to have been written", dir.display())]
    Behind {
        /// The directory of the partition.
        dir: PathBuf,
        /// Last record found.
        found: u64,
        /// Last record known.
        known: u64,
    },
    /// A payload is larger than a record may be.
    #[error("record of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Bytes offered.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The configured segment size cannot hold anything useful.
    #[error("segment of {bytes} bytes is outside {min}..={max}")]
    SegmentSize {
        /// Bytes configured.
        bytes: u64,
        /// Fewest bytes.
        min: u64,
        /// Most bytes.
        max: u64,
    },
    /// An earlier append failed; what is durable is known only after the log was opened again.
    #[error("log stopped after a failed write; open it again")]
    Stopped,
}

fn owner(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// Gives an error of the system its place.
pub(crate) fn at<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> LogError + use<'a> {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            LogError::DiskFull { action, path: path.to_owned() }
        }
        _ => LogError::Io { action, path: path.to_owned(), source },
    }
}
