//! Bank messages as they went over the wire, masked: one line of JSON each. An aid for people; never ground state.
//!
//! `wire.jsonl` is written; when it is full it becomes `wire.N.jsonl`, and the oldest of these goes.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result};
use guichet_engine::ids::AcquirerId;
use guichet_engine::money::Money;
use guichet_ports::bank::{BankWatch, WireRecord};
use serde::{Deserialize, Serialize};

/// The name under which the log tells of bank messages: scripts look for it.
const TARGET: &str = "guichet::wire_log";

/// Bytes after which a part of the log is full (16 MiB).
const PART_BYTES_MAX: u64 = 16 << 20;

/// Full parts that are kept at most; beyond, the oldest goes.
const PARTS_KEPT_MAX: usize = 8;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireLine {
    /// Microseconds since 1970 UTC.
    pub at_us: i64,
    /// From us to the bank.
    pub outbound: bool,
    /// Which acquirer.
    pub acquirer: u16,
    /// The order.
    pub order: Option<String>,
    /// The terminal.
    pub terminal: Option<String>,
    /// The correlation id.
    pub correlation: Option<String>,
    /// The message type.
    pub mti: String,
    /// DE 11.
    pub stan: String,
    /// DE 37.
    pub rrn: String,
    /// DE 39.
    pub code: String,
    /// Every field, masked.
    pub masked: String,
}

/// Writes what the bank gateways see, counts it, and keeps the state of the links.
pub struct WireLog {
    parts: Mutex<Parts>,
    on_unmatched: Box<dyn Fn(WireRecord, Option<Money>) + Send + Sync>,
}

impl WireLog {
    /// Appends to `path`; unmatched approvals are handed on.
    pub fn open(
        path: &Path,
        on_unmatched: Box<dyn Fn(WireRecord, Option<Money>) + Send + Sync>,
    ) -> Result<Self> {
        let parts = Parts::open(path, PART_BYTES_MAX)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { parts: Mutex::new(parts), on_unmatched })
    }
}

/// The part that is written, and how far it may grow.
struct Parts {
    path: PathBuf,
    file: File,
    bytes: u64,
    most: u64,
}

impl Parts {
    fn open(path: &Path, most: u64) -> std::io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes, most })
    }

    fn write(&mut self, line: &str) -> std::io::Result<()> {
        let bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.bytes > 0 && self.bytes.saturating_add(bytes) > self.most {
            self.roll()?;
        }
        self.file.write_all(line.as_bytes())?;
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }

    fn roll(&mut self) -> std::io::Result<()> {
        let full = full_parts(&self.path);
        let next = full.last().map_or(1, |(number, _)| number.saturating_add(1));
        std::fs::rename(&self.path, self.path.with_extension(format!("{next}.jsonl")))?;
        *self = Self::open(&self.path, self.most)?;
        // The new one counts: what is older than the parts that are kept goes.
        let too_many = (full.len() + 1).saturating_sub(PARTS_KEPT_MAX);
        for (_, oldest) in &full[..too_many.min(full.len())] {
            std::fs::remove_file(oldest)?;
        }
        Ok(())
    }
}

/// The full parts of a log with their numbers, the oldest first.
fn full_parts(path: &Path) -> Vec<(u64, PathBuf)> {
    let (Some(folder), Some(stem)) = (path.parent(), path.file_stem().and_then(|s| s.to_str()))
    else {
        return Vec::new();
    };
    let mut parts: Vec<(u64, PathBuf)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let number = name.strip_prefix(stem)?.strip_prefix('.')?.strip_suffix(".jsonl")?;
            Some((number.parse().ok()?, entry.path()))
        })
        .collect();
    parts.sort();
    parts
}

fn line(record: &WireRecord) -> WireLine {
    WireLine {
        at_us: record.at.0,
        outbound: record.outbound,
        acquirer: record.acquirer.0,
        order: record.order.map(|o| o.to_string()),
        terminal: record.terminal.map(|t| t.to_string()),
        correlation: record.cause.map(|c| c.to_string()),
        mti: record.mti.clone(),
        stan: record.stan.clone(),
        rrn: record.rrn.clone(),
        code: record.code.clone(),
        masked: record.masked.clone(),
    }
}

impl BankWatch for WireLog {
    fn wire(&self, record: WireRecord) {
        let direction = if record.outbound { "out" } else { "in" };
        metrics::counter!("guichet_bank_messages_total", "direction" => direction, "mti" => record.mti.clone()).increment(1);
        tracing::info!(
            target: TARGET,
            correlation = record.cause.map(|c| c.to_string()),
            order = record.order.map(|o| o.to_string()),
            mti = record.mti,
            stan = record.stan,
            rrn = record.rrn,
            code = record.code,
            direction,
            "bank message"
        );
        let Ok(mut text) = serde_json::to_string(&line(&record)) else { return };
        text.push('\n');
        let mut parts = self.parts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = parts.write(&text) {
            tracing::warn!(target: TARGET, %error, "a bank message could not be added to the wire log");
        }
    }

    fn unmatched_approval(&self, record: WireRecord, amount: Option<Money>) {
        metrics::counter!("guichet_bank_unmatched_approvals_total").increment(1);
        (self.on_unmatched)(record, amount);
    }

    fn link(&self, acquirer: AcquirerId, up: bool) {
        tracing::info!(target: TARGET, acquirer = acquirer.0, up, "bank link");
        metrics::gauge!("guichet_bank_link_up", "acquirer" => acquirer.0.to_string()).set(if up {
            1.0
        } else {
            0.0
        });
    }
}

/// Reads every part of the log, the oldest first; a last line that a crash cut off is left out.
pub fn read(path: &Path) -> Result<Vec<WireLine>> {
    let mut lines = Vec::new();
    // A part that is gone by now was full and the oldest, or the log was never written.
    let full = full_parts(path).into_iter().map(|(_, part)| part);
    for file in full.chain([path.to_owned()]).filter_map(|part| File::open(part).ok()) {
        for line in BufReader::new(file).lines() {
            if let Ok(line) = serde_json::from_str(&line?) {
                lines.push(line);
            }
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(n: usize) -> String {
        let line = WireLine {
            at_us: 0,
            outbound: true,
            acquirer: 1,
            order: None,
            terminal: None,
            correlation: None,
            mti: "0100".into(),
            stan: format!("{n:06}"),
            rrn: String::new(),
            code: String::new(),
            masked: String::new(),
        };
        serde_json::to_string(&line).expect("JSON") + "\n"
    }

    #[test]
    fn a_full_log_begins_a_new_part_and_the_oldest_goes() {
        let dir = std::env::temp_dir().join(format!("guichet-wire-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a temporary folder");
        let path = dir.join("wire.jsonl");
        let most = u64::try_from(message(0).len()).expect("short") * 2;
        let seen = || {
            let lines = read(&path).expect("read");
            lines.iter().map(|line| line.stan.parse().expect("a number")).collect::<Vec<usize>>()
        };
        // A log that was begun before goes on, and a name that only looks like a part is none.
        std::fs::write(&path, message(0)).expect("written");
        std::fs::write(dir.join("wire.x.jsonl"), message(99)).expect("written");
        let mut parts = Parts::open(&path, most).expect("open");
        for n in 1..2 * (PARTS_KEPT_MAX + 1) {
            parts.write(&message(n)).expect("written");
        }
        let all = 2 * (PARTS_KEPT_MAX + 1);
        assert_eq!(seen(), (0..all).collect::<Vec<_>>(), "every part is read, in order");
        assert_eq!(full_parts(&path).len(), PARTS_KEPT_MAX);
        drop(parts);
        let mut parts = Parts::open(&path, most).expect("open again");
        parts.write(&message(all)).expect("written");
        assert_eq!(full_parts(&path).len(), PARTS_KEPT_MAX, "no more than are kept");
        assert_eq!(seen(), (2..=all).collect::<Vec<_>>(), "the oldest part is gone");
        assert!(std::fs::metadata(&path).expect("there").len() < most);
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
