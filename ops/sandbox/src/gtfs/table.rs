//! One CSV table of a feed: RFC 4180, UTF-8 with or without a byte-order mark, LF or CRLF.

use csv::{Reader, ReaderBuilder, StringRecord, Trim};

use super::error::{GtfsError, GtfsErrorKind};

/// Rows of one table at most.
pub const ROWS_MAX: u64 = 50_000_000;
/// Columns of one table at most.
pub const COLUMNS_MAX: usize = 256;
/// Bytes of one value at most.
pub const VALUE_BYTES_MAX: usize = 4096;

/// A column of a table, found by its name once.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    name: &'static str,
    index: Option<usize>,
}

impl Column {
    /// Whether the table has it.
    pub const fn is_there(self) -> bool {
        self.index.is_some()
    }
}

/// A table being read row by row.
pub struct Table<'a> {
    file: &'static str,
    reader: Reader<&'a [u8]>,
    header: StringRecord,
    record: StringRecord,
    line: u64,
    rows: u64,
}

impl<'a> Table<'a> {
    /// Opens a table and reads its header.
    ///
    /// # Errors
    /// Wrong encoding, an open quote, no header, a column there twice.
    pub fn open(file: &'static str, bytes: &'a [u8]) -> Result<Self, GtfsError> {
        if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            return Err(GtfsError::of(file, GtfsErrorKind::Utf16));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        check_utf8(file, bytes)?;
        check_quotes(file, bytes)?;
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .from_reader(bytes);
        let mut header = StringRecord::new();
        let there = reader.read_record(&mut header).map_err(|e| of_csv(file, &e))?;
        if !there || header.iter().all(str::is_empty) {
            return Err(GtfsError::of(file, GtfsErrorKind::NoHeader));
        }
        if header.len() > COLUMNS_MAX {
            return Err(GtfsError::at(
                file,
                1,
                "header",
                GtfsErrorKind::RowTooLong { fields: header.len(), columns: COLUMNS_MAX },
            ));
        }
        for (i, name) in header.iter().enumerate() {
            if !name.is_empty() && header.iter().take(i).any(|earlier| earlier == name) {
                return Err(GtfsError::at(file, 1, name, GtfsErrorKind::ColumnTwice));
            }
        }
        Ok(Self { file, reader, header, record: StringRecord::new(), line: 1, rows: 0 })
    }

    /// Finds a column that must be there.
    ///
    /// # Errors
    /// It is not there.
    pub fn required(&self, name: &'static str) -> Result<Column, GtfsError> {
        let column = self.optional(name);
        if column.is_there() {
            Ok(column)
        } else {
            Err(GtfsError::at(self.file, 1, name, GtfsErrorKind::MissingColumn))
        }
    }

    /// Finds a column that may be missing; its values are then empty.
    pub fn optional(&self, name: &'static str) -> Column {
        Column { name, index: self.header.iter().position(|column| column == name) }
    }

    /// The next row that is not blank.
    ///
    /// # Errors
    /// A damaged row, or more rows than accepted.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, GtfsError> {
        loop {
            let there =
                self.reader.read_record(&mut self.record).map_err(|e| of_csv(self.file, &e))?;
            if !there {
                return Ok(None);
            }
            self.line = self.record.position().map_or(self.line, csv::Position::line);
            if !self.record.iter().all(str::is_empty) {
                break;
            }
        }
        self.rows += 1;
        if self.rows > ROWS_MAX {
            return Err(GtfsError::of(self.file, GtfsErrorKind::TooManyRows { most: ROWS_MAX }));
        }
        let (fields, columns) = (self.record.len(), self.header.len());
        if fields > columns && self.record.iter().skip(columns).any(|value| !value.is_empty()) {
            return Err(GtfsError::at(
                self.file,
                self.line,
                "row",
                GtfsErrorKind::RowTooLong { fields, columns },
            ));
        }
        Ok(Some(Row { file: self.file, line: self.line, record: &self.record }))
    }
}

/// One row of a table.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    file: &'static str,
    line: u64,
    record: &'a StringRecord,
}

impl<'a> Row<'a> {
    /// The line it begins on, from 1.
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// An error at a column of this row.
    pub fn error(&self, column: Column, kind: GtfsErrorKind) -> GtfsError {
        GtfsError::at(self.file, self.line, column.name, kind)
    }

    /// The value, empty when there is none.
    ///
    /// # Errors
    /// A line break inside, or too long.
    pub fn text(&self, column: Column) -> Result<&'a str, GtfsError> {
        let value = column.index.and_then(|i| self.record.get(i)).unwrap_or("");
        if value.len() > VALUE_BYTES_MAX {
            let kind = GtfsErrorKind::ValueTooLong { bytes: value.len(), most: VALUE_BYTES_MAX };
            return Err(self.error(column, kind));
        }
        if value.contains(['\n', '\r']) {
            return Err(self.error(column, GtfsErrorKind::LineBreak));
        }
        Ok(value)
    }

    /// The value, which must not be empty.
    ///
    /// # Errors
    /// It is empty, or as `text`.
    pub fn need(&self, column: Column) -> Result<&'a str, GtfsError> {
        let value = self.text(column)?;
        if value.is_empty() {
            Err(self.error(column, GtfsErrorKind::MissingValue))
        } else {
            Ok(value)
        }
    }

    /// A whole number, `None` when empty.
    ///
    /// # Errors
    /// Not a whole number, or as `text`.
    pub fn number(&self, column: Column) -> Result<Option<u32>, GtfsError> {
        let value = self.text(column)?;
        if value.is_empty() {
            return Ok(None);
        }
        value.parse().map(Some).map_err(|_| {
            let wanted = "a whole number";
            self.error(column, GtfsErrorKind::BadNumber { text: clip(value), wanted })
        })
    }

    /// A coordinate in microdegrees, `None` when empty.
    ///
    /// # Errors
    /// Not a decimal number within `most` degrees, or as `text`.
    pub fn degrees_e6(&self, column: Column, most: i32) -> Result<Option<i32>, GtfsError> {
        let value = self.text(column)?;
        if value.is_empty() {
            return Ok(None);
        }
        let bad = || {
            let wanted = "a coordinate in degrees";
            self.error(column, GtfsErrorKind::BadNumber { text: clip(value), wanted })
        };
        let degrees: f64 = value.parse().map_err(|_| bad())?;
        if !degrees.is_finite() || degrees.abs() > f64::from(most) {
            return Err(bad());
        }
        Ok(Some((degrees * 1e6).round() as i32))
    }
}

/// The beginning of a value, for a message.
pub fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

fn of_csv(file: &str, error: &csv::Error) -> GtfsError {
    GtfsError {
        file: file.to_owned(),
        line: error.position().map(csv::Position::line),
        column: None,
        kind: GtfsErrorKind::NotUtf8,
    }
}

fn check_utf8(file: &str, bytes: &[u8]) -> Result<(), GtfsError> {
    let Err(error) = std::str::from_utf8(bytes) else { return Ok(()) };
    let good = &bytes[..error.valid_up_to()];
    let line = good.iter().filter(|&&b| b == b'\n').count() as u64 + 1;
    let start = good.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
    let byte = format!("byte {}", good.len() - start + 1);
    Err(GtfsError::at(file, line, &byte, GtfsErrorKind::NotUtf8))
}

/// In RFC 4180 the quotes of a file are even in number; an open one would swallow the rest.
fn check_quotes(file: &str, bytes: &[u8]) -> Result<(), GtfsError> {
    let mut line = 1;
    let mut opened_on = None;
    for &byte in bytes {
        match byte {
            b'\n' => line += 1,
            b'"' if opened_on.is_some() => opened_on = None,
            b'"' => opened_on = Some(line),
            _ => {}
        }
    }
    match opened_on {
        Some(line) => {
            Err(GtfsError { line: Some(line), ..GtfsError::of(file, GtfsErrorKind::OpenQuote) })
        }
        None => Ok(()),
    }
}
