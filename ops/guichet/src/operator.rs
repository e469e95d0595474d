//! `guichet operator`: what waits for a person, and the decisions that only people take.

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use guichet_actors::limits::{PANICS_BEFORE_PARK, PARKED_AFTER_PANICS};
use guichet_engine::command::{Body, Principal, Role};
use guichet_engine::ids::{AcquirerId, Attempt, LineNo, OrderId, Reference, Slot, TerminalId};
use guichet_engine::numbers::slot_of_exception;
use guichet_engine::order::{LinePhase, Order};
use guichet_engine::partition::Partition;
use guichet_engine::reject::Reject;
use guichet_engine::settlement::{Batch, DayKey};
use guichet_engine::terminal::Terminal;
use guichet_ports::center::{Center as _, Refused, Secrets};
use guichet_ports::keys::KeyServer as _;
use serde::{Deserialize, Serialize};

use crate::center::{Center, internal};
use crate::data::DataDir;
use crate::settle::ExceptionReport;
use crate::table::Table;

const PARKED_ADVICE: &str = "Nothing is asked of bank, provider or terminal for a parked order, and it refuses every command. See
`guichet explain ORDER` and docs/runbooks/parked-order.md; `guichet operator unpark ORDER --as YOU` sets it going.
";

const AWAITING_ADVICE: &str =
    "`guichet settle --date D --clearing FILE` compares a closed day with the bank's file.\n";

const SEE_STATUS: &str = "`guichet operator status` lists what waits";

/// The commands of an operator.
#[derive(Subcommand)]
pub enum Verb {
    /// Parked orders, prints in doubt, open exceptions, and every terminal.
    Status(Where),
    /// Set a parked order going again.
    Unpark(Unpark),
    /// Settle a print in doubt by a count of two operators.
    CountPrint(CountPrint),
    /// End a settlement exception, by two clerks.
    EndException(EndException),
    /// Shut a terminal out for ever: its link is closed, its keys are void.
    RevokeTerminal(RevokeTerminal),
    /// Make an order's actor panic over the next things it has to do; only where `up` was told --rehearse-panics.
    #[command(hide = true)]
    RehearsePanic(RehearsePanic),
}

/// Where the center is, and how it answers.
#[derive(Args)]
pub struct Where {
    /// Where the data lies.
    #[arg(long, default_value = "data", env = "GUICHET_DATA")]
    data: std::path::PathBuf,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// The person who decides.
#[derive(Args)]
pub struct One {
    /// Your number.
    #[arg(long = "as", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    by: u64,
}

/// The two people who decide.
#[derive(Args)]
pub struct Two {
    #[command(flatten)]
    one: One,
    /// The number of the colleague who agrees.
    #[arg(long = "and", value_name = "M", value_parser = clap::value_parser!(u64).range(1..))]
    second: u64,
}

/// Which order goes on.
#[derive(Args)]
pub struct Unpark {
    /// The order (o-…) or its reference.
    order: String,
    #[command(flatten)]
    people: One,
    #[command(flatten)]
    place: Where,
}

/// What a count of paper found.
#[derive(Args)]
pub struct CountPrint {
    /// The order (o-…) or its reference.
    order: String,
    /// The line, as `operator status` shows it.
    line: u8,
    /// The print, as `operator status` shows it.
    print: u16,
    /// Whether the ticket was printed.
    #[arg(long, action = clap::ArgAction::Set)]
    printed: bool,
    #[command(flatten)]
    people: Two,
    #[command(flatten)]
    place: Where,
}

/// Which exception ended, and how.
#[derive(Args)]
pub struct EndException {
    /// The exception's number, as `operator status` shows it.
    id: u64,
    /// The business date it belongs to, like 2026-11-23.
    #[arg(long)]
    date: String,
    /// The acquirer's number; needed only when several have an exception of this number and date.
    #[arg(long)]
    acquirer: Option<u16>,
    /// How it ended.
    #[arg(long)]
    how: How,
    #[command(flatten)]
    people: Two,
    #[command(flatten)]
    place: Where,
}

/// Which terminal is shut out.
#[derive(Args)]
pub struct RevokeTerminal {
    /// The terminal's number, 2 or T0000002.
    #[arg(value_parser = terminal_number)]
    number: u32,
    #[command(flatten)]
    people: One,
    #[command(flatten)]
    place: Where,
}

/// Which order's actor panics, and how often.
#[derive(Args)]
pub struct RehearsePanic {
    /// The order (o-…) or its reference.
    order: String,
    /// How often.
    #[arg(long)]
    times: u32,
    #[command(flatten)]
    place: Where,
}

/// How an exception ended; the codes stand in `docs/codes/exceptions.md` and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum How {
    /// A later file of the bank, or the neighbouring day, explains it.
    Explained,
    /// The other side paid what it owed.
    Received,
    /// We paid the money back.
    PaidBack,
    /// Nobody pays; it is our loss or gain.
    WrittenOff,
}

impl How {
    const fn code(self) -> u16 {
        match self {
            Self::Explained => 1,
            Self::Received => 2,
            Self::PaidBack => 3,
            Self::WrittenOff => 4,
        }
    }
}

/// What the running center is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operator", rename_all = "snake_case")]
pub enum Request {
    /// What waits?
    Status,
    /// Set an order going again.
    Unpark { order: String, by: u64 },
    /// A count of paper.
    CountPrint { order: String, line: u8, print: u16, printed: bool, by: u64, second: u64 },
    /// The end of an exception.
    EndException { id: u64, date: String, acquirer: Option<u16>, how: u16, by: u64, second: u64 },
    /// Shut a terminal out.
    RevokeTerminal { terminal: u32, by: u64 },
    /// Panics of an order's actor.
    RehearsePanic { order: String, times: u32 },
}

/// What the running center answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// What waits.
    Status(StatusReport),
    /// The decision is in the journal.
    Done {
        /// What was done, for people.
        done: String,
    },
}

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

fn terminal_number(text: &str) -> Result<u32, String> {
    text.strip_prefix(['T', 't'])
        .unwrap_or(text)
        .parse()
        .map_err(|_| format!("{text} is no terminal; it looks like 2 or T0000002"))
}

impl Verb {
    fn split(self) -> (Where, Request) {
        match self {
            Self::Status(place) => (place, Request::Status),
            Self::Unpark(u) => (u.place, Request::Unpark { order: u.order, by: u.people.by }),
            Self::CountPrint(c) => {
                let Two { one, second } = c.people;
                let (order, line, print, printed) = (c.order, c.line, c.print, c.printed);
                let by = one.by;
                (c.place, Request::CountPrint { order, line, print, printed, by, second })
            }
            Self::EndException(e) => {
                let Two { one, second } = e.people;
                let (id, date, acquirer, how) = (e.id, e.date, e.acquirer, e.how.code());
                let by = one.by;
                (e.place, Request::EndException { id, date, acquirer, how, by, second })
            }
            Self::RevokeTerminal(r) => {
                (r.place, Request::RevokeTerminal { terminal: r.number, by: r.people.by })
            }
            Self::RehearsePanic(r) => {
                (r.place, Request::RehearsePanic { order: r.order, times: r.times })
            }
        }
    }
}

/// Asks the running center, and shows what it says.
pub async fn run(verb: Verb) -> Result<()> {
    let (place, request) = verb.split();
    let data = DataDir::existing(&place.data)?;
    let Some(answer) = crate::admin::ask(&data, &crate::admin::Ask::Operator(request)).await?
    else {
        bail!("no center runs on {}: start it with `guichet up` first", place.data.display());
    };
    let crate::admin::Answer::Operator(reply) = answer else {
        bail!("the running center answered something else: is it of the same version?");
    };
    match reply {
        Reply::Status(report) if place.json => {
            println!("{}", serde_json::to_string_pretty(&report)?);
        }
        Reply::Status(report) => print!("{}", crate::own_name::in_hints(&report.text())),
        Reply::Done { done } if place.json => println!("{}", serde_json::json!({ "done": done })),
        Reply::Done { done } => println!("{done}"),
    }
    Ok(())
}

/// Answers at the center.
pub async fn answer(center: &Center, request: Request) -> Result<Reply> {
    let done = match request {
        Request::Status => return Ok(Reply::Status(status(center).await?)),
        Request::Unpark { order, by } => {
            let order = find(center, &order).await?;
            submit(center, Role::Operator, (by, None), Body::Unpark { order }).await?;
            format!("{order} goes on; all that was outstanding is asked again")
        }
        Request::CountPrint { order, line, print, printed, by, second } => {
            let order = find(center, &order).await?;
            let (line, print) = (LineNo(line), Attempt(print));
            let body = Body::CountPrint { order, line, print, printed };
            submit(center, Role::Operator, (by, Some(second)), body).await?;
            let outcome =
                if printed { "is issued" } else { "was not printed; its money goes back" };
            format!("line {line} of {order} {outcome}")
        }
        Request::EndException { id, date, acquirer, how, by, second } => {
            let (day, slot) = find_exception(center, id, &date, acquirer).await?;
            let (operator, acquirer, date) = day;
            let body = Body::EndException { slot, operator, acquirer, date, id, how };
            submit(center, Role::Clerk, (by, Some(second)), body).await?;
            format!("exception {id} of {date} with acquirer {acquirer} is ended")
        }
        Request::RevokeTerminal { terminal, by } => {
            let terminal = TerminalId(terminal);
            submit(center, Role::Operator, (by, None), Body::RevokeTerminal { terminal }).await?;
            // The fact makes the engine close the link; the keys are not its business.
            center.vault.revoke_terminal(terminal).with_context(|| {
                format!(
                    "{terminal} is shut out, but its keys are not void yet: give the command again"
                )
            })?;
            format!("{terminal} is shut out: its link is closed, its keys are void")
        }
        Request::RehearsePanic { order, times } => {
            let panics = center.panics.as_ref().context(
                "this center does not rehearse panics, so nothing was done: only `guichet up --rehearse-panics` does",
            )?;
            let order = find(center, &order).await?;
            if center.handle.order(order).await.is_none() {
                return Err(advice(Reject::UnknownOrder));
            }
            panics.panic_in(order, times);
            format!("the actor of {order} panics over the next {times} things it has to do")
        }
    };
    tracing::info!(done, "an operator decided");
    Ok(Reply::Done { done })
}

async fn submit(
    center: &Center,
    role: Role,
    (by, second): (u64, Option<u64>),
    body: Body,
) -> Result<()> {
    let mut command = internal(&center.handle, role, body)?;
    command.principal = Principal { role, id: by };
    command.second = second.map(|id| Principal { role, id });
    match center.handle.submit(command, Secrets::default()).await {
        Ok(_) => Ok(()),
        Err(Refused::Rejected(reject)) => Err(advice(reject)),
        Err(Refused::Busy) => bail!("the center is busy: try again in a moment"),
        Err(Refused::Stopped) => {
            bail!("the partition is stopped and nothing was done: its log says why, /readyz which")
        }
    }
}

/// What a refusal means for the person who asked.
fn advice(reject: Reject) -> anyhow::Error {
    let text = match reject {
        Reject::UnknownOrder => format!("no such order: check its id; {SEE_STATUS}"),
        Reject::WrongPhase => format!("the order is not parked, so nothing was done; {SEE_STATUS}"),
        Reject::Stale => format!(
            "that print is not in doubt: its line or number is another one, or the printer or the deadline has decided; {SEE_STATUS}, `guichet explain` shows the order"
        ),
        Reject::Parked => {
            "the order is parked: set it going first with `guichet operator unpark`".to_owned()
        }
        Reject::NeedsSecondPrincipal => {
            "two different people have to agree: give a colleague's number with --and".to_owned()
        }
        Reject::UnknownException => {
            format!("no such exception is open, perhaps it was ended already; {SEE_STATUS}")
        }
        Reject::UnknownTerminal => {
            "no such terminal is registered here; `guichet operator status` lists them".to_owned()
        }
        other => format!(
            "the center refused with code {}; docs/codes/rejects.md says what to do",
            other.code()
        ),
    };
    anyhow::anyhow!(text)
}

/// What a person typed for an order.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    Order(OrderId),
    Reference(Reference),
}

fn named(text: &str) -> Option<Named> {
    if let Some(order) = OrderId::parse(text) {
        return Some(Named::Order(order));
    }
    let upper = text.to_ascii_uppercase().replace(['-', ' '], "");
    Reference::parse(&upper).map(Named::Reference)
}

async fn find(center: &Center, text: &str) -> Result<OrderId> {
    match named(text) {
        Some(Named::Order(order)) => Ok(order),
        Some(Named::Reference(reference)) => center
            .handle
            .order_by_reference(reference)
            .await
            .with_context(|| format!("no order has the reference {reference}; {SEE_STATUS}")),
        None => {
            crate::explain::refuse_card_number(text)?;
            bail!("{text} is no order (o-…) and no reference (10 characters); {SEE_STATUS}")
        }
    }
}

/// The day of an exception, and a slot of the partition that holds it.
async fn find_exception(
    center: &Center,
    id: u64,
    date: &str,
    acquirer: Option<u16>,
) -> Result<(DayKey, Slot)> {
    let date = crate::settle::date(date)?;
    let found: Vec<(DayKey, Slot)> = center
        .handle
        .ask_all(move |p| {
            p.exceptions()
                .filter(|(day, e)| day.2 == date && e.id == id)
                .filter(|(day, _)| acquirer.is_none_or(|wanted| day.1 == AcquirerId(wanted)))
                .map(|(day, e)| (day, slot_of_exception(e.id, day.1)))
                .collect::<Vec<_>>()
        })
        .await
        .into_iter()
        .flatten()
        .collect();
    match found[..] {
        [one] => Ok(one),
        [] => bail!("no exception {id} of {date} is open; {SEE_STATUS}"),
        [..] => bail!(
            "several acquirers have an exception {id} of {date}: name the acquirer with --acquirer"
        ),
    }
}

async fn status(center: &Center) -> Result<StatusReport> {
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

fn terminal_of(terminal: &Terminal) -> TerminalReport {
    let link = match (terminal.revoked, terminal.connected, terminal.key) {
        (true, ..) => "revoked",
        (false, Some(_), _) => "connected",
        (false, None, Some(_)) => "not connected",
        (false, None, None) => "not enrolled",
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
        table.text("no terminal is registered")
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

#[cfg(test)]
mod tests;
