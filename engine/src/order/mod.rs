//! The machine of an order: lines, payments, tickets, refunds.
//!
//! *Invariant*: a payment is complete only through `Completed`, a ticket is issued only on proof of print, and what was
//! paid for a line ends in a ticket or in a refund.

#![deny(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]

mod bank;
mod desk;
mod effects;
pub(crate) mod evolve;
mod issuing;
mod paying;
mod placing;
mod state;

pub(crate) use bank::{OWNER_BANK, bank_answered, sent_under, unmatched};
pub(crate) use desk::{Desk, Out};
pub use effects::{intents, outstanding};
pub use issuing::refundable;
pub(crate) use issuing::{
    count_print, refund_line, report_print, report_receipt, report_taken, tick_print,
    tick_print_doubt,
};
pub(crate) use paying::{abandon, enter_pin, pinned, restarted, start_payment, tick_payment};
pub(crate) use placing::{
    cancel, confirmed, held, hold_expired, hold_refused, place, provider_answered, released,
    tick_holds,
};
pub use state::{Grip, HeldPlace, Line, LinePhase, Order, Payment, PaymentPhase, Refund};
