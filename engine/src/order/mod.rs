//! The machine of an order: lines, payments, tickets, refunds.
//!
//! *Invariant*: a payment is complete only through `Completed`, a ticket is issued only on proof of print, and what was
//! paid for a line ends in a ticket or in a refund.

#![deny(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]

mod after_sale;
mod bank;
mod desk;
mod effects;
pub(crate) mod evolve;
mod issuing;
mod paying;
mod placing;
mod state;

pub use after_sale::returnable;
pub(crate) use after_sale::{
    exchange_line, refund_line, report_disruption, report_no_show, tick_disruption, void_line,
};
pub(crate) use bank::{OWNER_BANK, OWNER_CLERK, bank_answered, sent_under, unmatched};
pub(crate) use desk::{Desk, Out};
pub use effects::{intents, outstanding};
pub(crate) use issuing::{
    count_print, report_print, report_receipt, report_taken, tick_print, tick_print_doubt,
};
pub(crate) use paying::{abandon, enter_pin, pinned, restarted, start_payment, tick_payment};
pub(crate) use placing::{
    cancel, confirmed, held, hold_expired, hold_refused, place, provider_answered, released,
    tick_confirm, tick_holds,
};
pub use state::{Grip, HeldPlace, Line, LinePhase, Order, Payment, PaymentPhase, Refund};
