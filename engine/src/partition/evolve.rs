//! How a partition changes: total; replay runs nothing else.

use super::{Index, Partition};
use crate::event::{Answered, Entity, Event, OrderEvent};
use crate::ids::OrderId;
use crate::inventory::Service;
use crate::network::Network;
use crate::numbers::slot_of_use;
use crate::order::evolve::remember;
use crate::order::{Order, PaymentPhase};
use crate::settlement::{LineKind, LineSource, SettlementLine};
use crate::terminal::Terminal;

impl Partition {
    /// Takes an event in. Total: an event about something unknown changes nothing.
    pub fn evolve(&mut self, event: &Event) {
        if let Some(slot) = slot_of_use(event) {
            self.state.counters.entry(slot).or_default().evolve(event);
        }
        match event {
            Event::Order(id, fact) => self.evolve_order(*id, fact),
            Event::Inventory(id, fact) => match fact {
                crate::event::InventoryEvent::Opened(spec) => {
                    self.state.services.insert(*id, Service::open(*id, spec.clone()));
                }
                crate::event::InventoryEvent::Held { .. }
                | crate::event::InventoryEvent::Refused { .. }
                | crate::event::InventoryEvent::Pinned { .. }
                | crate::event::InventoryEvent::Unpinned { .. }
                | crate::event::InventoryEvent::Confirmed { .. }
                | crate::event::InventoryEvent::Released { .. }
                | crate::event::InventoryEvent::Expired { .. }
                | crate::event::InventoryEvent::TombstoneDropped { .. } => {
                    if let Some(service) = self.state.services.get_mut(id) {
                        service.evolve(fact);
                    }
                }
            },
            Event::Terminal(id, fact) => {
                let terminals = &mut self.state.terminals;
                terminals.entry(*id).or_insert_with(|| Terminal::new(*id)).evolve(fact);
            }
            Event::Ledger(posting) => self.state.ledger.evolve(posting),
            Event::Settlement(fact) => self.state.settlement.evolve(fact),
            Event::Network(id, fact) => {
                let networks = &mut self.state.networks;
                networks.entry(*id).or_insert_with(|| Network::new(*id)).evolve(fact);
            }
            Event::Answered(answered) => self.evolve_answered(answered),
            Event::Sent { to, partition, n, message } => {
                let mail = &mut self.state.mail;
                mail.sent.insert(*partition, *n);
                mail.unacknowledged.insert((*partition, *n), (*to, message.clone()));
            }
            Event::Received { from, n } => {
                self.state.mail.received.insert(*from, *n);
            }
            Event::Acknowledged { by, n } => {
                let waiting = &mut self.state.mail.unacknowledged;
                let known: Vec<_> =
                    waiting.range((*by, 0)..=(*by, *n)).map(|(key, _)| *key).collect();
                for key in known {
                    waiting.remove(&key);
                }
            }
        }
    }

    fn evolve_answered(&mut self, answered: &Answered) {
        match answered.entity {
            Entity::Order(id) => {
                if let Some(order) = self.state.orders.get_mut(&id) {
                    if order.answered.is_empty() {
                        self.index.placed_by.insert(answered.command, id);
                    }
                    order.remember(answered.clone());
                }
            }
            Entity::Terminal(id) => {
                if let Some(terminal) = self.state.terminals.get_mut(&id) {
                    remember(&mut terminal.answered, answered.clone());
                }
            }
            Entity::Settlement(acquirer) => {
                let answers = self.state.settlement.answered.entry(acquirer).or_default();
                remember(answers, answered.clone());
            }
            Entity::Network(id) => {
                if let Some(network) = self.state.networks.get_mut(&id) {
                    remember(&mut network.answered, answered.clone());
                }
            }
            Entity::Service(_) => {}
        }
    }

    fn evolve_order(&mut self, id: OrderId, fact: &OrderEvent) {
        if let OrderEvent::Placed(placed) = fact {
            self.state.orders.insert(id, Order::open(id, placed.clone()));
        }
        let Some(order) = self.state.orders.get_mut(&id) else { return };
        order.evolve(fact);
        self.index.note(order);
        if let Some(line) = settlement_line(order, fact) {
            let day = (line.operator, line.acquirer, line.date);
            self.state.settlement.lines.entry(day).or_default().push(line);
        }
    }

    pub(super) fn rebuild_index(&mut self) {
        let mut index = Index::default();
        for order in self.state.orders.values() {
            index.note(order);
            // The first is never forgotten.
            if let Some(first) = order.answered.front() {
                index.placed_by.insert(first.command, order.id);
            }
        }
        self.index = index;
    }
}

impl Index {
    fn note(&mut self, order: &Order) {
        let placed = &order.placed;
        self.by_reference.insert(placed.reference, order.id);
        if order.closed != self.open.contains(&order.id) {
            return;
        }
        if order.closed {
            self.open.remove(&order.id);
            if let Some(orders) = self.by_card.get_mut(&placed.card.tag) {
                orders.remove(&order.id);
                if orders.is_empty() {
                    self.by_card.remove(&placed.card.tag);
                }
            }
            if let Some(orders) = self.by_place.get_mut(&placed.pickup) {
                orders.remove(&order.id);
                if orders.is_empty() {
                    self.by_place.remove(&placed.pickup);
                }
            }
        } else {
            self.open.insert(order.id);
            self.by_card.entry(placed.card.tag).or_default().insert(order.id);
            self.by_place.entry(placed.pickup.clone()).or_default().insert(order.id);
        }
    }
}

/// The line that a fact adds to its day.
fn settlement_line(order: &Order, fact: &OrderEvent) -> Option<SettlementLine> {
    let line =
        |payment: &crate::order::Payment, numbers: crate::event::BankNumbers| SettlementLine {
            operator: order.placed.operator,
            acquirer: payment.acquirer,
            date: crate::time::BusinessDate::default(),
            bank_date: None,
            order: order.id,
            source: LineSource::Payment(crate::ids::PaymentNo(0)),
            rrn: numbers.rrn,
            stan: numbers.stan,
            sent: numbers.at,
            auth: payment.auth,
            terminal: payment.terminal,
            amount: payment.amount,
            kind: LineKind::Debit,
        };
    match fact {
        OrderEvent::Completed { payment: no, .. } => {
            let payment = order.payment(*no)?;
            let PaymentPhase::Completed { date, bank_date } = payment.phase else { return None };
            let source = LineSource::Payment(*no);
            Some(SettlementLine { date, bank_date, source, ..line(payment, payment.completion?) })
        }
        OrderEvent::Refunded { refund: no, date } => {
            let refund = order.refund(*no)?;
            let payment = order.payment(refund.payment)?;
            Some(SettlementLine {
                date: *date,
                source: LineSource::Refund(*no),
                amount: refund.amount,
                kind: LineKind::Credit,
                ..line(payment, refund.numbers)
            })
        }
        OrderEvent::Placed(_)
        | OrderEvent::HoldAsked { .. }
        | OrderEvent::LineHeld { .. }
        | OrderEvent::LineEnded { .. }
        | OrderEvent::ProviderAsked { .. }
        | OrderEvent::ProviderDone { .. }
        | OrderEvent::ProviderRefused { .. }
        | OrderEvent::ServiceDone { .. }
        | OrderEvent::ProviderBooked { .. }
        | OrderEvent::ReleaseAsked { .. }
        | OrderEvent::LineReleased { .. }
        | OrderEvent::PaymentStarted { .. }
        | OrderEvent::HoldPinned { .. }
        | OrderEvent::AuthorizationAsked { .. }
        | OrderEvent::Authorized { .. }
        | OrderEvent::PinAsked { .. }
        | OrderEvent::CompletionAsked { .. }
        | OrderEvent::PinRefused { .. }
        | OrderEvent::BankInDoubt { .. }
        | OrderEvent::ReversalAsked { .. }
        | OrderEvent::Reversed { .. }
        | OrderEvent::PaymentEnded { .. }
        | OrderEvent::ConfirmAsked { .. }
        | OrderEvent::LineConfirmed { .. }
        | OrderEvent::IssueTold { .. }
        | OrderEvent::LineIssued { .. }
        | OrderEvent::PrintFailed { .. }
        | OrderEvent::PrintInDoubt { .. }
        | OrderEvent::TicketSpoiled { .. }
        | OrderEvent::TicketTaken { .. }
        | OrderEvent::RefundAsked { .. }
        | OrderEvent::RefundRefused { .. }
        | OrderEvent::ReceiptTold { .. }
        | OrderEvent::ReceiptReported { .. }
        | OrderEvent::CancelAsked
        | OrderEvent::ExchangeAsked { .. }
        | OrderEvent::ExchangeEnded { .. }
        | OrderEvent::LineDisrupted { .. }
        | OrderEvent::NotShown { .. }
        | OrderEvent::StaleAnswer { .. }
        | OrderEvent::Parked { .. }
        | OrderEvent::Unparked
        | OrderEvent::Closed => None,
    }
}
