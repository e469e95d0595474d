//! A reader of GTFS static timetables (google/transit reference, revision 2023-11-16).
//!
//! Reads any valid feed, refuses a damaged one with the file, line and column at fault, and never
//! unpacks more than its limits allow.

pub mod archive;
pub mod calendar;
pub mod error;
pub mod fares;
pub mod geo;
pub mod model;
mod network;
mod schedule;
pub mod table;
pub mod time;

use std::path::Path;

pub use archive::Archive;
pub use calendar::{Calendar, Shift};
pub use error::{Fault, GtfsError, GtfsErrorKind};
pub use model::{Feed, Stop, StopTime, Trip};

/// Reads a feed from a ZIP file on disk.
///
/// # Errors
/// What is wrong, where, and whose fault it is.
pub fn read_file(path: &Path) -> Result<Feed, GtfsError> {
    let length = std::fs::metadata(path).map_err(|e| GtfsError::host(path, e))?.len();
    if length > archive::ARCHIVE_BYTES_MAX {
        return Err(GtfsError::of(
            &path.display().to_string(),
            GtfsErrorKind::TooLarge { bytes: length, most: archive::ARCHIVE_BYTES_MAX },
        ));
    }
    let bytes = std::fs::read(path).map_err(|e| GtfsError::host(path, e))?;
    read_bytes(&bytes)
}

/// Reads a feed from the bytes of a ZIP file.
///
/// # Errors
/// What is wrong, where, and whose fault it is.
pub fn read_bytes(bytes: &[u8]) -> Result<Feed, GtfsError> {
    let mut archive = Archive::open(bytes)?;
    let mut feed = network::read(&mut archive)?;
    feed.calendar = calendar::read(&mut archive)?;
    schedule::read(&mut archive, &mut feed)?;
    feed.fares = fares::read(&mut archive, &mut feed.warnings)?;
    feed.warnings.append(&mut archive.warnings);
    Ok(feed)
}

#[cfg(test)]
mod tests;
