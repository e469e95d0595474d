//! The machine of settlement: cutover by position, batches, lines, exceptions.
//!
//! *Invariant*: a business date is stamped by the partition that completes a payment or refund, from the last cutover
//! marker it passed, and never changes afterwards.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::command::Body;
use crate::event::{Answered, ExceptionKind, ExceptionRaised, SettlementEvent};
use crate::ids::{
    AcquirerId, AuthCode, LineNo, OperatorId, OrderId, PartitionId, PaymentNo, RefundNo, Rrn, Stan,
    TerminalId,
};
use crate::limits::COMPARISON_EXCEPTIONS_MAX;
use crate::message::Message;
use crate::money::Money;
use crate::reject::Reject;
use crate::time::{BusinessDate, Instant};

/// How an exception ended that a later file or the neighbouring day explains (`docs/codes/exceptions.md`).
const EXPLAINED: u16 = 1;

/// The day of an operator with an acquirer.
pub type DayKey = (OperatorId, AcquirerId, BusinessDate);

/// Whether a line takes money from the card or gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LineKind {
    /// A payment: the acquirer owes us.
    Debit,
    /// A refund: we owe the acquirer.
    Credit,
}

/// What a line of a settlement file came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LineSource {
    /// A payment.
    Payment(PaymentNo),
    /// A refund.
    Refund(RefundNo),
}

/// One line of a settlement file. It holds no journal position, so that equal commands give equal files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlementLine {
    /// Whose books.
    pub operator: OperatorId,
    /// With whom.
    pub acquirer: AcquirerId,
    /// The business date stamped.
    pub date: BusinessDate,
    /// The date the bank stamped, if it told one.
    pub bank_date: Option<BusinessDate>,
    /// The order.
    pub order: OrderId,
    /// Its payment or refund.
    pub source: LineSource,
    /// ISO 8583:1987 DE 37.
    pub rrn: Rrn,
    /// ISO 8583:1987 DE 11.
    pub stan: Stan,
    /// ISO 8583:1987 DE 7 is this instant.
    pub sent: Instant,
    /// ISO 8583:1987 DE 38 of the payment.
    pub auth: Option<AuthCode>,
    /// The terminal of the payment.
    pub terminal: TerminalId,
    /// How much.
    pub amount: Money,
    /// To or from us.
    pub kind: LineKind,
}

/// Something of a day that has not ended yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenItem {
    /// The order.
    pub order: OrderId,
    /// What of it.
    pub what: OpenKind,
    /// ISO 8583:1987 DE 37 of its message, once one was written.
    pub rrn: Option<Rrn>,
    /// How much money waits.
    pub amount: Money,
    /// Since when (the payment's or refund's message).
    pub since: Instant,
}

/// What has not ended yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpenKind {
    /// A payment whose outcome is not known, or that is being reversed.
    Payment(PaymentNo),
    /// A line that is paid and has neither ticket nor refund.
    Line(LineNo),
    /// A refund that the bank has not taken.
    Refund(RefundNo),
}

/// What a batch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchTotals {
    /// Lines of the file.
    pub lines: u32,
    /// Sum of payments.
    pub debit: Money,
    /// Sum of refunds.
    pub credit: Money,
    /// SHA-256 of the file.
    pub digest: [u8; 32],
}

/// A batch, at its coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// How many partitions have to pass.
    pub partitions: u16,
    /// Those that have.
    pub passed: BTreeSet<PartitionId>,
    /// Set when the file was written.
    pub closed: Option<BatchTotals>,
    /// Digests of the bank's files it was compared with, and the lines that matched.
    pub reconciled: Vec<([u8; 32], u32)>,
}

impl Batch {
    /// Whether every partition has passed its marker.
    #[must_use]
    pub fn all_passed(&self) -> bool {
        self.passed.len() >= usize::from(self.partitions)
    }
}

/// A partition's settlement as the fold of its events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// The date that is stamped now.
    pub dates: BTreeMap<(OperatorId, AcquirerId), BusinessDate>,
    /// Lines of each day.
    pub lines: BTreeMap<DayKey, Vec<SettlementLine>>,
    /// (Coordinator) batches.
    pub batches: BTreeMap<DayKey, Batch>,
    /// Exceptions that nobody has ended.
    pub exceptions: BTreeMap<(DayKey, u64), ExceptionRaised>,
    /// The last commands and their answers.
    pub answered: BTreeMap<AcquirerId, VecDeque<Answered>>,
}

/// What settlement decided: facts, and messages to every partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// Facts.
    pub events: Vec<SettlementEvent>,
    /// Said to every partition.
    pub to_all: Option<Message>,
}

impl Decided {
    fn fact(event: SettlementEvent) -> Self {
        Self { events: vec![event], to_all: None }
    }
}

impl Settlement {
    /// The date that is stamped now for an acquirer.
    #[must_use]
    pub fn date(&self, operator: OperatorId, acquirer: AcquirerId) -> Option<BusinessDate> {
        self.dates.get(&(operator, acquirer)).copied()
    }

    /// Decides about a settlement command; `None` when the body is not about settlement.
    ///
    /// # Errors
    /// `BadBusinessDate`, `BatchOpen`, `WrongPhase`, `LimitReached`, `UnknownException`.
    #[must_use]
    pub fn decide(&self, body: &Body, partitions: u16) -> Option<Result<Decided, Reject>> {
        let decided = match body {
            Body::OpenBatch { operator, acquirer, closes, opens } => {
                self.open((*operator, *acquirer, *closes), *opens, partitions)
            }
            Body::CloseBatch { operator, acquirer, date, lines, debit, credit, digest } => {
                self.close((*operator, *acquirer, *date)).map(|()| {
                    Decided::fact(SettlementEvent::BatchClosed {
                        operator: *operator,
                        acquirer: *acquirer,
                        date: *date,
                        lines: *lines,
                        debit: *debit,
                        credit: *credit,
                        digest: *digest,
                    })
                })
            }
            Body::RecordReconciliation {
                operator,
                acquirer,
                date,
                source,
                matched,
                exceptions,
            } => {
                let day = (*operator, *acquirer, *date);
                self.reconcile(day, *source, exceptions).map(|new| {
                    let Some(exceptions) = new else { return Decided::default() };
                    let ended = self.explained(day, &exceptions);
                    let mut decided = Decided::fact(SettlementEvent::Reconciled {
                        operator: *operator,
                        acquirer: *acquirer,
                        date: *date,
                        source: *source,
                        matched: *matched,
                        exceptions,
                    });
                    decided.events.extend(ended);
                    decided
                })
            }
            Body::EndException { slot: _, operator, acquirer, date, id, how } => {
                if self.exceptions.contains_key(&((*operator, *acquirer, *date), *id)) {
                    Ok(Decided::fact(SettlementEvent::ExceptionEnded {
                        operator: *operator,
                        acquirer: *acquirer,
                        date: *date,
                        id: *id,
                        how: *how,
                    }))
                } else {
                    Err(Reject::UnknownException)
                }
            }
            Body::PlaceOrder(_)
            | Body::CancelOrder { .. }
            | Body::StartPayment { .. }
            | Body::EnterPin { .. }
            | Body::AbandonPayment { .. }
            | Body::ProviderAnswered { .. }
            | Body::BankAnswered { .. }
            | Body::ReportUnmatched { .. }
            | Body::ReportPrint { .. }
            | Body::ReportTaken { .. }
            | Body::ReportReceipt { .. }
            | Body::CountPrint { .. }
            | Body::RefundLine { .. }
            | Body::Configure { .. }
            | Body::ExchangeLine { .. }
            | Body::VoidLine { .. }
            | Body::ReportDisruption { .. }
            | Body::ReportNoShow { .. }
            | Body::Tick { .. }
            | Body::Restarted { .. }
            | Body::Park { .. }
            | Body::Unpark { .. }
            | Body::ExceptOpenItem { .. }
            | Body::RegisterTerminal { .. }
            | Body::EnrolTerminal { .. }
            | Body::RevokeTerminal { .. }
            | Body::TerminalLink { .. }
            | Body::ReportDevice { .. }
            | Body::Deliver { .. }
            | Body::Acknowledge { .. } => return None,
        };
        Some(decided)
    }

    fn open(&self, day: DayKey, opens: BusinessDate, partitions: u16) -> Result<Decided, Reject> {
        let (operator, acquirer, closes) = day;
        let message = Message::CutOver { operator, acquirer, closes, opens };
        let today = self.date(operator, acquirer);
        if closes == opens {
            // Business begins at this date, unless it has begun: asked for at every start of the center.
            let to_all = today.is_none().then_some(message);
            return Ok(Decided { events: vec![], to_all });
        }
        if opens < closes || today != Some(closes) || self.batches.contains_key(&day) {
            return Err(Reject::BadBusinessDate);
        }
        let opened = SettlementEvent::BatchOpened { operator, acquirer, date: closes, partitions };
        Ok(Decided { events: vec![opened], to_all: Some(message) })
    }

    fn close(&self, day: DayKey) -> Result<(), Reject> {
        let batch = self.batches.get(&day).ok_or(Reject::BadBusinessDate)?;
        if !batch.all_passed() {
            return Err(Reject::BatchOpen);
        }
        if batch.closed.is_some() { Err(Reject::WrongPhase) } else { Ok(()) }
    }

    /// What a comparison found that is not open already, numbered so that no number of the day comes twice; `None` when
    /// this very file was compared before.
    fn reconcile(
        &self,
        day: DayKey,
        source: [u8; 32],
        found: &[ExceptionRaised],
    ) -> Result<Option<Vec<ExceptionRaised>>, Reject> {
        let batch = self.batches.get(&day).ok_or(Reject::BadBusinessDate)?;
        if batch.closed.is_none() {
            return Err(Reject::BatchOpen);
        }
        if batch.reconciled.iter().any(|(digest, _)| *digest == source) {
            return Ok(None);
        }
        if found.len() > COMPARISON_EXCEPTIONS_MAX {
            return Err(Reject::LimitReached);
        }
        let span = u64::try_from(COMPARISON_EXCEPTIONS_MAX).unwrap_or(u64::MAX);
        let files = u64::try_from(batch.reconciled.len()).unwrap_or(u64::MAX);
        let first = files.saturating_mul(span).saturating_add(1);
        let difference = |e: &ExceptionRaised| (e.kind, e.order, e.rrn, e.ours, e.theirs);
        // A second copy of a difference within one file is a second difference.
        let mut open: Vec<_> = self
            .exceptions
            .range((day, 0)..=(day, u64::MAX))
            .map(|(_, exception)| difference(exception))
            .collect();
        let new = found.iter().filter(|exception| {
            let known = open.iter().position(|known| *known == difference(exception));
            known.map(|place| open.swap_remove(place)).is_none()
        });
        let numbered = (first..).zip(new);
        Ok(Some(numbered.map(|(id, e)| ExceptionRaised { id, ..e.clone() }).collect()))
    }

    /// The ends of exceptions that explain each other: a payment that the bank dates on the other side of a cutover is a
    /// day shift on its day and missing on ours, with the same reference and amount.
    fn explained(&self, day: DayKey, new: &[ExceptionRaised]) -> Vec<SettlementEvent> {
        let whole = |e: &ExceptionRaised| match (e.kind, e.ours, e.theirs) {
            (ExceptionKind::Short, Some(ours), None) => Some((e.rrn, ours, false)),
            (ExceptionKind::DayShift, Some(ours), Some(theirs)) if ours == theirs => {
                Some((e.rrn, ours, true))
            }
            _ => None,
        };
        let mut open: BTreeMap<_, _> = self
            .exceptions
            .iter()
            .filter(|((known, _), _)| (known.0, known.1) == (day.0, day.1) && known.2 != day.2)
            .filter_map(|(key, e)| whole(e).map(|what| (what, *key)))
            .collect();
        let mut ended = Vec::new();
        for exception in new {
            let Some((rrn, amount, shifted)) = whole(exception) else { continue };
            let Some(other) = open.remove(&(rrn, amount, !shifted)) else { continue };
            for ((operator, acquirer, date), id) in [other, (day, exception.id)] {
                let how = EXPLAINED;
                ended.push(SettlementEvent::ExceptionEnded { operator, acquirer, date, id, how });
            }
        }
        ended
    }

    /// Takes a cutover message of the coordinator: the fact, if it is new, and the answer, if one is due.
    #[must_use]
    pub fn cut_over(
        &self,
        partition: PartitionId,
        day: DayKey,
        opens: BusinessDate,
    ) -> (Option<SettlementEvent>, Option<Message>) {
        let (operator, acquirer, closes) = day;
        let today = self.date(operator, acquirer);
        let event = SettlementEvent::CutOver { operator, acquirer, closes, opens };
        if closes == opens {
            return (today.is_none().then_some(event), None);
        }
        let passed = Message::CutOverPassed { operator, acquirer, closes, partition };
        (today.is_none_or(|date| date < opens).then_some(event), Some(passed))
    }

    /// Takes a partition's word that it passed its marker.
    #[must_use]
    pub fn passed(&self, day: DayKey, partition: PartitionId) -> Option<SettlementEvent> {
        let batch = self.batches.get(&day)?;
        let (operator, acquirer, date) = day;
        (!batch.passed.contains(&partition)).then_some(SettlementEvent::PartitionPassed {
            operator,
            acquirer,
            date,
            partition,
        })
    }

    /// Takes an event in.
    pub fn evolve(&mut self, event: &SettlementEvent) {
        match event {
            SettlementEvent::CutOver { operator, acquirer, closes: _, opens } => {
                self.dates.insert((*operator, *acquirer), *opens);
            }
            SettlementEvent::BatchOpened { operator, acquirer, date, partitions } => {
                self.batches.entry((*operator, *acquirer, *date)).or_insert_with(|| Batch {
                    partitions: *partitions,
                    passed: BTreeSet::new(),
                    closed: None,
                    reconciled: Vec::new(),
                });
            }
            SettlementEvent::PartitionPassed { operator, acquirer, date, partition } => {
                if let Some(batch) = self.batches.get_mut(&(*operator, *acquirer, *date)) {
                    batch.passed.insert(*partition);
                }
            }
            SettlementEvent::BatchClosed {
                operator,
                acquirer,
                date,
                lines,
                debit,
                credit,
                digest,
            } => {
                if let Some(batch) = self.batches.get_mut(&(*operator, *acquirer, *date)) {
                    let (lines, debit, credit, digest) = (*lines, *debit, *credit, *digest);
                    batch.closed = Some(BatchTotals { lines, debit, credit, digest });
                }
            }
            SettlementEvent::Reconciled {
                operator,
                acquirer,
                date,
                source,
                matched,
                exceptions,
            } => {
                let day = (*operator, *acquirer, *date);
                if let Some(batch) = self.batches.get_mut(&day) {
                    batch.reconciled.push((*source, *matched));
                }
                for exception in exceptions {
                    self.exceptions.insert((day, exception.id), exception.clone());
                }
            }
            SettlementEvent::ExceptionRaised { operator, acquirer, date, exception } => {
                let key = ((*operator, *acquirer, *date), exception.id);
                self.exceptions.insert(key, exception.clone());
            }
            SettlementEvent::ExceptionEnded { operator, acquirer, date, id, how: _ } => {
                self.exceptions.remove(&((*operator, *acquirer, *date), *id));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    const OPERATOR: OperatorId = OperatorId(1);
    const ACQUIRER: AcquirerId = AcquirerId(3);

    fn day(date: u32) -> DayKey {
        (OPERATOR, ACQUIRER, BusinessDate(date))
    }

    fn open(closes: u32, opens: u32) -> Body {
        let (closes, opens) = (BusinessDate(closes), BusinessDate(opens));
        Body::OpenBatch { operator: OPERATOR, acquirer: ACQUIRER, closes, opens }
    }

    fn close(date: u32) -> Body {
        Body::CloseBatch {
            operator: OPERATOR,
            acquirer: ACQUIRER,
            date: BusinessDate(date),
            lines: 0,
            debit: Money::zero(Currency::CNY),
            credit: Money::zero(Currency::CNY),
            digest: [0; 32],
        }
    }

    fn pass(settlement: &mut Settlement, closes: u32, opens: u32, partition: u16) {
        let partition = PartitionId(partition);
        let (event, _) = settlement.cut_over(partition, day(closes), BusinessDate(opens));
        event.iter().for_each(|e| settlement.evolve(e));
        let event = settlement.passed(day(closes), partition);
        event.iter().for_each(|e| settlement.evolve(e));
    }

    /// Runs a command on a settlement of two partitions and says whether messages went out.
    fn run(settlement: &mut Settlement, body: &Body) -> Result<bool, Reject> {
        let decided = settlement.decide(body, 2).expect("about settlement")?;
        decided.events.iter().for_each(|e| settlement.evolve(e));
        Ok(decided.to_all.is_some())
    }

    #[test]
    fn a_batch_closes_when_every_partition_has_passed() {
        let mut s = Settlement::default();
        assert_eq!(run(&mut s, &open(20261123, 20261124)), Err(Reject::BadBusinessDate));
        assert_eq!(run(&mut s, &open(20261123, 20261123)), Ok(true));
        pass(&mut s, 20261123, 20261123, 0);
        assert_eq!(s.date(OPERATOR, ACQUIRER), Some(BusinessDate(20261123)));
        assert_eq!(run(&mut s, &open(20261125, 20261125)), Ok(false), "business has begun");
        assert_eq!(run(&mut s, &open(20261123, 20261122)), Err(Reject::BadBusinessDate));
        assert_eq!(run(&mut s, &open(20261123, 20261124)), Ok(true));
        assert_eq!(run(&mut s, &open(20261123, 20261124)), Err(Reject::BadBusinessDate));
        assert_eq!(run(&mut s, &close(20261122)), Err(Reject::BadBusinessDate));
        assert_eq!(run(&mut s, &close(20261123)), Err(Reject::BatchOpen));
        pass(&mut s, 20261123, 20261124, 0);
        pass(&mut s, 20261123, 20261124, 0);
        assert_eq!(run(&mut s, &close(20261123)), Err(Reject::BatchOpen));
        pass(&mut s, 20261123, 20261124, 1);
        assert_eq!(s.date(OPERATOR, ACQUIRER), Some(BusinessDate(20261124)));
        assert_eq!(run(&mut s, &close(20261123)), Ok(false));
        assert_eq!(run(&mut s, &close(20261123)), Err(Reject::WrongPhase));
    }

    #[test]
    fn a_second_file_of_a_day_adds_what_is_new_and_loses_nothing() {
        let mut s = Settlement::default();
        pass(&mut s, 1, 1, 0);
        assert_eq!(run(&mut s, &open(1, 2)), Ok(true));
        pass(&mut s, 1, 2, 0);
        pass(&mut s, 1, 2, 1);
        assert_eq!(run(&mut s, &close(1)), Ok(false));
        let found = |n: usize| ExceptionRaised {
            id: 1,
            kind: crate::event::ExceptionKind::Long,
            order: None,
            rrn: Rrn([b'0' + u8::try_from(n % 10).expect("a digit"); 12]),
            ours: None,
            theirs: None,
            owner: 1,
            since: Instant(0),
        };
        let record = |source: u8, exceptions: Vec<ExceptionRaised>| Body::RecordReconciliation {
            operator: OPERATOR,
            acquirer: ACQUIRER,
            date: BusinessDate(1),
            source: [source; 32],
            matched: 3,
            exceptions,
        };
        let span = COMPARISON_EXCEPTIONS_MAX;
        let first = u64::try_from(span).expect("small") + 1;
        for (source, exceptions, ids) in [
            (1, vec![found(1), found(2), found(2)], vec![1, 2, 3]),
            // One is explained meanwhile: it waits for its clerks. One is there a third time, one is new.
            (2, vec![found(2), found(2), found(2), found(3)], vec![1, 2, 3, first, first + 1]),
            (3, vec![], vec![1, 2, 3, first, first + 1]),
        ] {
            assert_eq!(run(&mut s, &record(source, exceptions)), Ok(false));
            let open: Vec<u64> = s.exceptions.keys().map(|(_, id)| *id).collect();
            assert_eq!(open, ids, "file {source}");
        }
        let many = |count| (0..count).map(found).collect();
        assert_eq!(run(&mut s, &record(4, many(span + 1))), Err(Reject::LimitReached));
        assert_eq!(run(&mut s, &record(4, many(span))), Ok(false));
    }

    #[test]
    fn the_same_file_is_compared_once_and_exceptions_stay_until_ended() {
        let mut s = Settlement::default();
        pass(&mut s, 1, 1, 0);
        assert_eq!(run(&mut s, &open(1, 2)), Ok(true));
        let exception = ExceptionRaised {
            id: 1,
            kind: crate::event::ExceptionKind::Short,
            order: None,
            rrn: Rrn(*b"000000000001"),
            ours: None,
            theirs: None,
            owner: 1,
            since: Instant(0),
        };
        let record = |source: u8| Body::RecordReconciliation {
            operator: OPERATOR,
            acquirer: ACQUIRER,
            date: BusinessDate(1),
            source: [source; 32],
            matched: 3,
            exceptions: vec![exception.clone()],
        };
        assert_eq!(run(&mut s, &record(1)), Err(Reject::BatchOpen));
        pass(&mut s, 1, 2, 0);
        pass(&mut s, 1, 2, 1);
        assert_eq!(run(&mut s, &close(1)), Ok(false));
        assert_eq!(run(&mut s, &record(1)), Ok(false));
        assert_eq!(run(&mut s, &record(1)), Ok(false));
        assert_eq!(s.batches[&day(1)].reconciled, vec![([1; 32], 3)]);
        let end = Body::EndException {
            slot: ACQUIRER.slot(),
            operator: OPERATOR,
            acquirer: ACQUIRER,
            date: BusinessDate(1),
            id: 1,
            how: 1,
        };
        assert_eq!(run(&mut s, &end), Ok(false));
        assert_eq!(run(&mut s, &end), Err(Reject::UnknownException));
        assert!(s.exceptions.is_empty());
    }

    #[test]
    fn the_two_sides_of_a_cutover_explain_each_other() {
        let amount = |minor| Money::new(minor, Currency::CNY).expect("small");
        let raised = |kind, rrn: u8, ours: i64, theirs: Option<i64>| ExceptionRaised {
            id: 1,
            kind,
            order: None,
            rrn: Rrn([rrn; 12]),
            ours: Some(amount(ours)),
            theirs: theirs.map(amount),
            owner: 1,
            since: Instant(0),
        };
        use ExceptionKind::{DayShift, Short};
        let shift = || raised(DayShift, b'1', 500, Some(500));
        let table = [
            (vec![shift()], vec![raised(Short, b'1', 500, None)], 0),
            (vec![raised(Short, b'1', 500, None)], vec![shift()], 0),
            (vec![shift()], vec![raised(Short, b'2', 500, None)], 2),
            (vec![shift()], vec![raised(Short, b'1', 501, None)], 2),
            (vec![raised(DayShift, b'1', 500, Some(499))], vec![raised(Short, b'1', 500, None)], 2),
            (vec![shift()], vec![shift()], 2),
            (vec![shift(), raised(Short, b'1', 500, None)], vec![], 2),
        ];
        for (first, second, left) in table {
            let mut s = Settlement::default();
            pass(&mut s, 1, 1, 0);
            for (date, found) in [(1, first), (2, second)] {
                assert_eq!(run(&mut s, &open(date, date + 1)), Ok(true));
                pass(&mut s, date, date + 1, 0);
                pass(&mut s, date, date + 1, 1);
                assert_eq!(run(&mut s, &close(date)), Ok(false));
                let exceptions = (1..).zip(found).map(|(id, e)| ExceptionRaised { id, ..e });
                let record = Body::RecordReconciliation {
                    operator: OPERATOR,
                    acquirer: ACQUIRER,
                    date: BusinessDate(date),
                    source: [1; 32],
                    matched: 0,
                    exceptions: exceptions.collect(),
                };
                assert_eq!(run(&mut s, &record), Ok(false));
            }
            assert_eq!(s.exceptions.len(), left, "{:?}", s.exceptions);
        }
    }
}
