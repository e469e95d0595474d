//! What a partition decides about a command.

use super::route::slot_of_report;
use super::work::Work;
use super::{Partition, first_slot};
use crate::authority;
use crate::command::{Body, Command, PlaceOrder, Timer};
use crate::event::{
    Answered, Entity, Event, ExceptionKind, ExceptionRaised, OrderEvent, SettlementEvent,
};
use crate::ids::{AcquirerId, OperatorId, OrderId, PartitionId, Rrn, ServiceId, Slot, Stan};
use crate::inventory;
use crate::limits::CARD_ORDERS_MAX;
use crate::message::Message;
use crate::money::Money;
use crate::network::Network;
use crate::numbers::slot_of_rrn;
use crate::order::{self, Desk};
use crate::reject::Reject;
use crate::settlement::OpenKind;
use crate::terminal;
use crate::time::BusinessDate;

impl Partition {
    /// Decides about a command, and writes nothing.
    ///
    /// No events: there is nothing to write, because the same command (id and body) was accepted before or changes
    /// nothing. A lone `Answered` with a reject: the *No* is recorded before it leaves ([`verdict`] reads it).
    ///
    /// # Errors
    /// A reject that need not be recorded: the one that was recorded for the same command before, `IdReused` for another
    /// body, one for an entity that is not known, or one that may pass.
    pub fn decide(&self, command: &Command) -> Result<Vec<Event>, Reject> {
        authority::check(command)?;
        if let Some(known) = self.recorded(command) {
            return if known.fingerprint != command.fingerprint {
                Err(Reject::IdReused)
            } else {
                known.reject.map_or_else(|| Ok(Vec::new()), Err)
            };
        }
        let mut work = Work::new(self, command.at);
        if let Err(reject) = self.run(&mut work, command) {
            return self.refusal(command, reject).map(|event| vec![event]).ok_or(reject);
        }
        if let Some(entity) = remembers(&command.body) {
            work.push(answered(command, entity, None));
        }
        work.finish()
    }

    /// The event that records a reject; `None` when nothing needs to be remembered.
    fn refusal(&self, command: &Command, reject: Reject) -> Option<Event> {
        let entity = remembers(&command.body)?;
        let known = match entity {
            Entity::Order(id) => self.state.orders.contains_key(&id),
            Entity::Terminal(id) => self.state.terminals.contains_key(&id),
            Entity::Network(id) => self.state.networks.contains_key(&id),
            Entity::Settlement(_) => true,
            Entity::Service(_) => false,
        };
        let lasting = !reject.is_transient() && reject != Reject::Broken;
        // An order that exists remembers its own commands, not those that tried to take its place.
        let own = !matches!(command.body, Body::PlaceOrder(_));
        (known && lasting && own).then(|| answered(command, entity, Some(reject)))
    }

    fn recorded(&self, command: &Command) -> Option<&Answered> {
        let entity = match (&command.body, self.index.placed_by.get(&command.id)) {
            (Body::PlaceOrder(_), Some(order)) => Entity::Order(*order),
            (body, _) => remembers(body)?,
        };
        let answers = match entity {
            Entity::Order(id) => &self.state.orders.get(&id)?.answered,
            Entity::Terminal(id) => &self.state.terminals.get(&id)?.answered,
            Entity::Settlement(acquirer) => self.state.settlement.answered.get(&acquirer)?,
            Entity::Network(id) => &self.state.networks.get(&id)?.answered,
            Entity::Service(_) => return None,
        };
        answers.iter().rev().find(|answered| answered.command == command.id)
    }

    fn run(&self, work: &mut Work<'_>, command: &Command) -> Result<(), Reject> {
        match &command.body {
            Body::PlaceOrder(request) => self.place(work, request),
            Body::Tick { entity, timer } => self.tick(work, *entity, *timer),
            Body::Restarted { entity } => match entity {
                Entity::Order(id) => on_order(work, *id, |desk| {
                    order::restarted(desk);
                    Ok(())
                }),
                Entity::Service(_)
                | Entity::Terminal(_)
                | Entity::Settlement(_)
                | Entity::Network(_) => Ok(()),
            },
            Body::RegisterTerminal { terminal: id, .. }
            | Body::EnrolTerminal { terminal: id, .. }
            | Body::RevokeTerminal { terminal: id }
            | Body::TerminalLink { terminal: id, .. }
            | Body::ReportDevice { terminal: id, .. } => {
                let known = self.state.terminals.get(id);
                let decided = terminal::decide(known, command.at, &command.body);
                for event in decided.unwrap_or(Err(Reject::Broken))? {
                    work.push(Event::Terminal(*id, event));
                }
                Ok(())
            }
            Body::OpenBatch { .. }
            | Body::CloseBatch { .. }
            | Body::RecordReconciliation { .. }
            | Body::EndException { .. } => self.settle(work, &command.body),
            Body::Configure { operator, level, from, settings } => {
                let unknown = Network::new(*operator);
                let network = self.state.networks.get(operator).unwrap_or(&unknown);
                let event = network.configure(command.at, *level, *from, settings)?;
                work.push(Event::Network(*operator, event));
                Ok(())
            }
            Body::ExceptOpenItem { order, acquirer, date, what } => {
                self.except(work, *order, (*acquirer, *date), *what)
            }
            Body::ReportUnmatched { operator, acquirer, rrn, stan, amount } => {
                let numbers = (*rrn, *stan);
                self.unmatched(work, (*operator, *acquirer), numbers, *amount);
                Ok(())
            }
            Body::Deliver { from, first, messages } => self.deliver(work, *from, *first, messages),
            Body::Acknowledge { by, n } => {
                if self.state.mail.unacknowledged.range((*by, 0)..=(*by, *n)).next().is_some() {
                    work.push(Event::Acknowledged { by: *by, n: *n });
                }
                Ok(())
            }
            Body::CancelOrder { order }
            | Body::StartPayment { order, .. }
            | Body::EnterPin { order, .. }
            | Body::AbandonPayment { order, .. }
            | Body::ProviderAnswered { order, .. }
            | Body::BankAnswered { order, .. }
            | Body::ReportPrint { order, .. }
            | Body::ReportTaken { order, .. }
            | Body::ReportReceipt { order, .. }
            | Body::CountPrint { order, .. }
            | Body::RefundLine { order, .. }
            | Body::ExchangeLine { order, .. }
            | Body::VoidLine { order, .. }
            | Body::ReportDisruption { order, .. }
            | Body::ReportNoShow { order, .. }
            | Body::Park { order, .. }
            | Body::Unpark { order } => on_order(work, *order, |desk| order_command(desk, command)),
        }
    }

    fn place(&self, work: &mut Work<'_>, request: &PlaceOrder) -> Result<(), Reject> {
        if self.state.orders.contains_key(&request.order)
            || self.index.by_reference.contains_key(&request.reference)
        {
            return Err(Reject::OrderExists);
        }
        let waiting = self.index.by_card.get(&request.card.tag).map_or(0, |orders| orders.len());
        if waiting >= CARD_ORDERS_MAX {
            return Err(Reject::LimitReached);
        }
        let desk = order::place(request, work.at, work.counters(request.order.slot))?;
        work.absorb(desk);
        Ok(())
    }

    /// An approval that nobody waited for: the order that sent its request answers for it, or somebody looks into it.
    fn unmatched(
        &self,
        work: &mut Work<'_>,
        (operator, acquirer): (OperatorId, AcquirerId),
        (rrn, stan): (Rrn, Stan),
        amount: Option<Money>,
    ) {
        let slot = slot_of_report(acquirer, rrn);
        let all = OrderId::new(slot, 0)..=OrderId::new(slot, u64::MAX);
        let ours = self.state.orders.range(all).find_map(|(id, order)| {
            (order.placed.operator == operator).then_some(())?;
            order::sent_under(order, acquirer, rrn).map(|payment| (*id, payment))
        });
        if let Some((id, payment)) = ours {
            return work.on_order(id, |desk| order::unmatched(desk, payment, (rrn, stan), amount));
        }
        let known = &self.state.settlement.exceptions;
        // The same answer once more; without a reference of ours nobody can tell.
        let again = known.iter().any(|((day, _), e)| {
            (day.0, day.1) == (operator, acquirer)
                && e.kind == ExceptionKind::UnmatchedApproval
                && (e.order, e.rrn, e.theirs) == (None, rrn, amount)
        });
        if again && slot_of_rrn(rrn).is_some() {
            return;
        }
        let exception = ExceptionRaised {
            id: work.counters(slot).next_exception(operator, slot),
            kind: ExceptionKind::UnmatchedApproval,
            order: None,
            rrn,
            ours: None,
            theirs: amount,
            owner: order::OWNER_BANK,
            since: work.at,
        };
        let date = work.settlement().date(operator, acquirer).unwrap_or_default();
        work.push(Event::Settlement(SettlementEvent::ExceptionRaised {
            operator,
            acquirer,
            date,
            exception,
        }));
    }

    /// What of a closed day has not ended in time is somebody's work from now on, and holds the day no longer.
    fn except(
        &self,
        work: &mut Work<'_>,
        id: OrderId,
        (acquirer, date): (AcquirerId, BusinessDate),
        what: OpenKind,
    ) -> Result<(), Reject> {
        let order = self.order(id).ok_or(Reject::UnknownOrder)?;
        let operator = order.placed.operator;
        let overdue = self.overdue_of(order, (operator, acquirer, date), work.at);
        let item = overdue.into_iter().find(|item| item.what == what).ok_or(Reject::Stale)?;
        let rrn = item.rrn.ok_or(Reject::Stale)?;
        let owner = match what {
            OpenKind::Refund(_) if order.parked.is_none() => order::OWNER_BANK,
            OpenKind::Refund(_) | OpenKind::Payment(_) | OpenKind::Line(_) => order::OWNER_CLERK,
        };
        let exception = ExceptionRaised {
            id: work.counters(id.slot).next_exception(operator, id.slot),
            kind: ExceptionKind::Status,
            order: Some(id),
            rrn,
            ours: Some(item.amount),
            theirs: None,
            owner,
            since: item.since,
        };
        work.push(Event::Settlement(SettlementEvent::ExceptionRaised {
            operator,
            acquirer,
            date,
            exception,
        }));
        Ok(())
    }

    fn tick(&self, work: &mut Work<'_>, entity: Entity, timer: Timer) -> Result<(), Reject> {
        match entity {
            Entity::Service(id) => {
                let at = work.at;
                if timer == Timer::HoldExpiry
                    && let Some(decided) = work.service(id).map(|s| inventory::expire(s, at))
                {
                    work.push_inventory(id, decided);
                }
                Ok(())
            }
            Entity::Order(id) => on_order(work, id, |desk| {
                match timer {
                    Timer::HoldExpiry => order::tick_holds(desk),
                    Timer::Payment(payment) => order::tick_payment(desk, payment),
                    Timer::Print(line, print) => order::tick_print(desk, line, print),
                    Timer::PrintDoubt(line, print) => order::tick_print_doubt(desk, line, print),
                    Timer::Confirm(line) => order::tick_confirm(desk, line),
                    Timer::Disruption(line) => order::tick_disruption(desk, line),
                }
                Ok(())
            }),
            Entity::Terminal(_) | Entity::Settlement(_) | Entity::Network(_) => Ok(()),
        }
    }

    fn settle(&self, work: &mut Work<'_>, body: &Body) -> Result<(), Reject> {
        let decided = self.state.settlement.decide(body, self.partitions);
        let decided = decided.unwrap_or(Err(Reject::Broken))?;
        for event in decided.events {
            work.push(Event::Settlement(event));
        }
        if let Some(message) = decided.to_all {
            for partition in (0..self.partitions).map(PartitionId) {
                work.send(first_slot(partition, self.partitions), message.clone());
            }
        }
        Ok(())
    }

    /// Takes messages in, in order: those that were taken in before are passed over, a gap waits.
    fn deliver(
        &self,
        work: &mut Work<'_>,
        from: PartitionId,
        first: u64,
        messages: &[(Slot, Message)],
    ) -> Result<(), Reject> {
        let mark = self.received(from);
        if first > mark.saturating_add(1) {
            return Err(Reject::Gap);
        }
        let mut last = mark;
        for (n, (to, message)) in (first..).zip(messages) {
            if n <= mark {
                continue;
            }
            last = n;
            // Whatever it says, it was said to another partition.
            if self.owns(*to) {
                self.hear(work, message);
            }
        }
        if last > mark {
            work.push(Event::Received { from, n: last });
        }
        Ok(())
    }

    fn hear(&self, work: &mut Work<'_>, message: &Message) {
        match message {
            Message::Hold(request) => hear_service(work, request.service, message),
            Message::Pin { service, .. }
            | Message::Unpin { service, .. }
            | Message::Confirm { service, .. }
            | Message::Release { service, .. } => hear_service(work, *service, message),
            Message::Held { hold, unit, seat, until } => {
                work.on_order(hold.order, |desk| order::held(desk, *hold, *unit, seat, *until))
            }
            Message::HoldRefused { hold, why } => {
                work.on_order(hold.order, |desk| order::hold_refused(desk, *hold, *why));
            }
            Message::Pinned { hold, payment, ok } => {
                work.on_order(hold.order, |desk| order::pinned(desk, *hold, *payment, *ok));
            }
            Message::Confirmed { hold, ok } => {
                work.on_order(hold.order, |desk| order::confirmed(desk, *hold, *ok));
            }
            Message::Released { hold } => {
                work.on_order(hold.order, |desk| order::released(desk, *hold));
            }
            Message::HoldExpired { hold } => {
                work.on_order(hold.order, |desk| order::hold_expired(desk, *hold));
            }
            Message::CutOver { operator, acquirer, closes, opens } => {
                let day = (*operator, *acquirer, *closes);
                let (event, answer) = work.settlement().cut_over(self.id, day, *opens);
                event.into_iter().for_each(|event| work.push_settlement(event));
                if let Some(answer) = answer {
                    work.send(acquirer.slot(), answer);
                }
            }
            Message::CutOverPassed { operator, acquirer, closes, partition } => {
                let day = (*operator, *acquirer, *closes);
                let event = work.settlement().passed(day, *partition);
                event.into_iter().for_each(|event| work.push_settlement(event));
            }
        }
    }
}

fn hear_service(work: &mut Work<'_>, id: ServiceId, message: &Message) {
    let at = work.at;
    let decided = inventory::answer(work.service(id), at, message);
    work.push_inventory(id, decided);
}

fn on_order(
    work: &mut Work<'_>,
    id: OrderId,
    step: impl FnOnce(&mut Desk) -> Result<(), Reject>,
) -> Result<(), Reject> {
    let mut desk = work.desk(id).ok_or(Reject::UnknownOrder)?;
    step(&mut desk)?;
    work.absorb(desk);
    Ok(())
}

fn order_command(desk: &mut Desk, command: &Command) -> Result<(), Reject> {
    let who = command.principal;
    match &command.body {
        Body::Unpark { .. } => {
            if desk.order.parked.is_none() {
                return Err(Reject::WrongPhase);
            }
            desk.push(OrderEvent::Unparked);
            // What was under way when it was set aside is not known any more.
            order::restarted(desk);
            Ok(())
        }
        Body::Park { reason, .. } => {
            if desk.order.parked.is_none() {
                desk.push(OrderEvent::Parked { reason: *reason });
            }
            Ok(())
        }
        _ if desk.order.parked.is_some() => Err(Reject::Parked),
        body @ Body::StartPayment { .. } => order::start_payment(desk, body),
        body @ Body::EnterPin { .. } => order::enter_pin(desk, who, body),
        body @ Body::AbandonPayment { .. } => order::abandon(desk, who, body),
        body @ Body::ProviderAnswered { .. } => order::provider_answered(desk, body),
        body @ Body::BankAnswered { .. } => order::bank_answered(desk, body),
        body @ Body::ReportPrint { .. } => order::report_print(desk, who, body),
        Body::CancelOrder { .. } => order::cancel(desk),
        Body::ReportTaken { line, taken, .. } => order::report_taken(desk, who, *line, *taken),
        Body::ReportReceipt { payment, printed, .. } => {
            order::report_receipt(desk, who, *payment, *printed)
        }
        Body::CountPrint { line, print, printed, .. } => {
            order::count_print(desk, *line, *print, *printed)
        }
        Body::RefundLine { line, .. } => order::refund_line(desk, *line),
        Body::ExchangeLine { line, new, expires, .. } => {
            order::exchange_line(desk, *line, new, *expires)
        }
        Body::VoidLine { line, .. } => order::void_line(desk, *line, command.reason),
        Body::ReportDisruption { line, .. } => order::report_disruption(desk, *line),
        Body::ReportNoShow { line, .. } => order::report_no_show(desk, *line),
        Body::PlaceOrder(_)
        | Body::Tick { .. }
        | Body::Restarted { .. }
        | Body::RegisterTerminal { .. }
        | Body::EnrolTerminal { .. }
        | Body::RevokeTerminal { .. }
        | Body::TerminalLink { .. }
        | Body::ReportDevice { .. }
        | Body::OpenBatch { .. }
        | Body::CloseBatch { .. }
        | Body::RecordReconciliation { .. }
        | Body::EndException { .. }
        | Body::Configure { .. }
        | Body::ExceptOpenItem { .. }
        | Body::ReportUnmatched { .. }
        | Body::Deliver { .. }
        | Body::Acknowledge { .. } => Err(Reject::Broken),
    }
}

fn answered(command: &Command, entity: Entity, reject: Option<Reject>) -> Event {
    let (command, fingerprint) = (command.id, command.fingerprint);
    Event::Answered(Answered { entity, command, fingerprint, reject })
}

/// What the decided events of a command say to its sender.
///
/// # Errors
/// The reject that they record.
pub fn verdict(command: &Command, events: &[Event]) -> Result<(), Reject> {
    let own = events.iter().rev().find_map(|event| match event {
        Event::Answered(answered) if answered.command == command.id => answered.reject,
        Event::Answered(_)
        | Event::Order(..)
        | Event::Inventory(..)
        | Event::Terminal(..)
        | Event::Ledger(_)
        | Event::Settlement(_)
        | Event::Network(..)
        | Event::Sent { .. }
        | Event::Received { .. }
        | Event::Acknowledged { .. } => None,
    });
    own.map_or(Ok(()), Err)
}

/// The entity that remembers a command's answer. What gateways, timers and partitions report is not remembered by id:
/// the state itself knows what it waits for.
fn remembers(body: &Body) -> Option<Entity> {
    match body {
        Body::PlaceOrder(request) => Some(Entity::Order(request.order)),
        Body::CancelOrder { order }
        | Body::StartPayment { order, .. }
        | Body::EnterPin { order, .. }
        | Body::AbandonPayment { order, .. }
        | Body::ReportPrint { order, .. }
        | Body::ReportTaken { order, .. }
        | Body::ReportReceipt { order, .. }
        | Body::CountPrint { order, .. }
        | Body::RefundLine { order, .. }
        | Body::ExchangeLine { order, .. }
        | Body::VoidLine { order, .. }
        | Body::Unpark { order } => Some(Entity::Order(*order)),
        Body::RegisterTerminal { terminal, .. }
        | Body::EnrolTerminal { terminal, .. }
        | Body::RevokeTerminal { terminal } => Some(Entity::Terminal(*terminal)),
        Body::OpenBatch { acquirer, .. }
        | Body::CloseBatch { acquirer, .. }
        | Body::RecordReconciliation { acquirer, .. }
        | Body::EndException { acquirer, .. } => Some(Entity::Settlement(*acquirer)),
        Body::Configure { operator, .. } => Some(Entity::Network(*operator)),
        Body::ProviderAnswered { .. }
        | Body::BankAnswered { .. }
        | Body::ReportUnmatched { .. }
        | Body::Tick { .. }
        | Body::Restarted { .. }
        | Body::ReportDisruption { .. }
        | Body::ReportNoShow { .. }
        | Body::Park { .. }
        | Body::ExceptOpenItem { .. }
        | Body::TerminalLink { .. }
        | Body::ReportDevice { .. }
        | Body::Deliver { .. }
        | Body::Acknowledge { .. } => None,
    }
}
