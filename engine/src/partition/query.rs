//! What a partition can be asked, and what it asks for.

use std::collections::BTreeMap;

use super::Partition;
use crate::command::Timer;
use crate::effect::Intent;
use crate::event::{
    Account, BankNumbers, Entity, Event, ExceptionKind, ExceptionRaised, InventoryEvent,
};
use crate::ids::{
    AcquirerId, CardTag, CommandId, OperatorId, OrderId, PartitionId, PaymentNo, Reference,
    RefundNo, ServiceId, TerminalId,
};
use crate::inventory::{HoldState, Service};
use crate::ledger::Balance;
use crate::limits::BATCH_PATIENCE_US;
use crate::money::Money;
use crate::network::Network;
use crate::order::{self, LinePhase, Order, PaymentPhase};
use crate::settlement::{Batch, DayKey, OpenItem, OpenKind, SettlementLine};
use crate::terminal::Terminal;
use crate::time::{BusinessDate, Instant};

/// An account with its sums in this partition.
pub type AccountBalance = (Account, Balance);

impl Partition {
    /// The intents of an event; called right after that event was evolved.
    #[must_use]
    pub fn intents(&self, event: &Event) -> Vec<Intent> {
        match event {
            Event::Order(id, fact) => {
                self.order(*id).map(|order| order::intents(order, fact)).unwrap_or_default()
            }
            Event::Inventory(id, fact) => match fact {
                InventoryEvent::Held { until, .. } | InventoryEvent::Unpinned { until, .. } => {
                    vec![expiry(*id, *until)]
                }
                InventoryEvent::Opened(_)
                | InventoryEvent::Refused { .. }
                | InventoryEvent::Pinned { .. }
                | InventoryEvent::Confirmed { .. }
                | InventoryEvent::Released { .. }
                | InventoryEvent::Expired { .. }
                | InventoryEvent::TombstoneDropped { .. } => Vec::new(),
            },
            Event::Sent { to, partition, n, message } => vec![Intent::Deliver {
                partition: *partition,
                n: *n,
                to: *to,
                message: message.clone(),
            }],
            Event::Terminal(..)
            | Event::Ledger(_)
            | Event::Settlement(_)
            | Event::Network(..)
            | Event::Answered(_)
            | Event::Received { .. }
            | Event::Acknowledged { .. } => Vec::new(),
        }
    }

    /// After recovery, and after the answers to [`Self::restarted`]: everything repeatable that is unanswered.
    #[must_use]
    pub fn outstanding(&self) -> Vec<Intent> {
        let mut list = Vec::new();
        for ((partition, n), (to, message)) in &self.state.mail.unacknowledged {
            let (partition, n, to, message) = (*partition, *n, *to, message.clone());
            list.push(Intent::Deliver { partition, n, to, message });
        }
        for (id, service) in &self.state.services {
            list.extend(service.expiring.iter().map(|(until, _)| expiry(*id, *until)));
        }
        for order in self.open_orders() {
            list.extend(order::outstanding(order));
        }
        list
    }

    /// The repeatable intents of one order that are unanswered: what its actor needs after it was rebuilt.
    #[must_use]
    pub fn outstanding_of(&self, id: OrderId) -> Vec<Intent> {
        self.order(id).map(order::outstanding).unwrap_or_default()
    }

    /// Entities to which the shell sends `Restarted`: a once-effect is unanswered, or a secret of the attempt is lost.
    #[must_use]
    pub fn restarted(&self) -> Vec<Entity> {
        let lost = |order: &&Order| {
            order.parked.is_none()
                && (order.running_payment().is_some_and(|(_, payment)| {
                    !matches!(payment.phase, PaymentPhase::Reversing { .. })
                }) || order.lines.iter().any(|l| matches!(l.phase, LinePhase::Issuing { .. })))
        };
        self.open_orders().filter(lost).map(|order| Entity::Order(order.id)).collect()
    }

    /// The number of the last message taken in from a partition: what is acknowledged to it.
    #[must_use]
    pub fn received(&self, from: PartitionId) -> u64 {
        self.state.mail.received.get(&from).copied().unwrap_or(0)
    }

    /// Orders that are not closed.
    pub fn open_orders(&self) -> impl Iterator<Item = &Order> {
        self.index.open.iter().filter_map(|id| self.order(*id))
    }
    /// Every order.
    pub fn orders(&self) -> impl Iterator<Item = &Order> {
        self.state.orders.values()
    }
    /// An order.
    #[must_use]
    pub fn order(&self, id: OrderId) -> Option<&Order> {
        self.state.orders.get(&id)
    }
    /// The order of a reference.
    #[must_use]
    pub fn order_by_reference(&self, reference: Reference) -> Option<OrderId> {
        self.index.by_reference.get(&reference).copied()
    }
    /// The order that a command placed; a repeated command may carry another fresh order id.
    #[must_use]
    pub fn order_placed_by(&self, command: CommandId) -> Option<OrderId> {
        self.index.placed_by.get(&command).copied()
    }
    /// Orders of a card that are not closed.
    #[must_use]
    pub fn orders_for_card(&self, tag: CardTag) -> Vec<&Order> {
        let ids = self.index.by_card.get(&tag).into_iter().flatten();
        ids.filter_map(|id| self.order(*id)).collect()
    }
    /// Orders that can be collected at a place now.
    #[must_use]
    pub fn orders_for_place(&self, place: &str) -> Vec<&Order> {
        let ids = self.index.by_place.get(place).into_iter().flatten();
        ids.filter_map(|id| self.order(*id)).filter(|order| order.is_collectable()).collect()
    }
    /// A terminal.
    #[must_use]
    pub fn terminal(&self, id: TerminalId) -> Option<&Terminal> {
        self.state.terminals.get(&id)
    }
    /// Every terminal.
    pub fn terminals(&self) -> impl Iterator<Item = (TerminalId, &Terminal)> {
        self.state.terminals.iter().map(|(id, terminal)| (*id, terminal))
    }
    /// The configuration of a network, if anybody has made one.
    #[must_use]
    pub fn network(&self, id: OperatorId) -> Option<&Network> {
        self.state.networks.get(&id)
    }
    /// A service with allotted places.
    #[must_use]
    pub fn service(&self, id: ServiceId) -> Option<&Service> {
        self.state.services.get(&id)
    }
    /// Since when the oldest pinned hold is pinned.
    #[must_use]
    pub fn oldest_pin(&self) -> Option<Instant> {
        let holds = self.services().flat_map(|service| service.holds.values());
        holds
            .filter_map(|hold| match hold.state {
                HoldState::Pinned { since, until: _ } => Some(since),
                HoldState::Held { .. } | HoldState::Sold => None,
            })
            .min()
    }
    /// Every service with allotted places.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.state.services.values()
    }

    /// Sums of every account, posted and pending; other partitions have theirs.
    #[must_use]
    pub fn balances(&self) -> Vec<AccountBalance> {
        self.state.ledger.balances.iter().map(|(account, sums)| (*account, *sums)).collect()
    }
    /// The business date that is stamped now; `None` before the acquirer's business has begun.
    #[must_use]
    pub fn business_date(
        &self,
        operator: OperatorId,
        acquirer: AcquirerId,
    ) -> Option<BusinessDate> {
        self.state.settlement.date(operator, acquirer)
    }
    /// This partition's lines of a day, sorted by retrieval and trace number.
    #[must_use]
    pub fn settlement_lines(&self, day: DayKey) -> Vec<SettlementLine> {
        let lines = self.state.settlement.lines.get(&day);
        let mut lines: Vec<SettlementLine> = lines.into_iter().flatten().copied().collect();
        lines.sort_by_key(|line| (line.rrn, line.stan, line.kind));
        lines
    }
    /// Batches that this partition coordinates and whose files are not written yet.
    #[must_use]
    pub fn open_batches(&self) -> Vec<DayKey> {
        let batches = self.state.settlement.batches.iter();
        batches.filter(|(_, batch)| batch.closed.is_none()).map(|(day, _)| *day).collect()
    }
    /// Batches that this partition coordinates.
    #[must_use]
    pub fn batches(&self) -> &BTreeMap<DayKey, Batch> {
        &self.state.settlement.batches
    }
    /// A batch that this partition coordinates.
    #[must_use]
    pub fn batch(&self, day: DayKey) -> Option<&Batch> {
        self.state.settlement.batches.get(&day)
    }
    /// Exceptions that nobody has ended, with the day they belong to.
    pub fn exceptions(&self) -> impl Iterator<Item = (DayKey, &ExceptionRaised)> {
        self.state.settlement.exceptions.iter().map(|((day, _), exception)| (*day, exception))
    }

    /// What keeps a day open here: paid lines of that day without ticket or refund, their refunds that the bank has not
    /// taken; and, while the day is stamped, payments under way. What an open exception of that day stands for is left
    /// out: it is its owner's work.
    #[must_use]
    pub fn open_items(&self, day: DayKey) -> Vec<OpenItem> {
        self.open_orders().flat_map(|order| self.items_of(order, day)).collect()
    }

    /// What of a closed day has not ended in time, or cannot because its order is parked: each is to become an exception.
    #[must_use]
    pub fn overdue_items(&self, day: DayKey, at: Instant) -> Vec<OpenItem> {
        self.open_orders().flat_map(|order| self.overdue_of(order, day, at)).collect()
    }

    pub(super) fn overdue_of(&self, order: &Order, day: DayKey, at: Instant) -> Vec<OpenItem> {
        if self.business_date(day.0, day.1).is_none_or(|today| today <= day.2) {
            return Vec::new();
        }
        let mut items = self.items_of(order, day);
        items.retain(|item| order.parked.is_some() || at >= item.since.plus_us(BATCH_PATIENCE_US));
        items
    }

    fn items_of(&self, order: &Order, day: DayKey) -> Vec<OpenItem> {
        let (operator, acquirer, date) = day;
        let mut items = Vec::new();
        if order.placed.operator != operator {
            return items;
        }
        let is_today = self.business_date(operator, acquirer) == Some(date);
        for (no, payment) in order.numbered_payments().filter(|(_, p)| p.acquirer == acquirer) {
            let numbers = payment.completion.or(payment.authorization);
            match payment.phase {
                PaymentPhase::Completed { date: stamped, .. } if stamped == date => {
                    open_lines(order, payment, numbers, &mut items);
                    open_refunds(order, no, &mut items);
                }
                PaymentPhase::Authorizing { .. }
                | PaymentPhase::AwaitingPin { .. }
                | PaymentPhase::Completing { .. }
                | PaymentPhase::Reversing { .. }
                    if is_today =>
                {
                    let (what, amount) = (OpenKind::Payment(no), payment.amount);
                    items.push(item(order, what, numbers, amount));
                }
                PaymentPhase::Pinning { .. }
                | PaymentPhase::Authorizing { .. }
                | PaymentPhase::AwaitingPin { .. }
                | PaymentPhase::Completing { .. }
                | PaymentPhase::Reversing { .. }
                | PaymentPhase::Completed { .. }
                | PaymentPhase::Ended { .. } => {}
            }
        }
        self.leave_out_excepted(day, &mut items);
        items
    }

    /// Each open exception stands for one item, which it names by order, reference, age and amount.
    fn leave_out_excepted(&self, day: DayKey, items: &mut Vec<OpenItem>) {
        if items.is_empty() {
            return;
        }
        for (_, raised) in self.state.settlement.exceptions.range((day, 0)..=(day, u64::MAX)) {
            let named = |item: &OpenItem| {
                raised.kind == ExceptionKind::Status
                    && raised.theirs.is_none()
                    && (raised.order, Some(raised.rrn)) == (Some(item.order), item.rrn)
                    && (raised.ours, raised.since) == (Some(item.amount), item.since)
            };
            if let Some(place) = items.iter().position(named) {
                items.remove(place);
            }
        }
    }
}

fn item(order: &Order, what: OpenKind, numbers: Option<BankNumbers>, amount: Money) -> OpenItem {
    let since = numbers.map_or(order.placed.at, |numbers| numbers.at);
    OpenItem { order: order.id, what, rrn: numbers.map(|numbers| numbers.rrn), amount, since }
}

fn open_lines(
    order: &Order,
    payment: &order::Payment,
    numbers: Option<BankNumbers>,
    items: &mut Vec<OpenItem>,
) {
    for no in &payment.lines {
        let Some(line) = order.line(*no) else { continue };
        let open = match line.phase {
            LinePhase::Asking
            | LinePhase::Held(_)
            | LinePhase::Pinned(_)
            | LinePhase::Confirming { .. }
            | LinePhase::Confirmed(_)
            | LinePhase::Issuing { .. }
            | LinePhase::PrintInDoubt { .. }
            | LinePhase::NotPrinted { .. } => true,
            LinePhase::Issued { .. }
            | LinePhase::Exchanging { .. }
            | LinePhase::Disrupted { .. }
            | LinePhase::NoShow { .. }
            | LinePhase::Releasing { .. }
            | LinePhase::Ended { .. } => false,
        };
        if open {
            let fare = line.placed.fare;
            let amount = fare.price.plus(fare.fee).unwrap_or(fare.price);
            items.push(item(order, OpenKind::Line(*no), numbers, amount));
        }
    }
}

fn open_refunds(order: &Order, payment: PaymentNo, items: &mut Vec<OpenItem>) {
    for (no, refund) in (0u8..).map(RefundNo).zip(&order.refunds) {
        if refund.payment == payment && refund.done.is_none() && refund.refused.is_none() {
            let (what, numbers) = (OpenKind::Refund(no), Some(refund.numbers));
            items.push(item(order, what, numbers, refund.amount));
        }
    }
}

fn expiry(service: ServiceId, at: Instant) -> Intent {
    Intent::Schedule { entity: Entity::Service(service), timer: Timer::HoldExpiry, at }
}
