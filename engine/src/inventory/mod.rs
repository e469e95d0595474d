//! The machine of a service's inventory: units that are free or taken on each slot of an ordered run.
//!
//! *Invariant*: a unit is never held or sold twice on the same slot; only this machine gives places out.

#![deny(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm)]

mod allocate;
mod bitmap;
mod decide;
mod state;

pub use allocate::choose;
pub use bitmap::Bitmap;
pub use decide::{Decided, answer, expire, hold};
pub use state::{Hold, HoldState, Service, is_sound};
