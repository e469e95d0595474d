//! Checkpoints: a partition's state as of a record of its journal, so that a start folds only what came later.
//!
//! *Invariant*: nothing here is ground state. The file may be deleted at any time.

mod checkpoint;
mod error;
mod store;

#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use store::Store;
