//! What partitions say to each other. A message is part of its sender's journal.

#![allow(
    missing_docs,
    reason = "each variant is documented; its fields carry the names of their types"
)]

use crate::event::{LineEnd, Needs, Run, Seat, ServiceSpec};
use crate::ids::{AcquirerId, HoldId, OperatorId, PartitionId, PaymentNo, ServiceId, UnitNo};
use crate::time::{BusinessDate, Instant};

/// A message between partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Order to service: hold a place. The spec opens the service when it is first met.
    Hold(Box<HoldRequest>),
    /// Order to service: the hold must not expire while a payment runs.
    Pin { service: ServiceId, hold: HoldId, payment: PaymentNo },
    /// Order to service: the payment ended without success; the hold may expire again.
    Unpin { service: ServiceId, hold: HoldId },
    /// Order to service: the place is sold.
    Confirm { service: ServiceId, hold: HoldId },
    /// Order to service: the place is not needed any more.
    Release { service: ServiceId, hold: HoldId, why: LineEnd },
    /// Service to order: held.
    Held { hold: HoldId, unit: UnitNo, seat: Seat, until: Instant },
    /// Service to order: not held.
    HoldRefused { hold: HoldId, why: LineEnd },
    /// Service to order: pinned; `ok` is false when the hold is unknown or ended.
    Pinned { hold: HoldId, payment: PaymentNo, ok: bool },
    /// Service to order: sold; `ok` is false when the hold is unknown or ended.
    Confirmed { hold: HoldId, ok: bool },
    /// Service to order: free again (or was not held).
    Released { hold: HoldId },
    /// Service to order: the hold's time was over.
    HoldExpired { hold: HoldId },
    /// Coordinator to every partition: cut over.
    CutOver {
        operator: OperatorId,
        acquirer: AcquirerId,
        closes: BusinessDate,
        opens: BusinessDate,
    },
    /// A partition to the coordinator: the marker is passed.
    CutOverPassed {
        operator: OperatorId,
        acquirer: AcquirerId,
        closes: BusinessDate,
        partition: PartitionId,
    },
}

/// What an order asks of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldRequest {
    /// The service.
    pub service: ServiceId,
    /// The hold's id.
    pub hold: HoldId,
    /// The slots wanted.
    pub run: Run,
    /// The class wanted.
    pub class: u8,
    /// The place wanted, if one was picked.
    pub wanted: Option<UnitNo>,
    /// Needs and wishes.
    pub needs: Needs,
    /// How long.
    pub until: Instant,
    /// The layout, for a service that is met for the first time.
    pub spec: Option<ServiceSpec>,
}
