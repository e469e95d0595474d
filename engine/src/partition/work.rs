//! The work of deciding one command: an overlay over the partition's state, so that a decision may span several entities
//! and messages while the partition itself is only read.

use std::collections::BTreeMap;

use super::Partition;
use crate::event::{Event, InventoryEvent, SettlementEvent};
use crate::ids::{OrderId, PartitionId, ServiceId, Slot};
use crate::inventory::Service;
use crate::ledger;
use crate::message::Message;
use crate::numbers::SlotCounters;
use crate::order::{Desk, Order, Out};
use crate::reject::Reject;
use crate::settlement::Settlement;
use crate::time::Instant;

pub(super) struct Work<'a> {
    pub base: &'a Partition,
    pub at: Instant,
    events: Vec<Event>,
    orders: BTreeMap<OrderId, Order>,
    counters: BTreeMap<Slot, SlotCounters>,
    sent: BTreeMap<PartitionId, u64>,
    settlement: Option<Settlement>,
    services: BTreeMap<ServiceId, Overlay>,
}

/// A service that was decided on; its state after that is only made when it is asked for again.
enum Overlay {
    Decided(Vec<InventoryEvent>),
    Evolved(Option<Box<Service>>),
}

impl<'a> Work<'a> {
    pub fn new(base: &'a Partition, at: Instant) -> Self {
        Self {
            base,
            at,
            events: Vec::new(),
            orders: BTreeMap::new(),
            counters: BTreeMap::new(),
            sent: BTreeMap::new(),
            settlement: None,
            services: BTreeMap::new(),
        }
    }

    /// The events decided, if all of them may stand.
    pub fn finish(self) -> Result<Vec<Event>, Reject> {
        let balanced = |event: &Event| match event {
            Event::Ledger(posting) => ledger::is_balanced(posting),
            Event::Order(..)
            | Event::Inventory(..)
            | Event::Terminal(..)
            | Event::Settlement(_)
            | Event::Network(..)
            | Event::Answered(_)
            | Event::Sent { .. }
            | Event::Received { .. }
            | Event::Acknowledged { .. } => true,
        };
        if self.events.iter().all(balanced) { Ok(self.events) } else { Err(Reject::Broken) }
    }

    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    pub fn send(&mut self, to: Slot, message: Message) {
        let partition = to.partition(self.base.partitions);
        let last = self.base.state.mail.sent.get(&partition).copied().unwrap_or(0);
        let n = self.sent.entry(partition).or_insert(last);
        *n = n.saturating_add(1);
        let n = *n;
        self.push(Event::Sent { to, partition, n, message });
    }

    pub fn counters(&self, slot: Slot) -> SlotCounters {
        let known = self.counters.get(&slot).or_else(|| self.base.state.counters.get(&slot));
        known.copied().unwrap_or_default()
    }

    pub fn settlement(&self) -> &Settlement {
        self.settlement.as_ref().unwrap_or(&self.base.state.settlement)
    }

    /// A cutover changes what later messages of the same delivery see.
    pub fn push_settlement(&mut self, event: SettlementEvent) {
        let mut settlement = self.settlement.take().unwrap_or_else(|| {
            let known = &self.base.state.settlement;
            // Lines and answers are not looked at while deciding.
            Settlement {
                dates: known.dates.clone(),
                batches: known.batches.clone(),
                ..Settlement::default()
            }
        });
        settlement.evolve(&event);
        self.settlement = Some(settlement);
        self.push(Event::Settlement(event));
    }

    /// A desk with the order as it is after what was decided so far.
    pub fn desk(&self, id: OrderId) -> Option<Desk> {
        let order = self.orders.get(&id).or_else(|| self.base.state.orders.get(&id))?;
        let date = self.settlement().date(order.placed.operator, order.placed.card.acquirer);
        Some(Desk::new(order.clone(), self.at, self.counters(id.slot), date))
    }

    /// Takes over what a desk decided.
    pub fn absorb(&mut self, desk: Desk) {
        self.counters.insert(desk.order.id.slot, desk.counters);
        self.orders.insert(desk.order.id, desk.order);
        for out in desk.out {
            match out {
                Out::Event(event) => self.push(event),
                Out::Send(slot, message) => self.send(slot, message),
            }
        }
    }

    /// Runs one step on an order, if it is known.
    pub fn on_order(&mut self, id: OrderId, step: impl FnOnce(&mut Desk)) {
        if let Some(mut desk) = self.desk(id) {
            step(&mut desk);
            self.absorb(desk);
        }
    }

    /// A service as it is after what was decided so far.
    pub fn service(&mut self, id: ServiceId) -> Option<&Service> {
        let base = self.base.state.services.get(&id);
        let Some(overlay) = self.services.get_mut(&id) else { return base };
        if let Overlay::Decided(events) = overlay {
            let mut service = base.cloned();
            for event in events.iter() {
                evolve(&mut service, id, event);
            }
            *overlay = Overlay::Evolved(service.map(Box::new));
        }
        match overlay {
            Overlay::Evolved(service) => service.as_deref(),
            Overlay::Decided(_) => base,
        }
    }

    /// Takes over what a service decided.
    pub fn push_inventory(&mut self, id: ServiceId, decided: crate::inventory::Decided) {
        if !decided.events.is_empty() {
            match self.services.get_mut(&id) {
                None => {
                    self.services.insert(id, Overlay::Decided(decided.events.clone()));
                }
                Some(Overlay::Decided(events)) => events.extend(decided.events.iter().cloned()),
                Some(Overlay::Evolved(service)) => {
                    let mut state = service.take().map(|s| *s);
                    for event in &decided.events {
                        evolve(&mut state, id, event);
                    }
                    *service = state.map(Box::new);
                }
            }
        }
        for event in decided.events {
            self.push(Event::Inventory(id, event));
        }
        for (hold, message) in decided.answers {
            self.send(hold.order.slot, message);
        }
    }
}

fn evolve(service: &mut Option<Service>, id: ServiceId, event: &InventoryEvent) {
    if let InventoryEvent::Opened(spec) = event {
        *service = Some(Service::open(id, spec.clone()));
    } else if let Some(service) = service {
        service.evolve(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Posting, PostingKey, PostingKind};
    use crate::ids::{AcquirerId, OperatorId, PaymentNo};
    use crate::money::{Currency, Money};

    #[test]
    fn a_decision_with_an_unbalanced_posting_is_none() {
        let partition = Partition::new(PartitionId(0), 1);
        let amount = Money::new(500, Currency::CNY).expect("small");
        let mut legs = ledger::payment_legs(OperatorId(1), AcquirerId(2), amount);
        for (kept, sound) in [(2, true), (1, false)] {
            legs.truncate(kept);
            let posting = Posting {
                order: OrderId::new(Slot::new(1), 1),
                key: PostingKey::Payment(PaymentNo(0)),
                kind: PostingKind::Direct,
                date: None,
                legs: legs.clone(),
            };
            let mut work = Work::new(&partition, Instant(0));
            work.push(Event::Ledger(posting));
            assert_eq!(work.finish().is_ok(), sound, "{kept} legs");
        }
    }
}
