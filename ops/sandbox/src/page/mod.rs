//! The page part of the sandbox.
