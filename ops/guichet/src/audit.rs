//! `guichet audit`: the journal judged by rules of its own.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use guichet_audit::Report;

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
            "ledger {}: debits {} credits {}, difference {}\n",
            total.currency,
            total.debit_minor,
            total.credit_minor,
            total.debit_minor - total.credit_minor
        ));
    }
    let mut open = Table::new(&["open", "what", "owner", "age", "amount"]);
    for item in &report.open {
        open.row(vec![
            item.kind.to_owned(),
            item.subject.clone(),
            format!("{:?}", item.owner),
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
    out.push_str(if report.passed() { "\npassed\n" } else { "\nFAILED\n" });
    out
}

fn age(seconds: i64) -> String {
    match seconds {
        s if s < 120 => format!("{s} s"),
        s if s < 7200 => format!("{} min", s / 60),
        s if s < 172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}
