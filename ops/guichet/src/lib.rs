//! The center put together: its rooms, its configuration and its data directory.
//!
//! The program `guichet` runs it on threads; the seeded world runs the same on one.

pub mod center;
pub mod clock;
pub mod config;
pub mod data;
pub mod information;
pub mod links;
pub mod ports;
pub mod rehearse;
pub mod telemetry;
pub mod wire_log;
