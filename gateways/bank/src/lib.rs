//! The bank gateway: carries what the engine decided to an ISO 8583 host and brings back Yes, No
//! or InDoubt.
//!
//! `map` and `outcome` are pure; `link` has the bytes and the time. Which host it is, is a
//! dialect's table; nothing here knows one by name. Keys stay in the key server module: PIN
//! blocks are translated and MACs are made there.

mod config;
mod exchange;
mod gateway;
mod in_flight;
mod link;
mod map;
mod outcome;
mod session;

pub use config::{AcquirerConfig, BankConfig, Timing};
pub use gateway::BankGateway;

/// Why a bank gateway could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum BankError {
    /// The dialect's table is not usable.
    #[error("the dialect {name:?} of acquirer {acquirer} is not usable")]
    Dialect {
        /// The acquirer.
        acquirer: u16,
        /// Name or path as configured.
        name: String,
        /// What is wrong with it.
        source: guichet_iso8583::DialectError,
    },
    /// The zone is not in the time zone database.
    #[error("the zone {name:?} of acquirer {acquirer} is not known")]
    Zone {
        /// The acquirer.
        acquirer: u16,
        /// As configured.
        name: String,
        /// The database's reason.
        source: jiff::Error,
    },
    /// The dialect lacks a transaction that payments need.
    #[error("the dialect {dialect:?} has no transaction {kind:?}")]
    NoTransaction {
        /// Its name.
        dialect: String,
        /// The transaction.
        kind: &'static str,
    },
    /// An acquirer is configured twice.
    #[error("acquirer {0} is configured twice")]
    Twice(u16),
}
