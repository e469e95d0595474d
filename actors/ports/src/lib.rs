//! The traits that gateways implement and actors (or other gateways) use.
//!
//! An outside system's answer is Yes, No or InDoubt; only an explicit message makes Yes or No.
#![deny(missing_docs)]

pub mod bank;
mod blocking;
pub mod center;
pub mod checkpoint;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod keys;
pub mod provider;
pub mod secret;
pub mod settlement;
pub mod terminals;
pub mod ticket_information;
pub mod vault;

pub use blocking::blocking;

/// A future on the heap, as the object-safe ports return it.
pub type Later<T> = futures_util::future::BoxFuture<'static, T>;
