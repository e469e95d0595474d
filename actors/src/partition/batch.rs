//! What goes into a partition, and what a batch releases once it is durable.

use std::sync::Arc;

use guichet_engine::command::Command;
use guichet_engine::event::Run;
use guichet_engine::ids::{HoldId, OrderId, PartitionId, ServiceId, UnitNo};
use guichet_engine::order::Order;
use guichet_engine::partition::Partition;
use guichet_journal::Entry;
use guichet_ports::center::{Accepted, Refused, Secrets};
use guichet_ports::ticket_information::TicketInformation;
use tokio::sync::oneshot;

use super::inbox::{Inbox, Lane};
use crate::handoff::Routed;

/// What a command's sender hears.
pub(crate) type Answer = Result<Accepted, Refused>;

/// A read: looks at the state, and gives what to do when that state is durable.
pub(crate) type Ask = Box<dyn FnOnce(&Partition) -> Box<dyn FnOnce() + Send> + Send>;

/// What a partition's inbox takes.
pub(crate) enum Item {
    /// Decide this.
    Command {
        /// The command.
        command: Box<Command>,
        /// Secrets for the order's actor, if it is accepted.
        secrets: Option<Secrets>,
        /// Who hears the answer.
        reply: Reply,
    },
    /// Read.
    Ask(Ask),
    /// Tell when an order's version is above `after`.
    Watch {
        /// The order.
        order: OrderId,
        /// The version that is known.
        after: u64,
        /// Who is told; `None` when there is no such order.
        tell: oneshot::Sender<Option<Arc<Order>>>,
    },
    /// The ticket-information database is there: tell it every place that is taken, and from now on each change.
    Inform(Arc<dyn TicketInformation>),
    /// A delivery to another partition ended.
    Couriered {
        /// The receiver.
        to: PartitionId,
        /// The highest number in the delivery.
        through: u64,
        /// Whether it was taken in.
        taken: bool,
    },
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Command { .. } => "Command",
            Self::Ask(_) => "Ask",
            Self::Watch { .. } => "Watch",
            Self::Inform(_) => "Inform",
            Self::Couriered { .. } => "Couriered",
        })
    }
}

/// Who hears what became of a command.
pub(crate) enum Reply {
    /// Somebody who waits. A dropped sender tells them *stopped*.
    Waiting(oneshot::Sender<Answer>),
    /// The partition that sent the delivery.
    Sender(Postmark),
    /// Nobody.
    Nobody,
}

impl Reply {
    pub(crate) fn give(self, answer: Answer) {
        match self {
            // The receiver may have gone away; the command stands all the same.
            Self::Waiting(sender) => drop(sender.send(answer)),
            Self::Sender(mut postmark) => postmark.taken = answer.is_ok(),
            Self::Nobody => {}
        }
    }
}

/// A delivery on its way; says when dropped what became of it.
pub(crate) struct Postmark {
    /// The sender's inbox.
    pub sender: Arc<Inbox>,
    /// The receiver.
    pub to: PartitionId,
    /// The highest number in the delivery.
    pub through: u64,
    /// Whether it was taken in.
    pub taken: bool,
}

impl Drop for Postmark {
    fn drop(&mut self) {
        let word = Item::Couriered { to: self.to, through: self.through, taken: self.taken };
        // A sender that stopped repeats its messages after its restart.
        drop(self.sender.put(Lane::Partitions, word));
    }
}

/// A place of an allotted service that was taken or given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlaceNote {
    pub service: ServiceId,
    pub hold: HoldId,
    pub unit: UnitNo,
    pub run: Run,
    pub taken: bool,
}

/// What happens once the batch is durable, in this order.
pub(crate) enum Release {
    /// A command's answer; `Ok` gets the batch's sequence.
    Reply(Reply, Result<(), Refused>),
    /// A read's answer.
    Read(Box<dyn FnOnce() + Send>),
    /// An effect, or news for an actor.
    Route(Routed),
    /// A timer, a message or a place, which the loop itself passes on.
    Schedule(
        guichet_engine::event::Entity,
        guichet_engine::command::Timer,
        guichet_engine::time::Instant,
    ),
    /// A message to a partition.
    Deliver(PartitionId, u64, guichet_engine::ids::Slot, guichet_engine::message::Message),
    /// News for the ticket-information database.
    Place(PlaceNote),
    /// The ticket-information database, and what it is to know first.
    Inform(Arc<dyn TicketInformation>, Vec<PlaceNote>),
    /// An order as of the end of the batch, for those who watch it.
    Changed(Arc<Order>),
}

/// The commands that are decided together and appended as one record.
#[derive(Default)]
pub(crate) struct Pending {
    pub entries: Vec<Entry>,
    pub releases: Vec<Release>,
    pub changed: std::collections::BTreeSet<OrderId>,
    pub items: usize,
    pub weight: usize,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.releases.is_empty()
    }
}
