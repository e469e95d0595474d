//! The actors: an order's, a terminal's, a settlement batch's, and the router of each thread that keeps them.
//!
//! *Invariant*: an `if` about money is never here. Handlers are synchronous; what waits runs on the ports' runtime and
//! comes back as a command.

mod batch;
mod exchange;
mod order;
mod roster;
mod router;
mod terminal;

pub(crate) use router::{Router, Wake};
