//! The terminals' gateway: the center's end of every terminal's link.
//!
//! [`TerminalsGateway`] listens, lets enrolled terminals in, enrols new ones with their one-time codes, turns what
//! they say into commands for the center, and is the [`guichet_ports::terminals::TerminalsPort`] of the actors.
//!
//! Facts are made exactly once by their command's id, which follows from the terminal's stream and number: a fact that
//! comes again after a restart of the center finds its recorded answer. So nothing of a link has to be durable here.
#![deny(missing_docs)]

mod bucket;
mod build;
mod codes;
mod config;
mod gateway;
mod inward;
mod links;
mod meters;
mod outward;
mod serve;

pub use bucket::MAX_ADDRESSES;
pub use build::TerminalsPorts;
pub use codes::{CODES_FORM, FileFault, MAX_CODES, MAX_FILE_BYTES, code_digest};
pub use config::{Rate, TerminalsConfig};
pub use gateway::{Registration, TerminalsFault, TerminalsGateway};
pub use meters::describe as describe_metrics;
pub use serve::MAX_BOOKINGS;
