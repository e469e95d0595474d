//! The bank's own clearing file of a business date.

use std::collections::BTreeMap;

use super::books::{Ask, State, Transaction};

/// Columns of the file. A trailer has the count of its lines under `stan` and their sum under
/// `amount_minor`, one trailer for each currency and direction.
pub const HEADER: [&str; 14] = [
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

/// Writes the file: money that moved on that date. A payment undone on its own date is in it
/// neither as debit nor as credit; one undone later is a debit on its date and a credit on the
/// other.
///
/// # Errors
/// The CSV writer failing.
pub fn file(transactions: &[Transaction], acquirer: &str, date: &str) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEADER)?;
    let mut totals: BTreeMap<(u16, &str), (u64, i64)> = BTreeMap::new();
    for transaction in transactions.iter().filter(|t| t.business_date == date) {
        let Some(direction) = direction(transaction, transactions) else { continue };
        let total = totals.entry((transaction.currency, direction)).or_default();
        total.0 += 1;
        total.1 += transaction.amount_minor;
        writer.write_record([
            "line",
            acquirer,
            date,
            &transaction.mti,
            &transaction.processing_code,
            &transaction.stan,
            &transaction.transmission,
            &transaction.rrn,
            &transaction.auth_code,
            &transaction.terminal,
            &transaction.amount_minor.to_string(),
            &format!("{:03}", transaction.currency),
            direction,
            &transaction.pan_masked,
        ])?;
    }
    if totals.is_empty() {
        trailer(&mut writer, acquirer, date, 0, 0, "", "")?;
    }
    for ((currency, direction), (count, amount)) in totals {
        let currency = format!("{currency:03}");
        trailer(&mut writer, acquirer, date, count, amount, &currency, direction)?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn trailer(
    writer: &mut csv::Writer<Vec<u8>>,
    acquirer: &str,
    date: &str,
    count: u64,
    amount: i64,
    currency: &str,
    direction: &str,
) -> Result<(), csv::Error> {
    let (count, amount) = (count.to_string(), amount.to_string());
    writer.write_record([
        "trailer", acquirer, date, "", "", &count, "", "", "", "", &amount, currency, direction, "",
    ])
}

/// `D` for a debit of the cardholder, `C` for a credit; `None` if no money moved for good.
fn direction(transaction: &Transaction, all: &[Transaction]) -> Option<&'static str> {
    let date = transaction.business_date.as_str();
    match (transaction.ask, &transaction.state) {
        (Ask::Complete | Ask::Pay, State::Posted) => Some("D"),
        (Ask::Complete | Ask::Pay, State::Reversed) => {
            (transaction.reversed_on.as_deref() != Some(date)).then_some("D")
        }
        (Ask::Refund, State::Posted) => Some("C"),
        (Ask::Reverse, State::Posted) => {
            let at = usize::try_from(transaction.original?).ok()?.checked_sub(1)?;
            let original = all.get(at)?;
            let moved = matches!(original.ask, Ask::Complete | Ask::Pay);
            (moved && original.business_date != date).then_some("C")
        }
        _ => None,
    }
}
