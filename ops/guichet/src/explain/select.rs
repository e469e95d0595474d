//! Which facts belong to what was asked for.

use std::collections::{BTreeMap, BTreeSet};

use guichet_engine::event::{Event, InventoryEvent, OrderEvent};
use guichet_engine::ids::{AcquirerId, CardTag, OrderId, Reference, Rrn, TerminalId};
use guichet_engine::time::{BusinessDate, Instant};
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
    /// The batches that hold the orders' money.
    pub batches: BTreeSet<(AcquirerId, BusinessDate)>,
    /// When a terminal was busy with one of the orders; what its devices said then belongs to the story.
    pub sessions: Vec<Session>,
}

/// A terminal's work on an order.
#[derive(Clone, Debug)]
pub struct Session {
    terminal: TerminalId,
    order: OrderId,
    from: Instant,
    until: Instant,
}

/// The first pass: which orders are meant.
pub struct Finder {
    wanted: Wanted,
    found: Found,
    acquirers: BTreeMap<OrderId, AcquirerId>,
    batches: BTreeSet<(OrderId, BusinessDate)>,
    sessions: Vec<Session>,
}

impl Finder {
    /// Looks for `wanted`.
    pub fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            found: Found::default(),
            acquirers: BTreeMap::new(),
            batches: BTreeSet::new(),
            sessions: Vec::new(),
        }
    }

    /// Looks at an entry.
    pub fn see(&mut self, entry: &Entry) {
        for event in &entry.events {
            if let Event::Order(order, event) = event {
                self.note(*order, event, entry.at);
            }
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

    /// Keeps what leads from an order to its batches and to the devices that served it.
    fn note(&mut self, order: OrderId, event: &OrderEvent, at: Instant) {
        if let OrderEvent::Placed(placed) = event {
            self.acquirers.insert(order, placed.card.acquirer);
        }
        if let OrderEvent::Completed { date, .. } | OrderEvent::Refunded { date, .. } = event {
            self.batches.insert((order, *date));
        }
        if let OrderEvent::PaymentStarted { terminal, .. } = event {
            self.sessions.push(Session { terminal: *terminal, order, from: at, until: at });
        }
        for session in self.sessions.iter_mut().filter(|s| s.order == order) {
            session.until = session.until.max(at);
        }
    }

    /// What was found.
    pub fn found(mut self) -> Found {
        let meant = &self.found.orders;
        self.found.batches = self
            .batches
            .iter()
            .filter(|(order, _)| meant.contains(order))
            .filter_map(|(order, date)| Some((*self.acquirers.get(order)?, *date)))
            .collect();
        self.sessions.retain(|s| meant.contains(&s.order));
        self.found.sessions = self.sessions;
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
    pub fn covers(&self, event: &Event, at: Instant) -> bool {
        match event {
            Event::Order(order, _) => self.orders.contains(order),
            Event::Ledger(posting) => self.orders.contains(&posting.order),
            Event::Terminal(terminal, _) => {
                self.terminal == Some(*terminal)
                    || self
                        .sessions
                        .iter()
                        .any(|s| s.terminal == *terminal && (s.from..=s.until).contains(&at))
            }
            Event::Inventory(_, event) => {
                inventory_order(event).is_some_and(|o| self.orders.contains(&o))
            }
            Event::Settlement(event) => {
                use guichet_engine::event::SettlementEvent as S;
                match event {
                    S::Reconciled { acquirer, date, exceptions, .. } => {
                        self.batches.contains(&(*acquirer, *date))
                            || exceptions
                                .iter()
                                .any(|e| e.order.is_some_and(|o| self.orders.contains(&o)))
                    }
                    S::ExceptionRaised { exception, .. } => {
                        exception.order.is_some_and(|o| self.orders.contains(&o))
                    }
                    S::BatchOpened { acquirer, date, .. }
                    | S::BatchClosed { acquirer, date, .. } => {
                        self.batches.contains(&(*acquirer, *date))
                    }
                    S::CutOver { .. } | S::PartitionPassed { .. } | S::ExceptionEnded { .. } => {
                        false
                    }
                }
            }
            Event::Network(..)
            | Event::Answered(_)
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
