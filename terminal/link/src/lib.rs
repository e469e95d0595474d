//! The link between a terminal and the center: Noise over TCP, messages exactly once over reconnects.
//!
//! - [`client::enrol`] uses a one-time [`code::EnrolmentCode`] once; [`client::run`] then keeps a session up.
//! - [`server::greet`] is the center's side of both; [`session::run`] is the session, the same at both ends.
//! - [`postbox::Postbox`] takes messages whether or not a session is up: `post` stores and repeats until
//!   acknowledged, `pass` belongs to the running session alone (sealed swipes and PIN blocks are never stored).
//! - What comes in is handed over once, in order, and acknowledged when the program has `confirm`ed it.
#![deny(missing_docs)]

pub mod card;
pub mod channel;
pub mod client;
pub mod code;
pub mod envelope;
pub mod frame;
mod handshake;
pub mod hello;
pub mod hidden;
pub mod keys;
pub mod limits;
pub mod message;
pub mod postbox;
mod pump;
mod resolver;
pub mod server;
pub mod session;
pub mod store;
