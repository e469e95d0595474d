//! What every implementation of a port does, the one in the product and the one in a test alike.
//!
//! A suite is a function that is handed an implementation, or a way to open it anew over the same storage, and panics
//! where the contract is broken. An implementation's own tests call it; nothing of this is in the product.
//!
//! *Invariant*: a suite knows an implementation by its port alone; what it cannot make itself (a sealed swipe, a
//! product that a provider sells) it is handed.

mod bank;
mod center;
mod checkpoint;
mod information;
mod keys;
mod provider;
mod settlement;
mod terminals;
mod vault;

pub use bank::{BankBooks, BankRig, bank};
pub use center::center;
pub use checkpoint::checkpoints;
pub use information::ticket_information;
pub use keys::{KeyTools, cards, pads, swipes, tickets, zones};
pub use provider::provider;
pub use settlement::settlement_files;
pub use terminals::terminals;
pub use vault::vault;

/// A card number that holds by its check digit; a test number of no bank.
const PAN: &str = "6200000000000005";
/// Another one.
const OTHER_PAN: &str = "4111111111111111";
/// What is no card number: check digit, length, letters.
const NOT_PANS: [&str; 6] = [
    "4111111111111112",
    "411111111111",
    "",
    "62000000000000000000",
    "abcdefghijklmnop",
    "6200000000 00005",
];
