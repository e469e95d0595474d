//! The gtfs part of the sandbox.
