//! Why the provider says no, as RFC 9457 problems.

use serde_json::{Value, json};

use super::wire::State;

/// A reason to refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such trip on that date.
    #[error("no such service runs on that date")]
    UnknownService,
    /// No such booking.
    #[error("no such booking")]
    UnknownBooking,
    /// No such refund offer, or its time is over.
    #[error("no such refund offer, or its time is over")]
    UnknownOffer,
    /// The service does not run.
    #[error("the service does not run")]
    ServiceCancelled,
    /// It has left.
    #[error("the service has left")]
    Departed,
    /// Nothing is free in that class.
    #[error("nothing is free in that class")]
    SoldOut,
    /// The seat is taken.
    #[error("the seat is taken on a part of the way")]
    SeatTaken {
        /// By a hold, which may yet go away.
        passing: bool,
    },
    /// Not a way one can travel on this service.
    #[error("one cannot board or alight there")]
    BadRun,
    /// The class is not sold on this way.
    #[error("the class is not sold on this way")]
    UnknownClass,
    /// No such seat in that class.
    #[error("no such seat in that class")]
    UnknownUnit,
    /// The distributor gives this service's places out and has to name one.
    #[error("the distributor has to name the seat of this service")]
    UnitRequired,
    /// The idempotency key is missing or too long.
    #[error("an Idempotency-Key of 1 to 128 characters is needed")]
    BadKey,
    /// The key came with another body before.
    #[error("the Idempotency-Key was used for another request")]
    KeyReused,
    /// The hold was given back.
    #[error("the hold was given back")]
    HoldReleased,
    /// The hold's time was over.
    #[error("the hold's time was over")]
    Expired,
    /// Not possible in the booking's state.
    #[error("not possible while the booking is {0:?}")]
    WrongState(State),
    /// Too late for a refund.
    #[error("too late for a refund")]
    NotRefundable,
    /// A fault switch.
    #[error("the provider refuses to confirm this service")]
    ConfirmRefused,
    /// The request's body is wrong.
    #[error("the request is wrong: {0}")]
    BadRequest(String),
    /// The stream has another epoch, or does not keep that number.
    #[error("take a new snapshot")]
    Resync,
    /// The provider is out of service.
    #[error("out of service for a while")]
    Unavailable,
}

impl Refusal {
    /// The HTTP status and the last part of the problem's type.
    pub const fn code(&self) -> (u16, &'static str) {
        match self {
            Self::UnknownService => (404, "unknown-service"),
            Self::UnknownBooking => (404, "unknown-booking"),
            Self::UnknownOffer => (404, "unknown-offer"),
            Self::ServiceCancelled => (409, "service-cancelled"),
            Self::Departed => (409, "departed"),
            Self::SoldOut => (409, "sold-out"),
            Self::SeatTaken { .. } => (409, "seat-taken"),
            Self::BadRun => (422, "bad-run"),
            Self::UnknownClass => (422, "unknown-class"),
            Self::UnknownUnit => (422, "unknown-unit"),
            Self::UnitRequired => (422, "unit-required"),
            Self::BadKey => (400, "bad-key"),
            Self::KeyReused => (422, "key-reused"),
            Self::HoldReleased => (409, "hold-released"),
            Self::Expired => (409, "expired"),
            Self::WrongState(_) => (409, "wrong-state"),
            Self::NotRefundable => (409, "not-refundable"),
            Self::ConfirmRefused => (409, "confirm-refused"),
            Self::BadRequest(_) => (400, "bad-request"),
            Self::Resync => (410, "resync"),
            Self::Unavailable => (503, "unavailable"),
        }
    }

    /// The problem as JSON (RFC 9457).
    pub fn problem(&self) -> Value {
        let (status, kind) = self.code();
        let mut problem = json!({
            "type": format!("urn:guichet:provider:{kind}"),
            "title": kind.replace('-', " "),
            "status": status,
            "detail": self.to_string(),
        });
        if let Some(object) = problem.as_object_mut() {
            if let Self::SeatTaken { passing } = self {
                object.insert("passing".to_owned(), json!(passing));
            }
            if let Self::WrongState(state) = self {
                object.insert("state".to_owned(), json!(state));
            }
        }
        problem
    }
}
