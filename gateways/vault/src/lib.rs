//! The key server module, the vault and the member store.
//!
//! Keys, card numbers and people's data are in clear only inside this crate; what leaves is a tag,
//! a mask, a translated PIN block, a MAC, or an answer to a caller who is named and recorded.
#![deny(missing_docs)]

pub mod crypto;
pub mod error;
pub mod form;
mod keyfile;
pub mod keyring;
mod pads;
mod slots;
pub mod ticket;
mod track;
