//! Reading a partition's records in order, from archive and live segments, without a lock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{LogError, at};
use super::files::FileLayer;
use super::format::{
    ChainHash, HEADER_BYTES, RECORD_HEADER_BYTES, RecordFault, RecordHeader, record_bytes,
};
use super::log::ARCHIVE_DIR;
use super::scan::{Segment, list_segments, segment_name};

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The segment's file.
    pub segment: PathBuf,
    /// Byte at which the record starts.
    pub offset: u64,
}

/// One record read from the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Its sequence.
    pub sequence: u64,
    /// Its hash in the chain.
    pub hash: ChainHash,
    /// What was appended.
    pub payload: Vec<u8>,
    /// Where it stands.
    pub place: Place,
}

/// Reads records in order. Needs no lock: the tail may grow meanwhile, and segments may move
/// from the live directory to the archive.
pub struct Reader {
    files: Arc<dyn FileLayer>,
    dir: PathBuf,
    partition: u32,
    first: u64,
    current: Option<Cursor>,
    buffer: Vec<u8>,
}

struct Cursor {
    segment: Segment,
    offset: u64,
    expected: u64,
    previous: ChainHash,
    /// The place whose rest was searched already, so that a follower does not search it again.
    searched: Option<u64>,
}

/// What a place without the record due means.
enum Verdict {
    /// The log ends here; a fault here is the torn or still growing tail.
    End,
    /// Reading can go on.
    ReadOn,
}

impl Cursor {
    fn damaged(&self, fault: RecordFault) -> LogError {
        LogError::Damaged {
            segment: self.segment.path.clone(),
            offset: self.offset,
            sequence: self.expected,
            fault,
        }
    }
}

impl Reader {
    /// Opens the partition in `dir` at its oldest record.
    ///
    /// # Errors
    /// [`LogError`] for a segment that is damaged, misplaced or newer than this build.
    pub fn open(files: Arc<dyn FileLayer>, dir: &Path, partition: u32) -> Result<Self, LogError> {
        let mut reader = Self {
            files,
            dir: dir.to_owned(),
            partition,
            first: 1,
            current: None,
            buffer: Vec::new(),
        };
        if let Some((first, path)) = reader.segments()?.into_iter().next() {
            reader.first = first;
            reader.current = Some(reader.cursor(first, path)?);
        }
        Ok(reader)
    }

    /// Sequence of the oldest record kept; above 1 after a purge of the archive.
    #[must_use]
    pub fn first_sequence(&self) -> u64 {
        self.first
    }

    /// Hash before the record that [`Reader::next_record`] reads next.
    #[must_use]
    pub fn previous_hash(&self) -> ChainHash {
        self.current.as_ref().map_or(ChainHash::GENESIS, |cursor| cursor.previous)
    }

    /// Moves so that the next record read is `sequence`, checking those passed over in its
    /// segment. Moves to the end if the log is shorter.
    ///
    /// # Errors
    /// As [`Reader::next_record`]; [`LogError::Missing`] if the record was purged.
    pub fn seek(&mut self, sequence: u64) -> Result<(), LogError> {
        let segments = self.segments()?;
        let Some((first, path)) = segments.iter().rev().find(|(first, _)| *first <= sequence)
        else {
            return match segments.first() {
                Some(_) => Err(LogError::Missing { dir: self.dir.clone(), sequence }),
                None => Ok(()),
            };
        };
        self.current = Some(self.cursor(*first, path.clone())?);
        while self.current.as_ref().is_some_and(|cursor| cursor.expected < sequence) {
            if self.advance()?.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Reads the next record; `None` at the end, after which it may be asked again.
    ///
    /// # Errors
    /// [`LogError::Damaged`] with the place, or [`LogError::Missing`] for a lost segment.
    pub fn next_record(&mut self) -> Result<Option<LogRecord>, LogError> {
        let Some((header, place)) = self.advance()? else { return Ok(None) };
        let payload = &self.buffer[RECORD_HEADER_BYTES..][..header.length as usize];
        Ok(Some(LogRecord {
            sequence: header.sequence,
            hash: header.hash,
            payload: payload.to_vec(),
            place,
        }))
    }

    fn advance(&mut self) -> Result<Option<(RecordHeader, Place)>, LogError> {
        if self.current.is_none() {
            let Some((first, path)) = self.segments()?.into_iter().next() else {
                return Ok(None);
            };
            self.first = first;
            self.current = Some(self.cursor(first, path)?);
        }
        loop {
            match self.read_here()? {
                Ok(found) => return Ok(Some(found)),
                Err(fault) => match self.judge(fault)? {
                    Verdict::ReadOn => {}
                    Verdict::End => return Ok(None),
                },
            }
        }
    }

    fn read_here(&mut self) -> Result<Result<(RecordHeader, Place), RecordFault>, LogError> {
        let Some(cursor) = self.current.as_mut() else { return Ok(Err(RecordFault::Blank)) };
        let outcome = cursor
            .segment
            .read(cursor.offset, cursor.expected, cursor.previous, &mut self.buffer)
            .map_err(at("read", &cursor.segment.path))?;
        Ok(outcome.map(|header| {
            let place = Place { segment: cursor.segment.path.clone(), offset: cursor.offset };
            cursor.offset += record_bytes(header.length as usize) as u64;
            cursor.expected = header.sequence + 1;
            cursor.previous = header.hash;
            (header, place)
        }))
    }

    /// Decides what a place without the record due means.
    fn judge(&mut self, fault: RecordFault) -> Result<Verdict, LogError> {
        let segments = self.segments()?;
        let Some(cursor) = self.current.as_mut() else { return Ok(Verdict::End) };
        let own = cursor.segment.header.first_sequence;
        match segments.into_iter().find(|(first, _)| *first > own) {
            Some((first, path)) if first == cursor.expected => self.step_over(first, path),
            // Records of a segment are durable before its successor has its name, so a second
            // look is a look at the final state.
            Some(_) => self.look_again(fault),
            None if matches!(fault, RecordFault::Chain | RecordFault::Sequence { .. }) => {
                Err(cursor.damaged(fault))
            }
            None if cursor.searched == Some(cursor.offset) => Ok(Verdict::End),
            None => {
                let behind = cursor
                    .segment
                    .look_behind(cursor.offset, cursor.expected)
                    .map_err(at("read", &cursor.segment.path))?;
                cursor.searched = Some(cursor.offset);
                if behind.later_record { self.look_again(fault) } else { Ok(Verdict::End) }
            }
        }
    }

    /// Goes to the segment that starts with the record due.
    fn step_over(&mut self, first: u64, path: PathBuf) -> Result<Verdict, LogError> {
        let successor = self.cursor(first, path)?;
        if successor.previous != self.previous_hash() {
            let header = Cursor { offset: 0, ..successor };
            return Err(header.damaged(RecordFault::Chain));
        }
        self.current = Some(successor);
        Ok(Verdict::ReadOn)
    }

    /// A record was due and more follows: reads it once more, since it may have been in writing.
    fn look_again(&mut self, fault: RecordFault) -> Result<Verdict, LogError> {
        let Some(cursor) = self.current.as_ref() else { return Ok(Verdict::End) };
        let outcome = cursor
            .segment
            .read(cursor.offset, cursor.expected, cursor.previous, &mut self.buffer)
            .map_err(at("read", &cursor.segment.path))?;
        if outcome.is_ok() {
            return Ok(Verdict::ReadOn);
        }
        let end = cursor.segment.file.len().map_err(at("read", &cursor.segment.path))?;
        if fault == RecordFault::Blank && cursor.offset >= end {
            return Err(LogError::Missing { dir: self.dir.clone(), sequence: cursor.expected });
        }
        Err(cursor.damaged(fault))
    }

    fn cursor(&self, first: u64, path: PathBuf) -> Result<Cursor, LogError> {
        let (file, path) = match self.files.open_read(&path) {
            Ok(file) => (file, path),
            // Released between listing and opening: its copy is in the archive.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let copy = self.dir.join(ARCHIVE_DIR).join(segment_name(first));
                (self.files.open_read(&copy).map_err(at("open", &copy))?, copy)
            }
            Err(error) => return Err(at("open", &path)(error)),
        };
        let segment = Segment::check(file, path, self.partition, first)?;
        Ok(Cursor {
            offset: HEADER_BYTES as u64,
            expected: first,
            previous: segment.header.previous_hash,
            segment,
            searched: None,
        })
    }

    /// Every segment once, the live file before its copy.
    fn segments(&self) -> Result<Vec<(u64, PathBuf)>, LogError> {
        let archive = self.dir.join(ARCHIVE_DIR);
        // Live first: a segment released between the two lists is then in one of them.
        let live = list_segments(&*self.files, &self.dir)?;
        let copies = list_segments(&*self.files, &archive)?;
        let mut all: BTreeMap<u64, PathBuf> =
            copies.into_iter().map(|first| (first, archive.join(segment_name(first)))).collect();
        all.extend(live.into_iter().map(|first| (first, self.dir.join(segment_name(first)))));
        Ok(all.into_iter().collect())
    }
}
