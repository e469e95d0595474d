//! The segment log of one partition: an append is durable or it did not happen.

pub mod archive;
pub mod error;
pub mod files;
pub mod format;
pub mod log;
pub mod memory;
pub mod reader;
mod scan;

#[cfg(test)]
mod tests;
