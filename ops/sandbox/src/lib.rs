//! Twins of the outside systems: servers that speak the real protocols and keep books of their own.

#[cfg(feature = "bank")]
pub mod bank;
#[cfg(feature = "devices")]
pub mod devices;
#[cfg(feature = "provider")]
pub mod gtfs;
#[cfg(feature = "page")]
pub mod page;
#[cfg(feature = "provider")]
pub mod provider;
