//! What waits for people: parked orders, prints in doubt, exceptions, days that were not compared, terminals.

use anyhow::{Result, bail};
use guichet_actors::limits::{PANICS_BEFORE_PARK, PARKED_AFTER_PANICS, PARKED_AFTER_RULES_PANIC};
use guichet_engine::order::{LinePhase, Order};
use guichet_engine::partition::Partition;
use guichet_engine::settlement::{Batch, DayKey};
use guichet_engine::terminal::Terminal;
use serde::{Deserialize, Serialize};

use crate::center::Center;
use crate::settle::ExceptionReport;
use crate::table::Table;

const PARKED_ADVICE: &str = "Nothing is asked of bank, provider or terminal for a parked order, and it refuses every command. See
`guichet explain ORDER` and docs/runbooks/parked-order.md; `guichet operator unpark ORDER --as YOU` sets it going.
";

const AWAITING_ADVICE: &str =
    "`guichet settle --date D --clearing FILE` compares a closed day with the bank's file.\n";

const TERMINAL_ADVICE: &str = "See docs/runbooks/terminal-out-of-service.md.\n";

/// Everything that waits for a person, and the fleet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StatusReport {
    /// Orders that are set aside.
    pub parked: Vec<ParkedOrder>,
    /// Prints of which nobody knows.
    pub prints: Vec<PrintInDoubt>,
    /// Exceptions that nobody has ended.
    pub exceptions: Vec<OpenException>,
    /// Closed days that no file of the bank was compared with.
    #[serde(default)]
    pub awaiting: Vec<AwaitingDay>,
    /// Every terminal.
    pub terminals: Vec<TerminalReport>,
}

/// An order that is set aside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ParkedOrder {
    /// Its id.
    pub order: String,
    /// Its reference.
    pub reference: String,
    /// The code of `docs/codes/parked.md`.
    pub reason: u16,
    /// The same in words.
    pub why: String,
    /// When it was placed.
    pub placed: String,
}

/// A print of which nobody knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PrintInDoubt {
    /// The order.
    pub order: String,
    /// Its reference.
    pub reference: String,
    /// The line, from 0.
    pub line: u8,
    /// The print of that line.
    pub print: u16,
    /// The ticket's number, as it stands on the paper.
    pub ticket: String,
    /// Where it may lie.
    pub terminal: String,
    /// When the money goes back by itself.
    pub until: String,
}

/// An exception that nobody has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenException {
    /// Its number within acquirer and date; as text, since it may have 64 bits.
    pub id: String,
    /// The acquirer.
    pub acquirer: u16,
    /// The business date.
    pub date: String,
    /// Since when.
    pub since: String,
    /// What differs.
    #[serde(flatten)]
    pub what: ExceptionReport,
}

/// A closed day that no file of the bank was compared with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AwaitingDay {
    /// The business date.
    pub date: String,
    /// The acquirer.
    pub acquirer: u16,
    /// Lines of our file.
    pub lines: u32,
    /// What is claimed.
    pub debit: String,
    /// What is given back.
    pub credit: String,
}

/// A terminal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TerminalReport {
    /// Its number, `T0000001`.
    pub terminal: String,
    /// The station's name.
    pub place: String,
    /// `connected`, `not connected`, `not enrolled` or `revoked`.
    pub link: String,
    /// Since when it is connected, or not any more.
    pub since: Option<String>,
    /// What its devices said last.
    pub devices: Vec<DeviceReport>,
    /// What a person has to do about it, if anything.
    #[serde(default)]
    pub to_do: Option<String>,
}

/// What a device said last, in the words of `docs/codes/devices.md`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceReport {
    /// Which.
    pub device: String,
    /// Its state.
    pub state: String,
    /// Its supply.
    pub supply: String,
    /// When it said so.
    pub at: String,
}

pub async fn status(center: &Center) -> Result<StatusReport> {
    let parts = center.handle.ask_all(status_of).await;
    if parts.len() < usize::from(center.handle.partitions()) {
        bail!(
            "a partition is stopped, so the list would be short: its log says why, /readyz which"
        );
    }
    let mut whole = StatusReport::default();
    for part in parts {
        whole.parked.extend(part.parked);
        whole.prints.extend(part.prints);
        whole.exceptions.extend(part.exceptions);
        whole.awaiting.extend(part.awaiting);
        whole.terminals.extend(part.terminals);
    }
    whole.awaiting.sort_by(|a, b| (&a.date, a.acquirer).cmp(&(&b.date, b.acquirer)));
    whole.prints.sort_by(|a, b| a.until.cmp(&b.until));
    whole.exceptions.sort_by(|a, b| a.since.cmp(&b.since));
    whole.terminals.sort_by(|a, b| a.terminal.cmp(&b.terminal));
    Ok(whole)
}

fn status_of(partition: &Partition) -> StatusReport {
    let parked = partition.orders().filter_map(|order| {
        let reason = order.parked?;
        Some(ParkedOrder {
            order: order.id.to_string(),
            reference: order.placed.reference.to_string(),
            reason,
            why: why_parked(reason),
            placed: crate::clock::at(order.placed.at),
        })
    });
    let exceptions = partition.exceptions().map(|(day, exception)| OpenException {
        id: exception.id.to_string(),
        acquirer: day.1.0,
        date: day.2.to_string(),
        since: crate::clock::at(exception.since),
        what: crate::settle::exception(exception),
    });
    StatusReport {
        parked: parked.collect(),
        prints: partition.open_orders().flat_map(prints_of).collect(),
        exceptions: exceptions.collect(),
        awaiting: partition.batches().iter().filter_map(awaiting).collect(),
        terminals: partition.terminals().map(|(_, terminal)| terminal_of(terminal)).collect(),
    }
}

fn awaiting((day, batch): (&DayKey, &Batch)) -> Option<AwaitingDay> {
    let totals = batch.closed.filter(|totals| batch.reconciled.is_empty() && totals.lines > 0)?;
    Some(AwaitingDay {
        date: day.2.to_string(),
        acquirer: day.1.0,
        lines: totals.lines,
        debit: totals.debit.to_string(),
        credit: totals.credit.to_string(),
    })
}

fn prints_of(order: &Order) -> Vec<PrintInDoubt> {
    let lines = (0..).zip(&order.lines);
    let doubts = lines.filter_map(|(line, state)| {
        let LinePhase::PrintInDoubt { print, ticket, terminal, until, .. } = &state.phase else {
            return None;
        };
        Some(PrintInDoubt {
            order: order.id.to_string(),
            reference: order.placed.reference.to_string(),
            line,
            print: print.0,
            ticket: format!("{:016}", ticket.0),
            terminal: terminal.to_string(),
            until: crate::clock::at(*until),
        })
    });
    doubts.collect()
}

pub(super) fn terminal_of(terminal: &Terminal) -> TerminalReport {
    let link = match (terminal.revoked, terminal.connected, terminal.key) {
        (true, ..) => "revoked",
        (false, Some(_), _) => "connected",
        (false, None, Some(_)) => "not connected",
        (false, None, None) => "not enrolled",
    };
    let to_do = match link {
        "not connected" => Some("see to its power, network and program: nobody is served there"),
        "not enrolled" => Some("start it with the code of its registration"),
        _ => None,
    };
    let devices = terminal.devices.iter().map(|(device, said)| DeviceReport {
        device: word(&DEVICES, *device),
        state: word(&STATES, said.state),
        supply: word(&SUPPLIES, said.supply),
        at: crate::clock::at(said.at),
    });
    TerminalReport {
        terminal: terminal.id.to_string(),
        place: terminal.place_name.clone(),
        link: link.to_owned(),
        since: terminal.connected.or(terminal.gone).map(crate::clock::at),
        devices: devices.collect(),
        to_do: to_do.map(str::to_owned),
    }
}

const DEVICES: [&str; 5] = ["", "card reader", "PIN pad", "ticket printer", "receipt printer"];
const STATES: [&str; 7] =
    ["online", "offline", "power off", "no device", "hardware error", "user error", "busy"];
const SUPPLIES: [&str; 5] = ["enough", "low", "out", "jammed", "unknown"];

/// What a device said, in the words of `docs/codes/devices.md`.
pub fn device_words(device: u8, state: u8, supply: u8) -> String {
    let said = format!("{} reports {}", word(&DEVICES, device), word(&STATES, state));
    let is_printer = matches!(device, 3 | 4);
    if is_printer { format!("{said}, paper {}", word(&SUPPLIES, supply)) } else { said }
}

/// A reason of `docs/codes/parked.md` in words; one that this program does not know is of a newer one.
pub fn why_parked(reason: u16) -> String {
    match reason {
        PARKED_AFTER_PANICS => format!("its actor panicked {PANICS_BEFORE_PARK} times"),
        PARKED_AFTER_RULES_PANIC => "the rules panicked on a command for it".to_owned(),
        _ => "of another version".to_owned(),
    }
}

/// The word of a code; a code of a newer terminal stays a number.
fn word(words: &[&str], code: u8) -> String {
    match words.get(usize::from(code)) {
        Some(word) if !word.is_empty() => (*word).to_owned(),
        Some(_) | None => format!("number {code}"),
    }
}

impl StatusReport {
    /// The report for people.
    pub fn text(&self) -> String {
        let mut parked = Table::new(&["parked order", "reference", "reason", "placed"]);
        for p in &self.parked {
            let (order, reference) = (p.order.clone(), p.reference.clone());
            let reason = format!("{} {}", p.reason, p.why);
            parked.row(vec![order, reference, reason, p.placed.clone()]);
        }
        let mut parked = parked.text("no order is parked");
        if !self.parked.is_empty() {
            parked.push_str(PARKED_ADVICE);
        }
        let mut prints = Table::new(&[
            "print in doubt",
            "reference",
            "line",
            "print",
            "ticket",
            "terminal",
            "money back at",
        ]);
        for p in &self.prints {
            prints.row(vec![
                p.order.clone(),
                p.reference.clone(),
                p.line.to_string(),
                p.print.to_string(),
                p.ticket.clone(),
                p.terminal.clone(),
                p.until.clone(),
            ]);
        }
        [
            parked,
            prints.text("no print is in doubt"),
            self.exceptions_text(),
            self.awaiting_text(),
            self.terminals_text(),
        ]
        .join("\n")
    }

    fn awaiting_text(&self) -> String {
        let mut table =
            Table::new(&["closed, not compared", "acquirer", "lines", "to claim", "to give back"]);
        for day in &self.awaiting {
            table.row(vec![
                day.date.clone(),
                day.acquirer.to_string(),
                day.lines.to_string(),
                day.debit.clone(),
                day.credit.clone(),
            ]);
        }
        let mut text = table.text("every closed day was compared with the bank's file");
        if !self.awaiting.is_empty() {
            text.push_str(AWAITING_ADVICE);
        }
        text
    }

    fn exceptions_text(&self) -> String {
        let mut table = Table::new(&[
            "exception",
            "date",
            "acquirer",
            "kind",
            "reference",
            "ours",
            "theirs",
            "to act",
            "since",
        ]);
        for e in &self.exceptions {
            table.row(vec![
                e.id.clone(),
                e.date.clone(),
                e.acquirer.to_string(),
                e.what.kind.clone(),
                e.what.rrn.clone(),
                e.what.ours.clone().unwrap_or_default(),
                e.what.theirs.clone().unwrap_or_default(),
                e.what.owner.clone(),
                e.since.clone(),
            ]);
        }
        table.text("no exception is open")
    }

    fn terminals_text(&self) -> String {
        let mut table = Table::new(&["terminal", "place", "link", "since", "devices"]);
        for t in &self.terminals {
            table.row(vec![
                t.terminal.clone(),
                t.place.clone(),
                t.link.clone(),
                t.since.clone().unwrap_or_default(),
                t.devices_text(),
            ]);
        }
        let mut text = table.text("no terminal is registered");
        for t in &self.terminals {
            if let Some(what) = &t.to_do {
                text.push_str(&format!(
                    "to do: {} at {} is {}; {what}\n",
                    t.terminal, t.place, t.link
                ));
            }
        }
        if self.terminals.iter().any(|t| t.to_do.is_some()) {
            text.push_str(TERMINAL_ADVICE);
        }
        text
    }
}

impl TerminalReport {
    /// Names the devices that are not well; of a terminal without a link nobody knows.
    fn devices_text(&self) -> String {
        if self.link != "connected" {
            return "not heard of now".to_owned();
        }
        let unwell: Vec<String> = self
            .devices
            .iter()
            .filter(|d| !matches!(d.state.as_str(), "online" | "busy") || d.supply != "enough")
            .map(|d| match (d.state.as_str(), d.supply.as_str()) {
                (state, "enough" | "unknown") => format!("{} {state}", d.device),
                ("online" | "busy", supply) => format!("{} paper {supply}", d.device),
                (state, supply) => format!("{} {state}, paper {supply}", d.device),
            })
            .collect();
        match (self.devices.is_empty(), unwell.is_empty()) {
            (true, _) => "not heard of yet".to_owned(),
            (false, true) => "all well".to_owned(),
            (false, false) => unwell.join("; "),
        }
    }
}
