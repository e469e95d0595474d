//! The shell around the pure engine: partition loops, actors, supervision.
//!
//! A partition loop decides and journals; what it releases goes to actors, which carry effects out through the ports
//! and bring what happened back as commands.
//!
//! *Invariant*: no gateway is named here. No effect, reply or read leaves a partition before the batch it depends on is
//! durable.
//! *Boundary*: [`CenterHandle`] is all that gateways see; the ports in `guichet-ports` are all that this crate calls.

mod actor;
mod clock;
mod config;
mod engine;
mod faults;
mod flights;
mod handoff;
mod journal;
pub mod limits;
mod meters;
mod panics;
mod partition;
mod pins;
mod shell;
mod timers;

pub use clock::Clock;
pub use config::{Config, Hosting, Ports, StartError};
pub use engine::Engine;
pub use faults::{FaultInjection, FaultPlace, InjectedFault};
pub use journal::{
    Journal, JournalFault, MemoryJournal, MemoryStore, SegmentJournal, open_segments,
};
pub use panics::log_panics;
pub use shell::{CenterHandle, PartitionHealth, PartitionState, Recovery};
