//! The bank part of the sandbox.
