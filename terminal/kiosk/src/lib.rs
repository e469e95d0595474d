//! The terminal program (part 15): flow, screen, own journal, devices and the link to the center.
//!
//! - [`flow`] decides what a person meets; it is pure.
//! - [`store`] is the terminal's own journal: nothing is printed, and no fact is forgotten, without it.
//! - [`shell`] carries out what the flow asks for; the device tasks and the link report back to it.
//! - [`screen`] serves the page of the kiosk browser.
//!
//! *Invariant*: card number, track 2 and PIN block are in memory for one session and nowhere else.

pub mod config;
mod device;
pub mod error;
pub mod flow;
mod meters;
pub mod paper;
pub mod run;
pub mod screen;
mod shell;
pub mod steps;
pub mod store;

pub use config::{DevicePaths, KioskConfig};
pub use error::KioskError;
pub use run::{Running, run, run_until, start};
pub use screen::Shown;
pub use shell::TapOrder;
pub use steps::crash_points;

/// The wall clock, microseconds since 1970 UTC.
pub(crate) fn now_us() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}
