//! `guichet operator`: what waits for a person, and the decisions that only people take.

mod after_sale;
mod network;
mod privacy;
mod status;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use guichet_engine::command::{Body, Command, Principal, Role};
use guichet_engine::ids::{AcquirerId, Attempt, LineNo, OrderId, Reference, Slot, TerminalId};
use guichet_engine::numbers::slot_of_exception;
use guichet_engine::reject::Reject;
use guichet_engine::settlement::DayKey;
use guichet_ports::center::{Center as _, Refused, Secrets};
use guichet_ports::keys::KeyServer as _;
use serde::{Deserialize, Serialize};

use crate::center::{Center, internal};
use crate::data::DataDir;

pub use privacy::ReadingsReport;
pub use status::{StatusReport, device_words, why_parked};

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
    /// Change how long bookings are held, screens wait …, for the network, a group or a terminal, from an instant on.
    Configure(network::Configure),
    /// What is configured, with every revision.
    Configuration(network::Configuration),
    /// Declare that an issued ticket never was, by two people: all of its money goes back.
    Void(after_sale::Void),
    /// A service does not run: what is held is given back, and whoever has a ticket may exchange it or give it back.
    Disrupt(after_sale::Disrupt),
    /// A service ran and a ticket was not used.
    NoShow(after_sale::Report),
    /// Who read which personal data when, and what for; oldest first.
    Readings(Readings),
    /// Destroy the keys of a closed order's people for ever, by two people: names, documents and card numbers are gone.
    Erase(Erase),
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

/// Which readings are shown.
#[derive(Args)]
pub struct Readings {
    /// The number of the first that is shown.
    #[arg(long, default_value_t = 0)]
    from: u64,
    #[command(flatten)]
    place: Where,
}

/// Whose people are erased.
#[derive(Args)]
pub struct Erase {
    /// The order (o-…) or its reference.
    order: String,
    #[command(flatten)]
    people: Two,
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
    /// A change of the configuration.
    Configure { change: network::Change, by: u64 },
    /// What is configured?
    Configuration { terminal: Option<u32> },
    /// A ticket that never was.
    Void { order: String, line: u8, reason: u16, by: u64, second: u64 },
    /// A service that does not run.
    Disrupt { service: String, by: u64 },
    /// A ticket that was not used.
    NoShow { order: String, line: u8, by: u64 },
    /// Who read personal data?
    Readings { from: u64 },
    /// Erase the people of an order.
    Erase { order: String, by: u64, second: u64 },
    /// Panics of an order's actor.
    RehearsePanic { order: String, times: u32 },
}

/// What the running center answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// What waits.
    Status(StatusReport),
    /// Who read personal data.
    Readings(ReadingsReport),
    /// What is configured.
    Configuration(network::NetworkReport),
    /// The decision is in the journal.
    Done {
        /// What was done, for people.
        done: String,
    },
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
            Self::Configure(c) => {
                let (place, change, by) = c.split();
                (place, Request::Configure { change, by })
            }
            Self::Configuration(c) => {
                let (place, terminal) = c.split();
                (place, Request::Configuration { terminal })
            }
            Self::Void(v) => {
                let (order, line, reason) = (v.order, v.line, v.reason.code());
                let (by, second) = (v.people.one.by, v.people.second);
                (v.place, Request::Void { order, line, reason, by, second })
            }
            Self::Disrupt(d) => (d.place, Request::Disrupt { service: d.service, by: d.people.by }),
            Self::NoShow(r) => {
                let (order, line, by) = (r.order, r.line, r.people.by);
                (r.place, Request::NoShow { order, line, by })
            }
            Self::Readings(r) => (r.place, Request::Readings { from: r.from }),
            Self::Erase(e) => {
                let (order, by, second) = (e.order, e.people.one.by, e.people.second);
                (e.place, Request::Erase { order, by, second })
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
        Reply::Readings(report) if place.json => {
            println!("{}", serde_json::to_string_pretty(&report)?);
        }
        Reply::Readings(report) => print!("{}", crate::own_name::in_hints(&report.text())),
        Reply::Configuration(report) if place.json => {
            println!("{}", serde_json::to_string_pretty(&report)?);
        }
        Reply::Configuration(report) => {
            print!("{}", crate::own_name::in_hints(&report.text()));
        }
        Reply::Done { done } if place.json => println!("{}", serde_json::json!({ "done": done })),
        Reply::Done { done } => println!("{done}"),
    }
    Ok(())
}

/// Answers at the center.
pub async fn answer(center: &Center, request: Request) -> Result<Reply> {
    let done = match request {
        Request::Status => return Ok(Reply::Status(status::status(center).await?)),
        Request::Readings { from } => {
            return Ok(Reply::Readings(privacy::readings(center, from)?));
        }
        Request::Configuration { terminal } => {
            let report = network::configuration(center, terminal).await?;
            return Ok(Reply::Configuration(report));
        }
        Request::Configure { change, by } => network::configure(center, &change, by).await?,
        Request::Void { order, line, reason, by, second } => {
            after_sale::void(center, &order, line, reason, (by, second)).await?
        }
        Request::Disrupt { service, by } => after_sale::disrupt(center, &service, by).await?,
        Request::NoShow { order, line, by } => {
            after_sale::no_show(center, &order, line, by).await?
        }
        Request::Erase { order, by, second } => {
            let order = find(center, &order).await?;
            privacy::erase(center, order, (by, second)).await?
        }
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
    send(center, command).await
}

async fn send(center: &Center, command: Command) -> Result<()> {
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
        Reject::WrongPhase => format!(
            "the order is not parked, or its line in another phase, so nothing was done; {SEE_STATUS}, `guichet explain` shows the order"
        ),
        Reject::TooLate => {
            "too late: a ticket is void on the business day of its payment only, unless it was not used"
                .to_owned()
        }
        Reject::NotYet => "its departure is still to come, so nothing was done".to_owned(),
        Reject::PaymentRunning => {
            "a payment or print is under way: give the command again when it has ended".to_owned()
        }
        Reject::BadSetting => {
            "a value is out of its range: docs/limits.md has the ranges; a group is set with --terminal alone"
                .to_owned()
        }
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

#[cfg(test)]
mod tests;
