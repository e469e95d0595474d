//! What can be wrong with a feed, where, and whose fault it is.

use std::fmt;
use std::path::Path;

/// Who has to mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The publisher of the feed.
    Feed,
    /// The machine that reads it (disk, permissions).
    Host,
    /// Nobody: the feed is larger than this reader accepts.
    Limit,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Feed => "the feed is at fault",
            Self::Host => "this machine is at fault",
            Self::Limit => "the feed is beyond this reader's limits",
        })
    }
}

/// A feed that could not be read.
#[derive(Debug, thiserror::Error)]
pub struct GtfsError {
    /// The file inside the archive, or the archive's path.
    pub file: String,
    /// Its line, from 1, when one line is at fault.
    pub line: Option<u64>,
    /// The column's name, or the byte position in the line for an encoding.
    pub column: Option<String>,
    /// What is wrong.
    pub kind: GtfsErrorKind,
}

impl fmt::Display for GtfsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, " line {line}")?;
        }
        if let Some(column) = &self.column {
            write!(f, " column {column}")?;
        }
        write!(f, ": {} ({})", self.kind, self.kind.fault())
    }
}

impl GtfsError {
    /// An error of a whole file.
    pub fn of(file: &str, kind: GtfsErrorKind) -> Self {
        Self { file: file.to_owned(), line: None, column: None, kind }
    }
    /// An error of one line and column.
    pub fn at(file: &str, line: u64, column: &str, kind: GtfsErrorKind) -> Self {
        Self { file: file.to_owned(), line: Some(line), column: Some(column.to_owned()), kind }
    }
    /// A file of this machine that could not be read.
    pub fn host(path: &Path, error: std::io::Error) -> Self {
        Self::of(&path.display().to_string(), GtfsErrorKind::Unreadable(error.to_string()))
    }
}

/// What is wrong with a feed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GtfsErrorKind {
    /// The operating system refused.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Not a ZIP archive, or a damaged one.
    #[error("not a readable ZIP archive: {0}")]
    BadArchive(String),
    /// An entry is encrypted.
    #[error("is encrypted; publish the feed without a password")]
    Encrypted,
    /// Too many entries.
    #[error("holds {count} entries, at most {most} are read")]
    TooManyEntries {
        /// How many there are.
        count: usize,
        /// How many are accepted.
        most: usize,
    },
    /// More bytes than accepted.
    #[error("holds {bytes} bytes or more, at most {most} are read")]
    TooLarge {
        /// Bytes seen or declared.
        bytes: u64,
        /// Bytes accepted.
        most: u64,
    },
    /// Packed more tightly than any timetable: a ZIP bomb.
    #[error("unpacks to more than {most} times its size, as a ZIP bomb does")]
    RatioTooHigh {
        /// The ratio accepted.
        most: u64,
    },
    /// More rows than accepted.
    #[error("has more than {most} rows")]
    TooManyRows {
        /// Rows accepted.
        most: u64,
    },
    /// More departures by frequency than accepted.
    #[error("makes more than {most} departures")]
    TooManyDepartures {
        /// Departures accepted.
        most: u32,
    },
    /// A required file is not there.
    #[error("is missing; add it to the root of the archive")]
    MissingFile,
    /// Two entries claim the same name.
    #[error("is in the archive twice")]
    FileTwice,
    /// A file without a header line.
    #[error("is empty; it needs a header line")]
    NoHeader,
    /// A required column is not there.
    #[error("the required column is missing")]
    MissingColumn,
    /// A column is there twice.
    #[error("the column is there twice")]
    ColumnTwice,
    /// A required value is empty.
    #[error("a value is required")]
    MissingValue,
    /// Bytes that are not UTF-8.
    #[error("not UTF-8; save the file as UTF-8")]
    NotUtf8,
    /// UTF-16 by its byte-order mark.
    #[error("is UTF-16; save the file as UTF-8")]
    Utf16,
    /// A quote is opened and never closed.
    #[error("a quote is opened and not closed")]
    OpenQuote,
    /// A value holds a line break.
    #[error("a value holds a line break")]
    LineBreak,
    /// A row is longer than the header.
    #[error("has {fields} values under {columns} columns")]
    RowTooLong {
        /// Values in the row.
        fields: usize,
        /// Columns of the header.
        columns: usize,
    },
    /// A value is longer than accepted.
    #[error("a value of {bytes} bytes, at most {most} are read")]
    ValueTooLong {
        /// Bytes of the value.
        bytes: usize,
        /// Bytes accepted.
        most: usize,
    },
    /// Not a time.
    #[error("`{0}` is not a time HH:MM:SS")]
    BadTime(String),
    /// Not a date.
    #[error("`{0}` is not a date YYYYMMDD")]
    BadDate(String),
    /// Not a number of the right kind.
    #[error("`{text}` is not {wanted}")]
    BadNumber {
        /// What stands there.
        text: String,
        /// What should.
        wanted: &'static str,
    },
    /// A key that no row defines.
    #[error("`{id}` is not in {file}")]
    UnknownReference {
        /// The key.
        id: String,
        /// Where it should be.
        file: &'static str,
    },
    /// A key that two rows define.
    #[error("`{0}` is there twice")]
    DuplicateKey(String),
    /// Agencies in several zones.
    #[error("`{0}` differs from the other agencies' zone; all must have the same")]
    ZonesDiffer(String),
    /// A zone that the time-zone database does not know.
    #[error("`{0}` is not a known time zone")]
    UnknownZone(String),
    /// Nothing could ever be sold.
    #[error("no trip can be sold: {0}")]
    NothingRuns(String),
}

impl GtfsErrorKind {
    /// Who has to mend it.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Unreadable(_) => Fault::Host,
            Self::TooManyEntries { .. }
            | Self::TooLarge { .. }
            | Self::RatioTooHigh { .. }
            | Self::TooManyRows { .. }
            | Self::TooManyDepartures { .. }
            | Self::ValueTooLong { .. } => Fault::Limit,
            Self::BadArchive(_)
            | Self::Encrypted
            | Self::MissingFile
            | Self::FileTwice
            | Self::NoHeader
            | Self::MissingColumn
            | Self::ColumnTwice
            | Self::MissingValue
            | Self::NotUtf8
            | Self::Utf16
            | Self::OpenQuote
            | Self::LineBreak
            | Self::RowTooLong { .. }
            | Self::BadTime(_)
            | Self::BadDate(_)
            | Self::BadNumber { .. }
            | Self::UnknownReference { .. }
            | Self::DuplicateKey(_)
            | Self::ZonesDiffer(_)
            | Self::UnknownZone(_)
            | Self::NothingRuns(_) => Fault::Feed,
        }
    }
}
