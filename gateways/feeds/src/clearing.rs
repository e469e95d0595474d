//! The bank's clearing file: what the bank says it moved on one business date.

use std::collections::BTreeMap;

use guichet_engine::ids::{Rrn, Stan};
use guichet_engine::money::{Currency, Money};
use guichet_engine::settlement::LineKind;
use guichet_engine::time::BusinessDate;

/// Bytes of a clearing file at most.
pub const CLEARING_BYTES_MAX: usize = 1 << 30;
/// Columns of a record line, as named by the header.
pub const COLUMNS: [&str; 14] = [
    "record",
    "acquirer",
    "business_date",
    "mti",
    "processing_code",
    "stan",
    "transmission",
    "rrn",
    "auth_code",
    "terminal",
    "amount_minor",
    "currency",
    "direction",
    "pan_masked",
];

/// One line of the bank's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClearingLine {
    /// The line's number in the file, from 1 (the header is 1).
    pub at_line: u64,
    /// The bank's business date.
    pub date: BusinessDate,
    /// The message type that moved the money.
    pub mti: String,
    /// DE 11.
    pub stan: Stan,
    /// DE 37.
    pub rrn: Rrn,
    /// DE 41.
    pub terminal: String,
    /// Never negative.
    pub amount: Money,
    /// Purchase or refund; a reversal of a purchase is a credit.
    pub direction: LineKind,
}

/// Why a clearing file is refused as a whole; nothing of it is used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClearingError {
    /// Larger than [`CLEARING_BYTES_MAX`].
    #[error("the clearing file has more than {CLEARING_BYTES_MAX} bytes")]
    TooLarge,
    /// The header lacks a column.
    #[error(
        "the clearing file's header lacks the column {0}: ask the bank for the file in the agreed form"
    )]
    MissingColumn(&'static str),
    /// A field cannot be read.
    #[error(
        "line {line} of the clearing file: {column} is not readable: ask the bank for the file again"
    )]
    BadField {
        /// Where.
        line: u64,
        /// Which.
        column: &'static str,
    },
    /// A line cannot be read.
    #[error("line {line} of the clearing file is not CSV: ask the bank for the file again")]
    BadLine {
        /// Where.
        line: u64,
    },
    /// There is no trailer: the file was cut off.
    #[error("the clearing file has no trailer, so it was cut off: fetch it again")]
    NoTrailer,
    /// Something follows the trailer.
    #[error("line {line} of the clearing file follows its trailer: fetch it again")]
    AfterTrailer {
        /// Where.
        line: u64,
    },
    /// The trailer's count or sum differs from the lines.
    #[error(
        "the clearing file's trailer says {said} {what} and its lines {found}: ask the bank which is right"
    )]
    TrailerDiffers {
        /// `lines`, `debit` or `credit`.
        what: &'static str,
        /// In the trailer.
        said: i64,
        /// In the lines.
        found: i64,
    },
}

/// Reads a whole file, checks its trailer, or refuses it.
///
/// # Errors
/// See [`ClearingError`]; each names the line and who has to act.
pub fn parse(bytes: &[u8]) -> Result<Vec<ClearingLine>, ClearingError> {
    if bytes.len() > CLEARING_BYTES_MAX {
        return Err(ClearingError::TooLarge);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let headers = reader.headers().map_err(|_| ClearingError::BadLine { line: 1 })?.clone();
    let mut columns = [0; COLUMNS.len()];
    for (place, name) in columns.iter_mut().zip(COLUMNS) {
        *place =
            headers.iter().position(|h| h == name).ok_or(ClearingError::MissingColumn(name))?;
    }
    let mut lines = Vec::new();
    let mut trailers = Vec::new();
    let mut at_line = 1;
    for record in reader.records() {
        let record = record.map_err(|error| ClearingError::BadLine {
            line: error.position().map_or(at_line + 1, csv::Position::line),
        })?;
        at_line = record.position().map_or(at_line + 1, csv::Position::line);
        if record.get(columns[0]) == Some("trailer") {
            trailers.push(trailer(&record, &columns, at_line)?);
        } else if trailers.is_empty() {
            lines.push(line(&record, &columns, at_line)?);
        } else {
            return Err(ClearingError::AfterTrailer { line: at_line });
        }
    }
    if trailers.is_empty() {
        return Err(ClearingError::NoTrailer);
    }
    check_trailers(trailers, &lines)?;
    Ok(lines)
}

fn line(
    record: &csv::StringRecord,
    columns: &[usize; 14],
    at: u64,
) -> Result<ClearingLine, ClearingError> {
    let field = |n: usize| {
        record.get(columns[n]).ok_or(ClearingError::BadField { line: at, column: COLUMNS[n] })
    };
    let bad = |n: usize| ClearingError::BadField { line: at, column: COLUMNS[n] };
    let date = date(field(2)?).ok_or_else(|| bad(2))?;
    let mti = field(3)?;
    if mti.len() != 4 || !mti.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad(3));
    }
    let stan: u32 = field(5)?.parse().map_err(|_| bad(5))?;
    if stan > 999_999 {
        return Err(bad(5));
    }
    let rrn = Rrn::parse(field(7)?).ok_or_else(|| bad(7))?;
    let minor: i64 = field(10)?.parse().map_err(|_| bad(10))?;
    if minor < 0 {
        return Err(bad(10));
    }
    let currency = read_currency(field(11)?).ok_or_else(|| bad(11))?;
    let direction = read_direction(field(12)?).ok_or_else(|| bad(12))?;
    Ok(ClearingLine {
        at_line: at,
        date,
        mti: mti.to_owned(),
        stan: Stan(stan),
        rrn,
        terminal: field(9)?.trim_end().to_owned(),
        amount: Money::new(minor, currency).map_err(|_| bad(10))?,
        direction,
    })
}

/// Three letters or three digits of ISO 4217.
fn read_currency(text: &str) -> Option<Currency> {
    Currency::from_alpha(text).or_else(|| text.parse().ok().and_then(Currency::from_numeric))
}

fn read_direction(text: &str) -> Option<LineKind> {
    match text {
        "D" => Some(LineKind::Debit),
        "C" => Some(LineKind::Credit),
        _ => None,
    }
}

fn date(text: &str) -> Option<BusinessDate> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 || month.len() != 2 || day.len() != 2 {
        return None;
    }
    let (y, m, d): (u32, u32, u32) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    (matches!(m, 1..=12) && matches!(d, 1..=31)).then(|| BusinessDate(y * 10_000 + m * 100 + d))
}

/// The group a trailer counts, its count and its sum; an empty file has one trailer without a group.
type Trailer = (Option<(Currency, LineKind)>, i64, i64);

/// A trailer has the count of its lines under `stan` and their sum under `amount_minor`, one for each currency and
/// direction.
fn trailer(
    record: &csv::StringRecord,
    columns: &[usize; 14],
    at: u64,
) -> Result<Trailer, ClearingError> {
    let bad = |n: usize| ClearingError::BadField { line: at, column: COLUMNS[n] };
    let number =
        |n: usize| record.get(columns[n]).and_then(|t| t.parse().ok()).ok_or_else(|| bad(n));
    let group = match (record.get(columns[11]), record.get(columns[12])) {
        (Some(""), Some("")) => None,
        (Some(currency), Some(direction)) => Some((
            read_currency(currency).ok_or_else(|| bad(11))?,
            read_direction(direction).ok_or_else(|| bad(12))?,
        )),
        _ => return Err(bad(11)),
    };
    Ok((group, number(5)?, number(10)?))
}

fn check_trailers(trailers: Vec<Trailer>, lines: &[ClearingLine]) -> Result<(), ClearingError> {
    let mut found: BTreeMap<Option<(Currency, LineKind)>, (i64, i64)> = BTreeMap::new();
    for line in lines {
        let (count, sum) = found.entry(Some((line.amount.currency(), line.direction))).or_default();
        *count = count.saturating_add(1);
        *sum = sum.saturating_add(line.amount.minor());
    }
    for (group, said_count, said_sum) in trailers {
        let (count, sum) = found.remove(&group).unwrap_or_default();
        for (what, said, found) in [("lines", said_count, count), ("minor units", said_sum, sum)] {
            if said != found {
                return Err(ClearingError::TrailerDiffers { what, said, found });
            }
        }
    }
    match found.into_values().next() {
        Some((count, _)) => {
            Err(ClearingError::TrailerDiffers { what: "lines", said: 0, found: count })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "record,acquirer,business_date,mti,processing_code,stan,transmission,rrn,auth_code,terminal,amount_minor,currency,direction,pan_masked\n\
        detail,00010000,2026-11-23,0200,000000,000001,1123093000,000000000001,A1B2C3,T0000001,55300,CNY,D,621094******0011\n\
        detail,00010000,2026-11-23,0220,200000,000002,1123094000,000000000002,A1B2C3,T0000001,300,156,C,621094******0011\n\
        trailer,00010000,2026-11-23,,,1,,,,,55300,CNY,D,\n\
        trailer,00010000,2026-11-23,,,1,,,,,300,156,C,\n";
    const EMPTY: &str = "record,acquirer,business_date,mti,processing_code,stan,transmission,rrn,auth_code,terminal,amount_minor,currency,direction,pan_masked\n\
        trailer,00010000,2026-11-23,,,0,,,,,0,,,\n";

    #[test]
    fn a_good_file_is_read() {
        let lines = parse(GOOD.as_bytes()).expect("good");
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].amount.to_string(), "CNY 553.00");
        assert_eq!(lines[1].direction, LineKind::Credit);
        assert_eq!(lines[1].at_line, 3);
        assert_eq!(parse(EMPTY.as_bytes()), Ok(Vec::new()));
    }

    #[test]
    fn bad_files_say_where_and_what() {
        use ClearingError as E;
        let cut = GOOD.find("trailer").expect("has a trailer");
        for (text, error) in [
            (GOOD[..cut].to_owned(), E::NoTrailer),
            (format!("{GOOD}detail\n"), E::AfterTrailer { line: 6 }),
            (
                GOOD.replace(",1,,,,,553", ",2,,,,,553"),
                E::TrailerDiffers { what: "lines", said: 2, found: 1 },
            ),
            (
                GOOD.replacen(",55300,CNY", ",55301,CNY", 1),
                E::TrailerDiffers { what: "minor units", said: 55_300, found: 55_301 },
            ),
            (
                GOOD[..GOOD.rfind("trailer").expect("two")].to_owned(),
                E::TrailerDiffers { what: "lines", said: 0, found: 1 },
            ),
            (GOOD.replacen(",CNY,D", ",XXX,D", 1), E::BadField { line: 2, column: "currency" }),
            (
                GOOD.replace("2026-11-23,0220", "2026-13-23,0220"),
                E::BadField { line: 3, column: "business_date" },
            ),
            (GOOD.replace(",rrn,", ",r,"), E::MissingColumn("rrn")),
            (
                GOOD.replacen(",300,156", ",-300,156", 1),
                E::BadField { line: 3, column: "amount_minor" },
            ),
            (String::new(), E::MissingColumn("record")),
            (
                EMPTY.replace(",0,,,\n", ",5,,,\n"),
                E::TrailerDiffers { what: "minor units", said: 5, found: 0 },
            ),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(error));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn a_flipped_byte_never_changes_a_sum_silently(at in 0..GOOD.len(), bit in 0..8u8) {
            let mut bytes = GOOD.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            if let Ok(lines) = parse(&bytes) {
                let sum: i64 = lines.iter().map(|l| l.amount.minor()).sum();
                prop_assert_eq!(sum, 55_600);
            }
        }
    }
}
