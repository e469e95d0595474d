//! Reading one segment: records in their order, and the search behind a bad one.

use std::io;
use std::path::{Path, PathBuf};

use super::error::{LogError, at};
use super::files::{FileLayer, SegmentFile};
use super::format::{
    ChainHash, FORMAT_VERSION, HEADER_BYTES, HeaderFault, RECORD_ALIGN, RECORD_HEADER_BYTES,
    RECORD_MAGIC, RecordFault, RecordHeader, SegmentHeader, decode_record_header, record_bytes,
    verify_place, verify_whole,
};

/// Bytes read at once while searching behind a bad record.
const SEARCH_CHUNK_BYTES: usize = 1024 * 1024;

const PREFIX: &str = "segment-";
const SUFFIX: &str = ".log";

/// The name of the segment that starts with this record.
pub(crate) fn segment_name(first_sequence: u64) -> String {
    format!("{PREFIX}{first_sequence:020}{SUFFIX}")
}

/// First sequences of the segments in a directory, in order.
pub(crate) fn list_segments(files: &dyn FileLayer, dir: &Path) -> Result<Vec<u64>, LogError> {
    let names = files.list(dir).map_err(at("list", dir))?;
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| first_of(name)).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let first = digits.parse().ok()?;
    (segment_name(first) == name).then_some(first)
}

/// What was found behind a record that is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Behind {
    /// A whole record of this segment stands further on.
    pub later_record: bool,
    /// Bytes from the bad record to the last one that is not zero.
    pub written_bytes: u64,
}

/// One open segment whose header was checked.
pub(crate) struct Segment {
    pub path: PathBuf,
    pub file: Box<dyn SegmentFile>,
    pub header: SegmentHeader,
}

impl Segment {
    /// Checks the header of an open file against the place where it was found.
    pub fn check(
        file: Box<dyn SegmentFile>,
        path: PathBuf,
        partition: u32,
        first_sequence: u64,
    ) -> Result<Self, LogError> {
        let mut bytes = [0; HEADER_BYTES];
        let count = file.read_at(&mut bytes, 0).map_err(at("read", &path))?;
        let header = match SegmentHeader::decode(&bytes[..count]) {
            Ok(header) => header,
            Err(HeaderFault::Newer(found)) => {
                return Err(LogError::NewerVersion { path, found, supported: FORMAT_VERSION });
            }
            Err(fault) => return Err(LogError::Header { path, fault }),
        };
        let misplaced = |what, expected, found| LogError::Misplaced {
            path: path.clone(),
            what,
            expected,
            found,
        };
        if header.partition != partition {
            let (expected, found) = (u64::from(partition), u64::from(header.partition));
            return Err(misplaced("partition", expected, found));
        }
        if header.first_sequence != first_sequence {
            return Err(misplaced("first record", first_sequence, header.first_sequence));
        }
        Ok(Self { path, file, header })
    }

    /// Reads the record at `offset` into `buffer` (header, payload and padding).
    pub fn read(
        &self,
        offset: u64,
        expected: u64,
        previous: ChainHash,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Result<RecordHeader, RecordFault>> {
        match self.read_whole(offset, buffer)? {
            Ok(header) => Ok(verify_place(&header, buffer, expected, previous).map(|()| header)),
            Err(fault) => Ok(Err(fault)),
        }
    }

    fn read_whole(
        &self,
        offset: u64,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Result<RecordHeader, RecordFault>> {
        buffer.clear();
        buffer.resize(RECORD_HEADER_BYTES, 0);
        let count = self.file.read_at(buffer, offset)?;
        if count == 0 {
            return Ok(Err(RecordFault::Blank));
        }
        let header = match decode_record_header(&buffer[..count]) {
            Ok(header) => header,
            Err(RecordFault::Short) if buffer[..count].iter().all(|byte| *byte == 0) => {
                return Ok(Err(RecordFault::Blank));
            }
            Err(fault) => return Ok(Err(fault)),
        };
        let padded = record_bytes(header.length as usize);
        // The file bounds what is allocated for a length that may be a lie.
        if offset + padded as u64 > self.file.len()? {
            return Ok(Err(RecordFault::Short));
        }
        buffer.resize(padded, 0);
        let rest = &mut buffer[RECORD_HEADER_BYTES..];
        let wanted = rest.len();
        if self.file.read_at(rest, offset + RECORD_HEADER_BYTES as u64)? < wanted {
            return Ok(Err(RecordFault::Short));
        }
        Ok(verify_whole(&self.header, &header, buffer).map(|()| header))
    }

    /// Looks behind a bad record at `offset` for a whole one with `sequence` or a later one.
    pub fn look_behind(&self, offset: u64, sequence: u64) -> io::Result<Behind> {
        let mut behind = Behind { later_record: false, written_bytes: 0 };
        let mut chunk = vec![0; SEARCH_CHUNK_BYTES];
        let mut candidate = Vec::new();
        let mut start = offset;
        loop {
            let count = self.file.read_at(&mut chunk, start)?;
            if count == 0 {
                return Ok(behind);
            }
            let read = &chunk[..count];
            if let Some(last) = read.iter().rposition(|byte| *byte != 0) {
                behind.written_bytes = start + last as u64 + 1 - offset;
            }
            for at in (0..count).step_by(RECORD_ALIGN) {
                let place = start + at as u64;
                if place == offset || !read[at..].starts_with(&RECORD_MAGIC) {
                    continue;
                }
                if let Ok(header) = self.read_whole(place, &mut candidate)?
                    && header.sequence >= sequence
                {
                    behind.later_record = true;
                }
            }
            start += count as u64;
            if count < chunk.len() {
                return Ok(behind);
            }
        }
    }
}
