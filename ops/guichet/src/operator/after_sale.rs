//! What operators decide or report about tickets that were issued.

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use guichet_engine::command::{Body, Principal, Role};
use guichet_engine::ids::{LineNo, OrderId};
use guichet_ports::center::Center as _;

use super::{One, Two, Where, find, named, send, submit};
use crate::center::{Center, internal};

/// Which ticket never was.
#[derive(Args)]
pub struct Void {
    /// The order (o-…) or its reference.
    pub(super) order: String,
    /// The line, as `guichet explain` shows it.
    pub(super) line: u8,
    /// Why.
    #[arg(long)]
    pub(super) reason: Reason,
    #[command(flatten)]
    pub(super) people: Two,
    #[command(flatten)]
    pub(super) place: Where,
}

/// Of which line a provider's word is passed on.
#[derive(Args)]
pub struct Report {
    /// The order (o-…) or its reference.
    pub(super) order: String,
    /// The line, as `guichet explain` shows it.
    pub(super) line: u8,
    #[command(flatten)]
    pub(super) people: One,
    #[command(flatten)]
    pub(super) place: Where,
}

/// Which service does not run.
#[derive(Args)]
pub struct Disrupt {
    /// The provider's key of the service (its trip and date), or an order or reference for the services of that order.
    pub(super) service: String,
    #[command(flatten)]
    pub(super) people: One,
    #[command(flatten)]
    pub(super) place: Where,
}

/// Why a ticket is void; the codes stand in `docs/codes/reasons.md` and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reason {
    /// Wrong service, place or passenger.
    Mistake,
    /// Paper that cannot be used.
    Paper,
    /// Goodwill.
    Goodwill,
    /// A test of a terminal.
    Test,
}

impl Reason {
    pub(super) const fn code(self) -> u16 {
        match self {
            Self::Mistake => 1,
            Self::Paper => 2,
            Self::Goodwill => 3,
            Self::Test => 4,
        }
    }
}

/// Two operators declare a ticket void.
pub(super) async fn void(
    center: &Center,
    order: &str,
    line: u8,
    reason: u16,
    (by, second): (u64, u64),
) -> Result<String> {
    let order = find(center, order).await?;
    let body = Body::VoidLine { order, line: LineNo(line) };
    let mut command = internal(&center.handle, Role::Operator, body)?;
    let person = |id| Principal { role: Role::Operator, id };
    (command.principal, command.second, command.reason) =
        (person(by), Some(person(second)), reason);
    send(center, command).await?;
    Ok(format!("the ticket of line {line} of {order} is void; all of its money goes back"))
}

/// A ticket was not used.
pub(super) async fn no_show(center: &Center, order: &str, line: u8, by: u64) -> Result<String> {
    let order = find(center, order).await?;
    let body = Body::ReportNoShow { order, line: LineNo(line) };
    submit(center, Role::Operator, (by, None), body).await?;
    Ok(format!("the ticket of line {line} of {order} counts as not used"))
}

/// A service does not run: every line of it is told.
pub(super) async fn disrupt(center: &Center, service: &str, by: u64) -> Result<String> {
    let keys: Vec<String> = match named(service) {
        Some(_) => {
            let order = find(center, service).await?;
            let order = center.handle.order(order).await.context("no such order")?;
            order.lines.iter().map(|line| line.placed.product.service_key.clone()).collect()
        }
        None => vec![service.to_owned()],
    };
    let said = keys.join(", ");
    let of_service = center.handle.ask_all(move |partition| {
        let lines = partition.orders().flat_map(|order| {
            let lines = order.numbered_lines().filter(|(_, line)| {
                let alive = line.phase.place().is_some();
                alive && keys.contains(&line.placed.product.service_key)
            });
            lines.map(|(no, _)| (order.id, no)).collect::<Vec<_>>()
        });
        lines.collect::<Vec<(OrderId, LineNo)>>()
    });
    let lines: Vec<_> = of_service.await.into_iter().flatten().collect();
    let mut busy = 0;
    for (order, line) in &lines {
        let body = Body::ReportDisruption { order: *order, line: *line };
        let told = submit(center, Role::Operator, (by, None), body).await;
        // Somebody pays for it just now: this is told again once that has ended.
        if center.handle.order(*order).await.is_some_and(|o| o.running_payment().is_some()) {
            busy += 1;
        } else {
            told.with_context(|| format!("line {line} of {order}"))?;
        }
    }
    if lines.is_empty() {
        return Ok(format!("no order has a place on {said}, so nobody had to be told"));
    }
    let again = match busy {
        0 => String::new(),
        n => format!("; {n} of them are being paid now: give the command again"),
    };
    Ok(format!("{said} does not run: {} line(s) told{again}", lines.len()))
}
