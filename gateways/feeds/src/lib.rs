//! Settlement files out, clearing files in, and their comparison (part 11).
//!
//! Everything here is pure: bytes to lines, lines to bytes, two lists to a list of differences.

pub mod clearing;
pub mod file;
pub mod reconcile;
pub mod store;
