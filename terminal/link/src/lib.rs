//! The link between a terminal and the center: Noise over TCP, messages exactly once over reconnects.
#![deny(missing_docs)]

pub mod card;
pub mod channel;
pub mod code;
pub mod frame;
mod handshake;
pub mod hello;
pub mod keys;
pub mod limits;
pub mod message;
mod resolver;
