//! The settlement file: what we claim from an acquirer for one business date.
//!
//! UTF-8 CSV, LF line ends. Lines are sorted by retrieval reference and direction and hold no journal positions, so that
//! the same journal gives the same bytes whatever the number of partitions.

use std::collections::BTreeMap;
use std::fmt::Write;

use guichet_engine::event::ExceptionKind;
use guichet_engine::ids::{AcquirerId, AuthCode, OperatorId, OrderId, Rrn, Stan, TerminalId};
use guichet_engine::money::{Currency, Money, MoneyError};
use guichet_engine::time::BusinessDate;
use sha2::{Digest, Sha256};

/// The version of the file's form, its first line's second field.
pub const FILE_VERSION: u16 = 1;

/// Which way money goes, seen from the cardholder's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The cardholder pays (a purchase).
    Debit,
    /// The cardholder gets money back (a refund).
    Credit,
}

impl Direction {
    /// The letter of the file: `D` or `C`.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Debit => 'D',
            Self::Credit => 'C',
        }
    }
}

/// One line: one completed payment or one refund the bank has taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BookLine {
    /// DE 37, the reference it is sorted and matched by.
    pub rrn: Rrn,
    /// Purchase or refund.
    pub direction: Direction,
    /// DE 11 of the message that moved the money.
    pub stan: Stan,
    /// DE 38.
    pub auth: AuthCode,
    /// DE 41.
    pub terminal: TerminalId,
    /// The order.
    pub order: OrderId,
    /// How much, never negative.
    pub amount: Money,
    /// The business date stamped when it was completed.
    pub date: BusinessDate,
}

/// Sums of a file, per currency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Lines.
    pub lines: u32,
    /// Purchases and refunds of each currency, in minor units.
    pub by_currency: BTreeMap<Currency, (i64, i64)>,
}

/// A finished file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettlementFile {
    /// `settlement-OPERATOR-ACQUIRER-DATE.csv`.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their SHA-256.
    pub digest: [u8; 32],
    /// Its sums.
    pub totals: Totals,
}

/// Adds lines up.
///
/// # Errors
/// When a sum has more than 12 digits.
pub fn totals(lines: &[BookLine]) -> Result<Totals, MoneyError> {
    let mut totals = Totals::default();
    for line in lines {
        let currency = line.amount.currency();
        let (debit, credit) = totals.by_currency.entry(currency).or_default();
        let side = match line.direction {
            Direction::Debit => debit,
            Direction::Credit => credit,
        };
        *side = Money::new(*side, currency)?.plus(line.amount)?.minor();
        totals.lines = totals.lines.checked_add(1).ok_or(MoneyError::TooLarge)?;
    }
    Ok(totals)
}

/// Writes the file of one operator, acquirer and date; the order of `lines` does not matter.
///
/// # Errors
/// When a sum has more than 12 digits.
pub fn write(
    operator: OperatorId,
    acquirer: AcquirerId,
    date: BusinessDate,
    mut lines: Vec<BookLine>,
) -> Result<SettlementFile, MoneyError> {
    lines.sort();
    let totals = totals(&lines)?;
    let mut text = format!("H,{FILE_VERSION},{operator},{acquirer},{date}\n");
    for line in &lines {
        let _ = writeln!(
            text,
            "L,{},{},{:06},{},{},{},{},{}",
            line.rrn,
            line.direction.letter(),
            line.stan.0,
            line.auth.text().trim_end(),
            line.terminal,
            line.order,
            line.amount.minor(),
            line.amount.currency(),
        );
    }
    for (currency, (debit, credit)) in &totals.by_currency {
        let _ = writeln!(text, "S,{currency},{debit},{credit},{}", debit - credit);
    }
    let _ = writeln!(text, "T,{}", totals.lines);
    let bytes = text.into_bytes();
    let digest = Sha256::digest(&bytes).into();
    Ok(SettlementFile { name: name(operator, acquirer, date), bytes, digest, totals })
}

/// The name a file has for ever.
#[must_use]
pub fn name(operator: OperatorId, acquirer: AcquirerId, date: BusinessDate) -> String {
    format!("settlement-{operator}-{acquirer}-{date}.csv")
}

/// The word for a kind of difference in files and tables.
#[must_use]
pub const fn exception_word(kind: ExceptionKind) -> &'static str {
    match kind {
        ExceptionKind::Long => "LONG",
        ExceptionKind::Short => "SHORT",
        ExceptionKind::Amount => "AMOUNT",
        ExceptionKind::Status => "STATUS",
        ExceptionKind::Duplicate => "DUPLICATE",
        ExceptionKind::DayShift => "DAY-SHIFT",
        ExceptionKind::Currency => "CURRENCY",
        ExceptionKind::UnmatchedApproval => "UNMATCHED-APPROVAL",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use guichet_engine::ids::Slot;

    use super::*;

    pub(crate) fn line(n: u64, direction: Direction, minor: i64) -> BookLine {
        BookLine {
            rrn: Rrn::parse(&format!("{n:012}")).expect("twelve digits"),
            direction,
            stan: Stan(u32::try_from(n).expect("small")),
            auth: AuthCode(*b"A1B2C3"),
            terminal: TerminalId(1),
            order: OrderId::new(Slot::new(7), n),
            amount: Money::new(minor, Currency::CNY).expect("small"),
            date: BusinessDate(20_261_123),
        }
    }

    #[test]
    fn the_file_has_golden_bytes_in_any_order() {
        let lines = vec![
            line(2, Direction::Debit, 55_300),
            line(1, Direction::Debit, 100),
            line(2, Direction::Credit, 50_000),
        ];
        let golden = "H,1,1,1,2026-11-23\n\
            L,000000000001,D,000001,A1B2C3,T0000001,o-007-0000000000000001,100,CNY\n\
            L,000000000002,D,000002,A1B2C3,T0000001,o-007-0000000000000002,55300,CNY\n\
            L,000000000002,C,000002,A1B2C3,T0000001,o-007-0000000000000002,50000,CNY\n\
            S,CNY,55400,50000,5400\n\
            T,3\n";
        let mut reversed = lines.clone();
        reversed.reverse();
        for lines in [lines, reversed] {
            let file = write(OperatorId(1), AcquirerId(1), BusinessDate(20_261_123), lines)
                .expect("sums fit");
            assert_eq!(String::from_utf8_lossy(&file.bytes), golden);
            assert_eq!(file.name, "settlement-1-1-2026-11-23.csv");
        }
    }

    #[test]
    fn sums_beyond_twelve_digits_are_refused() {
        let most = 999_999_999_999;
        let lines = vec![line(1, Direction::Debit, most), line(2, Direction::Debit, 1)];
        assert_eq!(totals(&lines), Err(MoneyError::TooLarge));
        assert!(totals(&lines[..1]).is_ok());
    }
}
