//! The writer of one partition's log: one write and one fdatasync an append.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::archive::archive_before;
use super::error::{LogError, at};
use super::files::{FileLayer, OwnError, Ownership};
use super::format::{
    ChainHash, HEADER_BYTES, MAX_PAYLOAD_BYTES, RECORD_HEADER_BYTES, RecordFault, SegmentHeader,
    encode_record, record_bytes,
};
use super::scan::{Segment, list_segments, segment_name};

/// Directory under a partition's that holds copies of sealed segments.
pub const ARCHIVE_DIR: &str = "archive";
/// Fewest bytes of a segment.
pub const MIN_SEGMENT_BYTES: u64 = 4096;
/// Most bytes of a segment.
pub const MAX_SEGMENT_BYTES: u64 = 1024 * 1024 * 1024;
/// Bytes of a segment unless configured.
pub const DEFAULT_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// File that becomes the next segment; its content does not matter until it is renamed.
const SPARE_FILE: &str = "spare.tmp";

/// How a log is kept.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// Bytes of one segment, from [`MIN_SEGMENT_BYTES`] to [`MAX_SEGMENT_BYTES`].
    pub segment_bytes: u64,
    /// Prepares the next segment when the current one is half full, and copies sealed ones to the archive, each on a
    /// thread of its own.
    pub prepare_ahead: bool,
    /// A record known from elsewhere (a checkpoint) to be durable; a shorter log is refused. 0
    /// where nothing is known.
    pub at_least: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { segment_bytes: DEFAULT_SEGMENT_BYTES, prepare_ahead: true, at_least: 0 }
    }
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The last record, 0 in an empty log.
    pub last_sequence: u64,
    /// Bytes of a torn append that were cut off at the end; the append was never acknowledged.
    pub cut_bytes: u64,
}

/// A durable record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its sequence: 1, 2, 3 ...
    pub sequence: u64,
    /// Its hash in the chain.
    pub hash: ChainHash,
}

/// The one writer of a partition's log.
pub struct Log {
    files: Arc<dyn FileLayer>,
    dir: PathBuf,
    partition: u32,
    options: LogOptions,
    segment: Segment,
    offset: u64,
    next_sequence: u64,
    head: ChainHash,
    stopped: bool,
    spare: Option<JoinHandle<Result<(), LogError>>>,
    archiver: Option<JoinHandle<Result<Vec<u64>, LogError>>>,
    /// One copies at a time.
    archiving: Arc<Mutex<()>>,
    /// A segment was sealed while the archiver was at work.
    archive_due: bool,
    archive_fault: Option<LogError>,
    buffer: Vec<u8>,
    _ownership: Box<dyn Ownership>,
}

impl Log {
    /// Opens the log of `partition` in `dir`, or makes it. Cuts off a torn tail.
    ///
    /// # Errors
    /// [`LogError::InUse`], [`LogError::NewerVersion`], [`LogError::Damaged`] with the place,
    /// [`LogError::Missing`], [`LogError::Behind`], or what the system says.
    pub fn open(
        files: Arc<dyn FileLayer>,
        dir: &Path,
        partition: u32,
        options: LogOptions,
    ) -> Result<(Self, Opened), LogError> {
        let (min, max) = (MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES);
        if !(min..=max).contains(&options.segment_bytes) {
            return Err(LogError::SegmentSize { bytes: options.segment_bytes, min, max });
        }
        files.create_dir(dir).map_err(at("make", dir))?;
        let ownership = files.own(dir).map_err(|error| match error {
            OwnError::InUse(pid) => LogError::InUse { dir: dir.to_owned(), pid },
            OwnError::Io(source) => at("lock", dir)(source),
        })?;
        let segment = match newest(&*files, dir)? {
            Some(first) => {
                let path = dir.join(segment_name(first));
                let file = files.open_write(&path).map_err(at("open", &path))?;
                Segment::check(file, path, partition, first)?
            }
            None => {
                let header = SegmentHeader {
                    partition,
                    first_sequence: 1,
                    previous_hash: ChainHash::GENESIS,
                    capacity_bytes: options.segment_bytes,
                };
                prepare_spare(&*files, dir, options.segment_bytes)?;
                start_segment(&*files, dir, header)?
            }
        };
        let mut log = Self {
            files,
            dir: dir.to_owned(),
            partition,
            offset: HEADER_BYTES as u64,
            next_sequence: segment.header.first_sequence,
            head: segment.header.previous_hash,
            segment,
            stopped: false,
            spare: None,
            archiver: None,
            archiving: Arc::default(),
            archive_due: false,
            archive_fault: None,
            buffer: Vec::new(),
            options,
            _ownership: ownership,
        };
        let cut_bytes = log.recover()?;
        let last_sequence = log.next_sequence - 1;
        if last_sequence < log.options.at_least {
            let known = log.options.at_least;
            return Err(LogError::Behind { dir: log.dir.clone(), found: last_sequence, known });
        }
        // A stop may have come between a roll and its copy.
        log.archive_ahead();
        Ok((log, Opened { last_sequence, cut_bytes }))
    }

    /// Appends one record and returns when it is durable.
    ///
    /// # Errors
    /// [`LogError::TooLarge`] leaves the log as it was. After any other error the record may or
    /// may not be durable, and every later append answers [`LogError::Stopped`] until the log is
    /// opened again.
    pub fn append(&mut self, payload: &[u8]) -> Result<Appended, LogError> {
        if self.stopped {
            return Err(LogError::Stopped);
        }
        let limit = self.max_payload_bytes();
        if payload.len() > limit {
            return Err(LogError::TooLarge { bytes: payload.len(), limit });
        }
        // Set until proven otherwise, so that no path out of here leaves a half-written log open.
        self.stopped = true;
        let bytes = record_bytes(payload.len()) as u64;
        if self.offset + bytes > self.segment.header.capacity_bytes {
            self.roll()?;
        }
        self.buffer.clear();
        let sequence = self.next_sequence;
        let header = &self.segment.header;
        let hash = encode_record(header, sequence, self.head, payload, &mut self.buffer);
        let path = &self.segment.path;
        self.segment.file.write_at(&self.buffer, self.offset).map_err(at("write", path))?;
        self.segment.file.sync_data().map_err(at("sync", path))?;
        self.offset += bytes;
        self.next_sequence += 1;
        self.head = hash;
        self.stopped = false;
        self.prepare_ahead();
        self.end_archiving();
        Ok(Appended { sequence, hash })
    }

    /// Why the last copying of sealed segments failed, told once; the next roll tries again.
    pub fn take_archive_fault(&mut self) -> Option<LogError> {
        self.archive_fault.take()
    }

    /// Sequence that the next append gets.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Hash of the last record.
    #[must_use]
    pub fn head(&self) -> ChainHash {
        self.head
    }

    /// The partition that this log belongs to.
    #[must_use]
    pub fn partition(&self) -> u32 {
        self.partition
    }

    /// Directory of the log.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Largest payload in bytes that an append takes.
    #[must_use]
    pub fn max_payload_bytes(&self) -> usize {
        let room = self.options.segment_bytes.min(self.segment.header.capacity_bytes) as usize;
        (room - HEADER_BYTES - RECORD_HEADER_BYTES).min(MAX_PAYLOAD_BYTES)
    }

    pub(super) fn files(&self) -> &dyn FileLayer {
        &*self.files
    }

    pub(super) fn archiving(&self) -> &Mutex<()> {
        &self.archiving
    }

    pub(super) fn current_first(&self) -> u64 {
        self.segment.header.first_sequence
    }

    /// Walks the last segment to its end and makes the tail clean; returns the bytes cut.
    fn recover(&mut self) -> Result<u64, LogError> {
        let mut buffer = Vec::new();
        let mut last: Option<(u64, Vec<u8>)> = None;
        loop {
            let path = &self.segment.path;
            let outcome = self
                .segment
                .read(self.offset, self.next_sequence, self.head, &mut buffer)
                .map_err(at("read", path))?;
            let fault = match outcome {
                Ok(header) => {
                    let start = self.offset;
                    self.offset += record_bytes(header.length as usize) as u64;
                    self.next_sequence += 1;
                    self.head = header.hash;
                    let (place, bytes) = last.get_or_insert_default();
                    *place = start;
                    std::mem::swap(bytes, &mut buffer);
                    continue;
                }
                Err(fault) => fault,
            };
            let behind = self
                .segment
                .look_behind(self.offset, self.next_sequence)
                .map_err(at("read", path))?;
            let whole = matches!(fault, RecordFault::Chain | RecordFault::Sequence { .. });
            if whole || behind.later_record {
                return Err(LogError::Damaged {
                    segment: path.clone(),
                    offset: self.offset,
                    sequence: self.next_sequence,
                    fault,
                });
            }
            self.clean_tail(last, behind.written_bytes)?;
            return Ok(behind.written_bytes);
        }
    }

    /// Zeros what a torn append left, and writes the last record again: after a failed sync it
    /// may be in the system's memory and not on the disk, and it is about to be relied on.
    fn clean_tail(&self, last: Option<(u64, Vec<u8>)>, written_bytes: u64) -> Result<(), LogError> {
        static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
        let path = &self.segment.path;
        let mut left = written_bytes;
        while left > 0 {
            let count = left.min(ZEROS.len() as u64);
            let offset = self.offset + written_bytes - left;
            self.segment
                .file
                .write_at(&ZEROS[..count as usize], offset)
                .map_err(at("write", path))?;
            left -= count;
        }
        if let Some((offset, bytes)) = last {
            self.segment.file.write_at(&bytes, offset).map_err(at("write", path))?;
        }
        self.segment.file.sync_data().map_err(at("sync", path))
    }

    /// Closes the current segment by starting the next one.
    fn roll(&mut self) -> Result<(), LogError> {
        match self.spare.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome?,
            // A panicked helper left nothing that can be relied on.
            Some(Err(_)) | None => {
                prepare_spare(&*self.files, &self.dir, self.options.segment_bytes)?;
            }
        }
        let header = SegmentHeader {
            partition: self.partition,
            first_sequence: self.next_sequence,
            previous_hash: self.head,
            capacity_bytes: self.options.segment_bytes,
        };
        self.segment = start_segment(&*self.files, &self.dir, header)?;
        self.offset = HEADER_BYTES as u64;
        self.archive_ahead();
        Ok(())
    }

    /// Copies what is sealed; what was sealed while that is still being done, right after it.
    fn archive_ahead(&mut self) {
        let first = self.current_first();
        if !self.options.prepare_ahead || first == 1 {
            return;
        }
        self.archive_due = self.archiver.is_some();
        if self.archive_due {
            return;
        }
        let (files, dir, partition) = (Arc::clone(&self.files), self.dir.clone(), self.partition);
        let archiving = Arc::clone(&self.archiving);
        // Without a thread the next roll tries again.
        self.archiver = std::thread::Builder::new()
            .name(format!("archive-{partition}"))
            .spawn(move || {
                let _alone = archiving.lock().unwrap_or_else(PoisonError::into_inner);
                archive_before(&*files, &dir, partition, first)
            })
            .ok();
    }

    fn end_archiving(&mut self) {
        let Some(ended) = self.archiver.take_if(|archiver| archiver.is_finished()) else { return };
        // A panic has its own line in the log, and leaves no copy with a name.
        if let Ok(Err(fault)) = ended.join() {
            self.archive_fault = Some(fault);
        }
        if self.archive_due {
            self.archive_ahead();
        }
    }

    fn prepare_ahead(&mut self) {
        let half = self.segment.header.capacity_bytes / 2;
        if !self.options.prepare_ahead || self.spare.is_some() || self.offset < half {
            return;
        }
        let files = Arc::clone(&self.files);
        let (dir, bytes) = (self.dir.clone(), self.options.segment_bytes);
        // Without a thread the segment is prepared when it is needed.
        self.spare = std::thread::Builder::new()
            .name(format!("segment-{}", self.partition))
            .spawn(move || prepare_spare(&*files, &dir, bytes))
            .ok();
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // The helpers write into the directory, which must not outlive its ownership.
        if let Some(spare) = self.spare.take() {
            let _ = spare.join();
        }
        if let Some(archiver) = self.archiver.take() {
            let _ = archiver.join();
        }
        if self.archive_due {
            // A failure is found by the next start, which tries again.
            let first = self.current_first();
            let _ = archive_before(&*self.files, &self.dir, self.partition, first);
        }
    }
}

/// The newest live segment; an archive without one means that files were lost.
fn newest(files: &dyn FileLayer, dir: &Path) -> Result<Option<u64>, LogError> {
    let live = list_segments(files, dir)?;
    if live.is_empty() && !list_segments(files, &dir.join(ARCHIVE_DIR))?.is_empty() {
        return Err(LogError::Missing { dir: dir.to_owned(), sequence: 1 });
    }
    Ok(live.last().copied())
}

fn prepare_spare(files: &dyn FileLayer, dir: &Path, bytes: u64) -> Result<(), LogError> {
    let path = dir.join(SPARE_FILE);
    let file = files.create(&path).map_err(at("make", &path))?;
    file.allocate(bytes).map_err(at("allocate", &path))
}

/// Makes the spare file the segment of `header`: durable header first, then the name.
fn start_segment(
    files: &dyn FileLayer,
    dir: &Path,
    header: SegmentHeader,
) -> Result<Segment, LogError> {
    let spare = dir.join(SPARE_FILE);
    let path = dir.join(segment_name(header.first_sequence));
    let file = files.open_write(&spare).map_err(at("open", &spare))?;
    file.write_at(&header.encode(), 0).map_err(at("write", &spare))?;
    file.sync_data().map_err(at("sync", &spare))?;
    files.rename(&spare, &path).map_err(at("rename", &spare))?;
    files.sync_dir(dir).map_err(at("sync", dir))?;
    Ok(Segment { path, file, header })
}
