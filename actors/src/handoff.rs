//! From the partition loops to the actor threads: one vector of effects a batch, for each thread.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use actix::Addr;
use guichet_engine::effect::{Effect, Intent};
use guichet_engine::event::{Event, OrderEvent, SettlementEvent, TerminalEvent};
use guichet_engine::ids::{AcquirerId, OrderId, TerminalId};
use guichet_engine::settlement::DayKey;
use guichet_ports::center::Secrets;
use parking_lot::{Condvar, Mutex};

use crate::actor::{Router, Wake};
use crate::config::Hosting;
use crate::limits::HANDOFF_MAX;

/// What an actor thread gets.
#[derive(Debug)]
pub(crate) enum Routed {
    /// Secrets of an accepted command, before the effects that need them.
    Secrets { order: OrderId, secrets: Secrets },
    /// An effect to carry out.
    Effect(Box<Effect>),
    /// The order's payment needs its secrets no more.
    Forget(OrderId),
    /// The order was set aside.
    Parked(OrderId),
    /// The order was set going again; whatever is open follows as effects.
    Unparked(OrderId),
    /// A terminal's link was opened.
    TerminalUp(TerminalId),
    /// A terminal's link was closed, or is to be (revoked).
    TerminalGone { terminal: TerminalId, revoked: bool },
    /// Something happened to a settlement batch.
    Batch(DayKey),
}

/// Whose actor it is for.
#[derive(Hash)]
enum Key {
    Order(OrderId),
    Terminal(TerminalId),
    Acquirer(AcquirerId),
}

impl Routed {
    fn key(&self) -> Option<Key> {
        Some(match self {
            Self::Secrets { order, .. }
            | Self::Forget(order)
            | Self::Parked(order)
            | Self::Unparked(order) => Key::Order(*order),
            Self::TerminalUp(terminal) | Self::TerminalGone { terminal, .. } => {
                Key::Terminal(*terminal)
            }
            Self::Batch((_, acquirer, _)) => Key::Acquirer(*acquirer),
            Self::Effect(effect) => match &effect.intent {
                Intent::Provider(asked) => Key::Order(asked.hold.order),
                Intent::Bank(asked) => Key::Order(asked.order),
                Intent::Terminal(told) => {
                    told.terminal.map_or(Key::Order(told.order), Key::Terminal)
                }
                Intent::Revoke { order, ticket: _ } | Intent::Rest(order) => Key::Order(*order),
                Intent::Deliver { .. } | Intent::Schedule { .. } => return None,
            },
        })
    }
}

/// What an event means for actors, beyond its effects.
pub(crate) fn news(event: &Event) -> Option<Routed> {
    match event {
        Event::Order(order, fact) => match fact {
            // No message with the card or the PIN follows these.
            OrderEvent::Completed { .. }
            | OrderEvent::PaymentEnded { .. }
            | OrderEvent::ReversalAsked { .. } => Some(Routed::Forget(*order)),
            OrderEvent::Parked { .. } => Some(Routed::Parked(*order)),
            OrderEvent::Unparked => Some(Routed::Unparked(*order)),
            _ => None,
        },
        Event::Terminal(terminal, fact) => match fact {
            TerminalEvent::Connected { .. } => Some(Routed::TerminalUp(*terminal)),
            TerminalEvent::Disconnected { .. } => {
                Some(Routed::TerminalGone { terminal: *terminal, revoked: false })
            }
            TerminalEvent::Revoked => {
                Some(Routed::TerminalGone { terminal: *terminal, revoked: true })
            }
            TerminalEvent::Registered { .. }
            | TerminalEvent::Enrolled { .. }
            | TerminalEvent::DeviceReported { .. } => None,
        },
        Event::Settlement(
            SettlementEvent::BatchOpened { operator, acquirer, date, .. }
            | SettlementEvent::PartitionPassed { operator, acquirer, date, .. },
        ) => Some(Routed::Batch((*operator, *acquirer, *date))),
        Event::Settlement(_)
        | Event::Network(..)
        | Event::Inventory(..)
        | Event::Ledger(_)
        | Event::Answered(_)
        | Event::Sent { .. }
        | Event::Received { .. }
        | Event::Acknowledged { .. } => None,
    }
}

#[derive(Default)]
struct Queue {
    vectors: VecDeque<Vec<Routed>>,
    waiting: usize,
    closed: bool,
}

/// The way to one actor thread.
#[derive(Default)]
struct Handoff {
    queue: Mutex<Queue>,
    room: Condvar,
    router: OnceLock<Addr<Router>>,
}

impl Handoff {
    fn wake(&self) {
        if let Some(router) = self.router.get() {
            // A full mailbox holds a wake already.
            drop(router.try_send(Wake));
        }
    }
}

/// The ways to all actor threads.
pub(crate) struct Handoffs {
    threads: Vec<Handoff>,
    /// Entries of one thread before the loops wait for it. A loop beside the actors on one thread would wait for ever.
    room: usize,
}

/// One batch's effects, sorted by actor thread.
pub(crate) struct Sorted(Vec<Vec<Routed>>);

impl Sorted {
    pub(crate) fn put(&mut self, routed: Routed) {
        let Some(key) = routed.key() else { return };
        let mut hasher = std::collections::hash_map::DefaultHasher::new();
        key.hash(&mut hasher);
        let count = self.0.len() as u64;
        let thread = usize::try_from(hasher.finish() % count.max(1)).unwrap_or(0);
        self.0[thread].push(routed);
    }
}

impl Handoffs {
    pub(crate) fn new(threads: usize, hosting: Hosting) -> Self {
        let room = match hosting {
            Hosting::Threads => HANDOFF_MAX,
            Hosting::Here => usize::MAX,
        };
        Self { threads: (0..threads.max(1)).map(|_| Handoff::default()).collect(), room }
    }

    /// Names the router of a thread.
    pub(crate) fn attach(&self, thread: usize, router: Addr<Router>) {
        if let Some(handoff) = self.threads.get(thread) {
            drop(handoff.router.set(router));
        }
    }

    pub(crate) fn sorter(&self) -> Sorted {
        Sorted(self.threads.iter().map(|_| Vec::new()).collect())
    }

    /// Hands one batch's effects over; waits while an actor thread is far behind.
    pub(crate) fn push(&self, sorted: Sorted) {
        for (handoff, routed) in self.threads.iter().zip(sorted.0) {
            if routed.is_empty() {
                continue;
            }
            let mut queue = handoff.queue.lock();
            while queue.waiting > self.room && !queue.closed {
                handoff.room.wait(&mut queue);
            }
            if queue.closed {
                continue;
            }
            queue.waiting += routed.len();
            queue.vectors.push_back(routed);
            drop(queue);
            handoff.wake();
        }
    }

    /// Takes the next vector of a thread.
    pub(crate) fn take(&self, thread: usize) -> Option<Vec<Routed>> {
        let handoff = self.threads.get(thread)?;
        let mut queue = handoff.queue.lock();
        let vector = queue.vectors.pop_front()?;
        queue.waiting -= vector.len();
        drop(queue);
        handoff.room.notify_all();
        Some(vector)
    }

    /// Wakes every router.
    pub(crate) fn wake_all(&self) {
        self.threads.iter().for_each(Handoff::wake);
    }

    /// Drops what waits, and lets nobody wait for room any more.
    pub(crate) fn close(&self) {
        for handoff in &self.threads {
            let dropped = {
                let mut queue = handoff.queue.lock();
                queue.closed = true;
                queue.waiting = 0;
                std::mem::take(&mut queue.vectors)
            };
            drop(dropped);
            handoff.room.notify_all();
        }
    }
}
