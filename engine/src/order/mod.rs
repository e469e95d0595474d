//! The machine of an order: lines, payments, tickets, refunds.

mod state;

pub use state::{Grip, HeldPlace, Line, LinePhase, Order, Payment, PaymentPhase, Refund};
