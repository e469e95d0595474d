//! The center as its gateways see it: commands in, views out. The actors implement it.

use std::sync::Arc;

use guichet_engine::command::Command;
use guichet_engine::ids::{CardTag, OperatorId, OrderId, Reference, Slot, TerminalId};
use guichet_engine::network::Effective;
use guichet_engine::order::Order;
use guichet_engine::reject::Reject;
use guichet_engine::time::Instant;

use crate::Later;
use crate::secret::{PinEntry, SealedSwipe};

/// Secrets that travel beside a command, for one attempt; they are never journaled.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// The swipe that begins a payment.
    pub swipe: Option<SealedSwipe>,
    /// The PIN that completes it.
    pub pin: Option<PinEntry>,
}

/// A command was accepted and is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The partition's journal sequence that holds it.
    pub partition: u16,
    /// The batch number within the partition.
    pub sequence: u64,
}

/// Why a command was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The rules say no.
    #[error("the command was rejected with code {}", .0.code())]
    Rejected(Reject),
    /// Too much is waiting; try again.
    #[error("the center is busy")]
    Busy,
    /// The partition is stopped (journal failed, shutting down); nothing was accepted.
    #[error("the center is stopped")]
    Stopped,
}

/// A terminal as the engine knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalView {
    /// Its number.
    pub id: TerminalId,
    /// The operator that runs it.
    pub operator: u16,
    /// The provider's code of the station it stands in.
    pub place: String,
    /// The station's name.
    pub place_name: String,
    /// Its static X25519 key, once enrolled.
    pub key: Option<[u8; 32]>,
    /// Whether it was shut out.
    pub revoked: bool,
    /// Whether its link is up.
    pub connected: bool,
    /// Last reported device states: device, state, supply, when.
    pub devices: Vec<(u8, u8, u8, Instant)>,
}

/// The center.
pub trait Center: Send + Sync {
    /// The center's clock.
    fn now(&self) -> Instant;
    /// Submits a command; the answer comes after it is durable.
    fn submit(&self, command: Command, secrets: Secrets) -> Later<Result<Accepted, Refused>>;
    /// An order as of now.
    fn order(&self, id: OrderId) -> Later<Option<Arc<Order>>>;
    /// An order as soon as its version is above `after`, or as it is when the patience is over.
    fn order_after(&self, id: OrderId, after: u64, patience_ms: u64) -> Later<Option<Arc<Order>>>;
    /// The order of a reference.
    fn order_by_reference(&self, reference: Reference) -> Later<Option<OrderId>>;
    /// Orders that wait for a card, and those with something left to show.
    fn orders_for_card(&self, routing: Slot, tag: CardTag) -> Later<Vec<Arc<Order>>>;
    /// Orders that wait to be collected at a place.
    fn orders_for_place(&self, place: String) -> Later<Vec<Arc<Order>>>;
    /// What is configured now for a terminal of an operator's network, or for its booking center.
    fn configuration(&self, operator: OperatorId, terminal: Option<TerminalId>)
    -> Later<Effective>;
    /// A terminal.
    fn terminal(&self, id: TerminalId) -> Later<Option<TerminalView>>;
    /// Every terminal.
    fn terminals(&self) -> Later<Vec<TerminalView>>;
}
