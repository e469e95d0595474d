//! One partition: every machine over the slots it owns, with a single writer.
//!
//! *Invariant*: the same commands for an entity in the same order (time and ids inside) give an equal entity state,
//! equal ledger sums and equal settlement lines, whatever the number of partitions.

#![deny(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]

mod decide;
mod evolve;
mod query;
mod route;
mod work;

use std::collections::{BTreeMap, BTreeSet};

pub use decide::verdict;
pub use query::AccountBalance;
pub use route::{first_slot, slot_of};

use crate::command::Body;
use crate::ids::{
    CardTag, CommandId, OperatorId, OrderId, PartitionId, Reference, ServiceId, Slot, TerminalId,
};
use crate::inventory::Service;
use crate::ledger::Ledger;
use crate::message::Message;
use crate::network::Network;
use crate::numbers::SlotCounters;
use crate::order::Order;
use crate::settlement::Settlement;
use crate::terminal::Terminal;

/// Everything a partition knows, as plain parts: what a checkpoint holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Orders.
    pub orders: BTreeMap<OrderId, Order>,
    /// Services with allotted places.
    pub services: BTreeMap<ServiceId, Service>,
    /// Terminals.
    pub terminals: BTreeMap<TerminalId, Terminal>,
    /// Configurations of networks.
    pub networks: BTreeMap<OperatorId, Network>,
    /// The books.
    pub ledger: Ledger,
    /// Settlement.
    pub settlement: Settlement,
    /// What each slot has given out.
    pub counters: BTreeMap<Slot, SlotCounters>,
    /// Messages to and from other partitions.
    pub mail: Mail,
}

/// Messages between this partition and each (itself included).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// The number of the last message sent to each.
    pub sent: BTreeMap<PartitionId, u64>,
    /// Messages that were not acknowledged yet.
    pub unacknowledged: BTreeMap<(PartitionId, u64), (Slot, Message)>,
    /// The number of the last message taken in from each.
    pub received: BTreeMap<PartitionId, u64>,
}

/// What can be rebuilt from the parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Index {
    by_reference: BTreeMap<Reference, OrderId>,
    /// Orders of each card that are not closed.
    by_card: BTreeMap<CardTag, BTreeSet<OrderId>>,
    /// Orders to be collected at each place that are not closed.
    by_place: BTreeMap<String, BTreeSet<OrderId>>,
    /// Which order a command placed.
    placed_by: BTreeMap<CommandId, OrderId>,
    /// Orders that are not closed.
    open: BTreeSet<OrderId>,
}

/// A partition of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    id: PartitionId,
    partitions: u16,
    state: State,
    index: Index,
}

impl Partition {
    /// An empty partition, one of `partitions`.
    #[must_use]
    pub fn new(id: PartitionId, partitions: u16) -> Self {
        Self::restore(id, partitions, State::default())
    }

    /// A partition from its checkpointed parts.
    #[must_use]
    pub fn restore(id: PartitionId, partitions: u16, state: State) -> Self {
        let mut partition =
            Self { id, partitions: partitions.max(1), state, index: Index::default() };
        partition.rebuild_index();
        partition
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> PartitionId {
        self.id
    }
    /// How many there are.
    #[must_use]
    pub const fn partitions(&self) -> u16 {
        self.partitions
    }
    /// Its parts.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }
    /// The slot whose partition decides about a command: [`slot_of`], or for an acknowledgement the first slot.
    #[must_use]
    pub fn slot_of(body: &Body, _partitions: u16) -> Slot {
        slot_of(body).unwrap_or_default()
    }
    /// Whether it owns a slot.
    #[must_use]
    pub fn owns(&self, slot: Slot) -> bool {
        slot.partition(self.partitions) == self.id
    }
}
