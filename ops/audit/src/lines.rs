//! One line of an order and its prints, by their facts alone.

use std::collections::BTreeMap;

use guichet_engine::event::{Authority, LineEnd, LinePlaced, Run, Seat};
use guichet_engine::ids::{Attempt, PaymentNo, ServiceId, TicketNumber, UnitNo};
use guichet_engine::money::Money;

use crate::report::{FactPlace, Findings, Owner, Rule};

/// What became of one print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Print {
    /// The terminal was told.
    Told,
    /// Surely not printed.
    Failed,
    /// Nobody knows.
    InDoubt,
    /// Printed, with proof.
    Issued,
    /// Its number is void.
    Spoiled,
}

/// A refund of one line.
#[derive(Debug)]
pub(crate) struct Refund {
    pub payment: PaymentNo,
    pub amount: Money,
    pub why: LineEnd,
    pub done: bool,
    pub refused: bool,
    pub since: FactPlace,
}

/// One line.
#[derive(Debug)]
pub(crate) struct Line {
    pub service: ServiceId,
    pub authority: Authority,
    pub run: Run,
    pub due: Option<Money>,
    pub attempt: Attempt,
    pub place: Option<(UnitNo, Seat)>,
    pub last: FactPlace,
    issued: bool,
    prints: BTreeMap<Attempt, (Print, TicketNumber)>,
}

impl Line {
    pub fn new(place: FactPlace, placed: &LinePlaced) -> Self {
        Self {
            service: placed.product.service,
            authority: placed.product.authority,
            run: placed.product.run,
            due: placed.fare.price.plus(placed.fare.fee).ok(),
            attempt: Attempt(0),
            place: None,
            last: place,
            issued: false,
            prints: BTreeMap::new(),
        }
    }

    /// Whether a ticket was issued, whatever became of it.
    pub fn was_issued(&self) -> bool {
        self.issued
    }

    /// The ticket that the person has.
    pub fn ticket(&self) -> Option<TicketNumber> {
        let issued = self.prints.values().find(|(print, _)| *print == Print::Issued);
        issued.map(|(_, ticket)| *ticket)
    }

    pub fn told(&mut self, print: Attempt, ticket: TicketNumber) -> Result<(), String> {
        let running = self.prints.iter().find(|(_, (state, _))| match state {
            Print::Told | Print::InDoubt | Print::Issued => true,
            Print::Failed | Print::Spoiled => false,
        });
        let fault = match (running, self.prints.last_key_value()) {
            (Some((other, (state, _))), _) => {
                Some(format!("print {print} told, {other} is {state:?}"))
            }
            (None, Some((last, _))) if *last >= print => {
                Some(format!("print {print} told after {last}"))
            }
            (None, _) => None,
        };
        let spoiled =
            self.prints.values().any(|(state, other)| *state == Print::Spoiled && *other == ticket);
        self.prints.insert(print, (Print::Told, ticket));
        match fault {
            Some(fault) => Err(fault),
            None if spoiled => Err(format!("ticket {ticket} told again though it is spoiled")),
            None => Ok(()),
        }
    }

    pub fn print(&mut self, print: Attempt, to: Print) -> Result<(), String> {
        let from: &[Print] = match to {
            Print::Told => &[],
            Print::Failed | Print::Issued => &[Print::Told, Print::InDoubt],
            Print::InDoubt => &[Print::Told],
            Print::Spoiled => &[Print::Told, Print::InDoubt, Print::Failed, Print::Issued],
        };
        match self.prints.get_mut(&print) {
            Some((state, _)) if from.contains(state) => {
                *state = to;
                self.issued |= to == Print::Issued;
                Ok(())
            }
            was => Err(format!(
                "print {print} becomes {to:?} after {:?}",
                was.map(|(state, _)| *state)
            )),
        }
    }

    /// Lists prints whose outcome is not known.
    pub fn finish(&self, subject: &str, out: &mut Findings) {
        for (print, (state, ticket)) in &self.prints {
            let (kind, owner) = match state {
                Print::Told => ("print told", Owner::Terminal),
                Print::InDoubt => ("print in doubt", Owner::Operator),
                Print::Failed | Print::Issued | Print::Spoiled => continue,
            };
            let subject = format!("{subject} print {print} ticket {ticket}");
            out.open(Rule::NotDrained, kind, owner, self.last, subject, self.due);
        }
    }
}
