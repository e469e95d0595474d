//! Copies of sealed segments, and giving their space back.

use std::path::PathBuf;

use super::error::{LogError, at};
use super::files::{FileLayer, SegmentFile};
use super::log::{ARCHIVE_DIR, Log};
use super::scan::{list_segments, segment_name};

const COPY_CHUNK_BYTES: usize = 1024 * 1024;
const COPY_FILE: &str = "copy.tmp";

impl Log {
    /// Copies every sealed segment that has no copy yet into the archive, durably, and returns
    /// the first sequences of those copied.
    ///
    /// # Errors
    /// What the system says. A copy has its name only when it is whole, so this may be repeated.
    pub fn archive_sealed(&self) -> Result<Vec<u64>, LogError> {
        let archive = self.dir().join(ARCHIVE_DIR);
        self.files().create_dir(&archive).map_err(at("make", &archive))?;
        let present = list_segments(self.files(), &archive)?;
        let mut copied = Vec::new();
        for first in self.sealed()? {
            if present.binary_search(&first).is_err() {
                copy(self.files(), &self.live_path(first), &archive, first)?;
                copied.push(first);
            }
        }
        Ok(copied)
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

fn copy(
    files: &dyn FileLayer,
    from: &std::path::Path,
    archive: &std::path::Path,
    first: u64,
) -> Result<(), LogError> {
    let (temporary, to) = (archive.join(COPY_FILE), archive.join(segment_name(first)));
    let source = files.open_read(from).map_err(at("open", from))?;
    let target = files.create(&temporary).map_err(at("make", &temporary))?;
    let used = used_bytes(&*source).map_err(at("read", from))?;
    let mut chunk = vec![0; COPY_CHUNK_BYTES];
    let mut offset = 0;
    while offset < used {
        let wanted = (used - offset).min(chunk.len() as u64) as usize;
        let count = source.read_at(&mut chunk[..wanted], offset).map_err(at("read", from))?;
        target.write_at(&chunk[..count], offset).map_err(at("write", &temporary))?;
        offset += count as u64;
        if count == 0 {
            break;
        }
    }
    target.sync_data().map_err(at("sync", &temporary))?;
    files.rename(&temporary, &to).map_err(at("rename", &temporary))?;
    files.sync_dir(archive).map_err(at("sync", archive))
}

/// Length without the zeros behind the last record, on a record boundary.
fn used_bytes(source: &dyn SegmentFile) -> std::io::Result<u64> {
    let mut chunk = vec![0; COPY_CHUNK_BYTES];
    let (mut used, mut offset) = (0, 0);
    loop {
        let count = source.read_at(&mut chunk, offset)?;
        if let Some(last) = chunk[..count].iter().rposition(|byte| *byte != 0) {
            used = offset + last as u64 + 1;
        }
        offset += count as u64;
        if count < chunk.len() {
            // The payload of the last record may itself end in zeros, which its padded length
            // then needs; one boundary more than a record needs is harmless.
            return Ok(offset.min(used));
        }
    }
}
