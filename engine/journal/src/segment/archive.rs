//! Copies of sealed segments, and giving their space back.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::error::{LogError, at};
use super::files::FileLayer;
use super::format::{HEADER_BYTES, record_bytes};
use super::log::{ARCHIVE_DIR, Log};
use super::scan::{Segment, list_segments, segment_name};

const COPY_CHUNK_BYTES: usize = 1024 * 1024;
const COPY_FILE: &str = "copy.tmp";

impl Log {
    /// Copies every sealed segment that has no copy yet into the archive, durably, and returns
    /// the first sequences of those copied.
    ///
    /// # Errors
    /// [`LogError::Damaged`], or what the system says. A copy has its name only when it is whole, so this may be repeated.
    pub fn archive_sealed(&self) -> Result<Vec<u64>, LogError> {
        let _alone = self.archiving().lock().unwrap_or_else(PoisonError::into_inner);
        archive_before(self.files(), self.dir(), self.partition(), self.current_first())
    }

    /// Gives back the space of sealed segments whose records all come before `sequence` and that
    /// are in the archive, archiving first. Returns the first sequences of those released.
    ///
    /// # Errors
    /// As [`Log::archive_sealed`].
    pub fn release_before(&self, sequence: u64) -> Result<Vec<u64>, LogError> {
        self.archive_sealed()?;
        let sealed = self.sealed()?;
        let ends = sealed.iter().skip(1).copied().chain([self.current_first()]);
        let mut released = Vec::new();
        for (first, _) in sealed.iter().zip(ends).filter(|(_, end)| *end <= sequence) {
            let path = self.live_path(*first);
            self.files().remove(&path).map_err(at("remove", &path))?;
            released.push(*first);
        }
        self.files().sync_dir(self.dir()).map_err(at("sync", self.dir()))?;
        Ok(released)
    }

    fn sealed(&self) -> Result<Vec<u64>, LogError> {
        let mut live = list_segments(self.files(), self.dir())?;
        live.retain(|first| *first != self.current_first());
        Ok(live)
    }

    fn live_path(&self, first: u64) -> PathBuf {
        self.dir().join(segment_name(first))
    }
}

/// Copies the segments before `current` that have no copy yet; returns the first sequences of those copied.
pub(super) fn archive_before(
    files: &dyn FileLayer,
    dir: &Path,
    partition: u32,
    current: u64,
) -> Result<Vec<u64>, LogError> {
    let archive = dir.join(ARCHIVE_DIR);
    files.create_dir(&archive).map_err(at("make", &archive))?;
    let present = list_segments(files, &archive)?;
    let mut copied = Vec::new();
    for first in list_segments(files, dir)? {
        if first < current && present.binary_search(&first).is_err() {
            copy(files, partition, &dir.join(segment_name(first)), &archive, first)?;
            copied.push(first);
        }
    }
    Ok(copied)
}

/// Copies the used part of a segment after checking all of it: damage must not reach the archive
/// while the good bytes could still be had from a backup.
fn copy(
    files: &dyn FileLayer,
    partition: u32,
    from: &Path,
    archive: &Path,
    first: u64,
) -> Result<(), LogError> {
    let (temporary, to) = (archive.join(COPY_FILE), archive.join(segment_name(first)));
    let file = files.open_read(from).map_err(at("open", from))?;
    let segment = Segment::check(file, from.to_owned(), partition, first)?;
    let used = used_bytes(&segment)?;
    let target = files.create(&temporary).map_err(at("make", &temporary))?;
    let mut chunk = vec![0; COPY_CHUNK_BYTES];
    let mut offset = 0;
    while offset < used {
        let wanted = (used - offset).min(chunk.len() as u64) as usize;
        let count = segment.file.read_at(&mut chunk[..wanted], offset).map_err(at("read", from))?;
        if count == 0 {
            break;
        }
        target.write_at(&chunk[..count], offset).map_err(at("write", &temporary))?;
        offset += count as u64;
    }
    target.sync_data().map_err(at("sync", &temporary))?;
    files.rename(&temporary, &to).map_err(at("rename", &temporary))?;
    files.sync_dir(archive).map_err(at("sync", archive))
}

/// Walks a sealed segment and returns where its last record ends.
fn used_bytes(segment: &Segment) -> Result<u64, LogError> {
    let mut offset = HEADER_BYTES as u64;
    let mut expected = segment.header.first_sequence;
    let mut previous = segment.header.previous_hash;
    let mut buffer = Vec::new();
    loop {
        let outcome = segment
            .read(offset, expected, previous, &mut buffer)
            .map_err(at("read", &segment.path))?;
        let fault = match outcome {
            Ok(header) => {
                offset += record_bytes(header.length as usize) as u64;
                expected += 1;
                previous = header.hash;
                continue;
            }
            Err(fault) => fault,
        };
        let behind = segment.look_behind(offset, expected).map_err(at("read", &segment.path))?;
        if behind.written_bytes == 0 {
            return Ok(offset);
        }
        let segment = segment.path.clone();
        return Err(LogError::Damaged { segment, offset, sequence: expected, fault });
    }
}
