//! The words of the booking interface, after OSDM (UIC 90918-10).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a distributor asks to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BookingRequest {
    /// The service's key.
    pub service: String,
    /// The stop where the ride begins, counted from 0.
    pub from: u16,
    /// The stop where it ends.
    pub to: u16,
    /// The class; 1 is best.
    pub service_class: u8,
    /// A certain unit; needed where the distributor gives places out.
    #[serde(default)]
    pub unit: Option<u16>,
    /// What the passenger needs.
    #[serde(default)]
    pub needs: Needs,
    /// How long the place is wanted unpaid.
    #[serde(default, with = "super::moment::maybe")]
    pub hold_until: Option<Timestamp>,
}

/// What the passenger needs or likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    /// A place for a wheelchair.
    #[serde(default)]
    pub wheelchair: bool,
    /// Likes a window.
    #[serde(default)]
    pub window: bool,
    /// Likes an aisle.
    #[serde(default)]
    pub aisle: bool,
}

/// The state of a booking's only part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Held until its time limit.
    Prebooked,
    /// Sold and the ticket may be given out.
    Fulfilled,
    /// Given back unpaid, or its time was over.
    Released,
    /// Given back paid.
    Refunded,
    /// The service does not run.
    Cancelled,
}

/// An amount as OSDM writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Minor units.
    pub amount: i64,
    /// How many decimals they have.
    pub scale: u8,
    /// ISO 4217 letters.
    pub currency: String,
}

/// A ticket that may be given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fulfillment {
    /// Its key.
    pub id: String,
    /// FULFILLED, REFUNDED or CANCELLED.
    pub status: State,
}

/// What a refund would give, or gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundOffer {
    /// Its key.
    pub id: String,
    /// PROPOSED or CONFIRMED.
    pub status: OfferStatus,
    /// What is kept back.
    pub refund_fee: Price,
    /// What is given back.
    pub refundable_amount: Price,
    /// When it was made.
    #[serde(with = "super::moment")]
    pub created_on: Timestamp,
    /// Until when it can be accepted.
    #[serde(with = "super::moment")]
    pub valid_until: Timestamp,
}

/// The state of a refund offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OfferStatus {
    /// May be accepted.
    Proposed,
    /// Was accepted.
    Confirmed,
}

/// A booking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Booking {
    /// The provider's key.
    pub id: String,
    /// The distributor's hold.
    pub hold: String,
    /// Its state.
    pub state: State,
    /// What was asked.
    pub request: BookingRequest,
    /// `ALLOTTED` or `LIVE`.
    pub mode: String,
    /// The unit.
    pub unit: u16,
    /// Its coach.
    pub coach: String,
    /// Its seat.
    pub seat: String,
    /// What it costs.
    pub price: Price,
    /// When it was made.
    #[serde(with = "super::moment")]
    pub created_on: Timestamp,
    /// Until when it must be confirmed.
    #[serde(with = "super::moment")]
    pub confirmation_time_limit: Timestamp,
    /// Its ticket, once confirmed.
    pub fulfillment: Option<Fulfillment>,
    /// Its refund.
    pub refund_offer: Option<RefundOffer>,
}

/// What is asked about a refund offer.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferPatch {
    /// CONFIRMED accepts it.
    pub status: OfferStatus,
}

/// One change, absolute for its key: a unit of a service, or a whole service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Change {
    /// Which legs of a unit are taken now; none means it is free.
    Unit {
        /// The service's key.
        service: String,
        /// The unit.
        unit: u16,
        /// Runs of legs, the end excluded.
        taken: Vec<(u16, u16)>,
        /// The distributor's hold that caused it; null when another customer did.
        owner: Option<String>,
    },
    /// The service does not run.
    Cancelled {
        /// The service's key.
        service: String,
        /// Always true.
        cancelled: bool,
    },
}

/// One numbered delta.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delta {
    /// The first change's number.
    pub first: u64,
    /// The last change's number.
    pub last: u64,
    /// The last number of the delta before.
    pub prev: u64,
    /// The changes.
    pub changes: Vec<Change>,
}
