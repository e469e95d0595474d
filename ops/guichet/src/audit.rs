//! `guichet audit`: the journal judged by rules of its own.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use guichet_audit::{Owner, Report};
use guichet_engine::money::Currency;

use crate::table::Table;

/// Audits a directory and shows what was found; the exit code says whether it passed.
pub fn run(data: &Path, drained: bool, json: bool) -> Result<ExitCode> {
    crate::data::DataDir::existing(data)?;
    let report = guichet_audit::audit(data, crate::clock::now(), drained)
        .with_context(|| format!("the journal in {} cannot be audited", data.display()))?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", text(&report));
    }
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(report: &Report) -> String {
    let mut out = format!(
        "{} order(s), {} ticket(s), {} charge(s), {} refund(s) in {} partition(s)\n",
        report.orders,
        report.tickets,
        report.charges,
        report.refunds,
        report.partitions.len()
    );
    for p in &report.partitions {
        out.push_str(&format!(
            "partition {}: {} event(s) up to record {}, head {}\n",
            p.partition, p.events, p.last_sequence, p.head
        ));
    }
    for total in &report.ledger {
        out.push_str(&format!(
            "ledger: debits {}, credits {}, difference {}\n",
            amount(&total.currency, total.debit_minor),
            amount(&total.currency, total.credit_minor),
            amount(&total.currency, total.debit_minor - total.credit_minor)
        ));
    }
    let mut open = Table::new(&["open", "what", "owner", "age", "amount"]);
    for item in &report.open {
        open.row(vec![
            item.kind.to_owned(),
            item.subject.clone(),
            owner(item.owner).to_owned(),
            age(item.age_s),
            item.amount.clone().unwrap_or_default(),
        ]);
    }
    out.push_str(&format!("\n{}", open.text("nothing is open")));
    for note in &report.notes {
        out.push_str(&format!("note: {note}\n"));
    }
    for v in &report.violations {
        out.push_str(&format!(
            "VIOLATION {:?} at partition {} record {}: {}: {}\n",
            v.rule, v.partition, v.sequence, v.subject, v.detail
        ));
    }
    out.push_str(match (report.passed(), report.open.is_empty()) {
        (false, _) => "\nFAILED\n",
        (true, true) => "\npassed\n",
        (true, false) => "\npassed: no rule is broken; what is listed above waits for its owner\n",
    });
    out
}

/// The words that `guichet settle` has for the same people.
const fn owner(owner: Owner) -> &'static str {
    match owner {
        Owner::Center => "the center",
        Owner::Bank => "the bank",
        Owner::Provider => "the provider",
        Owner::Terminal => "the terminal",
        Owner::Operator => "our clerk",
    }
}

/// A sum of any size, with its currency's decimals; minor units where the currency is not known here.
fn amount(currency: &str, minor: i128) -> String {
    let Some(known) = Currency::from_alpha(currency) else {
        return format!("{minor} minor units of {currency}");
    };
    let digits = usize::from(known.decimals());
    let sign = if minor < 0 { "-" } else { "" };
    let text = format!("{:0>width$}", minor.unsigned_abs(), width = digits + 1);
    let (whole, rest) = text.split_at(text.len() - digits);
    let point = if digits == 0 { "" } else { "." };
    format!("{currency} {sign}{whole}{point}{rest}")
}

fn age(seconds: i64) -> String {
    match seconds {
        s if s < 120 => format!("{s} s"),
        s if s < 7200 => format!("{} min", s / 60),
        s if s < 172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::amount;

    #[test]
    fn sums_are_shown_in_their_currency() {
        let rows = [
            ("EUR", 33_700, "EUR 337.00"),
            ("EUR", -5, "EUR -0.05"),
            ("JPY", 1_200, "JPY 1200"),
            ("???", 7, "7 minor units of ???"),
        ];
        for (currency, minor, text) in rows {
            assert_eq!(amount(currency, minor), text);
        }
    }
}
