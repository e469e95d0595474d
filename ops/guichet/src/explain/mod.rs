//! `guichet explain`: one timeline of an order, terminal or bank reference, straight from the journal.

pub mod describe;
mod select;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use guichet_engine::event::{Event, SettlementEvent};
use guichet_engine::ids::{OrderId, Reference, Rrn, TerminalId};
use guichet_engine::time::Instant;
use guichet_feeds::file::name as file_name;
use guichet_journal::{BatchReader, DiskFiles, Entry, partitions};
use serde::{Deserialize, Serialize};

use crate::data::DataDir;
use crate::table::Table;
pub use select::Wanted;

/// One line of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineLine {
    /// Microseconds since 1970 UTC.
    pub at_us: i64,
    /// The same for people.
    pub at: String,
    /// Partition and sequence of the journal; absent for wire records and file lines.
    pub position: Option<(u16, u64)>,
    /// Which part of the system.
    pub part: String,
    /// What happened.
    pub what: String,
    /// The correlation id: the command it follows from.
    pub correlation: Option<String>,
}

/// A whole timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// What was asked for.
    pub subject: String,
    /// Orders it covers.
    pub orders: Vec<String>,
    /// Its lines, by time.
    pub lines: Vec<TimelineLine>,
}

/// Calls `see` with every journaled entry: partition, sequence, entry.
pub fn walk(data: &DataDir, mut see: impl FnMut(u16, u64, &Entry)) -> Result<()> {
    for partition in partitions(data.root()).context("cannot list the journals")? {
        let mut reader = BatchReader::open(Arc::new(DiskFiles), data.root(), partition)
            .with_context(|| format!("cannot read the journal of partition {partition}"))?;
        while let Some(read) = reader.next_batch().context("the journal is damaged")? {
            for entry in &read.batch.entries {
                see(partition.0, read.sequence, entry);
            }
        }
    }
    Ok(())
}

/// Digits that a card number has at least.
const CARD_DIGITS_MIN: usize = 13;

/// Whether `text` begins as a card number or a card's track does, however it is grouped.
fn is_card_number(text: &str) -> bool {
    let typed = text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let grouped = typed.chars().filter(|c| !matches!(c, ' ' | '-' | '.'));
    grouped.take_while(char::is_ascii_digit).count() >= CARD_DIGITS_MIN
}

/// Refuses a card number as an argument, without repeating it.
///
/// # Errors
/// `text` is one.
pub fn refuse_card_number(text: &str) -> Result<()> {
    if is_card_number(text) {
        bail!(
            "a card number is not taken from the command line, where history and process lists keep it; give it on standard input: `guichet explain -`"
        );
    }
    Ok(())
}

/// What `text` names: an order (`o-…`), a reference, a terminal (`T0000001`), or a retrieval reference number.
pub fn wanted(text: &str) -> Result<Wanted> {
    if let Some(order) = OrderId::parse(text) {
        return Ok(Wanted::Order(order));
    }
    refuse_card_number(text)?;
    let upper = text.to_ascii_uppercase().replace(['-', ' '], "");
    if let Some(number) = upper.strip_prefix('T').and_then(|n| n.parse().ok()) {
        return Ok(Wanted::Terminal(TerminalId(number)));
    }
    match upper.len() {
        10 => Reference::parse(&upper).map(Wanted::Reference),
        12 => Rrn::parse(&upper).map(Wanted::Rrn),
        _ => None,
    }
    .with_context(|| {
        format!("{text} is no order (o-…), reference (10 characters), terminal (T0000001) or RRN (12 characters)")
    })
}

/// Builds the timeline.
pub fn timeline(data: &DataDir, subject: &str, wanted: &Wanted) -> Result<Timeline> {
    let mut finder = select::Finder::new(wanted.clone());
    walk(data, |_, _, entry| finder.see(entry))?;
    let found = finder.found();
    if found.is_empty() {
        bail!("nothing in {} is known by {subject}", data.root().display());
    }
    let mut lines = Vec::new();
    let mut closed = BTreeMap::new();
    walk(data, |partition, sequence, entry| {
        for event in &entry.events {
            if let Event::Settlement(SettlementEvent::BatchClosed {
                operator,
                acquirer,
                date,
                ..
            }) = event
            {
                closed.insert(file_name(*operator, *acquirer, *date), entry.at);
            }
            if let Some(told) = tell(event).filter(|_| found.covers(event, entry.at)) {
                let correlation = Some(entry.command.to_string());
                lines.push(line(entry.at, Some((partition, sequence)), told, correlation));
            }
        }
    })?;
    wire_lines(data, &found, &mut lines)?;
    file_lines(&data.settlement(), &found, &closed, &mut lines)?;
    lines.sort_by_key(|l| l.at_us);
    let orders = found.orders.iter().map(ToString::to_string).collect();
    Ok(Timeline { subject: subject.to_owned(), orders, lines })
}

fn tell(event: &Event) -> Option<describe::Told> {
    Some(match event {
        Event::Order(_, event) => describe::order(event),
        Event::Inventory(_, event) => describe::inventory(event),
        Event::Terminal(_, event) => describe::terminal(event),
        Event::Ledger(posting) => describe::posting(posting),
        Event::Settlement(event) => describe::settlement(event),
        Event::Network(..)
        | Event::Answered(_)
        | Event::Sent { .. }
        | Event::Received { .. }
        | Event::Acknowledged { .. } => return None,
    })
}

fn line(
    at: Instant,
    position: Option<(u16, u64)>,
    told: describe::Told,
    correlation: Option<String>,
) -> TimelineLine {
    TimelineLine {
        at_us: at.0,
        at: crate::clock::at(at),
        position,
        part: told.part.to_owned(),
        what: told.text,
        correlation,
    }
}

/// Bank messages as they went over the wire, masked.
fn wire_lines(data: &DataDir, found: &select::Found, lines: &mut Vec<TimelineLine>) -> Result<()> {
    for record in crate::wire_log::read(&data.wire_log())? {
        if !found.covers_wire(&record) {
            continue;
        }
        let arrow = if record.outbound { "→" } else { "←" };
        let told = describe::Told { part: "wire", text: format!("{arrow} {}", wire_text(&record)) };
        lines.push(line(Instant(record.at_us), None, told, record.correlation.clone()));
    }
    Ok(())
}

/// A message with its name, the blanks that fill its fields left out.
fn wire_text(record: &crate::wire_log::WireLine) -> String {
    let name = match record.mti.as_str() {
        "0100" => "hold",
        "0110" => "answer to the hold",
        "0200" => "payment",
        "0210" => "answer to the payment",
        "0220" => "refund",
        "0230" => "answer to the refund",
        "0400" | "0420" | "0421" => "reversal",
        "0410" | "0430" => "answer to the reversal",
        _ => "message",
    };
    let fields: Vec<&str> = record.masked.split_whitespace().collect();
    let fields = fields.strip_prefix(&[record.mti.as_str()]).unwrap_or(&fields).join(" ");
    format!("{} {name}: {}", record.mti, fields)
}

/// The lines of settlement files that claim the money.
fn file_lines(
    dir: &Path,
    found: &select::Found,
    closed: &BTreeMap<String, Instant>,
    lines: &mut Vec<TimelineLine>,
) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        // A file of no closed batch was put there by somebody else.
        let Some(at) = closed.get(&name).copied() else { continue };
        let text = std::fs::read_to_string(&path)?;
        for (n, row) in text.lines().enumerate() {
            if row.starts_with("L,") && found.orders.iter().any(|o| row.contains(&o.to_string())) {
                let told = describe::Told {
                    part: "settlement",
                    text: format!("{name} line {}: {row}", n + 1),
                };
                lines.push(line(at, None, told, None));
            }
        }
    }
    Ok(())
}

impl Timeline {
    /// The timeline as a table for people.
    pub fn text(&self) -> String {
        let mut table = Table::new(&["at (UTC)", "journal", "part", "what"]);
        for line in &self.lines {
            let position = line.position.map_or(String::new(), |(p, s)| format!("{p}:{s}"));
            table.row(vec![
                line.at.trim_end_matches('Z').to_owned(),
                position,
                line.part.clone(),
                line.what.clone(),
            ]);
        }
        format!("{}\n{}", self.orders.join(", "), table.text("nothing happened"))
    }
}

#[cfg(test)]
mod tests {
    use super::wanted;

    #[test]
    fn a_card_number_is_refused_without_an_echo() {
        for typed in [
            "6200000000000",
            "6200 0000 0000 0005",
            "6200-0000-0000-0000-001",
            ";6200000000000005=3012101000012345",
        ] {
            let said = format!("{:#}", wanted(typed).expect_err("a card number"));
            assert!(said.contains("standard input"), "{said}");
            assert!(!said.contains("6200") && !said.contains("0005"), "{said}");
        }
    }

    #[test]
    fn what_is_no_card_number_is_named() {
        for typed in ["o-040-4467693277512548x", "TX1234567890123456", "nothing"] {
            let said = format!("{:#}", wanted(typed).expect_err("names nothing"));
            assert!(said.contains(typed) && !said.contains("standard input"), "{said}");
        }
    }
}
