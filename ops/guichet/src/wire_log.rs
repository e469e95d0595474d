//! Bank messages as they went over the wire, masked: one line of JSON each. An aid for people; never ground state.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result};
use guichet_engine::ids::AcquirerId;
use guichet_engine::money::Money;
use guichet_ports::bank::{BankWatch, WireRecord};
use serde::{Deserialize, Serialize};

/// The name under which the log tells of bank messages: scripts look for it.
const TARGET: &str = "guichet::wire_log";

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
    file: Mutex<File>,
    on_unmatched: Box<dyn Fn(WireRecord, Option<Money>) + Send + Sync>,
}

impl WireLog {
    /// Appends to `path`; unmatched approvals are handed on.
    pub fn open(
        path: &Path,
        on_unmatched: Box<dyn Fn(WireRecord, Option<Money>) + Send + Sync>,
    ) -> Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { file: Mutex::new(file), on_unmatched })
    }
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
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = file.write_all(text.as_bytes()) {
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

/// Reads the log; a last line that a crash cut off is left out.
pub fn read(path: &Path) -> Result<Vec<WireLine>> {
    let Ok(file) = File::open(path) else { return Ok(Vec::new()) };
    let mut lines = Vec::new();
    for line in BufReader::new(file).lines() {
        if let Ok(line) = serde_json::from_str(&line?) {
            lines.push(line);
        }
    }
    Ok(lines)
}
