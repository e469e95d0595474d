//! The pure rules of Guichet: a fold from commands to events, and from events to state.
//!
//! No async, no clock, no randomness, no sockets, no logging: time, fresh ids and salt arrive inside commands.
#![deny(missing_docs)]
#![deny(clippy::unwrap_used, clippy::float_arithmetic, clippy::as_conversions)]
#![deny(clippy::disallowed_types)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod authority;
pub mod command;
pub mod effect;
pub mod event;
pub mod ids;
pub mod inventory;
pub mod ledger;
pub mod limits;
pub mod message;
pub mod money;
pub mod network;
pub mod numbers;
pub mod order;
pub mod partition;
pub mod reject;
pub mod settlement;
pub mod terminal;
pub mod time;
