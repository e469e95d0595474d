//! The settlement file: what we claim from an acquirer for one business date.
//!
//! UTF-8 CSV, LF line ends. Lines are sorted by retrieval reference and direction and hold no journal positions, so that
//! the same journal gives the same bytes whatever the number of partitions.

use std::collections::BTreeMap;
use std::fmt::Write;

use guichet_engine::event::ExceptionKind;
use guichet_engine::ids::{AcquirerId, OperatorId, Rrn, Stan};
use guichet_engine::money::{Currency, Money, MoneyError};
use guichet_engine::settlement::{LineKind, SettlementLine};
use guichet_engine::time::BusinessDate;
use sha2::{Digest, Sha256};

/// The version of the file's form, its first line's second field.
pub const FILE_VERSION: u16 = 1;

/// The letter of a line's kind: `D` takes money from the card, `C` gives it back.
#[must_use]
pub const fn letter(kind: LineKind) -> char {
    match kind {
        LineKind::Debit => 'D',
        LineKind::Credit => 'C',
    }
}

/// What a file is sorted by; two lines of one message cannot be.
#[must_use]
pub const fn sort_key(line: &SettlementLine) -> (Rrn, LineKind, Stan) {
    (line.rrn, line.kind, line.stan)
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
pub fn totals(lines: &[SettlementLine]) -> Result<Totals, MoneyError> {
    let mut totals = Totals::default();
    for line in lines {
        let currency = line.amount.currency();
        let (debit, credit) = totals.by_currency.entry(currency).or_default();
        let side = match line.kind {
            LineKind::Debit => debit,
            LineKind::Credit => credit,
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
    mut lines: Vec<SettlementLine>,
) -> Result<SettlementFile, MoneyError> {
    lines.sort_by_key(sort_key);
    let totals = totals(&lines)?;
    let mut text = format!("H,{FILE_VERSION},{operator},{acquirer},{date}\n");
    for line in &lines {
        let _ = writeln!(
            text,
            "L,{},{},{:06},{},{},{},{},{}",
            line.rrn,
            letter(line.kind),
            line.stan.0,
            line.auth.map_or_else(String::new, |a| a.text().trim_end().to_owned()),
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
    use guichet_engine::ids::{AuthCode, OrderId, PaymentNo, Slot, TerminalId};
    use guichet_engine::settlement::LineSource;
    use guichet_engine::time::Instant;

    use super::*;

    pub(crate) fn line(n: u64, kind: LineKind, minor: i64) -> SettlementLine {
        SettlementLine {
            operator: OperatorId(1),
            acquirer: AcquirerId(1),
            date: BusinessDate(20_261_123),
            bank_date: None,
            order: OrderId::new(Slot::new(7), n),
            source: LineSource::Payment(PaymentNo(0)),
            rrn: Rrn::parse(&format!("{n:012}")).expect("twelve digits"),
            stan: Stan(u32::try_from(n).expect("small")),
            sent: Instant(0),
            auth: Some(AuthCode(*b"A1B2C3")),
            terminal: TerminalId(1),
            amount: Money::new(minor, Currency::CNY).expect("small"),
            kind,
        }
    }

    #[test]
    fn the_file_has_golden_bytes_in_any_order() {
        let lines = vec![
            line(2, LineKind::Debit, 55_300),
            line(1, LineKind::Debit, 100),
            line(2, LineKind::Credit, 50_000),
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
        let lines = vec![line(1, LineKind::Debit, most), line(2, LineKind::Debit, 1)];
        assert_eq!(totals(&lines), Err(MoneyError::TooLarge));
        assert!(totals(&lines[..1]).is_ok());
    }
}
