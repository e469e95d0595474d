//! What can be rebuilt from the journal: the facts by subject, orders as they stand, checkpoints.
//!
//! *Invariant*: nothing here is ground state. The file may be deleted at any time.

mod checkpoint;
mod error;
mod store;
mod subject;

#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use store::{CaughtUp, Fact, Store};
pub use subject::{Subject, order_of};
