//! Who read personal data, and the erasure of an order's people.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use guichet_engine::command::{Principal, Role};
use guichet_engine::ids::{CardId, OrderId, PersonId};
use guichet_engine::order::{LinePhase, Order};
use guichet_engine::reject::Reject;
use guichet_engine::time::Instant;
use guichet_ports::center::Center as _;
use guichet_ports::vault::{Purpose, VaultPort as _};
use guichet_vault::{READINGS_PAGE_MAX, Reading, ReadingOutcome, Subject};
use serde::{Deserialize, Serialize};

use super::advice;
use crate::center::Center;
use crate::table::Table;

/// Readings of personal data, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadingsReport {
    /// The readings.
    pub readings: Vec<ReadingReport>,
    /// The number to go on with, when there may be more.
    pub next: Option<u64>,
}

/// One reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadingReport {
    /// Its number.
    pub number: u64,
    /// When.
    pub at: String,
    /// `guest`, `agent`, `terminal`, `gateway`, `system`, `operator`, `clerk`; absent in records of an older form.
    pub role: Option<String>,
    /// The number within the role; an order's owner is 0.
    pub who: Option<u64>,
    /// What for.
    pub purpose: String,
    /// The person or the card that was read; never a name or a number of a card.
    pub subject: String,
    /// `given`, `erased` or `damaged`.
    pub outcome: String,
}

/// Why an order's people are not erased.
#[derive(Debug, PartialEq, Eq)]
pub enum EraseRefusal {
    /// Money, paper or a place is still open.
    Open(OrderId),
    /// A ticket of it may still be used or given back.
    NotTravelled(OrderId, Instant),
}

impl std::fmt::Display for EraseRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open(order) => write!(
                f,
                "{order} is not closed, so nobody was erased: what is open needs its people; `guichet explain {order}` shows what that is"
            ),
            Self::NotTravelled(order, departs) => write!(
                f,
                "{order} has a ticket for a departure to come, so nobody was erased: give it back first, or ask again after {}",
                crate::clock::at(*departs)
            ),
        }
    }
}

impl std::error::Error for EraseRefusal {}

/// The readings from a number on.
pub fn readings(center: &Center, from: u64) -> Result<ReadingsReport> {
    let page = center
        .vault
        .readings(from, READINGS_PAGE_MAX)
        .context("the vault does not give its record of readings")?;
    let next = (page.len() == READINGS_PAGE_MAX)
        .then(|| page.last().map(|(number, _)| number.saturating_add(1)))
        .flatten();
    Ok(ReadingsReport { readings: page.iter().map(|(n, r)| report(*n, r)).collect(), next })
}

const fn role_word(role: Role) -> &'static str {
    match role {
        Role::Guest => "guest",
        Role::Agent => "agent",
        Role::Terminal => "terminal",
        Role::Gateway => "gateway",
        Role::System => "system",
        Role::Operator => "operator",
        Role::Clerk => "clerk",
    }
}

fn report(number: u64, reading: &Reading) -> ReadingReport {
    let purpose = match reading.purpose {
        Purpose::OwnOrder => "own order",
        Purpose::Ticket => "ticket",
        Purpose::BankMessage => "bank message",
        Purpose::TerminalTag => "terminal tag",
        Purpose::Enquiry => "enquiry",
    };
    let outcome = match reading.outcome {
        ReadingOutcome::Given => "given",
        ReadingOutcome::Erased => "erased",
        ReadingOutcome::Damaged => "damaged",
    };
    ReadingReport {
        number,
        at: crate::clock::at(Instant(reading.at_us)),
        role: reading.by.map(|by: Principal| role_word(by.role).to_owned()),
        who: reading.by.map(|by| by.id),
        purpose: purpose.to_owned(),
        subject: match reading.subject {
            Subject::Person(id) => format!("person {}", PersonId(id)),
            Subject::Card(id) => format!("card {}", CardId(id)),
        },
        outcome: outcome.to_owned(),
    }
}

impl ReadingsReport {
    /// The report for people.
    pub fn text(&self) -> String {
        let mut table = Table::new(&["reading", "at", "by", "number", "for", "subject", "outcome"]);
        for r in &self.readings {
            table.row(vec![
                r.number.to_string(),
                r.at.clone(),
                r.role.clone().unwrap_or_else(|| "not recorded".to_owned()),
                r.who.map_or_else(String::new, |who| who.to_string()),
                r.purpose.clone(),
                r.subject.clone(),
                r.outcome.clone(),
            ]);
        }
        let mut text = table.text("no personal data was read");
        if let Some(next) = self.next {
            text.push_str(&format!("more with `guichet operator readings --from {next}`\n"));
        }
        text
    }
}

/// Whether an order's people may be erased now.
fn may_erase(order: &Order, now: Instant) -> Result<(), EraseRefusal> {
    if !order.closed {
        return Err(EraseRefusal::Open(order.id));
    }
    let issued = order.lines.iter().filter(|line| matches!(line.phase, LinePhase::Issued { .. }));
    match issued.map(|line| line.placed.product.departs).max() {
        Some(departs) if departs > now => Err(EraseRefusal::NotTravelled(order.id, departs)),
        _ => Ok(()),
    }
}

/// Erases the people of a closed order; two people agree.
pub async fn erase(center: &Center, id: OrderId, (by, second): (u64, u64)) -> Result<String> {
    if by == second {
        return Err(advice(Reject::NeedsSecondPrincipal));
    }
    let order = center.handle.order(id).await.ok_or_else(|| advice(Reject::UnknownOrder))?;
    may_erase(&order, center.handle.now())?;
    let people: BTreeSet<PersonId> = order.placed.passengers.iter().map(|p| p.person).collect();
    for person in &people {
        center.vault.erase(*person).with_context(|| {
            format!("person {person} of {id} was not erased, perhaps others were: give the command again")
        })?;
    }
    Ok(format!("{} people of {id} are erased, as {by} and {second} decided", people.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_says_who_and_names_nobody() {
        let by = Some(Principal { role: Role::Terminal, id: 9 });
        let reading = Reading {
            at_us: 1_795_429_800_000_000,
            by,
            purpose: Purpose::Ticket,
            subject: Subject::Person(7),
            outcome: ReadingOutcome::Given,
        };
        let new = report(3, &reading);
        assert_eq!((new.role.as_deref(), new.who), (Some("terminal"), Some(9)));
        let old = report(4, &Reading { by: None, ..reading });
        let whole = ReadingsReport { readings: vec![new, old], next: Some(5) };
        let text = whole.text();
        for said in ["terminal", "not recorded", "ticket", "given", "--from 5"] {
            assert!(text.contains(said), "{said}: {text}");
        }
        assert!(ReadingsReport::default().text().contains("no personal data was read"));
    }
}
