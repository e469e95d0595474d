//! Which facts belong to what was asked for.

use std::collections::BTreeSet;

use guichet_engine::event::{Event, InventoryEvent, OrderEvent};
use guichet_engine::ids::{CardTag, OrderId, Reference, Rrn, TerminalId};
use guichet_journal::Entry;

use crate::wire_log::WireLine;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// An order by its id.
    Order(OrderId),
    /// An order by its reference.
    Reference(Reference),
    /// Everything of a terminal.
    Terminal(TerminalId),
    /// The order of a bank reference.
    Rrn(Rrn),
    /// Every order of a card (its number came from standard input).
    Card(CardTag),
}

/// What the first pass over the journal found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Orders to tell about.
    pub orders: BTreeSet<OrderId>,
    /// A terminal to tell about.
    pub terminal: Option<TerminalId>,
}

/// The first pass: which orders are meant.
pub struct Finder {
    wanted: Wanted,
    found: Found,
}

impl Finder {
    /// Looks for `wanted`.
    pub fn new(wanted: Wanted) -> Self {
        Self { wanted, found: Found::default() }
    }

    /// Looks at an entry.
    pub fn see(&mut self, entry: &Entry) {
        for event in &entry.events {
            match (&self.wanted, event) {
                (Wanted::Order(id), Event::Order(order, _)) if id == order => {
                    self.found.orders.insert(*order);
                }
                (Wanted::Reference(reference), Event::Order(order, OrderEvent::Placed(placed)))
                    if placed.reference == *reference =>
                {
                    self.found.orders.insert(*order);
                }
                (Wanted::Card(tag), Event::Order(order, OrderEvent::Placed(placed)))
                    if placed.card.tag == *tag =>
                {
                    self.found.orders.insert(*order);
                }
                (Wanted::Rrn(rrn), Event::Order(order, event)) if has_rrn(event, *rrn) => {
                    self.found.orders.insert(*order);
                }
                (Wanted::Terminal(id), Event::Terminal(terminal, _)) if id == terminal => {
                    self.found.terminal = Some(*id);
                }
                (
                    Wanted::Terminal(id),
                    Event::Order(
                        order,
                        OrderEvent::PaymentStarted { terminal, .. }
                        | OrderEvent::IssueTold { terminal, .. },
                    ),
                ) if id == terminal => {
                    self.found.terminal = Some(*id);
                    self.found.orders.insert(*order);
                }
                _ => {}
            }
        }
    }

    /// What was found.
    pub fn found(self) -> Found {
        self.found
    }
}

fn has_rrn(event: &OrderEvent, rrn: Rrn) -> bool {
    match event {
        OrderEvent::AuthorizationAsked { numbers, .. }
        | OrderEvent::CompletionAsked { numbers, .. }
        | OrderEvent::ReversalAsked { numbers, .. }
        | OrderEvent::RefundAsked { numbers, .. } => numbers.rrn == rrn,
        _ => false,
    }
}

impl Found {
    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty() && self.terminal.is_none()
    }

    /// Whether a fact belongs to the timeline.
    pub fn covers(&self, event: &Event) -> bool {
        match event {
            Event::Order(order, _) => self.orders.contains(order),
            Event::Ledger(posting) => self.orders.contains(&posting.order),
            Event::Terminal(terminal, _) => self.terminal == Some(*terminal),
            Event::Inventory(_, event) => {
                inventory_order(event).is_some_and(|o| self.orders.contains(&o))
            }
            Event::Settlement(event) => {
                use guichet_engine::event::SettlementEvent as S;
                match event {
                    S::Reconciled { exceptions, .. } => {
                        exceptions.iter().any(|e| e.order.is_some_and(|o| self.orders.contains(&o)))
                    }
                    S::ExceptionRaised { exception, .. } => {
                        exception.order.is_some_and(|o| self.orders.contains(&o))
                    }
                    S::CutOver { .. }
                    | S::BatchOpened { .. }
                    | S::PartitionPassed { .. }
                    | S::BatchClosed { .. }
                    | S::ExceptionEnded { .. } => false,
                }
            }
            Event::Answered(_)
            | Event::Sent { .. }
            | Event::Received { .. }
            | Event::Acknowledged { .. } => false,
        }
    }

    /// Whether a bank message belongs to the timeline.
    pub fn covers_wire(&self, record: &WireLine) -> bool {
        record.order.as_deref().and_then(OrderId::parse).is_some_and(|o| self.orders.contains(&o))
    }
}

fn inventory_order(event: &InventoryEvent) -> Option<OrderId> {
    use InventoryEvent as E;
    match event {
        E::Opened(_) => None,
        E::Held { hold, .. }
        | E::Refused { hold, .. }
        | E::Pinned { hold, .. }
        | E::Unpinned { hold, .. }
        | E::Confirmed { hold }
        | E::Released { hold, .. }
        | E::Expired { hold }
        | E::TombstoneDropped { hold } => Some(hold.order),
    }
}
