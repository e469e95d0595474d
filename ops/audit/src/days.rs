//! Business days: stamped once by position, and a batch is the sum of what carries its date.

use std::collections::BTreeMap;

use guichet_engine::event::SettlementEvent;
use guichet_engine::ids::{AcquirerId, OperatorId};
use guichet_engine::money::Money;
use guichet_engine::time::BusinessDate;

use crate::report::{FactPlace, Findings, Owner, Rule};

type Business = (OperatorId, AcquirerId);

#[derive(Debug)]
struct ClosedBatch {
    debit: Money,
    credit: Money,
    place: FactPlace,
    /// It has lines, and no file of the bank was compared with them.
    awaits_bank: bool,
}

/// Where an exception was raised, who has to act, and on how much.
type Exception = (FactPlace, Owner, Option<Money>);

/// The business days of every acquirer.
#[derive(Debug, Default)]
pub(crate) struct Days {
    /// (partition, business) -> the date that is open there.
    open: BTreeMap<(u16, Business), BusinessDate>,
    /// Batches begun: partitions asked, partitions passed.
    begun: BTreeMap<(Business, BusinessDate), (u16, Vec<u16>, FactPlace)>,
    closed: BTreeMap<(Business, BusinessDate), ClosedBatch>,
    /// (business, date) -> money taken and given back, in minor units.
    taken: BTreeMap<(Business, BusinessDate), i128>,
    returned: BTreeMap<(Business, BusinessDate), i128>,
    exceptions: BTreeMap<(Business, BusinessDate, u64), Exception>,
    /// Orders that an exception names.
    pub named: std::collections::BTreeSet<guichet_engine::ids::OrderId>,
}

impl Days {
    /// A payment was completed with this date.
    pub fn completed(
        &mut self,
        place: FactPlace,
        business: Business,
        date: BusinessDate,
        amount: Money,
        out: &mut Findings,
    ) {
        self.stamped(place, business, date, out);
        *self.taken.entry((business, date)).or_default() += i128::from(amount.minor());
    }

    /// A refund was taken by the bank with this date.
    pub fn refunded(
        &mut self,
        place: FactPlace,
        business: Business,
        date: BusinessDate,
        amount: Money,
        out: &mut Findings,
    ) {
        self.stamped(place, business, date, out);
        *self.returned.entry((business, date)).or_default() += i128::from(amount.minor());
    }

    /// A date is the one that is open in the partition that stamps it.
    fn stamped(
        &mut self,
        place: FactPlace,
        business: Business,
        date: BusinessDate,
        out: &mut Findings,
    ) {
        let open = *self.open.entry((place.partition, business)).or_insert(date);
        if open != date {
            let subject = format!("operator {} acquirer {}", business.0, business.1);
            let detail = format!("stamped {date} while {open} is open");
            out.violation(Rule::BusinessDate, place, subject, detail);
        }
    }

    /// Takes in one fact of settlement.
    pub fn take(&mut self, place: FactPlace, event: &SettlementEvent, out: &mut Findings) {
        match event {
            SettlementEvent::CutOver { operator, acquirer, closes, opens } => {
                let business = (*operator, *acquirer);
                let was = self.open.insert((place.partition, business), *opens);
                // A cutover to the same day begins business, before any other.
                let begins = closes == opens && was.is_none();
                if (closes >= opens && !begins) || was.is_some_and(|was| was != *closes) {
                    let detail = format!("cutover from {closes} to {opens}, open was {was:?}");
                    let subject = format!("operator {operator} acquirer {acquirer}");
                    out.violation(Rule::BusinessDate, place, subject, detail);
                }
            }
            SettlementEvent::BatchOpened { operator, acquirer, date, partitions } => {
                let key = ((*operator, *acquirer), *date);
                if self.begun.insert(key, (*partitions, Vec::new(), place)).is_some() {
                    let subject = format!("operator {operator} acquirer {acquirer}");
                    let detail = format!("batch {date} begun twice");
                    out.violation(Rule::BusinessDate, place, subject, detail);
                }
            }
            SettlementEvent::PartitionPassed { operator, acquirer, date, partition } => {
                let key = ((*operator, *acquirer), *date);
                if let Some((_, passed, _)) = self.begun.get_mut(&key) {
                    passed.push(partition.0);
                }
            }
            SettlementEvent::BatchClosed {
                operator, acquirer, date, lines, debit, credit, ..
            } => {
                let (debit, credit, awaits_bank) = (*debit, *credit, *lines > 0);
                let batch = ClosedBatch { debit, credit, place, awaits_bank };
                self.close(((*operator, *acquirer), *date), batch, out);
            }
            SettlementEvent::Reconciled { operator, acquirer, date, exceptions, .. } => {
                if let Some(batch) = self.closed.get_mut(&((*operator, *acquirer), *date)) {
                    batch.awaits_bank = false;
                }
                for exception in exceptions {
                    self.raise(place, (*operator, *acquirer), *date, exception, out);
                }
            }
            SettlementEvent::ExceptionRaised { operator, acquirer, date, exception } => {
                self.raise(place, (*operator, *acquirer), *date, exception, out);
            }
            SettlementEvent::ExceptionEnded { operator, acquirer, date, id, how: _ } => {
                if self.exceptions.remove(&((*operator, *acquirer), *date, *id)).is_none() {
                    let detail = format!("exception {id} of {date} ended but not open");
                    out.violation(Rule::BatchTotal, place, format!("acquirer {acquirer}"), detail);
                }
            }
        }
    }

    /// Compares closed batches with what carries their date; lists batches and exceptions open.
    pub fn finish(&self, out: &mut Findings) {
        for ((business, date), batch) in &self.closed {
            let key = (*business, *date);
            let sums = (
                self.taken.get(&key).copied().unwrap_or(0),
                self.returned.get(&key).copied().unwrap_or(0),
            );
            let said = (i128::from(batch.debit.minor()), i128::from(batch.credit.minor()));
            if sums != said {
                let subject = format!("operator {} acquirer {}", business.0, business.1);
                let detail =
                    format!("batch {date} says {said:?}, its payments and refunds {sums:?}");
                out.violation(Rule::BatchTotal, batch.place, subject, detail);
            }
            if batch.awaits_bank {
                let subject = format!("operator {} acquirer {} {date}", business.0, business.1);
                out.uncompared(batch.place, subject, batch.debit);
            }
        }
        for ((business, date), (_, _, place)) in &self.begun {
            if !self.closed.contains_key(&(*business, *date)) {
                let subject = format!("operator {} acquirer {} {date}", business.0, business.1);
                let kind = "batch begun and not closed";
                out.open(Rule::NotDrained, kind, Owner::Center, *place, subject, None);
            }
        }
        for (((operator, acquirer), date, id), (place, owner, amount)) in &self.exceptions {
            let subject = format!("operator {operator} acquirer {acquirer} {date} exception {id}");
            out.exception(*owner, *place, subject, *amount);
        }
    }

    fn close(&mut self, key: (Business, BusinessDate), batch: ClosedBatch, out: &mut Findings) {
        let place = batch.place;
        let subject = format!("operator {} acquirer {}", key.0.0, key.0.1);
        let passed = self.begun.get(&key).map(|(asked, passed, _)| (usize::from(*asked), passed));
        match passed {
            Some((asked, passed)) if passed.len() >= asked => {}
            Some((asked, passed)) => {
                let detail =
                    format!("batch {} closed with {} of {asked} partitions", key.1, passed.len());
                out.violation(Rule::BusinessDate, place, &subject, detail);
            }
            None => {
                let detail = format!("batch {} closed but never begun", key.1);
                out.violation(Rule::BusinessDate, place, &subject, detail);
            }
        }
        if self.closed.insert(key, batch).is_some() {
            out.violation(
                Rule::BatchTotal,
                place,
                subject,
                format!("batch {} closed twice", key.1),
            );
        }
    }

    fn raise(
        &mut self,
        place: FactPlace,
        business: Business,
        date: BusinessDate,
        exception: &guichet_engine::event::ExceptionRaised,
        out: &mut Findings,
    ) {
        let owner = match exception.owner {
            2 => Owner::Bank,
            3 => Owner::Provider,
            _ => Owner::Operator,
        };
        self.named.extend(exception.order);
        let amount = exception.ours.or(exception.theirs);
        let (id, acquirer) = (exception.id, business.1);
        if self.exceptions.insert((business, date, id), (place, owner, amount)).is_some() {
            // The one that was open under this number is nobody's any more.
            let detail = format!("exception {id} of {date} raised while it is open");
            out.violation(Rule::BatchTotal, place, format!("acquirer {acquirer}"), detail);
        }
    }
}
