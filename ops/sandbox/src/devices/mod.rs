//! The devices part of the sandbox.
