//! The ZIP archive of a feed, unpacked within limits.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::error::{GtfsError, GtfsErrorKind};

/// Bytes of an archive at most.
pub const ARCHIVE_BYTES_MAX: u64 = 256 << 20;
/// Entries of an archive at most.
pub const ENTRIES_MAX: usize = 512;
/// Bytes of one unpacked file at most.
pub const FILE_BYTES_MAX: u64 = 1 << 30;
/// Bytes of all unpacked files together at most.
pub const FEED_BYTES_MAX: u64 = 2 << 30;
/// How many times its packed size a file may unpack to.
pub const RATIO_MAX: u64 = 200;
/// Below this many bytes the ratio is not looked at: small tables of zeros are legal.
pub const RATIO_FLOOR_BYTES: u64 = 1 << 20;

/// What an archive may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries at most.
    pub entries: usize,
    /// Bytes of one unpacked file at most.
    pub file_bytes: u64,
    /// Bytes of all unpacked files together at most.
    pub feed_bytes: u64,
    /// Unpacked to packed size at most, above the floor.
    pub ratio: u64,
    /// Where the ratio begins to count, in bytes.
    pub ratio_floor_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: ENTRIES_MAX,
            file_bytes: FILE_BYTES_MAX,
            feed_bytes: FEED_BYTES_MAX,
            ratio: RATIO_MAX,
            ratio_floor_bytes: RATIO_FLOOR_BYTES,
        }
    }
}

/// An opened feed archive.
pub struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// Base name to index.
    files: HashMap<String, usize>,
    limits: Limits,
    unpacked: u64,
    /// Things tolerated, to be shown.
    pub warnings: Vec<String>,
}

impl<'a> Archive<'a> {
    /// Opens the bytes of a ZIP file with the limits of this reader.
    ///
    /// # Errors
    /// Not an archive, or one beyond the limits.
    pub fn open(bytes: &'a [u8]) -> Result<Self, GtfsError> {
        Self::open_within(bytes, Limits::default())
    }

    /// Opens the bytes of a ZIP file within given limits.
    ///
    /// # Errors
    /// Not an archive, or one beyond the limits.
    pub fn open_within(bytes: &'a [u8], limits: Limits) -> Result<Self, GtfsError> {
        let zip = ZipArchive::new(Cursor::new(bytes))
            .map_err(|e| GtfsError::of("archive", GtfsErrorKind::BadArchive(e.to_string())))?;
        if zip.len() > limits.entries {
            return Err(GtfsError::of(
                "archive",
                GtfsErrorKind::TooManyEntries { count: zip.len(), most: limits.entries },
            ));
        }
        let mut archive =
            Self { zip, files: HashMap::new(), limits, unpacked: 0, warnings: Vec::new() };
        archive.index()?;
        Ok(archive)
    }

    /// Finds the tables: at the root, or all in one folder.
    fn index(&mut self) -> Result<(), GtfsError> {
        let mut folders: HashMap<String, Vec<(String, usize)>> = HashMap::new();
        for index in 0..self.zip.len() {
            let entry = self
                .zip
                .by_index_raw(index)
                .map_err(|e| GtfsError::of("archive", GtfsErrorKind::BadArchive(e.to_string())))?;
            let name = String::from_utf8_lossy(entry.name_raw()).replace('\\', "/");
            if name.ends_with('/') || name.starts_with("__MACOSX") {
                continue;
            }
            let (folder, base) = name.rsplit_once('/').unwrap_or(("", &name));
            if base.ends_with(".txt") && !base.starts_with('.') {
                let list = folders.entry(folder.to_owned()).or_default();
                if list.iter().any(|(known, _)| known == base) {
                    return Err(GtfsError::of(base, GtfsErrorKind::FileTwice));
                }
                list.push((base.to_owned(), index));
            }
        }
        let has_stops = |list: &Vec<(String, usize)>| list.iter().any(|(n, _)| n == "stops.txt");
        let mut with_stops: Vec<&String> =
            folders.iter().filter(|(_, list)| has_stops(list)).map(|(folder, _)| folder).collect();
        with_stops.sort_by_key(|folder| (folder.len(), folder.to_string()));
        let chosen = match with_stops.first() {
            Some(folder) => (*folder).clone(),
            None => String::new(),
        };
        if !chosen.is_empty() {
            self.warnings.push(format!("the files lie in the folder `{chosen}`, not at the root"));
        }
        self.files = folders.remove(&chosen).unwrap_or_default().into_iter().collect();
        Ok(())
    }

    /// Whether the file is there.
    pub fn has(&self, file: &str) -> bool {
        self.files.contains_key(file)
    }

    /// Unpacks a required file.
    ///
    /// # Errors
    /// Missing, damaged, or beyond the limits.
    pub fn required(&mut self, file: &'static str) -> Result<Vec<u8>, GtfsError> {
        self.optional(file)?.ok_or_else(|| GtfsError::of(file, GtfsErrorKind::MissingFile))
    }

    /// Unpacks a file that may be missing.
    ///
    /// # Errors
    /// Damaged, or beyond the limits.
    pub fn optional(&mut self, file: &'static str) -> Result<Option<Vec<u8>>, GtfsError> {
        let Some(&index) = self.files.get(file) else { return Ok(None) };
        let bad = |e: String| GtfsError::of(file, GtfsErrorKind::BadArchive(e));
        let raw = self.zip.by_index_raw(index).map_err(|e| bad(e.to_string()))?;
        let (packed, encrypted) = (raw.compressed_size(), raw.encrypted());
        drop(raw);
        if encrypted {
            return Err(GtfsError::of(file, GtfsErrorKind::Encrypted));
        }
        let left = self.limits.feed_bytes.saturating_sub(self.unpacked);
        let by_ratio = packed.saturating_mul(self.limits.ratio).max(self.limits.ratio_floor_bytes);
        // What the header claims is not believed: the bytes that come out are counted.
        let most = left.min(self.limits.file_bytes).min(by_ratio);
        let entry = self.zip.by_index(index).map_err(|e| bad(e.to_string()))?;
        let mut bytes = Vec::new();
        entry
            .take(most.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|e| bad(e.to_string()))?;
        let length = bytes.len() as u64;
        if length > most {
            let kind = if by_ratio == most {
                GtfsErrorKind::RatioTooHigh { most: self.limits.ratio }
            } else {
                GtfsErrorKind::TooLarge { bytes: length, most }
            };
            return Err(GtfsError::of(file, kind));
        }
        self.unpacked += length;
        Ok(Some(bytes))
    }
}
