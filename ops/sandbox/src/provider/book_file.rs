//! Bookings on disk: one JSON line for each change, read again at the next start.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::books::Record;
use super::wire::Booking;

/// Bytes of one line at most.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
const NAME: &str = "bookings.ndjson";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Weeks(i32),
    Booking(Box<Booking>),
    Tombstone(String),
}

/// What an earlier life left.
#[derive(Debug, Default)]
pub struct Kept {
    /// Its bookings and tombstones, oldest first.
    pub records: Vec<Record>,
    /// By how many weeks it had moved the calendar.
    pub weeks: Option<i32>,
}

/// The open file.
#[derive(Debug)]
pub struct BookFile {
    file: File,
}

impl BookFile {
    /// Reads what is there and opens it for more; a last line that was cut off is dropped.
    ///
    /// # Errors
    /// The directory cannot be used, or a line before the last is damaged.
    pub fn open(dir: &Path) -> io::Result<(Self, Kept)> {
        std::fs::create_dir_all(dir)?;
        let path = dir.join(NAME);
        let kept = match File::open(&path) {
            Ok(file) => read(BufReader::new(file), &path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(error),
        };
        // Written anew: only the last word about each booking is kept.
        let mut last = std::collections::BTreeMap::new();
        for record in &kept.records {
            match record {
                Record::Booking(b) => last.insert((0, b.id.clone()), record.clone()),
                Record::Tombstone(key) => last.insert((1, key.clone()), record.clone()),
            };
        }
        let fresh = dir.join("bookings.ndjson.new");
        let mut file = File::create(&fresh)?;
        if let Some(weeks) = kept.weeks {
            write(&mut file, &Line::Weeks(weeks))?;
        }
        for record in last.into_values() {
            write(&mut file, &line_of(record))?;
        }
        file.sync_data()?;
        std::fs::rename(&fresh, &path)?;
        let file = OpenOptions::new().append(true).open(&path)?;
        Ok((Self { file }, kept))
    }

    /// Keeps the shift of the calendar.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn keep_weeks(&mut self, weeks: i32) -> io::Result<()> {
        write(&mut self.file, &Line::Weeks(weeks))
    }

    /// Keeps changes.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn keep(&mut self, records: Vec<Record>) -> io::Result<()> {
        for record in records {
            write(&mut self.file, &line_of(record))?;
        }
        Ok(())
    }
}

fn line_of(record: Record) -> Line {
    match record {
        Record::Booking(booking) => Line::Booking(booking),
        Record::Tombstone(key) => Line::Tombstone(key),
    }
}

fn write(file: &mut File, line: &Line) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    file.write_all(&bytes)
}

fn read(mut reader: impl BufRead, path: &Path) -> io::Result<Kept> {
    let mut kept = Kept::default();
    let mut number = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(kept);
        }
        number += 1;
        let whole = line.ends_with('\n') && line.len() <= LINE_BYTES_MAX;
        match serde_json::from_str(&line) {
            Ok(Line::Weeks(weeks)) => kept.weeks = Some(weeks),
            Ok(Line::Booking(booking)) => kept.records.push(Record::Booking(booking)),
            Ok(Line::Tombstone(key)) => kept.records.push(Record::Tombstone(key)),
            Err(_) if !whole => return Ok(kept),
            Err(error) => {
                let path: PathBuf = path.to_owned();
                let text = format!("{} line {number}: {error}", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_read_again_without_a_torn_end() {
        let dir = tempfile::tempdir().expect("dir");
        let (mut file, kept) = BookFile::open(dir.path()).expect("new");
        assert!(kept.records.is_empty() && kept.weeks.is_none());
        file.keep_weeks(7).expect("kept");
        let keys = ["a", "b", "a"].map(|k| Record::Tombstone(k.to_owned())).to_vec();
        file.keep(keys).expect("kept");
        drop(file);
        let path = dir.path().join(NAME);
        let mut text = std::fs::read_to_string(&path).expect("text");
        text.push_str("{\"tombsto");
        std::fs::write(&path, &text).expect("torn");
        let (_, kept) = BookFile::open(dir.path()).expect("torn end is dropped");
        assert_eq!((kept.records.len(), kept.weeks), (3, Some(7)));
        let (_, kept) = BookFile::open(dir.path()).expect("again");
        assert_eq!((kept.records.len(), kept.weeks), (2, Some(7)), "one line per key");

        std::fs::write(&path, "{\"weeks\":7}\nnonsense\n{\"weeks\":8}\n").expect("damaged");
        let error = BookFile::open(dir.path()).expect_err("damaged middle").to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
